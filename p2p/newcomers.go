package p2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

const (
	// newcomersRate is how many messages a second are looked at of all newcomers together, and
	// newcomersBurst how many at once. gossipsub remembers each message that it looks at for two
	// minutes, and up to a minute more, in some 360 bytes, whatever becomes of it: these are 70 MB of
	// newcomers at most. Of honest ones each copy of a header counts, from some neighbours in the mesh.
	newcomersRate  = 1024
	newcomersBurst = 4096
	// maxSettled bounds the peers that are none any more: more than can be connected.
	maxSettled = 1024
)

// newcomers bounds what is looked at of peers from whom nothing new was valid so far, as attackers
// can come again and again as somebody else, from elsewhere. It is safe for concurrent use.
type newcomers struct {
	limit *rate.Limiter

	mu      sync.Mutex            // guards all following
	settled map[peer.ID]time.Time // those that are none any more, with when something of theirs was valid last
}

func newNewcomers() *newcomers {
	return &newcomers{limit: rate.NewLimiter(newcomersRate, newcomersBurst), settled: make(map[peer.ID]time.Time)}
}

// admit reports whether so many messages of a peer may be looked at.
func (c *newcomers) admit(id peer.ID, messages int, now time.Time) bool {
	if messages == 0 {
		return true
	}
	c.mu.Lock()
	_, settled := c.settled[id]
	c.mu.Unlock()
	return settled || c.limit.AllowN(now, messages)
}

// settle notes that something new of a peer was valid.
func (c *newcomers) settle(id peer.ID, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.settled[id]; !ok {
		makeRoom(c.settled, maxSettled, now, func(at time.Time) time.Time { return at })
	}
	c.settled[id] = now
}

// forget makes a peer a newcomer again.
func (c *newcomers) forget(id peer.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.settled, id)
}
