package p2ptest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"time"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/wire"
)

// Each of these is an attack of package p2p's threat model. What they send is written here by
// itself, as liars do.

// every calls f until it fails or ctx ends, so many times a second; 0 means as often as it can.
func every(ctx context.Context, perSecond int, f func(i int) error) {
	const tick = 10 * time.Millisecond // virtual time stands still while an attacker is busy
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	due := 0.0
	for i := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for due += float64(perSecond) * tick.Seconds(); due >= 1; due-- {
			if f(i) != nil {
				return
			}
			i++
		}
	}
}

// newest returns the newest header that the attacker heard, nil if it heard none.
func (v *Victim) newest() *stream.SignedHeader {
	if all := v.Headers(); len(all) > 0 {
		return all[len(all)-1]
	}
	return nil
}

// forgedHeader returns a header that the stream's key did not sign, another each time.
func (v *Victim) forgedHeader() []byte {
	h := v.newest()
	if h == nil {
		return []byte("no header")
	}
	b := append([]byte(nil), h.Bytes()...)
	_, _ = rand.Read(b[len(b)-32:]) // it never fails; half of the signature
	return b
}

// ForgeHeaders sends so many headers a second that the stream's key did not sign.
func ForgeHeaders(perSecond int) Attack {
	return func(ctx context.Context, v *Victim) {
		every(ctx, perSecond, func(int) error { return v.Publish(v.forgedHeader()) })
	}
}

// ForgeHeadersTogether sends so many headers in each message that the stream's key did not sign.
func ForgeHeadersTogether(together int) Attack {
	return func(ctx context.Context, v *Victim) {
		every(ctx, 5, func(int) error {
			var forged [][]byte
			for range together {
				forged = append(forged, v.forgedHeader())
			}
			return v.Publish(forged...)
		})
	}
}

// ReplayHeaders sends what was recorded, as if it were new.
func ReplayHeaders(ctx context.Context, v *Victim) {
	every(ctx, 5, func(i int) error {
		if len(v.Recorded()) == 0 {
			return nil
		}
		return v.Publish(v.Recorded()[i%len(v.Recorded())])
	})
}

// ForgeChunks sends chunks that nobody asked for, and that are not as their headers say.
func ForgeChunks(ctx context.Context, v *Victim) {
	every(ctx, 20, func(i int) error {
		h := v.newest()
		if h == nil {
			return nil
		}
		return v.Partial(groupID(h.Position), nil, forged(h, i%len(h.Chunks)))
	})
}

// SendNonsense sends what is no message, in all places where one may be.
func SendNonsense(ctx context.Context, v *Victim) {
	every(ctx, 5, func(i int) error {
		var err error
		switch nonsense := []byte{0xff, 0xff, 0xff, 0xff}; i % 4 {
		case 0:
			err = v.Publish(nonsense)
		case 1:
			err = v.Partial(nonsense, nonsense, nil)
		case 2:
			err = v.Partial([]byte{1, 0, 0}, nil, nonsense)
		case 3:
			s, ferr := v.Fetch(nonsense)
			if err = ferr; err == nil {
				s.Close()
			}
		}
		return err
	})
}

// SendTooMuch sends messages of gossipsub that are larger than any may be, by a new stream each.
func SendTooMuch(ctx context.Context, v *Victim) {
	every(ctx, 5, func(int) error {
		big := make([]byte, 1<<20)
		if v.Write(append(binary.AppendUvarint(nil, uint64(len(big))), big...)) == nil {
			return nil
		}
		return v.open(ctx)
	})
}

// FloodWants wants all chunks of the newest parts, and wants them no more, again and again.
func FloodWants(perSecond int) Attack {
	return func(ctx context.Context, v *Victim) {
		every(ctx, perSecond, func(i int) error {
			all := v.Headers()
			if len(all) == 0 {
				return nil
			}
			h := all[max(0, len(all)-1-(i/2)%4)]
			want := stream.NewBitmap(len(h.Chunks))
			for c := 0; i%2 == 0 && c < len(h.Chunks); c++ {
				want.Set(c)
			}
			b := wire.AppendMessage(nil, 1, nil)
			return v.Partial(groupID(h.Position), wire.AppendBytes(b, 2, want), nil)
		})
	}
}

// FloodGroups speaks of parts that there are none of.
func FloodGroups(perSecond int) Attack {
	return func(ctx context.Context, v *Victim) {
		every(ctx, perSecond, func(i int) error {
			return v.Partial(groupID(stream.Position{Epoch: 1, Segment: 1<<20 + uint64(i)}), wire.AppendMessage(nil, 1, []byte{1}), nil)
		})
	}
}

// FloodControl asks to be in the mesh, announces messages that there are none of, and joins and
// leaves topics.
func FloodControl(perSecond int) Attack {
	return func(ctx context.Context, v *Victim) {
		topic, other := v.Topics()[0], "gv1/aaaaaaaaaaaaaaaa"
		yes, no := true, false
		every(ctx, perSecond, func(i int) error {
			id := make([]byte, 16)
			_, _ = rand.Read(id) // it never fails
			rpc := &pb.RPC{Control: &pb.ControlMessage{}}
			switch i % 4 {
			case 0:
				rpc.Control.Graft = []*pb.ControlGraft{{TopicID: &topic}}
			case 1:
				rpc.Control.Ihave = []*pb.ControlIHave{{TopicID: &topic, MessageIDs: []string{string(id)}}}
			case 2:
				rpc.Subscriptions = []*pb.RPC_SubOpts{{Topicid: &other, Subscribe: &yes}, {Topicid: &other, Subscribe: &no}}
			case 3:
				rpc.Control.Idontwant = []*pb.ControlIDontWant{{MessageIDs: []string{string(id)}}}
			}
			return v.Say(rpc)
		})
	}
}

// askTimeline is a request for all headers.
func (a *Attacker) askTimeline() []byte {
	b := wire.AppendBytes(nil, 1, a.id[:])
	return wire.AppendMessage(b, 2, wire.AppendUint(nil, 2, 4096))
}

// askParts is a request for all chunks of the newest parts.
func (v *Victim) askParts() []byte {
	b := wire.AppendBytes(nil, 1, v.id[:])
	for _, h := range v.Headers() {
		want := stream.NewBitmap(len(h.Chunks))
		for i := range h.Chunks {
			want.Set(i)
		}
		m := wire.AppendBytes(nil, 1, []byte(usualRendition))
		m = wire.AppendBytes(m, 2, groupID(h.Position))
		b = wire.AppendMessage(b, 3, wire.AppendBytes(m, 3, want))
	}
	return b
}

// FloodFetches asks for headers and chunks by the fetch protocol, again and again.
func FloodFetches(perSecond int) Attack {
	return func(ctx context.Context, v *Victim) {
		every(ctx, perSecond, func(i int) error {
			ask := v.askTimeline()
			if i%2 == 1 {
				ask = v.askParts()
			}
			s, err := v.Fetch(ask)
			if err != nil {
				return err
			}
			v.wg.Go(func() { _, _ = io.Copy(io.Discard, s) })
			return nil
		})
	}
}

// ReadSlowly asks for all that there is, and reads a kilobyte a second of it.
func ReadSlowly(ctx context.Context, v *Victim) {
	every(ctx, 2, func(i int) error {
		h := v.newest()
		if h == nil {
			return nil
		}
		want := stream.NewBitmap(len(h.Chunks))
		for c := range h.Chunks {
			want.Set(c)
		}
		if err := v.Partial(groupID(h.Position), wire.AppendBytes(wire.AppendMessage(nil, 1, nil), 2, want), nil); err != nil {
			return err
		}
		s, err := v.Fetch(v.askParts())
		if err != nil {
			return err
		}
		v.wg.Go(func() {
			defer s.Reset()
			every(ctx, 1, func(int) error {
				_, err := io.CopyN(io.Discard, s, 1<<10)
				return err
			})
		})
		return nil
	})
}

// Equivocate has whoever has the stream's key sign another header for each part before the
// broadcaster does, so that it is heard first, and claim its chunks.
func Equivocate(key stream.Key) Attack {
	return func(ctx context.Context, v *Victim) {
		var last stream.Position
		every(ctx, 4, func(int) error {
			h := v.newest()
			if h == nil || h.Position == last {
				return nil
			}
			last = h.Position
			other, err := rivalHeader(key, h)
			if err != nil {
				return err
			}
			if err := v.Publish(other.Bytes()); err != nil {
				return err
			}
			return v.Partial(groupID(other.Position), claim(other, nil), nil)
		})
	}
}

// Postdate has whoever has the stream's key sign headers of a time to come, so that what comes
// until then would be too old.
func Postdate(key stream.Key) Attack {
	return func(ctx context.Context, v *Victim) {
		every(ctx, 5, func(i int) error {
			h := v.newest()
			if h == nil {
				return nil
			}
			p, err := stream.NewPublisher(key, usualRendition, h.Epoch)
			if err != nil {
				return err
			}
			far, _, err := p.Publish(stream.Part{
				StartsSegment: true, Absent: h.Segment + 1000 + uint64(i), Duration: h.Duration,
				ProgramTime: h.ProgramTime.AddDate(1, 0, i), Data: []byte("of next year"),
			})
			if err != nil {
				return err
			}
			return v.Publish(far.Bytes())
		})
	}
}

// OpenStreams opens streams, and says nothing by them.
func OpenStreams(perSecond int) Attack {
	return func(ctx context.Context, v *Victim) {
		every(ctx, perSecond, func(int) error {
			for _, c := range v.host.Network().ConnsToPeer(v.ID) {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				if s, err := c.NewStream(ctx); err == nil {
					_, _ = s.Write([]byte{1}) // else the peer does not hear of it
				}
			}
			return nil
		})
	}
}

// rivalHeader signs a header for the part after another.
func rivalHeader(key stream.Key, after *stream.SignedHeader) (other *stream.SignedHeader, err error) {
	next := after.Position
	if next.Part++; after.Last {
		next.Segment, next.Part = next.Segment+1, 0
	}
	p, err := stream.NewPublisher(key, after.Rendition, next.Epoch)
	for part := uint32(0); err == nil && part <= next.Part; part++ {
		other, _, err = p.Publish(stream.Part{
			StartsSegment: part == 0, Absent: next.Segment, Duration: after.Duration,
			ProgramTime: after.ProgramTime.Add(after.Duration), Data: []byte("another picture"),
		})
	}
	return other, err
}

// Wait does nothing: it is there to listen.
func Wait(ctx context.Context, _ *Victim) { <-ctx.Done() }
