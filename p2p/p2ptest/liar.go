package p2ptest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"log/slog"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p-pubsub/partialmessages"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/wire"
)

// liarParts is how many of the newest parts a liar speaks of.
const liarParts = 64

// Liar is a peer that says what makes others ask it: that it has every chunk of every
// part whose header it heard, as early as the broadcaster, and that it grants each
// standing want. Then it sends nothing, or forged chunks. It passes headers on.
type Liar struct {
	m      *machine
	ps     *pubsub.PubSub
	topic  string // of chunks
	forge  bool
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	events chan func()

	mu       sync.Mutex // guards all following
	lying    bool
	friends  map[peer.ID]struct{}   // to whom it does not lie
	others   []*Liar                // of whom it tells those to whom it lies
	parts    []*stream.SignedHeader // the newest
	standing map[peer.ID]uint16     // stripes that peers want unasked
	wants    map[peer.ID]map[stream.Position]stream.Bitmap
	asked    int
	last     time.Time // asked
	mesh     map[peer.ID]struct{}
}

// AddLiar adds a host behind a link, and a liar in the first rendition ("main") of a
// stream. Until it is told to lie it only listens.
func (n *Network) AddLiar(l Link, id stream.ID, forge bool) *Liar {
	n.tb.Helper()
	a := &Liar{
		m:        n.addMachine(l, false),
		topic:    headersTopic(id) + "/main",
		forge:    forge,
		events:   make(chan func(), 4096),
		standing: make(map[peer.ID]uint16),
		wants:    make(map[peer.ID]map[stream.Position]stream.Bitmap),
		mesh:     make(map[peer.ID]struct{}),
	}
	a.m.hostile = true
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.m.onClose = func() { a.cancel(); a.wg.Wait() }
	if err := a.start(id); err != nil {
		n.tb.Fatalf("make liar: %v", err)
	}
	return a
}

func (a *Liar) start(id stream.ID) (err error) {
	a.ps, err = pubsub.NewGossipSub(a.ctx, a.m.host,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithMessageIdFn(func(m *pb.Message) string { s := sha256.Sum256(m.GetData()); return string(s[:16]) }),
		pubsub.WithPeerOutboundQueueSize(1024),
		pubsub.WithRawTracer(liarTracer{a}),
		pubsub.WithPartialMessagesExtension(&partialmessages.PartialMessagesExtension[struct{}]{
			Logger:       slog.New(slog.DiscardHandler),
			OnEmitGossip: func(string, []byte, []peer.ID, map[peer.ID]struct{}) {},

			PeerInitiatedGroupLimitPerTopicPerPeer: 1000,
			PeerInitiatedGroupLimitPerTopic:        1000,
			OnIncomingRPC: func(from peer.ID, _ map[peer.ID]struct{}, rpc *pb.PartialMessagesExtension) error {
				select { // publishing from here would deadlock
				case a.events <- func() { a.onAsked(from, rpc.GetGroupID(), rpc.GetPartsMetadata()) }:
				default:
				}
				return nil
			},
		}))
	if err != nil {
		return err
	}
	headers, err := a.ps.Join(headersTopic(id))
	if err != nil {
		return err
	}
	heard, err := headers.Subscribe()
	if err != nil {
		return err
	}
	chunks, err := a.ps.Join(a.topic, pubsub.RequestPartialMessages())
	if err != nil {
		return err
	}
	if _, err := chunks.Subscribe(); err != nil { // only subscribers are in the mesh
		return err
	}
	a.wg.Go(func() {
		for {
			m, err := heard.Next(a.ctx)
			if err != nil {
				return
			}
			if h, err := stream.OpenHeader(id, m.Data); err == nil && !h.End && h.Rendition == "main" {
				a.events <- func() { a.onHeader(h) }
			}
		}
	})
	a.wg.Go(func() {
		for {
			select {
			case <-a.ctx.Done():
				return
			case f := <-a.events:
				f()
			}
		}
	})
	return nil
}

// Lie makes the liar begin.
func (a *Liar) Lie() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lying = true
}

// LieToNewcomers makes the liar begin, and lie only to peers that it is not connected to yet.
// It tells them of other liars and of nobody else.
func (a *Liar) LieToNewcomers(all []*Liar) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lying, a.others, a.friends = true, all, make(map[peer.ID]struct{})
	for _, id := range a.m.host.Network().Peers() {
		a.friends[id] = struct{}{}
	}
	a.m.host.SetStreamHandler(fetchID, a.onFetch)
}

// onFetch answers a request with the newest headers and with records of other liars, and then
// is silent.
func (a *Liar) onFetch(s network.Stream) {
	defer s.Reset()
	a.mu.Lock()
	var answer []byte
	add := func(field int, b []byte) {
		m := wire.AppendMessage(nil, field, b)
		answer = append(binary.AppendUvarint(answer, uint64(len(m))), m...)
	}
	for _, h := range a.parts {
		add(1, h.Bytes())
	}
	for _, o := range a.others {
		book, _ := peerstore.GetCertifiedAddrBook(o.m.host.Peerstore())
		if e := book.GetPeerRecord(o.m.host.ID()); o != a && e != nil {
			if raw, err := e.Marshal(); err == nil {
				add(3, raw)
			}
		}
	}
	a.mu.Unlock()
	if _, err := s.Write(answer); err != nil {
		return
	}
	select {
	case <-a.ctx.Done():
	case <-time.After(time.Minute):
	}
}

// spares reports whether a peer is one to whom nobody lies.
func (a *Liar) spares(id peer.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.friends[id]
	return ok
}

// LiarStats are what honest nodes think of a liar.
type LiarStats struct {
	Asked int       // chunks wanted from it, and standing wants
	Last  time.Time // when it was last asked for something
	Still bool      // some connected node has a standing want to it
	Mesh  int       // nodes that have it in their mesh for chunks
}

// Stats returns what happened since the liar began.
func (a *Liar) Stats() LiarStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := LiarStats{Asked: a.asked, Last: a.last}
	for id, stripes := range a.standing {
		s.Still = s.Still || stripes != 0 && a.connected(id)
	}
	for id := range a.mesh {
		if a.connected(id) {
			s.Mesh++
		}
	}
	return s
}

func (a *Liar) connected(id peer.ID) bool {
	return a.m.host.Network().Connectedness(id) == network.Connected
}

// onHeader claims a part.
func (a *Liar) onHeader(h *stream.SignedHeader) {
	a.mu.Lock()
	if !a.lying {
		a.mu.Unlock()
		return
	}
	if a.parts = append(a.parts, h); len(a.parts) > liarParts {
		for _, w := range a.wants {
			delete(w, a.parts[0].Position)
		}
		a.parts = a.parts[1:]
	}
	standing := make(map[peer.ID]uint16)
	for id, stripes := range a.standing {
		standing[id] = stripes
	}
	a.mu.Unlock()
	for _, id := range a.ps.ListPeers(a.topic) {
		if a.spares(id) {
			continue
		}
		a.say(id, h, claim(h, nil), nil)
		if stripes := standing[id]; stripes != 0 && a.forge {
			for i := range h.Chunks {
				if stripes&(1<<schedule.Stripe(h.Position, i)) != 0 {
					a.say(id, h, nil, forged(h, i))
				}
			}
		}
	}
}

// onAsked takes what a peer wants.
func (a *Liar) onAsked(from peer.ID, group, metadata []byte) {
	want, standing := parseWants(metadata)
	a.mu.Lock()
	var h *stream.SignedHeader
	for _, p := range a.parts {
		if string(groupID(p.Position)) == string(group) {
			h = p
		}
	}
	if standing != nil {
		a.standing[from] = *standing
		if *standing != 0 && a.lying {
			a.asked++
			a.last = time.Now()
		}
	}
	var chunks []int
	if h != nil {
		if a.wants[from] == nil {
			a.wants[from] = make(map[stream.Position]stream.Bitmap)
		}
		before := a.wants[from][h.Position]
		for i := range h.Chunks {
			if want.Get(i) && !before.Get(i) {
				chunks = append(chunks, i)
			}
		}
		a.wants[from][h.Position] = want
		if len(chunks) > 0 {
			a.asked += len(chunks)
			a.last = time.Now()
		}
	}
	a.mu.Unlock()
	if h == nil {
		return
	}
	if standing != nil && *standing != 0 && !a.spares(from) {
		a.say(from, h, claim(h, standing), nil)
	}
	if a.forge {
		for _, i := range chunks {
			a.say(from, h, nil, forged(h, i))
		}
	}
}

// say sends a partial message.
func (a *Liar) say(to peer.ID, h *stream.SignedHeader, metadata, chunk []byte) {
	// It fails only when pubsub has ended.
	_ = pubsub.PublishPartial(a.ps, a.topic, groupID(h.Position), func(map[peer.ID]struct{}, func(peer.ID) bool) iter.Seq2[peer.ID, partialmessages.PublishAction] {
		return func(yield func(peer.ID, partialmessages.PublishAction) bool) {
			yield(to, partialmessages.PublishAction{EncodedPartsMetadata: metadata, EncodedPartialMessage: chunk})
		}
	})
}

// What follows is the wire format, see package p2p's documentation, written here by
// itself so that a change there is noticed.

func headersTopic(id stream.ID) string { return "gv1/" + id.String()[:16] }

func groupID(p stream.Position) []byte {
	b := binary.AppendUvarint(nil, p.Epoch)
	b = binary.AppendUvarint(b, p.Segment)
	return binary.AppendUvarint(b, uint64(p.Part))
}

// claim says that the sender has all chunks, is no hop from the broadcaster on all
// stripes, as the broadcaster itself, and grants what is wanted of it, if that is not nil.
func claim(h *stream.SignedHeader, granted *uint16) []byte {
	have := stream.NewBitmap(len(h.Chunks))
	for i := range h.Chunks {
		have.Set(i)
	}
	b := wire.AppendMessage(nil, 1, have)
	if granted != nil {
		b = wire.AppendBytes(b, 4, binary.LittleEndian.AppendUint16(nil, *granted))
	}
	// Its delays are none, too, and its uplink is the best there is.
	state := make([]byte, schedule.Stripes/2+schedule.Stripes+1+2)
	return wire.AppendBytes(b, 5, append(state, 255, 255, 255, 255))
}

// parseWants returns the chunks wanted, and the stripes if they are told.
func parseWants(metadata []byte) (want stream.Bitmap, standing *uint16) {
	// What is malformed asks for nothing.
	_ = wire.Fields(metadata, func(field int, _ uint64, raw []byte) {
		switch {
		case field == 2:
			want = raw
		case field == 3 && len(raw) == 2:
			s := binary.LittleEndian.Uint16(raw)
			standing = &s
		}
	})
	return want, standing
}

// forged is chunk i with other bytes.
func forged(h *stream.SignedHeader, i int) []byte {
	b := append(binary.AppendUvarint(nil, uint64(i)), 0)
	b = binary.AppendUvarint(b, uint64(h.ChunkLen(i)))
	return append(b, make([]byte, h.ChunkLen(i))...)
}

// liarTracer notes in whose mesh a liar is.
type liarTracer struct {
	a *Liar
}

func (t liarTracer) note(id peer.ID, topic string, grafted bool) {
	if topic != t.a.topic {
		return
	}
	t.a.mu.Lock()
	defer t.a.mu.Unlock()
	if grafted {
		t.a.mesh[id] = struct{}{}
	} else {
		delete(t.a.mesh, id)
	}
}

func (t liarTracer) Graft(id peer.ID, topic string)         { t.note(id, topic, true) }
func (t liarTracer) Prune(id peer.ID, topic string)         { t.note(id, topic, false) }
func (liarTracer) OnClosedOutboundStream(peer.ID)           {}
func (liarTracer) OnNewOutboundStream(peer.ID, protocol.ID) {}
func (liarTracer) DropRPC(*pubsub.RPC, peer.ID)             {}
func (liarTracer) Join(string)                              {}
func (liarTracer) Leave(string)                             {}
func (liarTracer) ValidateMessage(*pubsub.Message)          {}
func (liarTracer) DeliverMessage(*pubsub.Message)           {}
func (liarTracer) RejectMessage(*pubsub.Message, string)    {}
func (liarTracer) DuplicateMessage(*pubsub.Message)         {}
func (liarTracer) ThrottlePeer(peer.ID)                     {}
func (liarTracer) RecvRPC(*pubsub.RPC)                      {}
func (liarTracer) SendRPC(*pubsub.RPC, peer.ID)             {}
func (liarTracer) UndeliverableMessage(*pubsub.Message)     {}
