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

// smallStore holds a few segments of a stream of 1 Mbit/s.
func smallStore() p2p.Config { return p2p.Config{Store: stream.NewStore(1_500_000)} }

// rewound fetches a segment of the past at a node, and compares it with what was sent.
func rewound(t *testing.T, s *p2p.Swarm, sent map[stream.Position][]byte, segment uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	parts, err := s.FetchPast(ctx, "main", 1, segment)
	if err != nil {
		t.Errorf("segment %d: %v", segment, err)
		return
	}
	for i, chunks := range parts {
		if want := sent[stream.Position{Epoch: 1, Segment: segment, Part: uint32(i)}]; !bytes.Equal(bytes.Join(chunks, nil), want) {
			t.Errorf("segment %d: part %d differs", segment, i)
		}
	}
	if len(parts) != 4 {
		t.Errorf("segment %d: %d parts, want 4", segment, len(parts))
	}
}

func TestLateJoinerGetsThePastFromARelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		net := p2ptest.New(t, latency)
		net.AddNodeWith(p2ptest.Link{}, smallStore())
		net.AddNode(p2ptest.Link{}) // a relay with a large one
		net.AddNodeWith(p2ptest.Link{}, smallStore())
		net.Start()
		defer net.Close()
		id := src.Key.ID()
		join(t, net, 1, net.Link(id, 0))
		time.Sleep(2 * time.Second)
		done := make(chan map[stream.Position][]byte)
		const segments, late = 60, 45
		go func() { done <- src.Run(context.Background(), t, net.Node(0), segments, true) }()
		time.Sleep(2 * late * time.Second)
		viewer := join(t, net, 2, net.Link(id, 0, 1))
		time.Sleep(2 * time.Second)

		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		began := time.Now()
		if err := viewer.LearnPast(ctx, "main", time.Time{}, 0); err != nil {
			t.Fatal(err)
		}
		timeline := viewer.Timelines()[0]
		t.Logf("%d headers of the past after %v", viewer.Stats().PastHeaders, time.Since(began))
		if first := timeline.From(stream.Position{})[0].Position; first != (stream.Position{Epoch: 1}) {
			t.Errorf("the timeline begins with %v, want the stream's first part", first)
		}
		held := viewer.HeldPast("main")
		whole := false
		for _, s := range held {
			whole = whole || s.Epoch == 1 && s.First == 0 && s.Last >= late-2
		}
		if !whole {
			t.Errorf("peers say that they hold %v; the relay holds all", held)
		}
		all := <-done
		for segment := range uint64(10) {
			rewound(t, viewer, all, segment)
		}
		time.Sleep(2 * time.Second)
		s := viewer.Stats()
		if s.PastChunks == 0 || s.PastClaims != 0 || s.Penalties != 0 || s.ChunksRefused != 0 {
			t.Errorf("%d chunks of the past, %d false claims, %d penalties", s.PastChunks, s.PastClaims, s.Penalties)
		}
		// The newest of what is live is still there, whatever was fetched.
		live := after(all, stream.Position{Epoch: 1, Segment: segments - 3})
		if missing := p2ptest.Missing(net.Node(2), id, live); len(missing) > 0 {
			t.Errorf("rewinding pushed %d live parts out: %v", len(missing), missing)
		}
		if st := net.Node(2).Store().Stats(); st.Bytes > st.Limit {
			t.Errorf("the store holds %d of %d bytes", st.Bytes, st.Limit)
		}
	})
}

// TestThePastDoesNotDisturbLiveChunks has viewers rewind by way of a relay whose uplink
// hardly carries the live stream.
func TestThePastDoesNotDisturbLiveChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		net.AddNodeWith(p2ptest.Link{}, p2p.Config{MaxUpload: 3_000_000})
		net.AddNode(p2ptest.Link{})
		net.Start()
		defer net.Close()
		id := src.Key.ID()
		join(t, net, 1, net.Link(id, 0))
		time.Sleep(2 * time.Second)
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 40, false) }()
		time.Sleep(40 * time.Second)
		viewer := join(t, net, 2, net.Link(id, 1))
		time.Sleep(2 * time.Second)
		if err := viewer.LearnPast(context.Background(), "main", time.Time{}, 0); err != nil {
			t.Fatal(err)
		}
		joined := viewer.Timelines()[0].Newest().Position
		began := time.Now()
		n := 0
		for segment := uint64(0); time.Since(began) < 30*time.Second && segment < 15; segment++ {
			ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
			if _, err := viewer.FetchPast(ctx, "main", 1, segment); err != nil {
				t.Errorf("segment %d: %v", segment, err)
			}
			cancel()
			n++
		}
		took := time.Since(began)
		sent := <-done
		time.Sleep(2 * time.Second)
		s := viewer.Stats()
		t.Logf("%d segments of 2 s in %v; of live chunks %d lost, %d late", n, took, s.ChunksLost, s.ChunksLate)
		if missing := p2ptest.Missing(net.Node(2), id, after(sent, joined)); len(missing) > 0 || s.ChunksLost > 0 {
			t.Errorf("%d live chunks lost, parts missing: %v", s.ChunksLost, missing)
		}
		if n < 10 {
			t.Errorf("%d segments of the past came in %v", n, took)
		}
	})
}

func TestWhatNobodyHoldsIsSaidSoAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		net := p2ptest.New(t, latency)
		net.AddNodeWith(p2ptest.Link{}, smallStore())
		net.AddNode(p2ptest.Link{})
		net.Start()
		defer net.Close()
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 25, false) }()
		time.Sleep(45 * time.Second)
		viewer := join(t, net, 1, net.Link(src.Key.ID(), 0))
		time.Sleep(2 * time.Second)
		if err := viewer.LearnPast(context.Background(), "main", time.Time{}, 0); err != nil {
			t.Fatal(err)
		}
		for _, s := range viewer.HeldPast("main") {
			if s.First < 10 {
				t.Errorf("the broadcaster says that it holds %v, of which its store let go", s)
			}
		}
		began := time.Now()
		if _, err := viewer.FetchPast(context.Background(), "main", 1, 3); !errors.Is(err, p2p.ErrNotHeld) || time.Since(began) > time.Second {
			t.Errorf("error %v after %v, want ErrNotHeld at once", err, time.Since(began))
		}
		<-done
	})
}

func TestPeerThatIsGoneForAMomentIsStillBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 200_000}
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		net.AddNode(p2ptest.Link{})
		net.Start()
		defer net.Close()
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 25, false) }()
		time.Sleep(30 * time.Second)
		viewer := join(t, net, 1, net.Link(src.Key.ID(), 0))
		time.Sleep(2 * time.Second)
		learn(t, viewer)
		held := len(viewer.HeldPast("main"))
		sent := make(chan map[stream.Position][]byte, 1)
		go func() { sent <- <-done }()
		net.Host(1).Network().ClosePeer(net.Host(0).ID())
		if n := len(viewer.HeldPast("main")); held == 0 || n != held {
			t.Errorf("%d spans are held by a peer that is gone for a moment, %d before", n, held)
		}
		// The dialer brings it back, and the segment comes.
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		if _, err := viewer.FetchPast(ctx, "main", 1, 2); err != nil {
			t.Error(err)
		}
		<-sent
		net.Kill(0)
		time.Sleep(90 * time.Second) // until its silence is noticed, and it is given up
		if n := len(viewer.HeldPast("main")); n != 0 {
			t.Errorf("%d spans are held by a peer that left long ago", n)
		}
	})
}

func TestPastIsWaitedForUntilAPeerComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		net.Start()
		defer net.Close()
		s := join(t, net, 0, stream.Link{Stream: stream.NewKey().ID()})
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		began := time.Now()
		if err := s.LearnPast(ctx, "main", time.Time{}, 0); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("without peers: %v after %v, want the deadline", err, time.Since(began))
		}
	})
}

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

// TestLiesAboutThePastAreRefused has peers claim all of the past and answer with what no
// honest peer sends. An honest relay then gives it.
func TestLiesAboutThePastAreRefused(t *testing.T) {
	const group = 7 // so that one call asks them all
	for first := 0; first < 14; first += group {
		synctest.Test(t, func(t *testing.T) {
			src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 200_000}
			net := p2ptest.New(t, latency)
			net.AddNodeWith(p2ptest.Link{}, p2p.Config{Store: stream.NewStore(200_000)}) // it holds the newest only
			net.AddNode(p2ptest.Link{})                                                  // the victim
			net.AddNode(p2ptest.Link{})                                                  // an honest relay
			for range group {
				net.AddHost(p2ptest.Link{})
			}
			net.Start()
			defer net.Close()
			id := src.Key.ID()
			join(t, net, 2, net.Link(id, 0))
			time.Sleep(3 * time.Second)
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan map[stream.Position][]byte)
			go func() { done <- src.Run(ctx, t, net.Node(0), 1000, false) }()
			time.Sleep(24 * time.Second)
			net.Cut(2, true) // it is not to be found for now
			net.Host(0).Network().ClosePeer(net.Host(2).ID())
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

			net.Cut(2, false)
			net.Connect(1, 2)
			time.Sleep(3 * time.Second)
			learn(t, victim)
			cancel()
			sent := <-done
			rewound(t, victim, sent, 2)
			headers := victim.Timelines()[0].From(stream.Position{})
			if headers[0].Position != (stream.Position{Epoch: 1}) || len(headers) != len(sent) {
				t.Errorf("%d headers from %v on, want the %d that were broadcast", len(headers), headers[0].Position, len(sent))
			}
		})
	}
}

// learn has a swarm learn all of the past there is.
func learn(t *testing.T, s *p2p.Swarm) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	began := time.Now()
	if err := s.LearnPast(ctx, "main", time.Time{}, 0); err != nil {
		t.Errorf("after %v: %v", time.Since(began), err)
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
			src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 200_000}
			net := p2ptest.New(t, latency)
			net.AddNodeWith(p2ptest.Link{}, p2p.Config{Store: stream.NewStore(200_000)}) // it holds the newest only
			net.AddNode(p2ptest.Link{})                                                  // the victim
			net.AddNode(p2ptest.Link{})                                                  // an honest relay
			net.AddHost(p2ptest.Link{})
			net.Start()
			defer net.Close()
			id := src.Key.ID()
			join(t, net, 2, net.Link(id, 0))
			time.Sleep(3 * time.Second)
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan map[stream.Position][]byte)
			go func() { done <- src.Run(ctx, t, net.Node(0), 1000, false) }()
			time.Sleep(24 * time.Second)
			net.Cut(2, true) // it is not to be found for now
			net.Host(0).Network().ClosePeer(net.Host(2).ID())
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

			net.Cut(2, false)
			net.Connect(1, 2)
			time.Sleep(3 * time.Second)
			learn(t, victim)
			cancel()
			rewound(t, victim, <-done, segment)
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
