package p2p

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// targetHolders is how many connected peers of the stream a node seeks: gossipsub's
	// mesh takes six, the rest stand by for when one of them leaves.
	targetHolders = 10
	// maxCandidates bounds the peers that a node remembers to dial.
	maxCandidates = 64
	// maxAddrs bounds the addresses of a peer: who names a hundred makes everybody knock
	// at a hundred doors.
	maxAddrs = 16
	// dialTimeout bounds one attempt. impatientDial is instead of it, two times of three, while there is no
	// holder at all, or none of them has anything new: QUIC repeats its first packet after twice as
	// long each time (RFC 9002, section 6.2), and so would find after seconds only that the network is
	// back.
	dialTimeout   = 10 * time.Second
	impatientDial = 2500 * time.Millisecond
	// dialFirst and dialRarest are how long a peer that could not be reached is left
	// alone, at first and at last.
	dialFirst  = 500 * time.Millisecond
	dialRarest = 30 * time.Second
	// dialAlone is instead of dialRarest while there is no holder at all, or none of them has
	// anything new: the network, or this machine, may be back any moment.
	dialAlone = time.Second
	// mostStarved bounds the holders that who is starved, and was not before, seeks more of.
	mostStarved = 2 * targetHolders
	// dialRound is how often the dialer looks for what to do, at the latest.
	dialRound = time.Second
	// maxDials bounds the attempts under way.
	maxDials = 4
)

// dialer keeps a swarm connected to enough peers that hold its stream, by whatever
// they were found.
type dialer struct {
	s      *Swarm
	wakeCh chan struct{}

	mu         sync.Mutex // guards all following
	candidates map[peer.ID]*candidate
	found      map[Source]int64 // peers by what told of them first
	last       string           // why the last attempt failed
}

type candidate struct {
	source  Source                // that told of it first
	link    []multiaddr.Multiaddr // named by a link: never forgotten
	learned []multiaddr.Multiaddr // by others, the last ones first
	busy    bool
	failed  int // attempts in a row
	wait    time.Duration
	next    time.Time
}

func (c *candidate) addrs() []multiaddr.Multiaddr {
	return slices.Concat(c.link, c.learned)
}

// rank orders candidates: those that failed last time come after others, as a DHT may
// tell of many that have left, and of both those of the link, and that served before, come first.
func (c *candidate) rank() int {
	rank := 0
	if c.wait > 0 {
		rank += 2
	}
	if len(c.link) == 0 && c.source != FoundByHome {
		rank++
	}
	return rank
}

// learn takes addresses at which the peer may be found now.
func (c *candidate) learn(addrs []multiaddr.Multiaddr) {
	all := slices.Concat(addrs[:min(len(addrs), maxAddrs)], c.learned)
	c.learned = nil
	for _, a := range all {
		if len(c.learned) < maxAddrs && !slices.ContainsFunc(c.learned, a.Equal) {
			c.learned = append(c.learned, a)
		}
	}
}

func newDialer(s *Swarm) *dialer {
	return &dialer{s: s, wakeCh: make(chan struct{}, 1), candidates: make(map[peer.ID]*candidate), found: make(map[Source]int64)}
}

func (d *dialer) wake() {
	select {
	case d.wakeCh <- struct{}{}:
	default:
	}
}

// seeks reports whether there is anybody to dial.
func (d *dialer) seeks() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.candidates) > 0
}

func (d *dialer) lastError() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

// known returns how many peers the dialer knows of.
func (d *dialer) known() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.candidates)
}

// sources returns how many peers each source told of first, and which told of each that is
// still known.
func (d *dialer) sources() (found map[Source]int64, of map[peer.ID]Source) {
	d.mu.Lock()
	defer d.mu.Unlock()
	of = make(map[peer.ID]Source, len(d.candidates))
	for id, c := range d.candidates {
		of[id] = c.source
	}
	return maps.Clone(d.found), of
}

// addLink adds the peers of a link.
func (d *dialer) addLink(peers []peer.AddrInfo) {
	d.mu.Lock()
	for _, p := range peers {
		if p.ID == d.s.node.host.ID() || !d.s.trusts(p.ID) {
			continue
		}
		c := d.candidates[p.ID]
		if c == nil {
			c = &candidate{source: FoundByLink}
			d.candidates[p.ID] = c
			d.found[FoundByLink]++
		}
		for _, a := range p.Addrs {
			if !slices.ContainsFunc(c.link, a.Equal) {
				c.link = append(c.link, a)
			}
		}
	}
	d.mu.Unlock()
	d.wake()
}

// addLocal adds a peer that was found on the local network.
func (d *dialer) addLocal(info peer.AddrInfo) {
	d.mu.Lock()
	if c := d.candidates[info.ID]; c != nil {
		c.next = time.Time{} // it is there again
	}
	d.addLocked(info, FoundByMDNS)
	d.mu.Unlock()
	d.wake()
}

// addFound adds a peer that something told of.
func (d *dialer) addFound(info peer.AddrInfo, by Source) {
	d.mu.Lock()
	d.addLocked(info, by)
	d.mu.Unlock()
	d.wake()
}

// add adds peers from signed records, and returns how many were not known. Those that do not
// verify are left out.
func (d *dialer) add(records [][]byte) (news int) {
	if len(records) == 0 {
		return 0
	}
	for _, raw := range records {
		rec, err := openPeerRecord(raw)
		if err != nil {
			d.s.log.Debug("peer record refused", "err", err)
			continue
		}
		d.mu.Lock()
		if d.addLocked(peer.AddrInfo{ID: rec.PeerID, Addrs: shareable(rec.Addrs)}, FoundByExchange) {
			news++
		}
		d.mu.Unlock()
	}
	d.wake()
	return news
}

// addLocked adds a candidate, or addresses of a known one. If there are too many, one
// that could not be reached, or is cut off, makes room, or else the new one is left out. It
// reports whether it was added.
func (d *dialer) addLocked(info peer.AddrInfo, by Source) bool {
	if info.ID == d.s.node.host.ID() || !d.s.trusts(info.ID) {
		return false
	}
	if c := d.candidates[info.ID]; c != nil {
		c.learn(info.Addrs)
		return false
	}
	if len(d.candidates) >= maxCandidates {
		for id, c := range d.candidates {
			if len(c.link) == 0 && !c.busy && (c.wait > 0 || d.s.node.isCutOff(id)) {
				delete(d.candidates, id)
				break
			}
		}
	}
	if len(d.candidates) >= maxCandidates {
		return false
	}
	c := &candidate{source: by}
	c.learn(info.Addrs)
	d.candidates[info.ID] = c
	d.found[by]++
	d.s.log.Debug("peer found", "peer", info.ID, "by", by)
	return true
}

// run dials until the swarm is closed.
func (d *dialer) run() {
	var dials sync.WaitGroup
	defer dials.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-d.s.ctx.Done():
			return
		case <-d.wakeCh:
		case <-timer.C:
		}
		for _, info := range d.due(time.Now()) {
			dials.Go(func() { d.dial(info) })
		}
		timer.Reset(dialRound)
	}
}

// alone reports whether this node has no use of the holders that it has.
func (d *dialer) alone(have int) bool {
	// Others may have been cut off together with this node: they lack what it lacks.
	return have == 0 || d.s.starved.Load()
}

// timeout returns how long an attempt may take. Ways through relays take longer, as both ends have to
// make holes in routers.
func (d *dialer) timeout(info peer.AddrInfo) time.Duration {
	d.mu.Lock()
	patient := d.candidates[info.ID].failed%3 == 2
	d.mu.Unlock()
	if patient || !d.alone(len(d.s.holders())) || slices.ContainsFunc(info.Addrs, isCircuit) {
		return dialTimeout
	}
	return impatientDial
}

// due picks the candidates to dial now, and marks them busy.
func (d *dialer) due(now time.Time) []peer.AddrInfo {
	have, seeks := len(d.s.holders()), targetHolders
	alone := d.alone(have)
	// Who waits for a broadcast to begin does not: it would keep twice as many for all its time.
	if d.s.starved.Load() && slices.ContainsFunc(d.s.Timelines(), func(t *stream.Timeline) bool { return t.Newest() != nil }) {
		seeks = mostStarved
	}
	if have >= seeks || d.s.node.gate.shut.Load() {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	busy := 0
	var ready []peer.ID
	for id, c := range d.candidates {
		if c.busy {
			busy++
		} else if !d.s.trusts(id) { // any more
			continue
		} else if alone && now.Add(dialAlone).Before(c.next) {
			c.next = now.Add(rand.N(dialAlone))
		} else if !now.Before(c.next) && !d.s.node.isCutOff(id) && d.s.node.host.Network().Connectedness(id) == network.NotConnected {
			ready = append(ready, id)
		}
	}
	rand.Shuffle(len(ready), func(i, j int) { ready[i], ready[j] = ready[j], ready[i] })
	slices.SortStableFunc(ready, func(a, b peer.ID) int { return d.candidates[a].rank() - d.candidates[b].rank() })
	var out []peer.AddrInfo
	for _, id := range ready[:max(0, min(len(ready), maxDials-busy, seeks-have))] {
		c := d.candidates[id]
		c.busy = true
		out = append(out, peer.AddrInfo{ID: id, Addrs: c.addrs()})
	}
	return out
}

func (d *dialer) dial(info peer.AddrInfo) {
	if n, ok := d.s.node.host.Network().(*swarm.Swarm); ok {
		n.Backoff().Clear(info.ID) // ours is shorter
	}
	err := d.s.node.connectWithin(d.s.ctx, info, d.timeout(info))
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.candidates[info.ID]
	c.dialled(err, dialRarest)
	if err == nil {
		d.last = ""
	} else if d.s.ctx.Err() == nil {
		d.last = fmt.Sprintf("%s: %v", info.ID, err)
		d.s.log.Debug("cannot dial", "peer", info.ID, "err", err)
	}
}

// dialled notes how an attempt ended, and when the next may begin, at the rarest.
func (c *candidate) dialled(err error, rarest time.Duration) {
	c.busy = false
	if err == nil {
		// Should it leave, it is dialled again soon, but not at once.
		c.failed, c.wait, c.next = 0, 0, time.Now().Add(dialFirst)
		return
	}
	c.failed++
	c.wait = max(dialFirst, min(2*c.wait, rarest))
	c.next = time.Now().Add(c.wait/2 + rand.N(c.wait))
}
