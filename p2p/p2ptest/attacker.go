package p2ptest

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// gossip is how an attacker speaks gossipsub: by itself, so that it may say anything.
	gossip = pubsub.GossipSubID_v12
	// fetchID is the fetch protocol's.
	fetchID = "/grapevine/fetch/1"
	// attackerHeaders is how many of the newest headers an attacker keeps.
	attackerHeaders = 64
	// comeBack is how often an attacker that was thrown out tries to come back.
	comeBack = time.Second
)

// Attack is what an attacker does to a peer until the peer throws it out, or ctx ends.
type Attack func(ctx context.Context, v *Victim)

// Attacker is a peer that subscribes to a stream and listens as others do, and attacks all peers
// that it is connected to when it is told to. Thrown out, it comes back if it is let in.
type Attacker struct {
	// Check is called for all headers and chunks that peers send it.
	check  func(b []byte, chunk bool, p stream.Position)
	m      *machine
	host   host.Host
	sybil  bool // it comes back as somebody else
	id     stream.ID
	attack Attack
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	began  chan struct{}

	mu       sync.Mutex // guards all following
	attacks  bool
	victims  map[peer.ID]*Victim
	headers  []*stream.SignedHeader // the newest
	recorded [][]byte
	cutOff   []time.Duration // from the first attack on a peer until it threw the attacker out
	suffers  map[peer.ID]time.Time
	back     int // times that it was let in again
	aliases  []*Attacker
}

// Victim is a peer as an attacker sees it.
type Victim struct {
	*Attacker
	ID     peer.ID
	strMu  sync.Mutex // guards str
	str    network.Stream
	asked  chan *pb.PartialMessagesExtension // what it says and wants, the newest
	ctx    context.Context
	cancel context.CancelFunc
}

// AddAttacker adds a host behind a link that attacks those who are part of a stream.
func (n *Network) AddAttacker(l Link, id stream.ID, attack Attack) *Attacker {
	n.tb.Helper()
	m := n.addMachine(l, false)
	m.hostile = true
	a := newAttacker(m, m.host, id, attack)
	m.onClose = a.close
	return a
}

// AddSybil is AddAttacker for one that comes back as somebody else, at the same address.
func (n *Network) AddSybil(l Link, id stream.ID, attack Attack) *Attacker {
	a := n.AddAttacker(l, id, attack)
	a.sybil = true
	return a
}

func newAttacker(m *machine, h host.Host, id stream.ID, attack Attack) *Attacker {
	a := &Attacker{
		m: m, host: h, id: id, attack: attack, began: make(chan struct{}),
		victims: make(map[peer.ID]*Victim), suffers: make(map[peer.ID]time.Time),
		check: func([]byte, bool, stream.Position) {},
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	h.SetStreamHandler(gossip, a.listen)
	h.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { a.meet(c.RemotePeer()) },
		DisconnectedF: func(_ network.Network, c network.Conn) { a.lose(c.RemotePeer()) },
	})
	return a
}

func (a *Attacker) close() {
	a.cancel()
	a.wg.Wait()
	for _, o := range a.aliases {
		o.close()
		_ = o.host.Close() // its machine is closed next
	}
}

// OnHeard has a function called for all that peers send the attacker: each header, and each
// chunk's bytes as they come in a partial message of a part.
func (a *Attacker) OnHeard(f func(b []byte, chunk bool, p stream.Position)) { a.check = f }

// Record gives the attacker headers that it heard long ago.
func (a *Attacker) Record(headers ...[]byte) { a.recorded = append(a.recorded, headers...) }

// Attack makes the attacker begin.
func (a *Attacker) Attack() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.attacks {
		a.attacks = true
		close(a.began)
	}
}

// AttackStats are what became of an attacker.
type AttackStats struct {
	CutOff     []time.Duration // of each peer that threw it out: how long after it was first attacked
	Spared     []time.Duration // of each that did not, and is connected: for how long it has been attacked
	Back       int             // times that it was let in again by who had thrown it out
	Identities int             // that it had: one, unless it is a sybil
}

// Stats returns what happened since the attacker began.
func (a *Attacker) Stats() AttackStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := AttackStats{CutOff: append([]time.Duration(nil), a.cutOff...), Back: a.back, Identities: 1}
	for _, o := range a.aliases {
		of := o.Stats()
		s.CutOff = append(s.CutOff, of.CutOff...)
		s.Spared = append(s.Spared, of.Spared...)
		s.Back += of.Back
		s.Identities += of.Identities
	}
	for id := range a.victims {
		if at, ok := a.suffers[id]; ok && !at.IsZero() {
			s.Spared = append(s.Spared, time.Since(at))
		}
	}
	return s
}

// Headers returns the newest headers that the attacker heard, in the order in which they came.
func (a *Attacker) Headers() []*stream.SignedHeader {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*stream.SignedHeader(nil), a.headers...)
}

// Recorded returns the headers that were given to Record.
func (a *Attacker) Recorded() [][]byte { return a.recorded }

// meet speaks to a peer that was connected.
func (a *Attacker) meet(id peer.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.victims[id] != nil || a.ctx.Err() != nil || a.m.net.attacker(id) {
		return
	}
	v := &Victim{Attacker: a, ID: id, asked: make(chan *pb.PartialMessagesExtension, 64)}
	v.ctx, v.cancel = context.WithCancel(a.ctx)
	a.victims[id] = v
	a.wg.Go(v.run)
}

// lose notes that a peer closed its connections.
func (a *Attacker) lose(id peer.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v := a.victims[id]
	if v == nil || len(a.host.Network().ConnsToPeer(id)) > 0 {
		return
	}
	delete(a.victims, id)
	v.cancel()
	at, attacked := a.suffers[id]
	if attacked && !at.IsZero() {
		a.cutOff = append(a.cutOff, time.Since(at))
		a.suffers[id] = time.Time{}
	}
	if attacked && a.ctx.Err() == nil {
		a.wg.Go(func() { a.comeBack(id) })
	}
}

// comeBack tries once to be let in again, which leads to the next try.
func (a *Attacker) comeBack(id peer.ID) {
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-time.After(comeBack):
		}
		to := peer.AddrInfo{ID: id, Addrs: a.m.net.addrsOf(id)}
		if a.sybil {
			h, err := a.m.alias()
			if err != nil {
				return
			}
			o := newAttacker(a.m, h, a.id, a.attack)
			o.sybil, o.headers, o.recorded, o.check = true, a.Headers(), a.recorded, a.check
			o.Attack()
			a.mu.Lock()
			a.aliases = append(a.aliases, o)
			a.mu.Unlock()
			if h.Connect(a.ctx, to) == nil {
				return // it goes on from there
			}
			continue
		}
		if a.host.Connect(a.ctx, to) == nil {
			return
		}
	}
}

// open has what is written go by a new stream.
func (v *Victim) open(ctx context.Context) error {
	s, err := v.host.NewStream(ctx, v.ID, gossip)
	if err != nil {
		return err
	}
	v.strMu.Lock()
	defer v.strMu.Unlock()
	v.str = s
	return nil
}

func (v *Victim) stream() network.Stream {
	v.strMu.Lock()
	defer v.strMu.Unlock()
	return v.str
}

// run subscribes to what the peer has, and attacks when it is time.
func (v *Victim) run() {
	ctx, cancel := context.WithTimeout(v.ctx, 5*time.Second)
	defer cancel()
	if v.open(network.WithNoDial(ctx, "attack")) != nil {
		return
	}
	defer func() { v.stream().Reset() }()
	stop := context.AfterFunc(v.ctx, func() { v.stream().Reset() })
	defer stop()
	yes := true
	hello := &pb.RPC{Control: &pb.ControlMessage{Extensions: &pb.ControlExtensions{PartialMessages: &yes}}}
	for _, topic := range v.Topics() {
		hello.Subscriptions = append(hello.Subscriptions, &pb.RPC_SubOpts{Topicid: &topic, Subscribe: &yes, RequestsPartial: &yes, SupportsSendingPartial: &yes})
		hello.Control.Graft = append(hello.Control.Graft, &pb.ControlGraft{TopicID: &topic})
	}
	if v.Say(hello) != nil {
		return
	}
	select {
	case <-v.began:
	case <-v.ctx.Done():
		return
	}
	v.mu.Lock()
	_, again := v.suffers[v.ID]
	if !again {
		v.suffers[v.ID] = time.Now()
	}
	v.mu.Unlock()
	if again {
		select { // who dials does not know at once that it is refused
		case <-time.After(comeBack / 2):
		case <-v.ctx.Done():
			return
		}
		v.mu.Lock()
		v.back++
		v.mu.Unlock()
	}
	v.attack(v.ctx, v)
	<-v.ctx.Done()
}

// Topics returns the topics of the stream's headers and of its first rendition's chunks.
func (a *Attacker) Topics() []string {
	return []string{headersTopic(a.id), headersTopic(a.id) + "/main"}
}

// Say sends a message of gossipsub.
func (v *Victim) Say(rpc *pb.RPC) error {
	raw, err := proto.Marshal(rpc)
	if err != nil {
		return err
	}
	return v.Write(append(binary.AppendUvarint(nil, uint64(len(raw))), raw...))
}

// Write sends bytes where gossipsub reads its messages.
func (v *Victim) Write(b []byte) error {
	_, err := v.stream().Write(b)
	return err
}

// Partial sends a partial message.
func (v *Victim) Partial(group, metadata, chunk []byte) error {
	topic := v.Topics()[1]
	return v.Say(&pb.RPC{Partial: &pb.PartialMessagesExtension{TopicID: &topic, GroupID: group, PartsMetadata: metadata, PartialMessage: chunk}})
}

// Publish sends messages on the topic of headers.
func (v *Victim) Publish(messages ...[]byte) error {
	rpc, topic := &pb.RPC{}, v.Topics()[0]
	for _, m := range messages {
		rpc.Publish = append(rpc.Publish, &pb.Message{Data: m, Topic: &topic})
	}
	return v.Say(rpc)
}

// Fetch opens a stream of the fetch protocol and sends a request.
func (v *Victim) Fetch(request []byte) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(v.ctx, 5*time.Second)
	defer cancel()
	s, err := v.host.NewStream(network.WithNoDial(ctx, "attack"), v.ID, fetchID)
	if err != nil {
		return nil, err
	}
	if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(request))), request...)); err != nil {
		s.Reset()
		return nil, err
	}
	_ = s.CloseWrite() // reading shows whether the stream is broken
	return s, nil
}

// listen reads what a peer sends.
func (a *Attacker) listen(s network.Stream) {
	defer s.Reset()
	id := s.Conn().RemotePeer()
	stop := context.AfterFunc(a.ctx, func() { s.Reset() })
	defer stop()
	r := bufio.NewReader(s)
	for {
		n, err := binary.ReadUvarint(r)
		if err != nil || n > 1<<20 {
			return
		}
		raw := make([]byte, n)
		if _, err := io.ReadFull(r, raw); err != nil {
			return
		}
		var rpc pb.RPC
		if proto.Unmarshal(raw, &rpc) != nil {
			return
		}
		a.hear(id, &rpc)
	}
}

func (a *Attacker) hear(from peer.ID, rpc *pb.RPC) {
	for _, m := range rpc.GetPublish() {
		if m.GetTopic() != a.Topics()[0] {
			continue
		}
		a.check(m.GetData(), false, stream.Position{})
		h, err := stream.OpenHeader(a.id, m.GetData())
		if err != nil || h.End || h.Rendition != usualRendition {
			continue
		}
		a.mu.Lock()
		known := false
		for _, o := range a.headers {
			known = known || o.Position == h.Position
		}
		if !known {
			a.headers = append(a.headers, h)
			a.headers = a.headers[max(0, len(a.headers)-attackerHeaders):]
		}
		a.mu.Unlock()
	}
	p := rpc.GetPartial()
	if p == nil || p.GetTopicID() != a.Topics()[1] {
		return
	}
	if len(p.PartialMessage) > 0 {
		if pos, ok := parseGroup(p.GetGroupID()); ok {
			a.check(p.PartialMessage, true, pos)
		}
	}
	a.mu.Lock()
	v := a.victims[from]
	a.mu.Unlock()
	if v == nil {
		return
	}
	select {
	case v.asked <- p:
	default: // an attack that listens takes them at once
	}
}

// parseGroup is groupID's inverse.
func parseGroup(b []byte) (p stream.Position, ok bool) {
	var n [3]uint64
	for i := range n {
		v, k := binary.Uvarint(b)
		if k <= 0 {
			return p, false
		}
		n[i], b = v, b[k:]
	}
	return stream.Position{Epoch: n[0], Segment: n[1], Part: uint32(n[2])}, len(b) == 0
}
