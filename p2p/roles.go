package p2p

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// tellAgain is how soon a peer is told the revocations again that still passes on what they
	// forbid, and maxTold bounds the peers of which that is remembered.
	tellAgain = time.Minute
	maxTold   = 1024
)

// RevocationKeeper keeps streams' revocations for a node's next run. What it returns is checked. It
// is called from several goroutines.
type RevocationKeeper interface {
	// RecallRevocations returns what was kept of a stream last, nil for nothing.
	RecallRevocations(id stream.ID) ([]byte, error)
	// KeepRevocations keeps what is newer.
	KeepRevocations(l *stream.Revocations) error
}

// recallRevocations begins with the revocations of an earlier run.
func (s *Swarm) recallRevocations() {
	keeper := s.node.cfg.Revocations
	if keeper == nil {
		return
	}
	raw, err := keeper.RecallRevocations(s.id)
	if err == nil && raw != nil {
		var l *stream.Revocations
		if l, err = stream.OpenRevocations(s.id, raw); err == nil {
			s.roles.Adopt(l)
		}
	}
	if err != nil {
		s.log.Warn("cannot recall revocations", "err", err)
	}
}

// takeRevocations takes revocations that came from outside, and reports whether they were news,
// which are to be passed on. Errors are about bytes that no honest peer sends.
func (s *Swarm) takeRevocations(raw []byte) (news bool, err error) {
	l, err := stream.OpenRevocations(s.id, raw)
	if err != nil {
		return false, err
	}
	return s.adopt(l), nil
}

// adopt heeds revocations from now on, and reports whether they were news.
func (s *Swarm) adopt(l *stream.Revocations) bool {
	if !s.roles.Adopt(l) {
		return false
	}
	s.log.Warn("the stream's key revoked delegations", "issue", l.Issue, "keys", len(l.Keys))
	s.mu.Lock()
	if s.roles.Revoked(s.advertised.Delegation()) != nil {
		s.advertised = stream.Origins{} // this node's link names them no more
	}
	s.mu.Unlock()
	s.leaveDistrusted()
	if keeper := s.node.cfg.Revocations; keeper != nil {
		if err := keeper.KeepRevocations(l); err != nil {
			s.log.Warn("cannot keep revocations", "err", err)
		}
	}
	return true
}

// spreadRevocations passes revocations on that did not come by gossip.
func (s *Swarm) spreadRevocations(raw []byte) {
	s.mu.Lock()
	topic := s.topic
	s.mu.Unlock()
	if topic == nil {
		return // joiners exchange them with whom they ask
	}
	if err := topic.Publish(s.ctx, raw); err != nil && s.ctx.Err() == nil {
		s.log.Warn("cannot pass revocations on", "err", err)
	}
}

// tellRevocations tells a peer that passes on what is revoked why that is refused, once in a while.
// It runs on the loop.
func (s *Swarm) tellRevocations(id peer.ID, now time.Time) {
	l := s.roles.Revocations()
	s.mu.Lock()
	at, told := s.told[id]
	due := l != nil && s.ctx.Err() == nil && (!told || now.Sub(at) >= tellAgain)
	if due {
		if len(s.told) >= maxTold {
			clear(s.told)
		}
		s.told[id] = now
	}
	s.mu.Unlock()
	if !due {
		return
	}
	s.wg.Go(func() {
		if f := s.fetch(id, fetchRequest{stream: s.id, revocations: l.Bytes()}, nil); f.err != nil {
			s.log.Debug("revocations not told", "peer", id, "err", f.err)
		}
	})
}

// ErrLinkRevoked is wrapped when a stream is to be joined by a link that names relays or origins,
// signed by a key that was revoked.
var ErrLinkRevoked = errors.New("who signed its link was revoked")

// ErrOldRevocations says that newer revocations are known than those that were to be published.
var ErrOldRevocations = errors.New("newer revocations of the stream are known already")

// Revoke has the swarm heed revocations, tells all connected peers that hold the stream, and
// returns how many of those say that they heed them, or newer ones. Errors wrap
// [ErrOldRevocations]; that no peer heard is none.
func (s *Swarm) Revoke(l *stream.Revocations) (heard int, err error) {
	if l.Stream != s.id {
		return 0, fmt.Errorf("revocations of %s for the stream %s", l.Stream.Short(), s.id.Short())
	}
	if known := s.roles.Revocations(); known != nil && known.Issue > l.Issue {
		return 0, ErrOldRevocations
	}
	s.adopt(l)
	s.spreadRevocations(l.Bytes())
	var asking sync.WaitGroup
	var answered atomic.Int64
	for _, id := range s.holders() {
		asking.Go(func() {
			f := s.fetch(id, fetchRequest{stream: s.id, revocations: l.Bytes()}, nil)
			if f.err == nil && f.issue >= l.Issue {
				answered.Add(1)
			}
		})
	}
	asking.Wait() // each request has its bounds
	return int(answered.Load()), nil
}

// Revocations returns the newest revocations of the stream that this node knows, nil for none.
func (s *Swarm) Revocations() *stream.Revocations { return s.roles.Revocations() }
