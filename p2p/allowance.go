package p2p

import (
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// A peer may say usualRate things a second, and streamRate more for each stream that this
	// node is part of: a neighbour says some 50 a second of a stream of 4 Mbit/s. As much as
	// allowanceFor brings may come at once, after a break of the network above all.
	usualRate    = 256
	streamRate   = 1024
	allowanceFor = 2 * time.Second
	// maxOver is how many things beyond that are dropped until a peer is cut off.
	maxOver = 1024
	// idsPerThing is how many IDs of messages, or topics, count as one thing said.
	idsPerThing = 16
	// A peer may make fetchRate requests a second, and fetchBurst at once: two are under way
	// to one peer at a time, and a quick one takes a round trip.
	fetchRate  = 64
	fetchBurst = 256
	// Of timelines, which wait for nothing on the uplink, a peer may have timelineBurst bytes at
	// once and timelineRate a second: a joiner asks three for 30 kB each.
	timelineRate  = 64 << 10
	timelineBurst = 4 << 20
	// maxAllowed bounds the peers whose allowances are remembered, so that nobody gets a new one
	// by connecting again: more than can be connected.
	maxAllowed = 1024
)

// allowances bound what each peer says, in things per second.
type allowances struct {
	mu      sync.Mutex // guards all following
	peers   map[peer.ID]*allowance
	dropped int64
}

// allowance is a token bucket.
type allowance struct {
	left float64
	at   time.Time // when left was right
	over int       // dropped since it was last full
}

func newAllowances() *allowances { return &allowances{peers: make(map[peer.ID]*allowance)} }

// take takes so many things of a peer, of which rate may come a second and burst at once, or
// reports that they are too many, and whether there were so many of these that it floods.
func (a *allowances) take(id peer.ID, things int, rate, burst float64, now time.Time) (ok, floods bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	o := a.peers[id]
	if o == nil {
		makeRoom(a.peers, maxAllowed, now, func(o *allowance) time.Time { return o.at })
		o = &allowance{left: burst, at: now}
		a.peers[id] = o
	}
	if o.left += rate * max(0, now.Sub(o.at).Seconds()); o.left >= burst {
		o.left, o.over = burst, 0
	}
	o.at = now
	if float64(things) <= o.left {
		o.left -= float64(things)
		return true, false
	}
	a.dropped++
	o.over += things
	return false, o.over >= maxOver
}

// drop counts a message of who has no allowance any more.
func (a *allowances) drop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dropped++
}

// drops returns how many messages or requests were too many.
func (a *allowances) drops() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dropped
}

// things returns how much a message of gossipsub says.
func things(rpc *pubsub.RPC) int {
	n := 1 + len(rpc.GetPublish()) + len(rpc.GetSubscriptions())/idsPerThing
	c := rpc.GetControl()
	if c == nil {
		return n
	}
	ids := 0
	for _, m := range c.GetIhave() {
		ids += len(m.GetMessageIDs())
	}
	for _, m := range c.GetIwant() {
		ids += len(m.GetMessageIDs())
	}
	for _, m := range c.GetIdontwant() {
		ids += len(m.GetMessageIDs())
	}
	return n + len(c.GetIhave()) + len(c.GetIwant()) + len(c.GetIdontwant()) + len(c.GetGraft()) + len(c.GetPrune()) + ids/idsPerThing
}

// inspect is gossipsub's inspector of all that a peer says, before anything of it is looked at:
// what is too much is dropped, and so is what is of no topic here. It runs on pubsub's event
// loop.
func (n *Node) inspect(from peer.ID, rpc *pubsub.RPC) error {
	rate := float64(usualRate + streamRate*n.streams())
	now := time.Now()
	ok, floods := n.said.take(from, things(rpc), rate, rate*allowanceFor.Seconds(), now)
	if floods {
		n.cutOff(from, Flood)
	}
	if !ok {
		return errFlood
	}
	if !n.newcomers.admit(from, len(rpc.GetPublish()), now) {
		n.said.drop()
		return errFlood
	}
	// pubsub keeps state for every topic that a partial message names.
	if rpc.Partial != nil && !n.carriedRendition(rpc.Partial.GetTopicID()) {
		return errNotJoined
	}
	return nil
}
