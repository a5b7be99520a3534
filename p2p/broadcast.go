package p2p

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Broadcast publishes one rendition of a stream. Its methods must not be called
// concurrently.
type Broadcast struct {
	swarm     *Swarm
	rendition *rendition
	publisher *stream.Publisher
}

// Open joins the stream of the key as its broadcaster, who knows its renditions later.
func (n *Node) Open(key stream.Key) (*Swarm, error) {
	return n.OpenBy(key, stream.Link{Stream: key.ID()})
}

// OpenBy is [Node.Open] for a stream whose viewers connect to nobody but the relays that a link
// names, and where those are. The node itself connects to nobody else either.
func (n *Node) OpenBy(key stream.Key, link stream.Link) (*Swarm, error) {
	peers, err := parsePeers(link.Peers)
	if err != nil {
		return nil, err
	}
	s, err := n.join(key.ID(), true, peers, link)
	if err != nil {
		return nil, err
	}
	if !s.publishing() {
		return nil, fmt.Errorf("stream %s: %w", key.ID().Short(), ErrJoined)
	}
	return s, s.restore()
}

// Broadcast joins the stream of the key as its broadcaster, unless that was done, with one
// more rendition. The epoch must be larger than that of every earlier run with this key,
// and the same for all renditions.
func (n *Node) Broadcast(key stream.Key, name string, epoch uint64) (*Broadcast, error) {
	publisher, err := stream.NewPublisher(key, name, epoch)
	if err != nil {
		return nil, err
	}
	s, err := n.Open(key)
	if err != nil {
		return nil, err
	}
	r, err := s.rendition(name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	r.published, r.epoch = true, epoch
	s.mu.Unlock()
	return &Broadcast{s, r, publisher}, nil
}

// Swarm returns the broadcaster's own swarm.
func (b *Broadcast) Swarm() *Swarm { return b.swarm }

// Publish signs the part and hands it to the swarm. It keeps part.Data, and waits
// until the swarm's loop took the part. Errors wrap [ErrSuperseded], [stream.ErrRevoked] or
// [stream.ErrDelegationTime] where this node may broadcast no more.
func (b *Broadcast) Publish(ctx context.Context, part stream.Part) error {
	h, chunks, err := b.publisher.Publish(part)
	if err != nil {
		return err
	}
	for _, c := range chunks {
		b.swarm.node.store.Put(c)
	}
	b.swarm.count(func(c *counters) { c.stats.BytesPublished += int64(h.Size) })
	return b.announce(ctx, h)
}

// announce publishes a header, and tells the exchange.
func (b *Broadcast) announce(ctx context.Context, h *stream.SignedHeader) error {
	s := b.swarm
	if s.newestEpoch() > h.Epoch {
		return fmt.Errorf("publish part %v: %w", h.Position, ErrSuperseded)
	}
	if err := b.rendition.timeline.Add(h, time.Now()); err != nil {
		return fmt.Errorf("add part %v: %w", h.Position, err)
	}
	if err := s.send(ctx, func(now time.Time) {
		s.repair.onHeader(now)
		s.exchange.onHeader(h, false, false, true, now)
	}); err != nil {
		return err
	}
	if err := s.topic.Publish(ctx, h.Bytes()); err != nil {
		return fmt.Errorf("publish header: %w", err)
	}
	return nil
}

const (
	// endQuiet is how long nobody may want anything before End takes it that all
	// neighbours have what they want.
	endQuiet = 300 * time.Millisecond
	// endPoll is how often End looks.
	endPoll = 50 * time.Millisecond
)

// End publishes the end of the stream and waits until neighbours have taken what they
// want of the last parts, bounded by ctx.
func (b *Broadcast) End(ctx context.Context) error {
	h, err := b.publisher.End()
	if err != nil {
		return err
	}
	if err := b.announce(ctx, h); err != nil {
		return err
	}
	ticker := time.NewTicker(endPoll)
	defer ticker.Stop()
	for quiet := time.Duration(0); quiet < endQuiet; quiet += endPoll {
		select {
		case <-ctx.Done():
			return fmt.Errorf("neighbours did not take all of the last parts: %w", context.Cause(ctx))
		case <-ticker.C:
		}
		var idle bool
		if err := b.swarm.send(ctx, func(time.Time) { idle = b.swarm.exchange.idle() }); err != nil {
			return err
		}
		if !idle {
			quiet = -endPoll
		}
	}
	return nil
}

// newestEpoch returns the newest epoch of which anything is known, in any rendition.
func (s *Swarm) newestEpoch() (epoch uint64) {
	for _, t := range s.Timelines() {
		if h := t.Newest(); h != nil {
			epoch = max(epoch, h.Epoch)
		}
	}
	return epoch
}

// ErrSuperseded is wrapped when a newer epoch of the stream has begun elsewhere: nobody takes
// what is published in this one any more.
var ErrSuperseded = errors.New("the stream goes on from elsewhere, in a newer epoch")

// ErrJoined is wrapped when a node shall broadcast a stream that it joined as a viewer.
var ErrJoined = errors.New("already joined as a viewer")

// ErrClosed is returned when the node was closed meanwhile.
var ErrClosed = errors.New("node closed")
