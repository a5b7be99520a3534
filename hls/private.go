package hls

import (
	"net/http"

	"github.com/grapevine-live/grapevine/stream"
)

// Store is what playlists take parts from: a node's store, or what opens the sealed parts in it.
type Store interface {
	// Part returns a part's bytes, in one piece or several, or nil unless all can be had.
	Part(id stream.PartID) [][]byte
	// Lasting reports whether all of some parts can be had, and still can when room further
	// bytes have come.
	Lasting(headers []*stream.SignedHeader, share float64) bool
	// Changed returns a channel that is closed when the next part can be had.
	Changed() <-chan struct{}
	// Stats returns the figures of the store.
	Stats() stream.StoreStats
}

// Shown returns what players get parts from.
func (s Stream) Shown() Store {
	if s.Opened != nil {
		return s.Opened
	}
	return s.Store
}

// Sealed reports whether the node cannot open what it holds.
func (s Stream) Sealed() bool { return s.Private && s.Opened == nil }

const (
	sealedSentence  = "This stream is private, and this node passes it on without a key: open it with your invite on your own machine (grapevine watch LINK)."
	privateSentence = "This stream is private, and is not shown by a gateway: open it with your invite on your own machine (grapevine watch LINK)."
)

// unsealed has requests answered that are not for what is sealed to them.
func (s *Server) unsealed(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		private, sealed := s.privacy(r.PathValue("stream"))
		switch {
		case sealed:
			forbidden(w, sealedSentence)
		case private && gatewayOf(r) != nil:
			forbidden(w, privateSentence)
		default:
			h(w, r)
		}
	}
}

// privacy says of a stream whether it is private, and whether it is sealed to this node.
func (s *Server) privacy(name string) (private, sealed bool) {
	id, err := stream.ParseID(name)
	if err != nil {
		return false, false
	}
	if st, _, _ := s.find(id); st != nil {
		return st.private, st.sealed
	}
	for _, st := range s.cfg.Node.Streams() {
		if st.ID == id {
			return st.Private, st.Sealed()
		}
	}
	return false, false
}

// forbidden answers 403. It must not be cached: a node may get a key.
func forbidden(w http.ResponseWriter, sentence string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, sentence, http.StatusForbidden)
}
