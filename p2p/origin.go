package p2p

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Origin is an HTTP server of streams, asked for what peers do not bring in time. What it
// returns is not trusted: it is opened as what peers send is. Errors that have a method
// Reason() string are counted by that, and those that have Wait() time.Duration say for
// how long the origin wants not to be asked.
type Origin interface {
	// Timeline returns the serialised headers of a stream's last segments.
	Timeline(ctx context.Context, id stream.ID) ([][]byte, error)
	// After returns the serialised headers after a part. It may wait some seconds until
	// there are any, and then return none.
	After(ctx context.Context, id stream.ID, rendition string, p stream.Position) ([][]byte, error)
	// Part returns bytes from to to, exclusively, of a part of size bytes.
	Part(ctx context.Context, id stream.PartID, from, to, size int) (io.ReadCloser, error)
	// Held returns the runs of segments of a rendition that it says it holds whole.
	Held(ctx context.Context, id stream.ID, rendition string) ([]stream.Span, error)
	// Before returns the serialised headers before a part, the newest first.
	Before(ctx context.Context, id stream.ID, rendition string, p stream.Position) ([][]byte, error)
	// Close lets go of what is kept between requests. Nothing is asked afterwards.
	Close()
}

// originTimeout bounds a whole request of an origin.
const originTimeout = fetchTimeout

// UseOrigins has what peers do not bring in time fetched from HTTP origins, besides those
// that it is fetched from already. Without [Config].Origins, and at the broadcaster, it
// does nothing.
func (s *Swarm) UseOrigins(addresses []string) error {
	if s.node.cfg.Origins == nil || s.publishing() {
		return nil
	}
	for _, address := range addresses {
		o, err := s.node.cfg.Origins(address, s.node.dialAside)
		if err != nil {
			return fmt.Errorf("use origin %s: %w", address, err)
		}
		s.note(func(time.Time) { s.origins.add(address, o) })
		s.past.addOrigin(address, o)
	}
	return nil
}

// Advertise has the swarm's link name origins, which the stream's broadcaster signed.
func (s *Swarm) Advertise(o stream.Origins) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advertised = o
}

// openOrigin opens what an origin said are headers, and adds those that are new. live tells
// that they follow what is known, rather than describe what was before this node came.
// Errors are about bytes that no honest origin sends.
func (s *Swarm) openOrigin(raw [][]byte, live bool) (added int, err error) {
	for _, b := range raw {
		if stream.AreRevocations(b) {
			news, err := s.takeRevocations(b)
			if err != nil {
				return added, err
			}
			if news {
				s.spreadRevocations(b)
			}
			continue
		}
		h, err := s.roles.OpenHeader(b)
		if err != nil {
			return added, err
		}
		r, err := s.rendition(h.Rendition)
		if err != nil {
			return added, nil // this node ends, or has too many: nobody's fault
		}
		if err := r.timeline.Add(h, time.Now()); err != nil {
			continue // known, too old to be kept, or of a key that was revoked
		}
		added++
		s.count(func(c *counters) {
			c.stats.HeadersReceived++
			c.stats.OriginHeaders++
		})
		s.note(func(now time.Time) {
			s.repair.onHeader(now)
			s.exchange.onHeader(h, s.repair.wants(h, !live, now), !live, false, now)
		})
	}
	return added, nil
}

// fetchOrigin fetches chunks from to to, exclusively, of a part from an origin, has take take
// them, and returns how many came.
func (s *Swarm) fetchOrigin(ctx context.Context, o Origin, h *stream.SignedHeader, from, to int, take func(stream.Chunk) error) (came int, err error) {
	start, end := from*h.ChunkSize, min(to*h.ChunkSize, h.Size)
	body, err := o.Part(ctx, h.ID(), start, end, h.Size)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	for i := from; i < to; i++ {
		data := make([]byte, h.ChunkLen(i))
		n, err := io.ReadFull(body, data)
		s.count(func(c *counters) {
			c.stats.OriginBytes += int64(n)
			c.origins.add(n, time.Now())
		})
		if err != nil {
			return came, err
		}
		chunk, err := stream.OpenChunk(h, i, data)
		if err != nil {
			return came, err
		}
		came++
		if err := take(chunk); err != nil {
			return came, err
		}
	}
	return came, nil
}
