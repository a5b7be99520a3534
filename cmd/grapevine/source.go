package main

import (
	"context"
	"errors"

	"github.com/grapevine-live/grapevine/stream/ingest"
)

// source is what broadcast publishes.
type source interface {
	// run publishes until the input ends, ctx is done or something fails.
	run(ctx context.Context, casts *casts) error
	// stats returns all figures but rates.
	stats() *inputStats
}

// open prepares what is published, before anybody is told of the stream. Whoever calls it
// calls closeInputs, too.
func (b *broadcast) open(ctx context.Context, scr *screen) (in source, closeInputs func() error, err error) {
	var closers []func() error
	closeInputs = func() error {
		var errs []error
		for _, f := range closers {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
	encoder := ""
	if b.ladder != nil {
		encoder = b.ladder.Encoder
	}
	if b.inputs[0].isOrigin() {
		in, err := openOrigin(ctx, b.config(b.inputs[0].source), scr)
		return in, closeInputs, err
	}
	var configs []ingest.Config
	for _, in := range b.inputs {
		cfg := b.config(in.source)
		file, err := openFile(ctx, &cfg, encoder, scr)
		if err != nil {
			return nil, closeInputs, err
		}
		if file != nil {
			closers = append(closers, file.Close)
		}
		configs = append(configs, cfg)
	}
	if b.ladder != nil {
		in, err = openLadder(ctx, *b.ladder, b.inputs[0].source, configs[0], scr)
	} else {
		in, err = openInputs(b.inputs, configs, scr)
	}
	return in, closeInputs, err
}
