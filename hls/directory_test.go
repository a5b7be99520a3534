package hls

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

func TestDirectoryIsJSONWhateverItsTextsAre(t *testing.T) {
	id := stream.NewKey().ID()
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	listing := Listing{id, "<script>alert(1)</script>", "\"quoted\" & more", "grapevine://" + id.String(), at, at.Add(time.Minute)}
	server, err := NewServer(Config{Node: &changing{}, Directory: func() []Listing { return []Listing{listing} }})
	if err != nil {
		t.Fatal(err)
	}
	w := do(server.Handler(), "GET", "/api/v1/directory")
	if strings.ContainsAny(w.Body.String(), "<>&") {
		t.Errorf("the answer has HTML in it: %s", w.Body)
	}
	var got apiDirectory
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Entries) != 1 || got.Entries[0].Listing != listing || got.Entries[0].Here {
		t.Errorf("%+v, want %+v, which is not here", got, listing)
	}
}
