package schedule

import (
	"slices"
	"testing"
	"time"
)

func TestOnlyTheDeadAreSilent(t *testing.T) {
	// One string a connection, one letter a second: what went by it.
	const (
		both   = 'b' // packets went both ways
		sent   = 's' // four were sent
		ack    = 'a' // one was sent, which nobody answers
		asleep = 'z' // as both, in a minute
		idle   = '.'
	)
	for _, c := range []struct {
		name  string
		conns []string
		dead  int // second in which the last of the connections is found dead, -1 if it is not
	}{
		{"alive", []string{"bbbbbbbbbbbb", "bbbbbbbbbbbb"}, -1},
		{"dead", []string{"bbbbbbbbbbbb", "bbssssssssss"}, 7},
		{"dead, and less and less is repeated", []string{"bbbbbbbbbbbb", "bbs...s....."}, 7},
		{"answers late", []string{"bbbbbbbbbbbb", "bbssssbsssss"}, -1},
		{"idle", []string{"bbbbbbbbbbbb", "bb.........."}, -1},
		{"idle after an acknowledgement", []string{"bbbbbbbbbbbb", "bba........."}, -1},
		{"spoken to after a long rest", []string{"bbbbbbbbbbbb", "bba......s.b"}, -1},
		{"nobody else is there", []string{"bbssssssssss"}, -1},
		{"this node's network is dead", []string{"bbssssssssss", "bbssssssssss"}, -1},
		{"this node's network was dead", []string{"bbsssssssbbb", "bbssssssss.b"}, -1},
		{"this machine slept", []string{"bbbzbbbbbbbb", "bbsssbbbbbbb"}, -1},
		{"all others are idle", []string{"bb..........", "bbssssssssss"}, -1},
	} {
		var silences Silences[int]
		now, found := start, -1
		counts := make(map[int]PacketCount)
		for k := range c.conns {
			counts[k] = PacketCount{}
		}
		silences.Observe(counts, false, now)
		for second := range c.conns[0] {
			step := time.Second
			for k, conn := range c.conns {
				n := counts[k]
				switch conn[second] {
				case both:
					n.Sent, n.Received = n.Sent+3, n.Received+3
				case sent:
					n.Sent += 4
				case ack:
					n.Sent++
				case asleep:
					step = time.Minute
					n.Sent, n.Received = n.Sent+3, n.Received+3
				case idle:
				}
				counts[k] = n
			}
			now = now.Add(step)
			dead := silences.Observe(counts, false, now)
			if last := len(c.conns) - 1; slices.Contains(dead, last) && found < 0 {
				found = second
			} else if len(dead) > 0 && found != second {
				t.Errorf("%s: in second %d connections %v are dead", c.name, second, dead)
			}
		}
		if found != c.dead {
			t.Errorf("%s: found dead in second %d, want %d", c.name, found, c.dead)
		}
	}
}

func TestTheOnlyPeerIsFoundDeadIfSomebodyElseAnswers(t *testing.T) {
	for _, heard := range []bool{false, true} {
		var silences Silences[int]
		now, sent, found := start, uint64(0), false
		for range 12 {
			sent += 4
			found = found || len(silences.Observe(map[int]PacketCount{1: {Sent: sent}}, heard, now)) > 0
			now = now.Add(time.Second)
		}
		if found != heard {
			t.Errorf("somebody else answers: %t; found dead: %t", heard, found)
		}
	}
}
