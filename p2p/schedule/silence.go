package schedule

import "time"

const (
	// deadAfter is how long a peer may answer nothing of what is sent to it until it is
	// taken as dead. A phone that changes its network is back sooner.
	deadAfter = 5 * time.Second
	// deadPackets is how many packets it must have left unanswered before that time begins:
	// one or two may be acknowledgements, which nobody answers.
	deadPackets = 4
	// longestLook bounds the time that one sample stands for: nothing is known of the time
	// that a machine slept.
	longestLook = 2 * time.Second
)

// Silences finds the connections whose other ends died without a word, long before QUIC's
// idle timeout of half a minute. K names a connection. The zero value is ready for use.
//
// A live peer acknowledges what it gets within a round trip, whatever else it has to do. As
// this node's own network may be what is dead, only the time counts in which any other peer
// was heard, and only what was sent then.
type Silences[K comparable] struct {
	conns map[K]*unanswered
	at    time.Time // of the last sample
}

// PacketCount is what a connection carried since it was opened.
type PacketCount struct{ Sent, Received uint64 }

// unanswered is what went by a connection since something came by it.
type unanswered struct {
	PacketCount
	packets uint64
	lasts   time.Duration
}

// Observe takes a sample of all connections, and returns those to the dead. heard tells that
// somebody answered since the last sample who is not among them.
func (s *Silences[K]) Observe(all map[K]PacketCount, heard bool, now time.Time) (dead []K) {
	since := min(longestLook, now.Sub(s.at))
	s.at = now
	for k, c := range all {
		last := s.conns[k]
		heard = heard || last != nil && c.Received > last.Received
	}
	next := make(map[K]*unanswered, len(all))
	for k, c := range all {
		last := s.conns[k]
		switch {
		case last == nil || c.Received > last.Received:
			last = &unanswered{}
		case heard:
			if last.packets >= deadPackets {
				last.lasts += since
			}
			last.packets += c.Sent - last.Sent
		}
		last.PacketCount = c
		if last.lasts >= deadAfter {
			dead = append(dead, k)
			continue // once is enough: it takes a moment to close
		}
		next[k] = last
	}
	s.conns = next
	return dead
}
