package origin

import (
	"context"
	"fmt"
	"io"

	"github.com/grapevine-live/grapevine/stream/ingest"
)

// maxInit bounds the initialisation section of fragmented MP4: it is a kilobyte.
const maxInit = 1 << 20

// sink takes segments, one after the other.
type sink interface {
	// ready returns when there is use for another segment.
	ready(ctx context.Context) error
	// init takes the initialisation section of the segments that follow, nil if they have none.
	init(b []byte) error
	Begin(info ingest.SegmentInfo)
	Write(b []byte) (int, error)
	Close() error
	// Begun reports whether a segment that is begun again must be the same.
	Begun() bool
	Stats() ingest.Stats
	// missing is how many segments have not all of the sound that they should have.
	missing() uint64
}

// remuxer makes the segments that are published of those that the origin has.
type remuxer interface {
	SetSound(*ingest.Sound)
	MissingSound() uint64
	Begin()
	Undo()
	Write([]byte) ([]byte, error)
	End() ([]byte, error)
}

// output publishes segments; see [ingest.Splitter]. Those that are fragmented MP4 become
// MPEG-TS first, and pictures get their sound.
type output struct {
	*ingest.Splitter
	sound  *ingest.Sound // of pictures that come without; nil if there is none
	beside []ingest.Sidecar
	remux  remuxer // nil for MPEG-TS that stays as it is
	open   bool    // a segment began and was not closed
	lost   uint64  // missing of what was before remux
}

func (o *output) ready(context.Context) error { return nil }

func (o *output) init(b []byte) error {
	if b == nil {
		if _, ok := o.remux.(*ingest.Pictures); ok {
			return nil
		}
		o.drop()
		if o.sound != nil {
			o.begin(new(ingest.Pictures))
		}
		return nil
	}
	fragments, ok := o.remux.(*ingest.Fragments)
	if !ok {
		o.drop()
		fragments = new(ingest.Fragments)
		o.begin(fragments)
	}
	if err := fragments.Init(b); err != nil {
		o.drop()
		return err
	}
	return nil
}

// begin has segments made by r from now on.
func (o *output) begin(r remuxer) {
	r.SetSound(o.sound)
	o.remux = r
}

// drop ends what makes segments.
func (o *output) drop() {
	if o.remux != nil {
		o.lost += o.remux.MissingSound()
		o.remux.SetSound(nil)
		o.remux = nil
	}
}

func (o *output) Begin(info ingest.SegmentInfo) {
	if o.remux != nil {
		if o.open && !o.Begun() {
			o.remux.Undo()
		}
		o.remux.Begin()
	}
	if _, ok := o.remux.(*ingest.Fragments); ok {
		info.Shift = ingest.FragmentsShift
	}
	o.open = true
	o.Splitter.Begin(info)
}

func (o *output) Write(b []byte) (int, error) {
	if o.remux == nil {
		return o.Splitter.Write(b)
	}
	ts, err := o.remux.Write(b)
	if _, writeErr := o.Splitter.Write(ts); writeErr != nil {
		return 0, writeErr
	}
	return len(b), err
}

func (o *output) Close() error {
	if o.remux != nil {
		rest, err := o.remux.End()
		if err != nil {
			return err
		}
		if _, err := o.Splitter.Write(rest); err != nil {
			return err
		}
	}
	if err := o.Splitter.Close(); err != nil {
		return err
	}
	o.open = false
	return nil
}

func (o *output) missing() uint64 {
	if o.remux == nil {
		return o.lost
	}
	return o.lost + o.remux.MissingSound()
}

// end lets go of what the output has of others.
func (o *output) end() {
	o.drop()
	for _, a := range o.beside {
		a.Close()
	}
}

// prepare gets ready for a segment with its initialisation section.
func (r *Rendition) prepare(ctx context.Context, s *segment) error {
	init := s.init
	if r.prepared && r.init == init {
		return nil
	}
	r.prepared = false
	var b []byte
	if init.url != "" {
		err := r.retry(ctx, s, func(ctx context.Context) (err error) {
			b, err = r.section(ctx, init)
			return err
		})
		if err != nil {
			return fmt.Errorf("initialisation section: %w", err)
		}
	}
	if len(b) > 0 && b[0] == 0x47 {
		return &UnsupportedError{"MPEG-TS with an initialisation section (EXT-X-MAP)"}
	}
	if err := r.out.init(b); err != nil {
		return &contentError{err}
	}
	r.init, r.prepared = init, true
	return nil
}

// section fetches an initialisation section.
func (r *Rendition) section(ctx context.Context, at span) ([]byte, error) {
	a, err := r.origin.client.get(ctx, at, maxInit, 0, "identity")
	if err != nil {
		return nil, err
	}
	defer a.Close()
	body, err := r.opened(ctx, a, at.secret)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(body)
	if err == nil && len(b) == 0 {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}
