package record

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/hls"
)

var noon = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)

// testList is five segments of 2 s with a pause of 10 s before the fourth.
func testList() *hls.MediaPlaylist {
	list := &hls.MediaPlaylist{}
	for i, at := range []int{0, 2, 4, 16, 18} {
		list.Segments = append(list.Segments, hls.PlaylistSegment{
			Duration: 2 * time.Second, ProgramTime: noon.Add(time.Duration(at) * time.Second), Discontinuity: i == 3,
		})
	}
	return list
}

func offsetOf(s float64) Moment {
	return Moment{Set: true, Offset: time.Duration(s * float64(time.Second))}
}

func clockOf(s float64) Moment {
	return Moment{Set: true, Clock: noon.Add(time.Duration(s * float64(time.Second)))}
}

func TestSelectRange(t *testing.T) {
	const none = RangeReason(-1)
	for _, test := range []struct {
		name     string
		from, to Moment
		first, n int
		bad      RangeReason
	}{
		{"all", Moment{}, Moment{}, 0, 5, none},
		{"outwards", offsetOf(3), offsetOf(4.5), 1, 2, none},
		{"at boundaries", offsetOf(2), offsetOf(4), 1, 1, none},
		{"to the very end", offsetOf(8), offsetOf(10), 4, 1, none},
		{"over the pause", offsetOf(5), offsetOf(7), 2, 2, none},
		{"by the clock", clockOf(3), clockOf(16.1), 1, 3, none},
		{"by the clock, the ends in the pause", clockOf(3), clockOf(10), 1, 2, none},
		{"by the clock, the beginning in the pause", clockOf(10), clockOf(20), 3, 2, none},
		{"one of each", offsetOf(2), clockOf(16.1), 1, 3, none},
		{"only from", offsetOf(7), Moment{}, 3, 2, none},
		{"only to", Moment{}, clockOf(1), 0, 1, none},
		{"reversed", offsetOf(4), offsetOf(3), 0, 0, RangeReversed},
		{"empty", clockOf(3), clockOf(3), 0, 0, RangeReversed},
		{"one of each, reversed", offsetOf(9), clockOf(1), 0, 0, RangePause},
		{"in the pause", clockOf(7), clockOf(15), 0, 0, RangePause},
		{"begins at the end", offsetOf(10), Moment{}, 0, 0, RangeFrom},
		{"begins before", clockOf(-1), Moment{}, 0, 0, RangeFrom},
		{"begins after", clockOf(20), Moment{}, 0, 0, RangeFrom},
		{"ends after", offsetOf(0), offsetOf(10.1), 0, 0, RangeTo},
		{"ends after, by the clock", offsetOf(0), clockOf(20.1), 0, 0, RangeTo},
		{"ends at the beginning", Moment{}, offsetOf(0), 0, 0, RangeTo},
		{"ends before", Moment{}, clockOf(-1), 0, 0, RangeTo},
	} {
		list := testList()
		r, err := selectRange(list, test.from, test.to)
		if test.bad != none {
			var bad *RangeError
			if !errors.As(err, &bad) || bad.Reason != test.bad || bad.Length != 10*time.Second || !bad.End.Equal(noon.Add(20*time.Second)) {
				t.Errorf("%s: %v, %v; want reason %d", test.name, r, err, test.bad)
			}
			continue
		}
		if err != nil || len(r.Segments) != test.n || &r.Segments[0] != &list.Segments[test.first] {
			t.Errorf("%s: %+v, %v; want %d segments from %d on", test.name, r, err, test.n, test.first)
			continue
		}
		if want := time.Duration(test.first) * 2 * time.Second; r.From != want || r.To != want+time.Duration(test.n)*2*time.Second {
			t.Errorf("%s: from %v to %v", test.name, r.From, r.To)
		}
	}
	var bad *RangeError
	if _, err := selectRange(&hls.MediaPlaylist{}, Moment{}, Moment{}); !errors.As(err, &bad) || bad.Reason != RangeEmpty {
		t.Errorf("an empty recording: %v", err)
	}
}

func TestFindPlaylist(t *testing.T) {
	root := t.TempDir()
	write := func(path ...string) string {
		t.Helper()
		file := filepath.Join(append([]string{root}, path...)...)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	if _, err := FindPlaylist(root); !errors.Is(err, ErrNoRecording) {
		t.Errorf("an empty directory: %v", err)
	}
	one := write("a", "main", PlaylistName)
	for _, path := range []string{root, filepath.Join(root, "a"), filepath.Join(root, "a", "main"), one} {
		if got, err := FindPlaylist(path); got != one || err != nil {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
	write("b", "main", PlaylistName)
	var several *SeveralError
	if _, err := FindPlaylist(root); !errors.As(err, &several) || len(several.Dirs) != 2 {
		t.Errorf("two recordings: %v", err)
	}
	if _, err := FindPlaylist(filepath.Join(root, "c")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such directory: %v", err)
	}
}
