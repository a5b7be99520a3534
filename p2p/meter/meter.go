package meter

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// sendPatience is how long a packet may wait to be sent, or as long as patientBytes take
	// if that is longer.
	sendPatience = 500 * time.Millisecond
	patientBytes = 64 << 10
	// receiveShare is the part of a bound at which what is received is read: the rest is for
	// what comes while senders learn of it, and what the system drops then.
	receiveShare = 0.95
	// receiveQueue is how much time's worth may wait to be read, or leastQueue bytes.
	receiveQueue = 250 * time.Millisecond
	leastQueue   = 16 << 10
	// usualQueue is what quic-go asks for where nothing is bound.
	usualQueue = 7 << 20
)

// ErrShut is returned by connections of a meter that lets nothing pass.
var ErrShut = errors.New("the node's owner lets nothing pass now")

// Config configures a [Meter]. The zero value counts and bounds nothing.
type Config struct {
	Upload, Download int // bits per second at most; 0 for no bound
}

// Totals are what passed since the start, in bytes with all headers.
type Totals struct {
	Sent, Received int64
	// SendDropped are bytes that were not sent, ReceiveDropped bytes of Received that were dropped.
	SendDropped, ReceiveDropped int64
}

// Ceiling bounds totals.
type Ceiling struct {
	Sent int64 // of Totals.Sent
	All  int64 // of Sent and Received together
}

// NoCeiling bounds nothing.
var NoCeiling = Ceiling{math.MaxInt64, math.MaxInt64}

// Meter counts and bounds what the sockets of a node send and receive. It is safe for concurrent
// use.
type Meter struct {
	queue atomic.Int64 // how many bytes may wait to be read, 0 for as many as the system likes

	mu       sync.Mutex // guards all following
	up, down bucket
	totals   Totals
	ceiling  Ceiling
	shut     bool
}

// New returns a meter that lets pass what cfg allows.
func New(cfg Config) *Meter {
	m := &Meter{ceiling: NoCeiling}
	m.Limit(cfg)
	return m
}

// Limit lets pass what cfg allows from now on. What waits already goes when it was told.
func (m *Meter) Limit(cfg Config) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.up.limit(cfg.Upload)
	m.down.limit(int(receiveShare * float64(cfg.Download)))
	queue := 0
	if m.down.rate > 0 {
		queue = max(leastQueue, int(m.down.rate*receiveQueue.Seconds()))
	}
	m.queue.Store(int64(queue))
}

// Totals returns what passed so far.
func (m *Meter) Totals() Totals {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.totals
}

// Bound bounds the totals from now on.
func (m *Meter) Bound(c Ceiling) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ceiling = c
}

// Shut lets nothing pass any more, or what it is bound to otherwise.
func (m *Meter) Shut(shut bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shut = shut
}

// closedLocked reports whether so much may not pass any more.
func (m *Meter) closedLocked(sent, received int) bool {
	t, c := m.totals, m.ceiling
	return m.shut || t.Sent > c.Sent-int64(sent) || t.Sent+t.Received > c.All-int64(sent+received)
}

// packet takes n bytes for a packet that is to be sent, and returns how long to wait first; or
// reports false if it is to be dropped.
func (m *Meter) packet(n int, now time.Time) (wait time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closedLocked(n, 0) {
		m.totals.SendDropped += int64(n)
		return 0, false
	}
	if wait = m.up.take(n, now); wait > max(sendPatience, m.up.time(patientBytes)) {
		m.up.put(n)
		m.totals.SendDropped += int64(n)
		return 0, false
	}
	m.totals.Sent += int64(n)
	return wait, true
}

// bytes takes n bytes for a connection that is to send them, and returns how long to wait first;
// or reports false if nothing may pass.
func (m *Meter) bytes(n int, now time.Time) (wait time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closedLocked(n, 0) {
		m.totals.SendDropped += int64(n)
		return 0, false
	}
	m.totals.Sent += int64(n)
	return m.up.take(n, now), true
}

// sent counts n bytes that the system sends by itself.
func (m *Meter) sent(n int, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.totals.Sent += int64(n)
	m.up.take(n, now)
}

// received counts n bytes that the system receives by itself.
func (m *Meter) received(n int, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.totals.Received += int64(n)
	m.down.take(n, now)
}

// arrived counts n bytes that were read, and returns how long to wait before more is; or reports
// false if they are to be dropped.
func (m *Meter) arrived(n int, now time.Time) (wait time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ok = !m.closedLocked(0, n)
	m.totals.Received += int64(n)
	if !ok {
		m.totals.ReceiveDropped += int64(n)
	}
	return m.down.take(n, now), ok
}

// pause waits, and reports false if done was closed meanwhile.
func pause(d time.Duration, done <-chan struct{}) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
		return false
	}
}
