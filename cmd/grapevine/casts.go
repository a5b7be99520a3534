package main

import (
	"context"
	"errors"
	"fmt"
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

	mu   sync.Mutex // guards all following
	list map[string]*p2p.Broadcast
}

// begin joins the stream, and returns its link, which names origins.
func (c *casts) begin(origins []string) (stream.Link, error) {
	signed, err := c.key.SignOrigins(origins)
	if err != nil {
		return stream.Link{}, fmt.Errorf("broadcast: %w", err)
	}
	swarm, err := c.node.Open(c.key)
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
	cast, err := c.node.Broadcast(c.key, name, c.epoch)
	if err != nil {
		return nil, fmt.Errorf("broadcast rendition %s: %w", name, err)
	}
	c.list[name] = cast
	return func(p stream.Part) error { return cast.Publish(ctx, p) }, nil
}

// furtherOpener opens the renditions of an input's further audio and subtitles. Its begin is
// called once, before the input runs.
type furtherOpener struct {
	open func(rendition string) (func(stream.Part) error, error)
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
	return publish, err
}

// end publishes the end of all renditions, side by side: each waits for its neighbours.
func (c *casts) end(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := make(chan error, len(c.list))
	for _, cast := range c.list {
		go func() {
			err := cast.End(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				err = nil // slow neighbours; the rest have it
			}
			errs <- err
		}()
	}
	var all []error
	for range c.list {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}
