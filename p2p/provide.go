package p2p

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/p2p/discovery"
)

const (
	// provideRound is how often to look whether the stream is to be announced again: for
	// another hour, or at other addresses.
	provideRound = time.Minute
	// carryRound is how often to look whether this node has anything of the stream yet.
	carryRound = time.Second
	// provideAgain is the pause after an announcement that failed, at first; it doubles up
	// to provideRound.
	provideAgain = 5 * time.Second
	// provideSpread is the time within which nodes announce themselves for the next hour.
	provideSpread = 5 * time.Minute
)

// announcer announces in the DHT that this node holds a swarm's stream. It is of one goroutine.
type announcer struct {
	s      *Swarm
	offset time.Duration     // of provideSpread, this node's own
	done   map[uint64]string // by slot, the addresses that were announced for it
	wait   time.Duration     // after the next failure
}

// provide runs an announcer until the swarm is closed.
func (s *Swarm) provide() {
	a := &announcer{s: s, offset: rand.N(provideSpread), done: make(map[uint64]string), wait: provideAgain}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(a.step())
	}
}

// step announces what is due, and returns for how long to sleep.
func (a *announcer) step() time.Duration {
	if !a.s.holdsAny() || a.s.node.gate.shut.Load() {
		return carryRound
	}
	slots := discovery.Slots(time.Now().Add(-a.offset))
	maps.DeleteFunc(a.done, func(slot uint64, _ string) bool { return !slices.Contains(slots, slot) })
	for _, slot := range slots {
		addrs := fmt.Sprint(a.s.node.dht.Addrs())
		if a.done[slot] == addrs {
			continue
		}
		err := a.s.node.dht.Provide(a.s.ctx, a.s.id, slot)
		a.s.noteDHT(err, func(c *counters) {
			if err == nil {
				c.stats.Announced++
			}
		})
		a.s.log.Debug("announced in the DHT", "slot", slot, "err", err)
		if err != nil {
			pause := a.wait
			a.wait = min(2*a.wait, provideRound)
			return pause
		}
		a.done[slot], a.wait = addrs, provideAgain
	}
	return provideRound
}

// holdsAny reports whether this node has anything of the stream to give.
func (s *Swarm) holdsAny() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source || s.counters.stats.BytesReceived > 0
}
