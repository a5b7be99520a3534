package p2p_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/wire"
)

// frame is an answer on the wire.
func frame(field int, raw []byte) []byte {
	m := wire.AppendMessage(nil, field, raw)
	return append(binary.AppendUvarint(nil, uint64(len(m))), m...)
}

// spanTo says that segments 0 to last of epoch 1 are held.
func spanTo(last uint64) []byte {
	return frame(4, wire.AppendUint(wire.AppendUint(nil, 1, 1), 3, last))
}

// lie is what a peer answers to requests for the past.
type lie struct {
	name    string
	spans   []byte // to those for spans
	headers []byte // to those for headers
	honest  bool   // it may happen to an honest peer
}

// lies returns all there are, told by a peer that knows some headers.
func lies(t *testing.T, known []*stream.SignedHeader) []lie {
	t.Helper()
	other, err := stream.NewPublisher(stream.NewKey(), "main", 1)
	if err != nil {
		t.Fatal(err)
	}
	foreign, _, err := other.Publish(stream.Part{StartsSegment: true, Duration: time.Second, ProgramTime: time.Now(), Data: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Clone(known[4].Bytes())
	forged[len(forged)-1] ^= 1
	header := func(raw []byte) []byte { return frame(1, raw) }
	claim := spanTo(1000)
	return []lie{
		{name: "forged", spans: claim, headers: header(forged)},
		{name: "of another stream", spans: claim, headers: header(foreign.Bytes())},
		{name: "no header", spans: claim, headers: header([]byte{1, 2, 3})},
		{name: "of the present", spans: claim, headers: header(known[len(known)-1].Bytes())},
		{name: "in the wrong order", spans: claim, headers: append(header(known[4].Bytes()), header(known[5].Bytes())...)},
		{name: "the same twice", spans: claim, headers: bytes.Repeat(header(known[4].Bytes()), 2)},
		{name: "a chunk", spans: claim, headers: frame(2, wire.AppendBytes(nil, 3, []byte("grapes")))},
		{name: "a frame of 1 GiB", spans: claim, headers: binary.AppendUvarint(nil, 1<<30)},
		{name: "spans without end", spans: claim, headers: bytes.Repeat(claim, 100)},
		{name: "too many spans", spans: bytes.Repeat(claim, 17)},
		{name: "a span backwards", spans: frame(4, wire.AppendUint(wire.AppendUint(nil, 1, 1), 2, 5))},
		{name: "headers for spans", spans: header(known[4].Bytes())},
		{name: "nothing", spans: claim, honest: true},
		{name: "cut off", spans: claim, headers: []byte{100, 1}, honest: true},
	}
}

// A rewind is a swarm in which a victim asks liars for the past. Node 0, the broadcaster,
// holds the newest only, node 1 is the victim, node 2 an honest relay that is not to be found
// for now, but for its origin; hosts from 3 on are liars.
type rewind struct {
	net    *p2ptest.Network
	key    stream.Key
	origin *p2ptest.Origin
	stream stream.ID
	stop   context.CancelFunc
	sent   chan map[stream.Position][]byte
}

func newRewind(t *testing.T, liars int) *rewind {
	t.Helper()
	src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 200_000}
	net := p2ptest.New(t, latency)
	net.AddNodeWith(p2ptest.Link{}, p2p.Config{Store: stream.NewStore(200_000)})
	origin := net.NewOrigin(2, originWay)
	net.AddNodeWith(p2ptest.Link{}, origin.Config())
	net.AddNode(p2ptest.Link{})
	for range liars {
		net.AddHost(p2ptest.Link{})
	}
	net.Start()
	id := src.Key.ID()
	join(t, net, 2, net.Link(id, 0))
	time.Sleep(3 * time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	r := &rewind{net: net, key: src.Key, origin: origin, stream: id, stop: cancel, sent: make(chan map[stream.Position][]byte, 1)}
	go func() { r.sent <- src.Run(ctx, t, net.Node(0), 1000, false) }()
	time.Sleep(24 * time.Second)
	net.Cut(2, true)
	net.Host(0).Network().ClosePeer(net.Host(2).ID())
	return r
}

// helped lets the victim find the relay and learn of the past, and returns what was broadcast.
func (r *rewind) helped(t *testing.T, victim *p2p.Swarm) map[stream.Position][]byte {
	t.Helper()
	r.net.Cut(2, false)
	r.net.Connect(1, 2)
	time.Sleep(3 * time.Second)
	learn(t, victim)
	r.stop()
	return <-r.sent
}

func (r *rewind) close() {
	r.stop()
	r.net.Close()
}

// TestLiesAboutThePastAreRefused has peers claim all of the past and answer with what no
// honest peer sends. An honest relay then gives it.
func TestLiesAboutThePastAreRefused(t *testing.T) {
	t.Parallel()
	const group = 7 // so that one call asks them all
	for first := 0; first < 14; first += group {
		synctest.Test(t, func(t *testing.T) {
			r := newRewind(t, group)
			defer r.close()
			net, id := r.net, r.stream
			known := net.Node(0).Swarms()[0].Timelines()[0].From(stream.Position{})

			victim := join(t, net, 1, net.Link(id, 0))
			told := lies(t, known)[first : first+group]
			for k, l := range told {
				a := newAttacker(t, net.Host(3+k), id)
				defer a.stop()
				a.host.SetStreamHandler("/grapevine/fetch/1", func(s network.Stream) {
					defer s.Close()
					raw, err := io.ReadAll(s)
					if headers := asksOfThePast(raw); err != nil || headers == nil {
						return
					} else if *headers == 0 {
						_, _ = s.Write(l.spans)
					} else {
						_, _ = s.Write(l.headers)
					}
				})
				net.Connect(3+k, 1)
			}
			time.Sleep(2 * time.Second)
			learn(t, victim)
			stats := victim.Stats()
			blamed := make(map[peer.ID]int64)
			for _, p := range stats.Peers {
				blamed[p.ID] = p.Refused
			}
			for k, l := range told {
				if n := blamed[net.Host(3+k).ID()]; l.honest != (n == 0) {
					t.Errorf("%s: %d messages were refused", l.name, n)
				}
			}
			if blamed[net.Host(0).ID()] > 0 {
				t.Error("the broadcaster is blamed")
			}
			lied := 0
			for _, l := range told {
				if !l.honest {
					lied++
				}
			}
			if stats.Penalties != int64(lied) {
				t.Errorf("%d penalties for %d lies", stats.Penalties, lied)
			}

			sent := r.helped(t, victim)
			rewound(t, victim, sent, 2)
			headers := victim.Timelines()[0].From(stream.Position{})
			if headers[0].Position != (stream.Position{Epoch: 1}) || len(headers) != len(sent) {
				t.Errorf("%d headers from %v on, want the %d that were broadcast", len(headers), headers[0].Position, len(sent))
			}
		})
	}
}

// asksOfThePast reads how many headers of the past a request asks for; nil for another.
func asksOfThePast(raw []byte) (headers *uint64) {
	if _, n := binary.Uvarint(raw); n > 0 {
		raw = raw[n:]
	}
	_ = wire.Fields(raw, func(field int, _ uint64, m []byte) {
		if field != 4 {
			return
		}
		headers = new(uint64)
		_ = wire.Fields(m, func(field int, v uint64, _ []byte) {
			if field == 4 {
				*headers = v
			}
		})
	})
	return headers
}

// TestForgedChunksOfThePastAreRefused has peers answer requests for chunks with what no
// honest peer sends. An honest relay then gives the segment.
func TestForgedChunksOfThePastAreRefused(t *testing.T) {
	t.Parallel()
	chunk := func(part, index uint64, data []byte) []byte {
		m := wire.AppendUint(wire.AppendUint(nil, 1, part), 2, index)
		return frame(2, wire.AppendBytes(m, 3, data))
	}
	const segment = 2
	for name, answer := range map[string]func(h *stream.SignedHeader, data []byte) []byte{
		"forged": func(_ *stream.SignedHeader, data []byte) []byte {
			data[0] ^= 1
			return chunk(0, 0, data)
		},
		"too short":          func(_ *stream.SignedHeader, data []byte) []byte { return chunk(0, 0, data[1:]) },
		"another chunk":      func(_ *stream.SignedHeader, data []byte) []byte { return chunk(0, 1, data) },
		"of another part":    func(_ *stream.SignedHeader, data []byte) []byte { return chunk(63, 0, data) },
		"of a chunk too far": func(h *stream.SignedHeader, data []byte) []byte { return chunk(0, uint64(len(h.Chunks)), data) },
		"twice":              func(_ *stream.SignedHeader, data []byte) []byte { return bytes.Repeat(chunk(0, 0, data), 2) },
		"a header":           func(h *stream.SignedHeader, _ []byte) []byte { return frame(1, h.Bytes()) },
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRewind(t, 1)
			defer r.close()
			net, id := r.net, r.stream
			timeline := net.Node(0).Swarms()[0].Timelines()[0]
			h := timeline.Header(stream.Position{Epoch: 1, Segment: segment})
			var headers []byte // of what it claims, the newest first
			for _, h := range timeline.From(stream.Position{}) {
				if h.Segment <= segment {
					headers = append(frame(1, h.Bytes()), headers...)
				}
			}
			data := bytes.Clone(net.Node(2).Store().Chunk(h.ID(), 0))

			victim := join(t, net, 1, net.Link(id, 0))
			a := newAttacker(t, net.Host(3), id)
			defer a.stop()
			a.host.SetStreamHandler("/grapevine/fetch/1", func(s network.Stream) {
				defer s.Close()
				raw, err := io.ReadAll(s)
				switch asked := asksOfThePast(raw); {
				case err != nil:
				case asked == nil && bytes.Contains(raw, wire.AppendBytes(nil, 2, group(h.Position))):
					_, _ = s.Write(answer(h, bytes.Clone(data)))
				case asked != nil && *asked == 0:
					_, _ = s.Write(spanTo(segment))
				case asked != nil:
					_, _ = s.Write(headers)
				}
			})
			net.Connect(3, 1)
			time.Sleep(2 * time.Second)
			learn(t, victim)
			before := victim.Stats()
			if _, err := victim.FetchPast(context.Background(), "main", 1, segment); !errors.Is(err, p2p.ErrNotHeld) {
				t.Errorf("%s: error %v, want ErrNotHeld", name, err)
			}
			after := victim.Stats()
			if refused, penalties := after.ChunksRefused-before.ChunksRefused, after.Penalties-before.Penalties; refused != 1 || penalties != 1 {
				t.Errorf("%s: %d refused and %d penalties, want 1 and 1", name, refused, penalties)
			}
			refused(t, after, a)
			if kept, want := after.PastChunks, map[bool]int64{true: 1}[name == "twice"]; kept != want {
				t.Errorf("%s: %d chunks were kept, want %d", name, kept, want)
			}

			rewound(t, victim, r.helped(t, victim), segment)
		})
	}
}

// TestSilentClaimsAreNotBelievedForLong has a peer claim a segment, and never answer who
// asks for it.
func TestSilentClaimsAreNotBelievedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 200_000}
		net := p2ptest.New(t, latency)
		net.AddNodeWith(p2ptest.Link{}, p2p.Config{Store: stream.NewStore(200_000)})
		net.AddNode(p2ptest.Link{})
		net.AddHost(p2ptest.Link{})
		net.Start()
		defer net.Close()
		id := src.Key.ID()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan map[stream.Position][]byte)
		victim := join(t, net, 1, net.Link(id, 0))
		time.Sleep(time.Second)
		go func() { done <- src.Run(ctx, t, net.Node(0), 1000, false) }()
		time.Sleep(30 * time.Second)
		net.Node(1).Store().Drop(id) // as if it had let go of it
		a := newAttacker(t, net.Host(2), id)
		defer a.stop()
		silent := make(chan struct{})
		a.host.SetStreamHandler("/grapevine/fetch/1", func(s network.Stream) {
			defer s.Close()
			raw, err := io.ReadAll(s)
			if headers := asksOfThePast(raw); err == nil && headers != nil && *headers == 0 {
				_, _ = s.Write(spanTo(5))
			} else {
				<-silent
			}
		})
		net.Connect(2, 1)
		time.Sleep(2 * time.Second)
		began := time.Now()
		var err error
		for range 8 { // as players that ask again and again
			learn(t, victim)
			bound, cancel := context.WithTimeout(context.Background(), 15*time.Second)
			if _, err = victim.FetchPast(bound, "main", 1, 2); err == nil {
				t.Error("a segment came that nobody sends")
			}
			cancel()
			if errors.Is(err, p2p.ErrNotHeld) {
				break
			}
		}
		if took := time.Since(began); !errors.Is(err, p2p.ErrNotHeld) || took > time.Minute {
			t.Errorf("after %v: %v, want ErrNotHeld within a minute", took, err)
		}
		if n := victim.Stats().PastClaims; n != 1 {
			t.Errorf("%d false claims are counted, want 1", n)
		}
		close(silent)
		cancel()
		<-done
	})
}
