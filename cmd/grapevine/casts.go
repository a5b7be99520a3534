package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

// casts are the renditions that a broadcaster publishes of its stream. It is safe for
// concurrent use.
type casts struct {
	node  *p2p.Node
	key   stream.Key
	epoch uint64

	private *p2p.Private // nil unless the stream is sealed

	mu    sync.Mutex // guards all following
	list  map[string]*p2p.Broadcast
	ended map[string]bool // of list: their names are not used again
}

// begin joins the stream, and returns its link, which names origins and the relays of via.
func (c *casts) begin(origins []string, via stream.Link) (stream.Link, error) {
	signed, err := c.key.SignOrigins(origins)
	if err != nil {
		return stream.Link{}, fmt.Errorf("broadcast: %w", err)
	}
	swarm, err := c.node.OpenBy(c.key, via)
	if err != nil {
		return stream.Link{}, fmt.Errorf("broadcast: %w", err)
	}
	swarm.Advertise(signed)
	return swarm.Link(), nil
}

// publisher returns what publishes a rendition's parts, bounded by ctx.
func (c *casts) publisher(ctx context.Context, name string) (func(stream.Part) error, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.list[name] != nil {
		return nil, &sameRenditionError{name}
	}
	cast, err := c.cast(name)
	if err != nil {
		return nil, fmt.Errorf("broadcast rendition %s: %w", name, err)
	}
	c.list[name] = cast
	return func(p stream.Part) error { return cast.Publish(ctx, p) }, nil
}

func (c *casts) cast(name string) (*p2p.Broadcast, error) {
	if c.private != nil {
		return c.private.Broadcast(name)
	}
	return c.node.Broadcast(c.key, name, c.epoch)
}

// furtherOpener opens the renditions of an input's further audio and subtitles. Its begin is
// called once, before the input runs.
type furtherOpener struct {
	open   func(rendition string) (func(stream.Part) error, error)
	opened []string // while the input runs, its alone
}

func (o *furtherOpener) begin(ctx context.Context, casts *casts) {
	o.open = func(name string) (func(stream.Part) error, error) { return casts.publisher(ctx, name) }
}

// further is what ingest.Config.Further wants. Of inputs that have the same language, the first
// gives it for all.
func (o *furtherOpener) further(rendition string) (func(stream.Part) error, error) {
	publish, err := o.open(rendition)
	var twice *sameRenditionError
	if errors.As(err, &twice) {
		return nil, nil
	}
	if err == nil {
		o.opened = append(o.opened, rendition)
	}
	return publish, err
}

// end publishes the end of all renditions that have not ended.
func (c *casts) end(ctx context.Context) error {
	c.mu.Lock()
	names := slices.Collect(maps.Keys(c.list))
	c.mu.Unlock()
	keys := make(chan error, 1)
	go func() { keys <- c.endKeys(ctx) }()
	return errors.Join(c.endOf(ctx, names), <-keys)
}

// endKeys says that no more keys of a private stream follow.
func (c *casts) endKeys(ctx context.Context) error {
	if c.private == nil {
		return nil
	}
	if err := c.private.End(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil // slow neighbours; the rest have it
}

// endOf publishes the end of some renditions, side by side: each waits for its neighbours.
// Nothing of them may be published any more.
func (c *casts) endOf(ctx context.Context, names []string) error {
	errs := make(chan error, len(names))
	ending := 0
	for _, name := range names {
		cast := c.toEnd(name)
		if cast == nil {
			continue
		}
		ending++
		go func() {
			err := cast.End(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				err = nil // slow neighbours; the rest have it
			}
			errs <- err
		}()
	}
	var all []error
	for range ending {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// toEnd returns the rendition of a name, which is to be ended now; nil if it was, or if there
// is none.
func (c *casts) toEnd(name string) *p2p.Broadcast {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended[name] {
		return nil
	}
	if c.ended == nil {
		c.ended = make(map[string]bool)
	}
	c.ended[name] = true
	return c.list[name]
}
