package hls

import (
	"context"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Past is what the server needs of a node to rewind beyond its own store.
type Past interface {
	// Learn asks peers what they hold of a rendition, and puts headers that this node
	// lacks into its timeline: those since a time, of at most so many bytes of parts
	// together with what follows them, 0 for any. It returns when peers have no more, or
	// when ctx ends.
	Learn(ctx context.Context, rendition string, since time.Time, bytes int64) error
	// Fetch puts into the store what it lacks of a segment. It returns an error if no
	// peer has it, or when ctx ends.
	Fetch(ctx context.Context, rendition string, epoch, segment uint64) error
	// Held returns what peers say that they hold.
	Held(rendition string) []stream.Span
}

// noPast is the past of a node without peers.
type noPast struct{}

func (noPast) Learn(context.Context, string, time.Time, int64) error { return nil }
func (noPast) Fetch(context.Context, string, uint64, uint64) error   { return errNoPast }
func (noPast) Held(string) []stream.Span                             { return nil }
