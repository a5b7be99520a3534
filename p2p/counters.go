package p2p

import (
	"maps"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Reasons for which a message is refused; see SwarmStats.HeadersRefused.
const (
	refusedForged       = "forged"       // not signed by the stream, or not the chunk that the header describes
	refusedMalformed    = "malformed"    // no message of ours
	refusedStale        = "stale"        // replayed
	refusedAhead        = "ahead"        // from the future
	refusedClock        = "clock"        // of another time than this node's, which knows no better yet
	refusedLate         = "late"         // of the epoch before, still under way
	refusedEquivocation = "equivocation" // another header for a known part
	refusedRevoked      = "revoked"      // signed by a key that the stream's key revoked
	refusedExpired      = "expired"      // signed by a delegate before its time or after it, by this node's clock
	refusedUnsolicited  = "unsolicited"  // a chunk that was not wanted from the peer
)

// maxCountedPeers bounds the peers whose figures a swarm keeps.
const maxCountedPeers = 1024

// counters are a swarm's figures, guarded by the swarm's mutex.
type counters struct {
	stats   SwarmStats
	unknown int64 // messages for which a bound left no room
	peers   map[peer.ID]*PeerStats
	origins recent // payload from HTTP origins
}

func newCounters() counters {
	return counters{stats: SwarmStats{HeadersRefused: map[string]int64{}, OriginFailures: map[string]int64{}}, peers: map[peer.ID]*PeerStats{}}
}

// peer returns the figures of a peer. When there are too many peers, those that
// gave and took least recently are not told apart: an arbitrary one makes room.
func (c *counters) peer(id peer.ID) *PeerStats {
	p := c.peers[id]
	if p == nil {
		if len(c.peers) >= maxCountedPeers {
			for old := range c.peers {
				delete(c.peers, old)
				break
			}
		}
		p = &PeerStats{ID: id}
		c.peers[id] = p
	}
	return p
}

// snapshot returns a copy of the counts, without the peers.
func (c *counters) snapshot() SwarmStats {
	out := c.stats
	out.HeadersRefused = maps.Clone(c.stats.HeadersRefused)
	out.OriginFailures = maps.Clone(c.stats.OriginFailures)
	out.EventsDropped += c.unknown
	out.OriginRate = c.origins.rate(time.Now())
	return out
}
