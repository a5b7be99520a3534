package p2p

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	pbv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	// wantedRelays is how many relays a node that cannot be reached has itself reached
	// through: one may leave, and one that carries media is worth having beside others.
	wantedRelays = 3
	// maxRelayAddrs bounds the addresses of each that are announced: QUIC and TCP.
	maxRelayAddrs = 2
	// reserveTimeout bounds asking a relay for a place.
	reserveTimeout = 10 * time.Second
	// relayRest is how long a relay that had no place is not asked again, relayAgain one
	// that gave no answer.
	relayRest  = time.Minute
	relayAgain = 5 * time.Second
	// renewBefore is how long before its end a place is asked for anew.
	renewBefore = 10 * time.Minute
	// reachEvery is how often to look for what to do, at the latest.
	reachEvery = time.Second
	// punchReady is how long to wait, before a peer is dialled through a relay or may dial
	// this node through one, until this node can say where its router was seen: the other end
	// asks at once, and only once. punchLook is how often to look.
	punchReady = 5 * time.Second
	punchLook  = 50 * time.Millisecond
	// punchTimeout is how long a direct connection may take to come about: three attempts
	// of five seconds (libp2p's DCUtR), and the words before each.
	punchTimeout = 20 * time.Second
)

// reach finds out whether others can reach this node, and has it reached through relays if
// not. It stays connected to the peers of the configuration, of which these may be some.
//
// AutoNAT v2 tells what is reachable. libp2p's own search for relays waits for version 1 of
// it, minutes on end, and asks peers of its own choice; here every connected peer is asked
// that offers to relay and that this node itself could reach from behind its router.
type reach struct {
	n       *Node
	peers   []peer.AddrInfo // to stay connected to
	emitter event.Emitter
	service *relayService // nil unless this node would relay
	// outside reports whether an address is one of the internet.
	outside func(multiaddr.Multiaddr) bool
	wakeCh  chan struct{}

	mu          sync.Mutex // guards all following
	reachable   []multiaddr.Multiaddr
	unreachable []multiaddr.Multiaddr
	called      bool // somebody outside connected without being asked to
	places      map[peer.ID]*place
	announced   []multiaddr.Multiaddr
	rests       map[peer.ID]time.Time // of relays that had no place
	asking      map[peer.ID]struct{}
	dials       map[peer.ID]*candidate // of peers
}

// place is what a relay keeps for this node.
type place struct {
	since, until time.Time
	media        bool
}

func newReach(n *Node, peers []peer.AddrInfo) *reach {
	r := &reach{
		n:       n,
		peers:   peers,
		outside: manet.IsPublicAddr,
		wakeCh:  make(chan struct{}, 1),
		places:  make(map[peer.ID]*place),
		rests:   make(map[peer.ID]time.Time),
		asking:  make(map[peer.ID]struct{}),
		dials:   make(map[peer.ID]*candidate),
	}
	for _, p := range peers {
		r.dials[p.ID] = &candidate{link: p.Addrs}
	}
	return r
}

// start follows what becomes known of peers and addresses, until the node closes.
func (r *reach) start(h host.Host) error {
	emitter, err := h.EventBus().Emitter(new(event.EvtAutoRelayAddrsUpdated), eventbus.Stateful)
	if err != nil {
		return fmt.Errorf("announce relays: %w", err)
	}
	events, err := h.EventBus().Subscribe([]any{
		new(event.EvtHostReachableAddrsChanged), new(event.EvtPeerIdentificationCompleted),
		new(event.EvtPeerProtocolsUpdated), new(event.EvtPeerConnectednessChanged),
	})
	if err != nil {
		return fmt.Errorf("watch addresses: %w", err)
	}
	r.emitter = emitter
	if cfg := r.n.cfg.Relay; cfg != nil {
		r.service = newRelayService(r.n, *cfg)
	}
	r.n.wg.Go(func() { r.run(events) })
	return nil
}

func (r *reach) run(events event.Subscription) {
	var asks sync.WaitGroup
	defer asks.Wait()
	defer events.Close()
	defer r.emitter.Close()
	if r.service != nil {
		defer r.service.close()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.n.ctx.Done():
			return
		case e, ok := <-events.Out():
			if !ok {
				return
			}
			r.onEvent(e)
		case <-r.wakeCh:
		case <-timer.C:
		}
		r.step(&asks, time.Now())
		timer.Reset(r.rest())
	}
}

// rest returns how long to wait at most before looking again.
func (r *reach) rest() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.places) > 0 && len(r.announced) == 0 {
		return punchLook
	}
	return reachEvery
}

func (r *reach) wake() {
	select {
	case r.wakeCh <- struct{}{}:
	default:
	}
}

func (r *reach) onEvent(e any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := e.(type) {
	case event.EvtHostReachableAddrsChanged:
		r.reachable, r.unreachable = e.Reachable, e.Unreachable
		r.n.log.Debug("reachability", "reachable", e.Reachable, "unreachable", e.Unreachable, "unknown", e.Unknown)
	case event.EvtPeerIdentificationCompleted:
		r.onConnLocked(e.Conn)
	case event.EvtPeerConnectednessChanged:
		if e.Connectedness == network.NotConnected {
			r.leaveLocked(e.Peer)
		}
	}
}

// onConnLocked takes note of a new connection. Once it is a direct one, those through relays
// are closed: what runs over them begins again over this one.
func (r *reach) onConnLocked(c network.Conn) {
	if c == nil || relayed(c) {
		return
	}
	viaRelay := relayedConns(r.n.host.Network().ConnsToPeer(c.RemotePeer()))
	if len(viaRelay) == 0 && c.Stat().Direction == network.DirInbound && r.outside(c.RemoteMultiaddr()) {
		r.called = true
	}
	for _, old := range viaRelay {
		r.n.log.Info("direct connection in place of one through a relay", "peer", c.RemotePeer(), "addr", c.RemoteMultiaddr())
		r.n.wg.Go(func() { _ = old.Close() }) // it may wait, and fails only if it is closed already
	}
}

// leaveLocked forgets the place at a relay that is gone.
func (r *reach) leaveLocked(id peer.ID) {
	if r.places[id] != nil {
		r.releaseLocked(id)
		r.announceLocked(time.Now())
	}
}

func (r *reach) releaseLocked(id peer.ID) {
	delete(r.places, id)
	r.n.host.ConnManager().Unprotect(id, relayTag)
}

// relayTag protects connections to relays that this node is reached through, and to peers
// that it was told to stay connected to.
const relayTag = "grapevine-relay"

// step does what is due.
func (r *reach) step(asks *sync.WaitGroup, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dialLocked(asks, now)
	if r.service != nil {
		r.service.offer(len(r.reachable) > 0 || r.called)
	}
	r.placesLocked(asks, now)
	r.announceLocked(now)
}

// dialLocked dials the peers to stay connected to.
func (r *reach) dialLocked(asks *sync.WaitGroup, now time.Time) {
	for _, p := range r.peers {
		c := r.dials[p.ID]
		if c.busy || now.Before(c.next) || p.ID == r.n.host.ID() || r.n.host.Network().Connectedness(p.ID) == network.Connected {
			continue
		}
		if r.n.gate.excludes(p.ID) { // it is cut off, or a trusted relay that is none any more
			continue
		}
		c.busy = true
		r.n.host.ConnManager().Protect(p.ID, relayTag)
		asks.Go(func() {
			err := r.n.connect(r.n.ctx, p)
			r.mu.Lock()
			defer r.mu.Unlock()
			c.dialled(err, dialAlone)
			if r.n.ctx.Err() == nil {
				r.tellDialled(p.ID, c.failed, err)
			}
		})
	}
}

// tellDialled logs how an attempt to reach a peer ended, of several failures in a row the first.
func (r *reach) tellDialled(id peer.ID, failed int, err error) {
	switch {
	case err == nil:
		r.n.log.Debug("peer reached", "peer", id)
	case failed == 1:
		r.n.log.Info("cannot reach peer, and goes on trying", "peer", id, "err", err)
	default:
		r.n.log.Debug("cannot reach peer", "peer", id, "err", err)
	}
}

// placesLocked asks relays for places, as long as nobody reached this node directly.
func (r *reach) placesLocked(asks *sync.WaitGroup, now time.Time) {
	if len(r.reachable) > 0 {
		for id := range r.places {
			r.releaseLocked(id) // the relay's own clock ends it
		}
		return
	}
	for id, p := range r.places {
		if p.until.Sub(now) < renewBefore {
			r.askLocked(asks, id, now)
		}
	}
	for _, id := range r.relaysLocked(now) {
		if len(r.places)+len(r.asking) >= wantedRelays {
			return
		}
		r.askLocked(asks, id, now)
	}
}

// relaysLocked returns the connected relays that may be asked for a place, nearest first.
func (r *reach) relaysLocked(now time.Time) (ids []peer.ID) {
	for id, until := range r.rests {
		if !now.Before(until) {
			delete(r.rests, id)
		}
	}
	for _, id := range r.n.host.Network().Peers() {
		_, rests := r.rests[id]
		if !rests && r.places[id] == nil && r.offersRelay(id) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b peer.ID) int { return cmp.Compare(r.n.rtt(a), r.n.rtt(b)) })
	return ids
}

// offersRelay reports whether a connected peer relays and is reachable: this node reached
// it, and not by way of its router's hole.
func (r *reach) offersRelay(id peer.ID) bool {
	known, err := r.n.host.Peerstore().SupportsProtocols(id, proto.ProtoIDv2Hop)
	return err == nil && len(known) > 0 && r.reachedAt(id) != nil
}

// reachedAt returns the address outside at which this node reached a peer, or nil.
func (r *reach) reachedAt(id peer.ID) multiaddr.Multiaddr {
	for _, c := range r.n.host.Network().ConnsToPeer(id) {
		if c.Stat().Direction == network.DirOutbound && !relayed(c) && r.outside(c.RemoteMultiaddr()) {
			return c.RemoteMultiaddr()
		}
	}
	return nil
}

func (r *reach) askLocked(asks *sync.WaitGroup, id peer.ID, now time.Time) {
	if _, ok := r.asking[id]; ok || now.Before(r.rests[id]) {
		return
	}
	r.asking[id] = struct{}{}
	asks.Go(func() {
		ctx, cancel := context.WithTimeout(network.WithNoDial(r.n.ctx, "reserve"), reserveTimeout)
		defer cancel()
		rsvp, err := client.Reserve(ctx, r.n.host, peer.AddrInfo{ID: id})
		r.onPlace(id, rsvp, err)
	})
}

// onPlace takes a relay's answer.
func (r *reach) onPlace(id peer.ID, rsvp *client.Reservation, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.wake()
	delete(r.asking, id)
	if err != nil {
		told, rest := "relay gives no answer", relayAgain
		var refusal client.ReservationError
		if errors.As(err, &refusal) && refusal.Status != pbv2.Status_CONNECTION_FAILED {
			told, rest = "relay has no place", relayRest
		}
		r.rests[id] = time.Now().Add(rest)
		if r.n.ctx.Err() == nil {
			r.n.log.Info(told, "relay", id, "err", err)
		}
		return
	}
	if r.n.host.Network().Connectedness(id) != network.Connected {
		return
	}
	// No limit at all is the relay's word that it carries media.
	media := rsvp.LimitDuration == 0 && rsvp.LimitData == 0
	r.n.log.Info("reachable through relay", "relay", id, "media", media)
	since := time.Now()
	if old := r.places[id]; old != nil {
		since = old.since
	}
	r.places[id] = &place{since, rsvp.Expiration, media}
	r.n.host.ConnManager().Protect(id, relayTag)
}

// announceLocked makes the addresses through relays part of the host's own, once whoever
// comes by them can be met halfway.
func (r *reach) announceLocked(now time.Time) {
	var addrs []multiaddr.Multiaddr
	for _, id := range slices.Sorted(maps.Keys(r.places)) {
		if r.punches() || now.Sub(r.places[id].since) > punchReady {
			addrs = append(addrs, r.circuits(id)...)
		}
	}
	if slices.EqualFunc(addrs, r.announced, multiaddr.Multiaddr.Equal) {
		return
	}
	r.announced = addrs
	// It fails only when the host has ended.
	_ = r.emitter.Emit(event.EvtAutoRelayAddrsUpdated{RelayAddrs: slices.Clone(addrs)})
}

// circuits returns the addresses of this node through a relay.
func (r *reach) circuits(relay peer.ID) (out []multiaddr.Multiaddr) {
	var at []multiaddr.Multiaddr
	if a := r.reachedAt(relay); a != nil {
		at = append(at, a)
	}
	for _, a := range shareable(r.n.host.Peerstore().Addrs(relay)) {
		if r.outside(a) && !isCircuit(a) && !slices.ContainsFunc(at, a.Equal) {
			at = append(at, a)
		}
	}
	suffix, err := multiaddr.NewMultiaddr("/p2p/" + relay.String() + "/p2p-circuit")
	if err != nil {
		return nil // no peer's ID is no multiaddr
	}
	for _, a := range at[:min(len(at), maxRelayAddrs)] {
		out = append(out, a.Encapsulate(suffix))
	}
	return out
}

// prepare makes ready to dial a peer through relays: this node has to know by then where its
// router is seen from outside, for which it asks those relays.
func (r *reach) prepare(ctx context.Context, circuits []multiaddr.Multiaddr) {
	relays := make(map[peer.ID][]multiaddr.Multiaddr)
	for _, a := range circuits {
		before, _ := multiaddr.SplitFunc(a, func(c multiaddr.Component) bool { return c.Protocol().Code == multiaddr.P_CIRCUIT })
		if relay, err := peer.AddrInfoFromP2pAddr(before); err == nil {
			relays[relay.ID] = append(relays[relay.ID], relay.Addrs...)
		}
	}
	outside := false
	for id, addrs := range relays {
		if err := r.n.host.Connect(ctx, peer.AddrInfo{ID: id, Addrs: addrs}); err == nil {
			outside = outside || r.reachedAt(id) != nil
		}
	}
	if !outside {
		return // nobody can tell
	}
	ctx, cancel := context.WithTimeout(ctx, punchReady)
	defer cancel()
	ticker := time.NewTicker(punchLook)
	defer ticker.Stop()
	for !r.punches() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// punches reports whether this node knows enough of its router to make holes in it. libp2p
// finds out by itself, and offers the protocol then.
func (r *reach) punches() bool {
	return slices.Contains(r.n.host.Mux().Protocols(), holepunch.Protocol)
}

// Reach is how others can reach a node.
type Reach struct {
	Reachable   []string     // addresses at which others reached it when asked to try (AutoNAT v2)
	Unreachable []string     // addresses at which they did not
	Called      bool         // somebody outside connected to it without being asked to
	Relays      []RelayPlace // that it is reached through meanwhile
	Router      bool         // a router answers by UPnP or NAT-PMP
	Mapped      []string     // addresses outside that it maps
	Relaying    bool         // for others
	Relayed     int64        // bytes carried for others
}

// RelayPlace is a relay through which a node is reached.
type RelayPlace struct {
	ID    peer.ID
	Media bool // it carries media
}

// Reach returns how others can reach the node, as far as that is known.
func (n *Node) Reach() Reach {
	if n.reach == nil {
		return Reach{}
	}
	out := n.reach.state()
	out.Router, out.Mapped = n.router.state(n.host)
	return out
}

func (r *reach) state() Reach {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := Reach{Called: r.called}
	for _, a := range r.reachable {
		out.Reachable = append(out.Reachable, a.String())
	}
	for _, a := range r.unreachable {
		out.Unreachable = append(out.Unreachable, a.String())
	}
	for _, id := range slices.Sorted(maps.Keys(r.places)) {
		out.Relays = append(out.Relays, RelayPlace{id, r.places[id].media})
	}
	if r.service != nil {
		out.Relaying, out.Relayed = r.service.relay != nil, r.service.bytes.Load()
	}
	return out
}
