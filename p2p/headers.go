package p2p

import (
	"context"
	"errors"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

// validateHeader is gossipsub's validator for headers: nothing is passed on that the
// stream's key, or one to which it delegates, did not sign or that is not new and timely. It rejects, which costs
// the sender score, what no honest peer sends, and ignores the rest: an honest peer
// may have been first to see the other half of an equivocation, or have another clock.
func (s *Swarm) validateHeader(_ context.Context, from peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
	if from == s.node.host.ID() {
		return pubsub.ValidationAccept // signed and added a moment ago, see Broadcast
	}
	if stream.AreRevocations(msg.Data) {
		return s.validateRevocations(from, msg.Data)
	}
	h, err := s.roles.OpenHeader(msg.Data)
	if err == nil {
		err = s.admit(h, true)
	}
	switch {
	case err == nil:
		return pubsub.ValidationAccept
	case errors.Is(err, stream.ErrRevoked):
		s.post(from, func(now time.Time) { s.tellRevocations(from, now) })
	case errors.Is(err, stream.ErrKnown):
		s.note(s.origins.onPeers)
		return pubsub.ValidationIgnore // came by fetch, or from an origin, before
	case errors.Is(err, stream.ErrEquivocation) && s.dispute(h):
		s.countRefusedHeader(from, refusedEquivocation)
		return pubsub.ValidationAccept // as evidence
	}
	return s.refuseHeader(from, err)
}

// validateRevocations is validateHeader for revocations, which travel the same way. Those that are
// known go no further.
func (s *Swarm) validateRevocations(from peer.ID, raw []byte) pubsub.ValidationResult {
	news, err := s.takeRevocations(raw)
	switch {
	case err != nil:
		return s.refuseHeader(from, err)
	case news:
		return pubsub.ValidationAccept
	}
	return pubsub.ValidationIgnore
}

// refuseHeader counts what is refused, and says whether its sender is penalised.
func (s *Swarm) refuseHeader(from peer.ID, err error) pubsub.ValidationResult {
	reason, penalty := refusal(err)
	s.countRefusedHeader(from, reason)
	s.log.Debug("header refused", "peer", from, "reason", reason, "err", err)
	if penalty {
		s.count(func(c *counters) { c.stats.Penalties++ })
		s.fault(from, misconduct(reason))
		return pubsub.ValidationReject // which lowers the score
	}
	return pubsub.ValidationIgnore
}

// refuseWholeMessages is gossipsub's validator for chunks, which travel as partial
// messages only.
func refuseWholeMessages(context.Context, peer.ID, *pubsub.Message) pubsub.ValidationResult {
	return pubsub.ValidationReject
}

// refusal names the reason for which a header is refused, and says whether its sender
// must have known better.
func refusal(err error) (reason string, penalty bool) {
	switch {
	case errors.Is(err, stream.ErrForged), errors.Is(err, stream.ErrRevocationsForged):
		return refusedForged, true
	case errors.Is(err, stream.ErrRevoked):
		return refusedRevoked, false // its sender need not have heard
	case errors.Is(err, stream.ErrDelegationTime):
		return refusedExpired, false
	case errors.Is(err, stream.ErrStale):
		return refusedStale, true
	case errors.Is(err, stream.ErrAhead):
		return refusedAhead, false
	case errors.Is(err, stream.ErrClock):
		return refusedClock, false
	case errors.Is(err, stream.ErrLate):
		return refusedLate, false
	case errors.Is(err, stream.ErrEquivocation):
		return refusedEquivocation, false
	default: // what this node fails at is nobody's fault
		return refusedMalformed, errors.Is(err, stream.ErrMalformed) || errors.Is(err, stream.ErrBadRevocations)
	}
}

func (s *Swarm) countRefusedHeader(from peer.ID, reason string) {
	s.count(func(c *counters) {
		c.stats.HeadersRefused[reason]++
		c.peer(from).Refused++
	})
}

// admit adds a verified header to its timeline and tells the loop. Gossiped headers
// must be fresh, fetched ones may be of the past.
func (s *Swarm) admit(h *stream.SignedHeader, gossiped bool) error {
	r, err := s.rendition(h.Rendition)
	if err != nil {
		return err
	}
	if h.Rendition == stream.KeysRendition && !s.viewing.Load() {
		if err := s.openEnrolments(); err != nil {
			return err
		}
	}
	now := time.Now()
	if gossiped {
		if err := r.timeline.Fresh(h, now); err != nil {
			return err
		}
	}
	if s.foreign(r, h) {
		return errForeign
	}
	if err := r.timeline.Add(h, now); err != nil {
		return err
	}
	s.count(func(c *counters) { c.stats.HeadersReceived++ })
	s.note(func(now time.Time) { s.onHeader(h, !gossiped, now) })
	return nil
}

// onHeader runs on the loop.
func (s *Swarm) onHeader(h *stream.SignedHeader, fetched bool, now time.Time) {
	s.repair.onHeader(now)
	s.origins.onPeers(now)
	s.exchange.onHeader(h, s.repair.wants(h, fetched, now), fetched, false, now)
}
