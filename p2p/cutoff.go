package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/grapevine-live/grapevine/p2p/schedule"
)

// Misconduct is what no honest peer does, and a reason for which peers are cut off.
type Misconduct string

// See threats.go for what becomes of them.
const (
	Forged      Misconduct = "forged"      // what the stream's key did not sign, directly or by a header's hashes
	Malformed   Misconduct = "malformed"   // no message of ours, or one that is too large
	Replayed    Misconduct = "replayed"    // headers of a time that is long over
	Unsolicited Misconduct = "unsolicited" // chunks that were not asked for
	Withheld    Misconduct = "withheld"    // chunks that were claimed, promised, and never sent
	Unread      Misconduct = "unread"      // answers and chunks that were asked for, and never taken
	Flood       Misconduct = "flood"       // more messages or requests than anybody has use for
	Gossip      Misconduct = "gossip"      // what gossipsub's own rules forbid
)

const (
	// maxFaults is how many of its messages may be refused within faultWindow until a peer is
	// cut off. One would do, as honest nodes pass on nothing that is refused; but memory
	// fails, and nodes of another version may think otherwise of one message.
	maxFaults   = 4
	faultWindow = invalidDecayWindow
	// maxFaulty bounds the peers whose faults are remembered.
	maxFaulty = 4096
	// deafFor is for how long a peer that hears nothing is left alone, the first time.
	deafFor = time.Second
	// challengeTimeout is how long a suspect may take to answer, if that is longer than some round
	// trips. Who takes longer did not hear.
	challengeTimeout = 500 * time.Millisecond
	challengeTrips   = 4
	// cutOffScore puts a peer below every threshold of gossipsub.
	cutOffScore = 10 * graylistThreshold
	// cutOffMessage begins the line that tells of a peer that was cut off. Programs read it:
	// see scripts/fail2ban.
	cutOffMessage = "peer cut off"
)

// faults counts peers' faults.
type faults struct {
	mu     sync.Mutex // guards all following
	peers  map[peer.ID]*fault
	cutOff map[Misconduct]int64
}

type fault struct {
	count int
	since time.Time
}

func newFaults() *faults {
	return &faults{peers: make(map[peer.ID]*fault), cutOff: make(map[Misconduct]int64)}
}

// add notes a fault, and reports whether it was one too many.
func (f *faults) add(id peer.ID, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.peers[id]
	if o == nil || now.Sub(o.since) > faultWindow {
		makeRoom(f.peers, maxFaulty, now, func(o *fault) time.Time { return o.since })
		o = &fault{since: now}
		f.peers[id] = o
	}
	if o.count++; o.count < maxFaults {
		return false
	}
	delete(f.peers, id)
	return true
}

func (f *faults) count(why Misconduct) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cutOff[why]++
}

func (f *faults) counts() map[Misconduct]int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.cutOff)
}

// fault notes that a peer did what no honest peer does, and cuts it off when it has done so
// too often. It reports whether it did that.
func (n *Node) fault(id peer.ID, why Misconduct) bool {
	return n.faults.add(id, time.Now()) && n.cutOff(id, why)
}

// cutOff ends all dealings with a peer for a while: its connections are closed, nothing of it
// is read, and no new ones are made. The first time that one withholds what it has, it may
// connect again, as that looks the same when its network was lost for a while. It reports
// whether that is new.
func (n *Node) cutOff(id peer.ID, why Misconduct) bool {
	addr := n.addrOf(id)
	d := n.gate.bans.add(id, addr, cutOffFor, why != Withheld, time.Now())
	if d == 0 {
		return false
	}
	n.faults.count(why)
	n.newcomers.forget(id)
	from := "unknown" // or a relay's, which is not to blame
	if addr.IsValid() {
		from = addr.String()
	}
	n.log.LogAttrs(n.ctx, slog.LevelWarn, cutOffMessage, slog.String("peer", id.String()), slog.String("addr", from),
		slog.String("reason", string(why)), slog.Duration("for", d))
	n.wg.Go(func() { _ = n.host.Network().ClosePeer(id) }) // it fails only if it is closed already
	return true
}

// challenge finds out whether a peer that does not send what it says that it has and will lies,
// or only hears nothing of what it is asked for, as where a network has failed in one direction.
// Who withholds what it was asked for since it was found to hear, and hears now, is cut off. Of who
// hears otherwise all renditions' exchanges are told. Who does not, and sent nothing for a while, is
// disconnected, and may soon come again: a connection over which it hears can only be a new one.
// One challenge of a peer is under way at a time: what it is suspected of meanwhile comes up again.
func (e *exchange) challenge(id peer.ID, of schedule.Suspicion) {
	if _, ok := e.challenged[id]; ok {
		return
	}
	e.challenged[id] = struct{}{}
	s := e.s
	s.node.wg.Go(func() {
		answered, err := s.node.answers(s.ctx, id, max(challengeTimeout, challengeTrips*s.node.rtt(id)))
		switch {
		case err != nil || s.ctx.Err() != nil || s.node.host.Network().Connectedness(id) == network.NotConnected:
		case answered && of == schedule.Withholds:
			s.cutOff(id, Withheld)
		case !answered && of != schedule.Fails:
			s.node.letGo(id, "the peer does not answer what it is asked")
		}
		// Waits, as it must not be lost.
		_ = s.send(s.ctx, func(now time.Time) {
			delete(e.challenged, id)
			if n, ok := e.numbers[id]; ok && answered && err == nil {
				for _, f := range e.flows {
					f.x.Hears(n, now)
				}
			}
		})
	})
}

// answers reports whether a connected peer answers a ping in time, whatever it answers. It fails if
// this node could not ask.
func (n *Node) answers(ctx context.Context, id peer.ID, patience time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "challenge"), patience)
	defer cancel()
	result := <-ping.Ping(ctx, n.host, id) // nothing when the time is over
	if ctx.Err() != nil {
		return false, nil
	}
	if errors.Is(result.Error, network.ErrResourceLimitExceeded) || errors.Is(result.Error, network.ErrNoConn) {
		return false, fmt.Errorf("ping: %w", result.Error)
	}
	return true, nil
}

// closeDeaf closes the connections to a peer that hears nothing.
func (n *Node) closeDeaf(id peer.ID) {
	n.mu.Lock()
	n.silent++
	n.mu.Unlock()
	_ = n.host.Network().ClosePeer(id) // it fails only if it is closed already
}

// isCutOff reports whether a peer misbehaved a while ago.
func (n *Node) isCutOff(id peer.ID) bool { return n.gate.bans.has(id, time.Now()) }

// heeding returns a validator of gossipsub's that looks at nothing of who is cut off: of a flood, a
// hundred messages may be waiting by the time that the first few are found to be forged.
func (n *Node) heeding(validate pubsub.ValidatorEx) pubsub.ValidatorEx {
	return func(ctx context.Context, from peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
		if from != n.host.ID() && n.isCutOff(from) {
			n.said.drop()
			return pubsub.ValidationIgnore
		}
		return validate(ctx, from, msg)
	}
}

// appScore is gossipsub's own measure of a peer, for all that the score of topics does
// not cover.
func (n *Node) appScore(id peer.ID) float64 {
	if n.isCutOff(id) {
		return cutOffScore
	}
	return 0
}

// inspectScores cuts off whom gossipsub listens to no more by its own rules: who asks to be in
// the mesh again and again, or does not send what it announced.
func (n *Node) inspectScores(scores map[peer.ID]float64) {
	for id, score := range scores {
		if score < graylistThreshold && score > cutOffScore && len(n.host.Network().ConnsToPeer(id)) > 0 {
			n.cutOff(id, Gossip)
		}
	}
}

// fault is [Node.fault], counted for the stream.
func (s *Swarm) fault(id peer.ID, why Misconduct) {
	if s.node.fault(id, why) {
		s.count(func(c *counters) { c.stats.PeersCutOff++ })
	}
}

// cutOff is [Node.cutOff], counted for the stream.
func (s *Swarm) cutOff(id peer.ID, why Misconduct) {
	s.count(func(c *counters) { c.stats.Penalties++ })
	if s.node.cutOff(id, why) {
		s.count(func(c *counters) { c.stats.PeersCutOff++ })
	}
}

// misconduct returns what a refused message's reason stands for.
func misconduct(reason string) Misconduct {
	switch reason {
	case refusedMalformed:
		return Malformed
	case refusedStale:
		return Replayed
	case refusedUnsolicited:
		return Unsolicited
	}
	return Forged
}
