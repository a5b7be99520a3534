package origin

import (
	"context"
	"fmt"
	"io"

	"github.com/grapevine-live/grapevine/stream/ingest"
)

// maxInit bounds the initialisation section of fragmented MP4: it is a kilobyte.
const maxInit = 1 << 20

// output takes segments, one after the other; see [ingest.Splitter]. Those that are
// fragmented MP4 become MPEG-TS first.
type output struct {
	*ingest.Splitter
	fragments *ingest.Fragments // nil for MPEG-TS
	init      span              // that fragments has
	open      bool              // a segment began and was not closed
}

func (o *output) Begin(info ingest.SegmentInfo) {
	if o.fragments != nil {
		if o.open && !o.Begun() {
			o.fragments.Undo()
		}
		o.fragments.Begin()
	}
	o.open = true
	o.Splitter.Begin(info)
}

func (o *output) Write(b []byte) (int, error) {
	if o.fragments == nil {
		return o.Splitter.Write(b)
	}
	ts, err := o.fragments.Write(b)
	if _, writeErr := o.Splitter.Write(ts); writeErr != nil {
		return 0, writeErr
	}
	return len(b), err
}

func (o *output) Close() error {
	if o.fragments != nil {
		if err := o.fragments.Whole(); err != nil {
			return err
		}
	}
	if err := o.Splitter.Close(); err != nil {
		return err
	}
	o.open = false
	return nil
}

// prepare gets ready for a segment with its initialisation section.
func (r *Rendition) prepare(ctx context.Context, s *segment) error {
	o, init := r.out, s.init
	if init.url == "" {
		o.fragments, o.init = nil, span{}
		return nil
	}
	if o.fragments != nil && o.init == init {
		return nil
	}
	var b []byte
	err := r.retry(ctx, s, func(ctx context.Context) error {
		a, err := r.origin.client.get(ctx, init, maxInit, 0, "identity")
		if err != nil {
			return err
		}
		defer a.Close()
		b, err = io.ReadAll(a)
		return err
	})
	if err != nil {
		return fmt.Errorf("initialisation section: %w", err)
	}
	if len(b) > 0 && b[0] == 0x47 {
		return &UnsupportedError{"MPEG-TS with an initialisation section (EXT-X-MAP)"}
	}
	if o.fragments == nil {
		o.fragments = new(ingest.Fragments)
	}
	if err := o.fragments.Init(b); err != nil {
		o.fragments = nil
		return &contentError{err}
	}
	o.init = init
	return nil
}
