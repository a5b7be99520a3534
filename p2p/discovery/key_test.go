package discovery

import (
	"slices"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// TestKey is a vector for other implementations.
func TestKey(t *testing.T) {
	var id stream.ID
	for i := range id {
		id[i] = byte(i)
	}
	const want = "bafkreicl4pgy2xg3xggdewfi7esfgjd2uvhkxsb2neru7dzygisilgwta4"
	if got := Key(id, 525_600).String(); got != want {
		t.Errorf("key is %s, want %s", got, want)
	}
	if Key(id, 1) == Key(id, 2) || Key(id, 1) == Key(stream.ID{}, 1) {
		t.Error("different slots or streams have the same key")
	}
}

func TestSlots(t *testing.T) {
	for _, c := range []struct {
		at   string
		want []uint64
	}{
		{"12:30:00", []uint64{12}},
		{"12:49:59", []uint64{12}},
		{"12:50:00", []uint64{12, 13}},
		{"13:00:00", []uint64{12, 13}},
		{"13:09:59", []uint64{12, 13}},
		{"13:10:00", []uint64{13}},
	} {
		now, err := time.Parse(time.TimeOnly, c.at)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(0, 0).UTC().Add(now.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)))
		if got := Slots(at); !slices.Equal(got, c.want) {
			t.Errorf("at %s slots %v are provided, want %v", c.at, got, c.want)
		}
	}
}
