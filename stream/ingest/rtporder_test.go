package ingest

import (
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// Packets come out in order, wherever sequence numbers wrap; what does not come is waited
// for, and counted.
func TestReorderer(t *testing.T) {
	const wait = 100 * time.Millisecond
	type came struct {
		at  time.Duration
		seq uint16
	}
	tests := map[string]struct {
		came []came
		want []uint16 // at the end, two waits after the last
		lost int
	}{
		"in order":    {[]came{{0, 65534}, {1, 65535}, {2, 0}, {3, 1}}, []uint16{65534, 65535, 0, 1}, 0},
		"swapped":     {[]came{{0, 65534}, {1, 0}, {2, 65535}, {3, 1}}, []uint16{65534, 65535, 0, 1}, 0},
		"twice":       {[]came{{0, 5}, {1, 6}, {2, 6}, {3, 5}, {4, 7}}, []uint16{5, 6, 7}, 0},
		"in time":     {[]came{{0, 5}, {1, 7}, {wait, 8}, {wait, 6}}, []uint16{5, 6, 7, 8}, 0},
		"too late":    {[]came{{0, 5}, {1, 8}, {wait + 1, 9}, {wait + 2, 6}, {wait + 3, 10}}, []uint16{5, 8, 9, 10}, 2},
		"never":       {[]came{{0, 5}, {1, 8}, {2, 11}}, []uint16{5, 8, 11}, 4},
		"begins anew": {[]came{{0, 5}, {1, 6}, {2, 40000}, {3, 40001}}, []uint16{5, 6, 40000, 40001}, 0},
	}
	for name, tt := range tests {
		o := reorderer{patience: wait}
		start := time.Unix(0, 0)
		var got []uint16
		lost := 0
		drain := func(now time.Time) {
			for {
				p, n := o.pop(now)
				if p == nil {
					return
				}
				got, lost = append(got, p.SequenceNumber), lost+n
			}
		}
		var last time.Time
		for _, c := range tt.came {
			last = start.Add(c.at)
			o.push(&rtp.Packet{Header: rtp.Header{SequenceNumber: c.seq}}, last)
			drain(last)
		}
		drain(last.Add(2 * wait))
		if !slices.Equal(got, tt.want) || lost != tt.lost {
			t.Errorf("%s: got %v, %d lost", name, got, lost)
		}
		if _, waits := o.deadline(); waits {
			t.Errorf("%s: something is waited for", name)
		}
	}
}

// What is held has a bound.
func TestReordererBound(t *testing.T) {
	o := reorderer{patience: time.Hour}
	now := time.Unix(0, 0)
	o.push(&rtp.Packet{}, now)
	o.pop(now)
	for seq := range 2 * maxHeldPackets {
		o.push(&rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(seq + 2)}}, now)
		for p, _ := o.pop(now); p != nil; p, _ = o.pop(now) {
		}
		if len(o.held) >= maxHeldPackets {
			t.Fatalf("%d packets are held", len(o.held))
		}
	}
}
