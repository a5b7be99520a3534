package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

// casts are the renditions that a broadcaster publishes of its stream. Their methods are
// called one after the other.
type casts struct {
	node  *p2p.Node
	key   stream.Key
	epoch uint64
	names []string
	list  []*p2p.Broadcast // of names
}

// begin joins the stream with one rendition, and returns the stream's link.
func (c *casts) begin(name string) (stream.Link, error) {
	cast, err := c.open(name)
	if err != nil {
		return stream.Link{}, err
	}
	return cast.Swarm().Link(), nil
}

// open returns the broadcast of a rendition, which may be open already.
func (c *casts) open(name string) (*p2p.Broadcast, error) {
	for n, open := range c.names {
		if open == name {
			return c.list[n], nil
		}
	}
	cast, err := c.node.Broadcast(c.key, name, c.epoch)
	if err != nil {
		return nil, fmt.Errorf("broadcast rendition %s: %w", name, err)
	}
	c.names, c.list = append(c.names, name), append(c.list, cast)
	return cast, nil
}

// publisher returns what publishes a rendition's parts, bounded by ctx.
func (c *casts) publisher(ctx context.Context, name string) (func(stream.Part) error, error) {
	cast, err := c.open(name)
	if err != nil {
		return nil, err
	}
	return func(p stream.Part) error { return cast.Publish(ctx, p) }, nil
}

// end publishes the end of all renditions, side by side: each waits for its neighbours.
func (c *casts) end(ctx context.Context) error {
	errs := make([]error, len(c.list))
	var wg sync.WaitGroup
	for n, cast := range c.list {
		wg.Go(func() {
			err := cast.End(ctx)
			if !errors.Is(err, context.DeadlineExceeded) { // slow neighbours; the rest have it
				errs[n] = err
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
