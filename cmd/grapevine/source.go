package main

import (
	"context"

	"github.com/grapevine-live/grapevine/stream/ingest"
)

// source is what broadcast publishes.
type source interface {
	// run publishes until the input ends, ctx is done or something fails.
	run(ctx context.Context, casts *casts) error
	// stats returns the input's figures, and those of encoding it, nil if it is not.
	stats() (ingest.Stats, *encodingStats)
}

// singleSource is an input that is published as it is.
type singleSource struct{ in *ingest.Ingest }

func (s singleSource) run(ctx context.Context, casts *casts) error {
	publish, err := casts.publisher(ctx, rendition)
	if err != nil {
		return err
	}
	return s.in.Run(ctx, publish)
}

func (s singleSource) stats() (ingest.Stats, *encodingStats) { return s.in.Stats(), nil }
