package p2ptest

import (
	"math/rand"
	"sync/atomic"
	"time"
)

// What can go wrong beside loss, cuts and deaths. All of it may happen at the same time.
// Packets that are under way when a fault begins or ends meet it at their destination.

// faults are those of one host. They stay when it is killed and started again.
type faults struct {
	group   atomic.Int64                 // of a divided network
	deaf    atomic.Bool                  // nothing that is sent to it arrives
	unheard atomic.Pointer[map[int]bool] // hosts of which nothing arrives
	up      atomic.Int64                 // nanoseconds by which what it sends is late
	down    atomic.Int64                 // likewise what is sent to it
	clock   atomic.Int64                 // nanoseconds by which its clock is ahead
}

func newFaults() *faults { return new(faults) }

func (f *faults) clockOff() time.Duration { return time.Duration(f.clock.Load()) }

// hears reports whether packets of another host arrive.
func (f *faults) hears(from *machine) bool {
	if f.deaf.Load() || f.group.Load() != from.faults.group.Load() {
		return false
	}
	unheard := f.unheard.Load()
	return unheard == nil || !(*unheard)[from.index]
}

// Divide divides the network: hosts of different groups hear nothing of each other. Who is in
// no group is in one with the others that are in none; without groups the network is whole again.
func (n *Network) Divide(groups ...[]int) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, m := range n.machines {
		m.faults.group.Store(0)
	}
	for g, hosts := range groups {
		for _, i := range hosts {
			n.machines[i].faults.group.Store(int64(g + 1))
		}
	}
}

// Deafen makes all packets to host i get lost, or stops that. What it sends arrives.
func (n *Network) Deafen(i int, deaf bool) { n.machine(i).faults.deaf.Store(deaf) }

// Mute makes packets from one host to another get lost, or stops that. Those of the other
// direction arrive.
func (n *Network) Mute(from, to int, mute bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f := n.machines[to].faults
	next := make(map[int]bool)
	if old := f.unheard.Load(); old != nil {
		for i := range *old {
			next[i] = true
		}
	}
	if next[from] = true; !mute {
		delete(next, from)
	}
	f.unheard.Store(&next)
}

// Delay makes what host i sends, and what is sent to it, take so much longer one way than its
// [Link] says. Packets may overtake those that were sent before the delay became less.
func (n *Network) Delay(i int, up, down time.Duration) {
	f := n.machine(i).faults
	f.up.Store(int64(up))
	f.down.Store(int64(down))
}

// SetClock makes the clock of host i be off from now on, ahead if it is positive. See
// p2p.Config.ClockOff.
func (n *Network) SetClock(i int, off time.Duration) { n.machine(i).faults.clock.Store(int64(off)) }

// Clock returns what the clock of host i shows.
func (n *Network) Clock(i int) time.Time {
	return time.Now().Round(0).Add(n.machine(i).faults.clockOff())
}

// Disorder is what happens to some of all packets.
type Disorder struct {
	Late  float64       // share that is late, and so comes after what was sent after it
	By    time.Duration // those are late by as much at most, at random
	Twice float64       // share that comes twice
	Seed  int64         // the same packets for the same seed and traffic
}

// Disturb has disorder from now on. The zero value ends it.
func (n *Network) Disturb(d Disorder) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.disorder = d
	n.late.mu.Lock()
	n.late.Disorder, n.late.chance = d, rand.New(rand.NewSource(d.Seed<<20))
	n.late.mu.Unlock()
	for _, m := range n.machines {
		m.disturb(d)
	}
}

func (m *machine) disturb(d Disorder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disorder, m.chance = d, rand.New(rand.NewSource(-(d.Seed<<20 + int64(m.index))))
}

// twice decides whether a packet of this machine comes twice.
func (m *machine) twice() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.disorder.Twice > 0 && m.chance.Float64() < m.disorder.Twice
}

// delay returns by how much a packet is late.
func (n *Network) delay(from, to *machine) time.Duration {
	d := time.Duration(from.faults.up.Load() + to.faults.down.Load())
	n.late.mu.Lock()
	defer n.late.mu.Unlock()
	if n.late.Late > 0 && n.late.chance.Float64() < n.late.Late {
		d += time.Duration(n.late.chance.Float64() * float64(n.late.By))
	}
	return d
}
