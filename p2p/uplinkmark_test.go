package p2p

import (
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// TestWhatIsSentToTheDeafIsNotLostByTheUplink samples a connection that brings nothing for a while.
func TestWhatIsSentToTheDeafIsNotLostByTheUplink(t *testing.T) {
	now := time.Unix(1e9, 0)
	st := quic.ConnectionStats{SmoothedRTT: 50 * time.Millisecond}
	var m connMark
	step := func(sent, lost, acknowledged uint64) (int64, int64) {
		now = now.Add(uplinkEvery)
		st.BytesSent += sent
		st.BytesLost += lost
		st.PacketsReceived++ // whatever it says
		if acknowledged > 0 {
			st.LatestRTT = 50*time.Millisecond + time.Duration(now.UnixNano()%1000)
		}
		st.MeanDeviation += time.Duration(acknowledged)
		return m.observe(st, now)
	}
	for range 10 {
		if sent, lost := step(10_000, 300, 5); sent != 10_000 || lost != 300 {
			t.Fatalf("%d sent, %d lost of what is answered", sent, lost)
		}
		if !m.tells(st, now) {
			t.Fatal("a connection that is answered tells nothing of the uplink")
		}
	}
	for range 10 { // two seconds
		step(5_000, 0, 0)
	}
	if m.tells(st, now) {
		t.Error("a connection that brings nothing for two seconds tells of the uplink")
	}
	if _, lost := step(1_000, 48_000, 1); lost != 0 {
		t.Errorf("%d bytes count as lost by the uplink of those that nobody heard", lost)
	}
	if m.unanswered(st, now) || m.tells(st, now) {
		t.Error("an answer does not count, or does at once")
	}
	if _, lost := step(10_000, 4_000, 5); lost != 2_000 {
		t.Errorf("%d of 4000 bytes count as lost, want those beyond what nobody heard", lost)
	}
	for range 20 {
		step(10_000, 0, 5)
	}
	if _, lost := step(10_000, 2_000, 5); lost != 2_000 {
		t.Errorf("%d of 2000 bytes count as lost, long after that", lost)
	}
	// Nothing to send is no silence.
	for range 20 {
		step(0, 0, 0)
	}
	if !m.tells(st, now) {
		t.Error("a connection that rests is taken as unanswered")
	}
}
