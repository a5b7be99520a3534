package p2p

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

// pastTurn is how many bytes of headers take a turn on the uplink together.
const pastTurn = 8 << 10

// sendSpans says what this node holds of a rendition.
func sendSpans(swarm *Swarm, rendition string, send func(fetchResponse) error) error {
	t := swarm.timeline(rendition)
	if t == nil {
		return nil
	}
	for _, s := range t.Lasting(swarm.node.store, time.Now()) {
		if err := send(fetchResponse{span: &s}); err != nil {
			return err
		}
	}
	return nil
}

// sendPast sends headers of the past, the newest first, each few at their turn on the
// uplink: hours of them weigh megabytes.
func (f *fetchServer) sendPast(ctx context.Context, swarm *Swarm, to peer.ID, req pastRequest, send func(fetchResponse) error) error {
	t := swarm.timeline(req.rendition)
	if t == nil || req.headers == 0 {
		return nil
	}
	headers := t.Before(req.before, req.from, req.headers)
	all := stream.PartID{Stream: swarm.id, Rendition: req.rendition} // stands for the timeline
	total := 0
	for len(headers) > 0 {
		n, size := 0, 0
		for n < len(headers) && size < pastTurn && total+size < maxPastBytes-stream.MaxHeaderSize {
			n++
			size += len(headers[len(headers)-n].Bytes())
		}
		if n == 0 {
			return nil // there was room for no more
		}
		total += size
		if err := f.turn(ctx, size, true); err != nil {
			return err
		}
		for range n {
			h := headers[len(headers)-1]
			headers = headers[:len(headers)-1]
			if f.again(to, all, t.Len(), time.Now()) {
				return errFetchRepeats
			}
			if err := send(fetchResponse{header: h.Bytes()}); err != nil {
				return err
			}
		}
		f.count(func(s *fetchStats) { s.bytes += int64(size) })
	}
	return nil
}
