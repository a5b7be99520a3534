package hls

import (
	"net/http"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Listing is a public stream that is on air. Its texts are whoever broadcasts it's: to be shown,
// never to be taken as HTML.
type Listing struct {
	Stream      stream.ID `json:"stream"`
	Title       string    `json:"title"` // one line, 128 bytes at most
	Description string    `json:"description"`
	Link        string    `json:"link"`
	Issued      time.Time `json:"issued"`  // by the broadcaster's clock
	Expires     time.Time `json:"expires"` // unless it is renewed
}

// apiDirectory is what /api/v1/directory answers.
type apiDirectory struct {
	Entries []apiListing `json:"entries"` // as the directory has them
}

// apiListing is a public stream that is on air. Its texts are whoever broadcasts it's.
type apiListing struct {
	Listing
	Here bool `json:"here"` // this node has the stream: the page can play it
}

func (s *Server) serveDirectory(w http.ResponseWriter, _ *http.Request) {
	out := apiDirectory{Entries: []apiListing{}}
	if s.cfg.Directory != nil {
		for _, l := range s.cfg.Directory() {
			out.Entries = append(out.Entries, apiListing{l, s.joined(l.Stream)})
		}
	}
	s.serveJSON(w, http.StatusOK, out)
}
