package schedule

import (
	"math"
	"time"
)

const (
	// uplinkShare is the part of a known uplink that chunks may fill until it was measured
	// what else goes over it: headers, control, acknowledgements and the overhead of
	// packets, which must never wait behind them.
	uplinkShare = 0.93
	// uplinkFill is the part of a known uplink that all of that together may fill, and
	// uplinkRest that chunks may fill in any case.
	uplinkFill = 0.98
	uplinkRest = 0.5
	// uplinkPacket is by how much IP and UDP make QUIC's packets larger: 28 bytes of 1,280.
	uplinkPacket = 1.022
	// uplinkOver is over how long what is not chunks is averaged.
	uplinkOver = 3 * time.Second
	// uplinkBurst is how much time's worth of bytes may go out at once, if that is more
	// than a chunk.
	uplinkBurst = 10 * time.Millisecond
	// uplinkTarget is the queueing delay that an unknown uplink may show before chunks
	// are held back. It is half of what LEDBAT allows itself (RFC 6817, section 2.4.2):
	// control and whoever else is at home wait in the same queue.
	uplinkTarget = 50 * time.Millisecond
	// uplinkCalm is the part of the target up to which bounds grow.
	uplinkCalm = 0.3
	// uplinkHold is how long a delay between that and the target keeps a bound from growing, until
	// it is found out whose it is.
	uplinkHold = 3 * time.Second
	// uplinkMaxOwn bounds what a chunk's own time on a slow uplink adds to that.
	uplinkMaxOwn = 300 * time.Millisecond
	// uplinkLoss is the share of lost bytes that counts as much as a delay at the target,
	// for uplinks that drop rather than queue. Radio alone loses less.
	uplinkLoss = 0.04
	// uplinkWindow is over how long carried bytes are averaged at most, and uplinkSettle
	// over how long at least; the latter is also how soon a bound shows in the delay.
	uplinkWindow = time.Second
	uplinkSettle = 400 * time.Millisecond
	// uplinkGentle and uplinkDeep are by how much a bound is cut at a delay just over the
	// target and at one that would take a second to drain otherwise.
	uplinkGentle = 0.92
	uplinkDeep   = 0.5
	// uplinkProbe is by how much a bound grows per uplinkStep at first; each step that
	// leaves the queue empty makes the next one uplinkFaster times that, up to
	// uplinkFastest: careful near the last bound, twentyfold in ten seconds far from it.
	uplinkStep    = 200 * time.Millisecond
	uplinkProbe   = 0.01
	uplinkFaster  = 1.18
	uplinkFastest = 0.12
	// uplinkFull is how long congestion windows are full before that tells of a queue.
	uplinkFull = 600 * time.Millisecond
	// uplinkDrains is the part of what is carried at which a bound is known to let a queue
	// drain, for which uplinkDrained is time enough.
	uplinkDrains  = 0.85
	uplinkDrained = 5 * time.Second
	// uplinkInVain is to what share of the bound cuts go on that do not help. A delay that
	// stays is somebody else's.
	uplinkInVain = 0.6
	// uplinkPushed is the part of a bound that is made use of when it is the bound that limits.
	uplinkPushed = 0.6
	// uplinkLeast is the least bound, in bytes per second: a chunk or two each second.
	uplinkLeast = 8 << 10
	// uplinkChunks is over how many chunks their size is averaged.
	uplinkChunks = 16
	// uplinkMarks bounds the samples remembered.
	uplinkMarks = 32
)

// Uplink holds chunks to what a node's uplink carries: a token bucket whose rate is
// either known or follows the queue that it sees. Such a queue delays headers and
// control as well, and chunks in it cannot be cancelled, so it is kept short: without
// one there is no bound or a growing one, and with one the bound falls to a bit less
// than what was carried. The bucket may go into debt by one chunk, so that a rate of less
// than a chunk per burst works, too.
//
// Delay as the signal is LEDBAT's idea (RFC 6817), to take what was carried as the measure
// BBR's. Of the uplink's users this is the politest while it helps: a queue that stays
// whatever this node sends is somebody else's, and only what comes on top of it counts.
type Uplink struct {
	known bool
	whole float64 // a known uplink's bytes per second
	last  uplinkKnown
	owed  float64 // bytes that were taken and not sent when the last sample came; if known
	over  float64 // bytes per second that a known uplink carries beside chunks
	rate  float64 // bytes per second; 0 for no bound

	tokens float64
	at     time.Time // when tokens was right
	chunk  float64   // bytes that Take takes at a time, typically
	taken  int64     // by Take, in all

	marks []uplinkMark // the last samples, oldest first

	grow    float64   // by how much the bound grows in the next step
	fullAt  time.Time // since when windows are full; zero if they are not
	pending float64   // bytes taken since, and not sent yet
	cutAt   time.Time // when the bound was last cut
	cutFor  float64   // the pressure at that time
	calmAt  time.Time // when the queue of that time should have drained
	full    float64   // what was carried then
	before  float64   // what was carried before the first of the cuts in a row; 0 if there is none
	first   float64   // the pressure then
	heldAt  time.Time // since when the pressure is neither calm nor reason to cut
	eased   bool      // the bound was lowered since then
	foreign float64   // pressure that is there whatever this node sends
}

// uplinkMark is a sample as it is remembered.
type uplinkMark struct {
	at                time.Time
	sent, lost, taken int64
	delay             time.Duration
}

// uplinkKnown is the last sample of a known uplink.
type uplinkKnown struct {
	at          time.Time
	sent, taken int64
}

// UplinkSample is what a node sees of its uplink. Samples should come every 200 ms or so.
type UplinkSample struct {
	// Sent are the bytes that connections sent so far, all together, with all overhead
	// that is known.
	Sent int64
	// Lost are those of them that were lost.
	Lost int64
	// Delay is by how much round trips are longer than without a queue, on most of the
	// connections that sent something lately.
	Delay time.Duration
	// Full tells whether the congestion windows of most of those connections were full: what
	// is sent then waits inside this node, where no round trip shows it.
	Full bool
	// Backlog tells whether chunks waited for the bound since the last sample.
	Backlog bool
}

// NewUplink returns the uplink of so many bits per second; 0 is for an unknown one.
func NewUplink(bits int) *Uplink {
	return &Uplink{known: bits > 0, whole: float64(max(0, bits)) / 8, over: float64(max(0, bits)) / 8 * (uplinkFill - uplinkShare), rate: float64(max(0, bits)) / 8 * uplinkShare, grow: uplinkProbe}
}

// Take takes n bytes, or returns how long to wait before asking again.
func (u *Uplink) Take(n int, now time.Time) (wait time.Duration) {
	if u.rate > 0 {
		if since := now.Sub(u.at).Seconds(); since > 0 { // callers' clocks are some milliseconds apart
			u.tokens = min(u.rate*uplinkBurst.Seconds(), u.tokens+u.rate*since)
			u.at = now
		}
		if u.tokens < 0 {
			return time.Duration(-u.tokens/u.rate*float64(time.Second)) + time.Microsecond
		}
		u.tokens -= float64(n)
	}
	u.taken += int64(n)
	u.chunk += (float64(n) - u.chunk) / uplinkChunks
	return 0
}

// Rate returns how many bits per second chunks may fill now, 0 if nothing bounds them.
func (u *Uplink) Rate() int { return int(8 * u.rate) }

// Observe adapts the bound to a sample. That of a known uplink is what headers, control
// and packets' overhead leave.
func (u *Uplink) Observe(s UplinkSample, now time.Time) {
	if u.known {
		u.leave(s, now)
		return
	}
	if len(u.marks) > 0 && !now.After(u.marks[len(u.marks)-1].at) {
		return
	}
	var since time.Duration
	if len(u.marks) > 0 {
		since = now.Sub(u.marks[len(u.marks)-1].at)
	}
	u.remember(uplinkMark{now, s.Sent, s.Lost, u.taken, s.Delay})
	carried, loss := u.carried()
	if carried < uplinkLeast {
		return // whatever queue there is, it is not made here
	}
	queue := max(s.Delay-u.own(carried), u.inside(s.Full, carried, now))
	pressure := max(float64(queue)/float64(uplinkTarget), loss/uplinkLoss)
	u.foreign = min(u.foreign, pressure)
	if pressure -= u.foreign; pressure > 1 || pressure <= uplinkCalm {
		u.heldAt = time.Time{}
		u.eased = u.eased && pressure <= 1 && u.rate < u.full // a queue that comes back below that is somebody else's
	}
	back := s.Backlog && now.Sub(u.cutAt) >= uplinkSettle && u.rate < uplinkGentle*u.full
	switch {
	case pressure > 1:
		u.cut(pressure, carried, now)
	case back:
		u.rate = uplinkGentle * u.full // which drains what is left of the queue as well
	case pressure > uplinkCalm:
		u.grow = uplinkProbe
		if u.heldAt.IsZero() {
			u.heldAt = now
		} else if now.Sub(u.heldAt) > uplinkHold {
			u.settle(s, pressure, now)
		}
	default:
		u.before = 0
		if s.Backlog && now.Sub(u.cutAt) >= uplinkSettle && u.used(since) {
			u.rate *= math.Pow(1+u.grow, float64(min(since, uplinkSettle))/float64(uplinkStep))
			if u.rate > u.full {
				u.grow = min(uplinkFastest, u.grow*uplinkFaster)
			}
		}
	}
}

// settle finds out whose a queue is that stays, and is short: this node's goes when less is sent, and
// what does not go is somebody else's, and does not grow.
func (u *Uplink) settle(s UplinkSample, pressure float64, now time.Time) {
	if s.Backlog && u.rate > 0 && !u.eased {
		u.full = min(u.full, u.rate)
		u.rate = max(uplinkLeast, uplinkGentle*u.rate)
		u.eased, u.heldAt, u.cutAt = true, now, now
		return
	}
	u.foreign += pressure
	u.eased = false
}

// leave sets the bound to what of a known uplink is left for chunks.
func (u *Uplink) leave(s UplinkSample, now time.Time) {
	since := now.Sub(u.last.at).Seconds()
	if since <= 0 {
		return
	}
	if !u.last.at.IsZero() && s.Sent >= u.last.sent {
		extra := float64(s.Sent-u.last.sent)*uplinkPacket - float64(u.taken-u.last.taken) - u.owed
		u.owed = min(max(0, -extra), u.whole*uplinkOver.Seconds()/4) // taken, and not sent yet
		over := max(0, extra) / since
		u.over += (over - u.over) * min(1, since/uplinkOver.Seconds())
		u.rate = u.whole * max(uplinkRest, uplinkFill-u.over/u.whole)
	}
	u.last = uplinkKnown{now, s.Sent, u.taken}
}

// own is the delay that packets show on average because a chunk goes out at once.
func (u *Uplink) own(carried float64) time.Duration {
	return min(uplinkMaxOwn, time.Duration(u.chunk/carried/2*float64(time.Second)))
}

// inside returns for how long what was taken waits inside this node. A window is also
// full for a moment when a connection was idle, and while it is found out how large it
// may be.
func (u *Uplink) inside(full bool, carried float64, now time.Time) time.Duration {
	if !full || len(u.marks) < 2 {
		u.fullAt, u.pending = time.Time{}, 0
		return 0
	}
	last, before := u.marks[len(u.marks)-1], u.marks[len(u.marks)-2]
	if u.fullAt.IsZero() {
		u.fullAt = before.at
	}
	u.pending = max(0, u.pending+float64(last.taken-before.taken)-float64(last.sent-before.sent))
	if now.Sub(u.fullAt) < uplinkFull {
		return 0
	}
	return uplinkTarget*5/4 + time.Duration(u.pending/carried*float64(time.Second))
}

// remember adds a mark, and drops those that the window no longer needs.
func (u *Uplink) remember(m uplinkMark) {
	drop := 0
	for drop+1 < len(u.marks) && (m.at.Sub(u.marks[drop+1].at) >= uplinkWindow || len(u.marks)-drop >= uplinkMarks) {
		drop++
	}
	u.marks = append(u.marks[:0], u.marks[drop:]...)
	u.marks = append(u.marks, m)
}

// carried returns what the uplink carried lately, in bytes per second, and the share of
// it that was lost. Of the times that end now it takes the one in which most was
// carried, so that a pause does not count; and it takes off what only made the queue
// longer.
func (u *Uplink) carried() (rate, loss float64) {
	last := u.marks[len(u.marks)-1]
	for i := len(u.marks) - 2; i >= 0; i-- {
		m := u.marks[i]
		span := last.at.Sub(m.at)
		if span < uplinkSettle {
			continue
		}
		took := max(span+last.delay-m.delay, span/2).Seconds()
		sent := max(0, float64(last.sent-m.sent))
		lost := min(sent, max(0, float64(last.lost-m.lost)))
		rate = max(rate, (sent-lost)/took)
		if sent > 0 {
			loss = lost / sent // of the whole window, in the end
		}
	}
	return rate, loss
}

// used reports whether the bound was made use of since the last sample, so that the next
// one may be larger. A part of a stream comes all at once, and a moment's use will do.
func (u *Uplink) used(since time.Duration) bool {
	n := len(u.marks)
	return n > 1 && u.rate > 0 && float64(u.marks[n-1].taken-u.marks[n-2].taken) >= uplinkPushed*u.rate*since.Seconds()
}

// pushing reports whether what was carried lately is what the uplink had room for, rather
// than what there was to send.
func (u *Uplink) pushing() bool {
	first, last := u.marks[0], u.marks[len(u.marks)-1]
	room := u.rate * last.at.Sub(first.at).Seconds()
	return !u.fullAt.IsZero() || float64(last.taken-first.taken) >= uplinkPushed*room
}

// cut lowers the bound so that the queue drains.
func (u *Uplink) cut(pressure, carried float64, now time.Time) {
	u.grow = uplinkProbe
	if !u.cutAt.IsZero() && now.Sub(u.cutAt) < uplinkSettle || now.Before(u.calmAt) && pressure <= u.cutFor {
		return // the last one has yet to show
	}
	if u.rate < uplinkDrains*carried && now.Sub(u.cutAt) < uplinkDrained || u.rate > 0 && u.rate < uplinkInVain/2*carried {
		return // it does not yet: what was taken before is on its way out, or it is not chunks
	}
	if u.before == 0 || pressure > 1.1*u.cutFor {
		u.before, u.first = carried, pressure
	} else if carried < uplinkInVain*u.before && pressure > 0.7*u.first {
		u.foreign += pressure
		u.before = 0
		return
	}
	queue := pressure * uplinkTarget.Seconds() // or as much as loss counts for
	by := min(uplinkGentle, max(uplinkDeep, 1-queue))
	if u.pushing() {
		u.full = carried
		if u.rate == 0 || u.rate > carried {
			u.rate = carried
		}
	}
	u.rate = max(uplinkLeast, u.rate*by)
	u.tokens = min(u.tokens, 0)
	u.cutAt, u.cutFor = now, pressure
	drain := time.Duration(queue / (1 - by) * float64(time.Second))
	u.calmAt = now.Add(uplinkSettle + min(drain, uplinkWindow))
}
