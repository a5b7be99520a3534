package p2p

import (
	"time"

	"github.com/quic-go/quic-go"
)

const (
	// unansweredFor is how much longer than some round trips a connection may bring no acknowledgement
	// while something is sent until it tells nothing of the uplink: the other end is gone, or hears
	// nothing.
	unansweredFor   = 400 * time.Millisecond
	unansweredTrips = 3
	// blindFor is for how long after that losses are found that were its, and not the uplink's, and
	// round trips are averaged with those of packets that waited meanwhile.
	blindFor = 3 * time.Second
)

// connMark is what was last seen of a connection.
type connMark struct {
	sent, lost int64
	rtts       [3]time.Duration // which each acknowledgement changes
	heard      time.Time        // when one last came, or nothing had been sent since
	blind      int64            // bytes sent without an answer
	excused    time.Time        // until when what is found to be lost of them does not count
	busy       time.Time        // when it last sent something worth speaking of
	seen       bool             // in this sample
}

// observe takes a sample, and returns how many bytes were sent since the last, and how many were
// found to be lost that the uplink may have lost. What was sent to who did not hear it was not.
func (m *connMark) observe(st quic.ConnectionStats, now time.Time) (sent, lost int64) {
	sent, lost = int64(st.BytesSent)-m.sent, int64(st.BytesLost)-m.lost
	m.sent, m.lost = int64(st.BytesSent), int64(st.BytesLost)
	if sent >= busyBytes {
		m.busy = now
	}
	if m.heard.IsZero() {
		m.heard = now
	}
	// Who is deaf may send. Acknowledgements are not told of, but measure the round trip; those
	// that leave all of it as it was, to the nanosecond, tell of no queue either.
	rtts := [...]time.Duration{st.LatestRTT, st.SmoothedRTT, st.MeanDeviation}
	answered := rtts != m.rtts
	if m.rtts = rtts; answered {
		if m.unanswered(st, now) {
			m.excused = now.Add(blindFor)
		} else if now.After(m.excused) {
			m.blind = 0
		}
		m.heard = now
	} else if sent == 0 && m.blind == 0 {
		m.heard = now
	} else {
		m.blind += sent
	}
	if now.Before(m.excused) {
		excused := min(lost, m.blind)
		m.blind -= excused
		lost -= excused
	}
	return sent, lost
}

// unanswered reports whether nothing came for so long that the other end is gone, or deaf.
func (m *connMark) unanswered(st quic.ConnectionStats, now time.Time) bool {
	return now.Sub(m.heard) > unansweredFor+unansweredTrips*st.SmoothedRTT
}

// tells reports whether a connection's round trips tell of the uplink.
func (m *connMark) tells(st quic.ConnectionStats, now time.Time) bool {
	return !m.unanswered(st, now) && !now.Before(m.excused)
}
