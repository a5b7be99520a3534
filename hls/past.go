package hls

import (
	"context"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Past is what the server needs of a node to rewind beyond its own store.
type Past interface {
	// Learn asks peers and origins what they hold of a rendition, and puts headers that this node
	// lacks into its timeline: those since a time, of at most so many bytes of parts
	// together with what follows them, 0 for any. It returns when nobody has more, or
	// when ctx ends.
	Learn(ctx context.Context, rendition string, since time.Time, bytes int64) error
	// Fetch returns the chunks of a segment by part, as the timeline's headers have them,
	// and puts into the store what that lacks. It returns an error if nobody has it, or
	// when ctx ends.
	Fetch(ctx context.Context, rendition string, epoch, segment uint64) ([][][]byte, error)
	// Held returns what peers and origins say that they hold.
	Held(rendition string) []stream.Span
}

// noPast is the past of a node without peers.
type noPast struct{}

func (noPast) Learn(context.Context, string, time.Time, int64) error { return nil }
func (noPast) Fetch(context.Context, string, uint64, uint64) ([][][]byte, error) {
	return nil, errNoPast
}
func (noPast) Held(string) []stream.Span { return nil }
