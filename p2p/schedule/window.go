package schedule

import "time"

const (
	// A window bounds the bytes sent to a peer that it did not acknowledge: what QUIC holds back can no
	// longer be cancelled, and headers wait behind it. openingTime is how much of the stream that is
	// at first, and leastTime at least when acknowledgements are late; within the bounds of worth, to
	// openingWindow and leastWindow. mostWindow is 40 Mbit/s at a round trip of 200 ms.
	openingTime   = time.Second
	leastTime     = 500 * time.Millisecond
	openingWindow = 256 << 10
	leastWindow   = 64 << 10
	mostWindow    = 1 << 20
	// worthLeast bounds what is made of these for slow streams: some chunks, which is what a way that
	// loses one packet of twenty carries until it is acknowledged.
	worthLeast = 24 << 10
	// ackPrompt is how much longer than a round trip an acknowledgement may take for more to be under
	// way, as news wait for newsDelay, and ackLate until less shall be.
	ackPrompt = 2 * newsDelay
	ackLate   = time.Second
	// sentTimeout is when sent bytes that were never acknowledged are taken as lost.
	sentTimeout = 5 * time.Second
)

// worth returns the bytes of so much of the stream, at most most, which it is as long as the stream's
// rate is not known.
func (x *Exchange) worth(d time.Duration, most int) int {
	if x.rate == 0 {
		return most
	}
	return min(most, max(worthLeast, int(x.rate/8*d.Seconds())))
}

// acknowledge ends the time that a sent chunk is under way.
func (x *Exchange) acknowledge(p *part, n *neighbour, pp *partPeer, i int, arrived bool, now time.Time) {
	if !pp.sent.Get(i) {
		return
	}
	pp.sent.Clear(i)
	pp.sending--
	if n == nil {
		return
	}
	length := p.chunkLen(i)
	n.inflight = max(0, n.inflight-length)
	switch took := now.Sub(pp.sentAt) - n.rtt; {
	case arrived && took <= ackPrompt:
		n.window = min(mostWindow, n.window+length/4)
	case arrived && took <= ackLate:
		// It carries what is sent, and not more.
	case now.Sub(n.shrunk) > ackLate:
		n.window, n.shrunk = max(x.worth(leastTime, leastWindow), n.window/2), now
	}
	if n.inflight < n.window && !x.quiet(n, now) {
		x.unpark(n, now)
	}
}

// unpark queues again what waited for a neighbour.
func (x *Exchange) unpark(n *neighbour, now time.Time) {
	for _, it := range n.parked {
		it.queued = now
		x.queue.push(it)
	}
	n.parked = nil
}

// unqueue forgets what waited for a neighbour.
func (x *Exchange) unqueue(n *neighbour) {
	for _, it := range n.parked {
		it.done()
	}
	n.parked = nil
}
