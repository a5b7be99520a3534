package ingest

import "time"

const (
	// skewTolerance is how far sound that is heard already may be from where the sender's
	// reports say it belongs before it is moved: less is not noticed
	// (ITU-R BT.1359: 45 ms), and may be jitter of the reports.
	skewTolerance = 15 * second / 1000
	// maxReportedSkew is above what capture and encoding can make: reports that say more
	// are not of one clock.
	maxReportedSkew = 5 * second
)

// rtpClock turns the RTP timestamps of one track into the ticks that all tracks share.
type rtpClock struct {
	rate int64 // of the timestamps, a second

	started bool
	last    int64 // timestamp, unwrapped
	offset  int64 // of what is shared

	reported bool
	ntp      int64 // of the last sender report, in ticks
	at       int64 // the same moment in this clock's ticks, without offset
}

// unwrap returns the value nearest to the last packet's that ts is modulo 2^32.
func (c *rtpClock) unwrap(ts uint32) int64 {
	if !c.started {
		return int64(ts)
	}
	return c.last + int64(int32(ts-uint32(c.last)))
}

// packet notes that a packet with a timestamp came at at, by which the track is placed
// until a report says better: by the one that was the fastest, of those before the track
// is settled. The first picture takes the longest, by hundreds of milliseconds. It returns
// the timestamp without wraps.
func (c *rtpClock) packet(ts uint32, at time.Time, settled bool) int64 {
	c.last = c.unwrap(ts)
	offset := ticks(time.Duration(at.UnixMicro())*time.Microsecond) - c.scale(c.last)
	if !c.started || !settled && offset < c.offset {
		c.started, c.offset = true, offset
	}
	return c.last
}

// scale returns an unwrapped timestamp in ticks.
func (c *rtpClock) scale(ts int64) int64 {
	return ts/c.rate*second + ts%c.rate*second/c.rate
}

// shared returns the shared time of an unwrapped timestamp.
func (c *rtpClock) shared(ts int64) int64 { return c.scale(ts) + c.offset }

// report notes a sender report (RFC 3550, section 6.4.1): ts is what the track's clock
// showed at the time ntp, seconds since 1900 with 32 binary places.
func (c *rtpClock) report(ntp uint64, ts uint32) {
	if ntp == 0 || !c.started {
		return // the sender has no clock (ibid.), or nothing was sent
	}
	c.reported = true
	c.ntp = int64(ntp>>32)*second + int64(ntp&(1<<32-1)*second>>32)
	c.at = c.scale(c.unwrap(ts))
}

// alignTo moves the track to where its reports, and those of the track that it
// accompanies, say it belongs, if that is further than tolerance. It returns by how much.
func (c *rtpClock) alignTo(leader *rtpClock, tolerance int64) (moved int64) {
	if !c.reported || !leader.reported {
		return 0
	}
	want := leader.at + leader.offset + c.ntp - leader.ntp - c.at
	moved = want - c.offset
	if size := max(moved, -moved); size <= tolerance || size > maxReportedSkew {
		return 0
	}
	c.offset = want
	return moved
}
