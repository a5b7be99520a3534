package p2p

import (
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// seekPatience is how long peers that are known otherwise have to answer before the DHT
	// is searched.
	seekPatience = 1500 * time.Millisecond
	// seekFirst and seekRarest are the pauses between searches while nobody who holds the
	// stream is connected, at first and at last.
	seekFirst  = 2 * time.Second
	seekRarest = time.Minute
	// seekMore is the pause between searches while there are some, but fewer than
	// targetHolders: swarms that do not know of each other find together.
	seekMore = 10 * time.Minute
	// seekRound is how often to look whether a search is due.
	seekRound = 5 * time.Second
	// maxProviders bounds the providers of one search that are dialled. Whoever lets nobody
	// in costs the others only their turn: the next search passes over him.
	maxProviders = 32
	// providerCalm is how long a provider is passed over once it was handed to the dialer,
	// maxProvidersSeen bounds those that are remembered for that.
	providerCalm     = 10 * time.Minute
	maxProvidersSeen = 4096
)

// seeker searches the DHT for providers of a swarm's stream while too few are connected.
// It is of one goroutine.
type seeker struct {
	s    *Swarm
	seen map[peer.ID]time.Time // when they were handed to the dialer
	last time.Time             // the last search, or the start
	wait time.Duration         // until the next one while nobody is connected
}

// seek runs a seeker until the swarm is closed. patient says that peers are known already.
func (s *Swarm) seek(patient bool) {
	k := &seeker{s: s, seen: make(map[peer.ID]time.Time), last: time.Now(), wait: seekFirst}
	first := time.Duration(0)
	if patient {
		first = seekPatience
	}
	timer := time.NewTimer(first)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(k.step())
	}
}

// step searches if that is due, and returns for how long to sleep.
func (k *seeker) step() time.Duration {
	switch have := len(k.s.holders()); {
	case k.s.node.gate.shut.Load():
	case have == 0:
		k.search()
		pause := k.wait/2 + rand.N(k.wait)
		k.wait = min(2*k.wait, seekRarest)
		return pause
	case have < targetHolders && time.Since(k.last) >= seekMore:
		k.search()
	}
	k.wait = seekFirst
	return seekRound
}

func (k *seeker) search() {
	taken := 0
	err := k.s.node.dht.Find(k.s.ctx, k.s.id, func(p peer.AddrInfo) bool {
		if !k.takes(p.ID) {
			return true
		}
		k.s.dialer.addFound(peer.AddrInfo{ID: p.ID, Addrs: shareable(p.Addrs)}, FoundByDHT)
		taken++
		return taken < maxProviders && len(k.s.holders()) < targetHolders
	})
	k.last = time.Now()
	k.s.noteDHT(err, func(c *counters) { c.stats.Searches++ })
	k.s.log.Debug("searched the DHT", "providers", taken, "err", err)
}

// takes reports whether a provider shall be dialled, and remembers it.
func (k *seeker) takes(id peer.ID) bool {
	now := time.Now()
	if at, ok := k.seen[id]; ok && now.Sub(at) < providerCalm {
		return false
	}
	if len(k.seen) >= maxProvidersSeen {
		clear(k.seen)
	}
	k.seen[id] = now
	return true
}

// noteDHT counts a search or an announcement, and keeps why it failed.
func (s *Swarm) noteDHT(err error, f func(*counters)) {
	if s.ctx.Err() != nil {
		return
	}
	s.count(func(c *counters) {
		f(c)
		c.stats.DHTError = ""
		if err != nil {
			c.stats.DHTError = err.Error()
		}
	})
}
