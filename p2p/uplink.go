package p2p

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/quic-go/quic-go"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// uplinkEvery is how often connections are asked what they carried.
	uplinkEvery = 200 * time.Millisecond
	// uplinkRest is for how long samples are left out after one that came late: a machine
	// that is too busy for it delays acknowledgements as well, and a laptop slept.
	uplinkRest = 3 * uplinkEvery
	// busyBytes is what a connection sends between two samples at least for its round
	// trip to tell of a queue, and busyFor how long it does so afterwards.
	busyBytes = 4 << 10
	busyFor   = 600 * time.Millisecond
	// fullWindow is what part of a connection's congestion window is in flight on average
	// when there is always something to send: it swings about as widely.
	fullWindow = 0.6
	// liveSlack is how much later than it was told live sending may come back for its
	// turn before fetches get it.
	liveSlack = 20 * time.Millisecond
	// fetchShare is the part of the uplink that fetches get at least while live sending
	// wants all of it. On a slow one it is a chunk each fetchRound instead, if that is no
	// more than half.
	fetchShare = 0.1
	// recentShare is what part fetches of the last segments get of what was not promised,
	// if that is more: joiners start from these. The rest is for who asks for live chunks.
	recentShare = 0.5
	// fetchRound is how long it takes at most until every answer has had its turn.
	fetchRound = time.Second
	// answersFor is within what time an answer should be over: who is refused instead asks
	// somebody else, and so finds those that have room.
	answersFor = 500 * time.Millisecond
	// leastAnswers is how many there may be for all that.
	leastAnswers = 2
	// fetchPatience is how long a chunk may wait for the uplink: who asked for it gives
	// this node up after fetchSilence.
	fetchPatience = fetchSilence * 3 / 4
	// fetchSizes is after how many smaller chunks a larger one is forgotten, more or less.
	fetchSizes = 16
)

// uplink holds all chunks that a node sends to what its uplink carries: those of live
// parts first, and those that are fetched in what is left.
type uplink struct {
	mu       sync.Mutex // guards all following
	bucket   *schedule.Uplink
	live     time.Time    // until when live chunks are expected to come back for their turn
	waited   bool         // something waited since the last sample
	waiting  []*fetchTurn // those of the last segments first
	promised float64      // bytes per second, to children
	size     float64      // of the larger chunks that fetches waited with lately
	credit   float64      // bytes that fetches may send though live chunks wait
	at       time.Time    // when credit was right

	conns map[*quic.Conn]*connMark
	tcp   map[peer.ID]int64 // bytes sent to peers whose connections tell nothing
	sent  int64             // of all connections that there ever were
	lost  int64
	seen  time.Time // when the last sample was taken
	late  time.Time // when one was late
}

// fetchTurn is a chunk that waits.
type fetchTurn struct {
	n     int
	past  bool          // of a segment before the last two
	ready chan struct{} // closed when it was taken
}

// newUplink returns the uplink of so many bits per second; 0 is for an unknown one.
func newUplink(bits int) *uplink {
	return &uplink{
		bucket: schedule.NewUplink(bits),
		size:   stream.MaxChunkSize / 4,
		conns:  make(map[*quic.Conn]*connMark),
		tcp:    make(map[peer.ID]int64),
	}
}

// limit begins anew with an uplink of so many bits per second; 0 is for an unknown one.
func (l *uplink) limit(bits int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bucket = schedule.NewUplink(bits)
}

// rate returns how many bits per second chunks may fill now, 0 if nothing bounds them.
func (l *uplink) rate() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bucket.Rate()
}

// take takes n bytes for a live chunk, or returns how long to wait before asking again.
func (l *uplink) take(n int, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serveLocked(now, true)
	wait := l.bucket.Take(n, now)
	if wait > 0 {
		l.waited = true
		l.live = now.Add(wait + liveSlack)
	}
	return wait
}

// promise notes how many bits per second are promised to children.
func (l *uplink) promise(bits int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.promised = float64(bits) / 8
}

// wait takes n bytes for a chunk that was asked for by fetch, when it is its turn, which
// what is of the past has last.
func (l *uplink) wait(ctx context.Context, n int, past bool) error {
	turn := &fetchTurn{n, past, make(chan struct{})}
	now := time.Now()
	l.mu.Lock()
	l.size = max(float64(n), l.size-l.size/fetchSizes)
	if len(l.waiting) == 0 {
		l.at = now // no credit for times without anybody to take it
	}
	place := len(l.waiting)
	for !past && place > 0 && l.waiting[place-1].past {
		place--
	}
	l.waiting = slices.Insert(l.waiting, place, turn)
	next := l.serveLocked(now, false)
	l.mu.Unlock()
	timer := time.NewTimer(max(next, time.Millisecond))
	defer timer.Stop()
	for {
		select {
		case <-turn.ready:
			return nil
		case now := <-timer.C:
			l.mu.Lock()
			next := l.serveLocked(now, false)
			l.mu.Unlock()
			timer.Reset(max(next, time.Millisecond))
		case <-ctx.Done():
			l.mu.Lock()
			defer l.mu.Unlock()
			select {
			case <-turn.ready:
				return nil
			default:
			}
			l.waiting = slices.DeleteFunc(l.waiting, func(t *fetchTurn) bool { return t == turn })
			return context.Cause(ctx)
		}
	}
}

// serveLocked lets fetches send in their order: all that there is room for
// if no live chunk waits, or else what their share has earned. It returns when to look
// again.
func (l *uplink) serveLocked(now time.Time, live bool) time.Duration {
	share := l.shareLocked()
	if len(l.waiting) > 0 {
		if !l.waiting[0].past {
			share = l.recentShareLocked()
		}
		if since := now.Sub(l.at).Seconds(); since > 0 {
			l.credit = min(stream.MaxChunkSize, l.credit+share*since)
			l.at = now
		}
	}
	for len(l.waiting) > 0 {
		turn := l.waiting[0]
		if share > 0 && l.credit < 0 && (live || now.Before(l.live)) {
			l.waited = true
			return max(time.Millisecond, min(l.live.Sub(now), time.Duration(-l.credit/share*float64(time.Second))))
		}
		if wait := l.bucket.Take(turn.n, now); wait > 0 {
			l.waited = true
			return wait
		}
		l.credit = max(-stream.MaxChunkSize, l.credit-float64(turn.n))
		l.waiting = l.waiting[1:]
		close(turn.ready)
	}
	return 0
}

// shareLocked returns the bytes per second that fetches get at least, 0 if nothing bounds
// them.
func (l *uplink) shareLocked() float64 {
	rate := float64(l.bucket.Rate()) / 8
	return min(rate/2, max(rate*fetchShare, l.size/fetchRound.Seconds()))
}

// recentShareLocked is shareLocked for the last segments.
func (l *uplink) recentShareLocked() float64 {
	return max(l.shareLocked(), recentShare*(float64(l.bucket.Rate())/8-l.promised))
}

// answers returns how many answers with chunks may be under way at a time, so that they
// are over soon, and none waits longer for its turn than who asked waits for it.
func (l *uplink) answers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bucket.Rate() == 0 {
		return maxServing
	}
	soon := max(leastAnswers, int(l.recentShareLocked()*answersFor.Seconds()/leastJobBytes))
	return max(1, min(maxServing, soon, int(l.shareLocked()*fetchRound.Seconds()/l.size)))
}

// watchUplink adapts the bound to what connections see of the uplink, or, if that is
// known, to what they send besides chunks, until the node closes.
func (n *Node) watchUplink() {
	ticker := time.NewTicker(uplinkEvery)
	defer ticker.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case now := <-ticker.C:
			n.uplink.promise(n.promised())
			n.uplink.observe(n.host.Network().Conns(), n.bytesTo, now)
		}
	}
}

// bytesTo returns what was sent to a peer, as libp2p counts it.
func (n *Node) bytesTo(id peer.ID) int64 {
	if n.bandwidth == nil {
		return 0
	}
	return n.bandwidth.GetBandwidthForPeer(id).TotalOut
}

// observe takes a sample of the connections, of which those on TCP tell only, by
// bytesTo, what they carried: an uplink that nobody else uses is not measured.
func (l *uplink) observe(conns []network.Conn, bytesTo func(peer.ID) int64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var delays []time.Duration
	full := 0 // of those connections
	since := now.Sub(l.seen).Seconds()
	if now.Sub(l.seen) > 3*uplinkEvery/2 && !l.seen.IsZero() {
		l.late = now
	}
	l.seen = now
	tcp := make(map[peer.ID]int64)
	for _, c := range conns {
		q, ok := quicConn(c)
		if !ok {
			id := c.RemotePeer()
			total := bytesTo(id)
			if before, known := l.tcp[id]; known && tcp[id] == 0 {
				l.sent += max(0, total-before)
			}
			tcp[id] = total
			continue
		}
		m := l.conns[q]
		if m == nil {
			m = &connMark{}
			l.conns[q] = m
		}
		m.seen = true
		st := q.ConnectionStats()
		sent, lost := m.observe(st, now)
		l.sent += sent
		l.lost += lost
		rate := float64(sent) / since
		if now.Sub(m.busy) <= busyFor && st.MinRTT > 0 && m.tells(st, now) {
			delays = append(delays, max(0, st.SmoothedRTT-st.MinRTT))
			if rate*st.SmoothedRTT.Seconds() >= fullWindow*float64(st.CongestionWindow) {
				full++
			}
		}
	}
	l.tcp = tcp
	for q, m := range l.conns {
		if !m.seen {
			delete(l.conns, q)
		}
		m.seen = false
	}
	if now.Sub(l.late) < uplinkRest {
		return
	}
	l.bucket.Observe(schedule.UplinkSample{
		Sent: l.sent, Lost: l.lost, Delay: common(delays), Full: 2*full > len(delays), Backlog: l.waited,
	}, now)
	l.waited = false
}

// common returns the delay that most connections have at least. A queue at this node's
// uplink delays all of them, one on the way to a peer only its own.
func common(delays []time.Duration) time.Duration {
	if len(delays) == 0 {
		return 0
	}
	slices.Sort(delays)
	return delays[(len(delays)-1)/2]
}

// promised returns the bits per second that all streams have promised to children.
func (n *Node) promised() (bits int) {
	for _, s := range n.Swarms() {
		bits += int(s.promised.Load())
	}
	return bits
}
