package p2p

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// askFirst and askRarest are how long a moderation is left to be answered before it is asked
	// again, at first and at last.
	askFirst  = time.Second
	askRarest = 4 * time.Second
)

var (
	// ErrUnanswered is wrapped when a broadcaster does not answer a moderator: it is off air, cannot be
	// reached, or broadcasts to everybody; or a clock is wrong.
	ErrUnanswered = errors.New("the broadcaster has not answered")
	// ErrNoInvite says that a broadcaster knows no such invite.
	ErrNoInvite = errors.New("the broadcaster knows no such invite")
)

// Moderator is a moderator's side of a private stream, or that of the stream's own key. One goroutine
// at a time calls it.
type Moderator struct {
	swarm *Swarm
	key   stream.Key
	last  time.Time // when the last moderation was issued
}

// Moderate has a key ask the stream's broadcaster. It is that of the stream, or one to which that
// delegated to moderate.
func (s *Swarm) Moderate(key stream.Key) *Moderator { return &Moderator{swarm: s, key: key} }

// Invited returns all invites to the stream, in the order in which they were made. Errors wrap
// [ErrUnanswered] when ctx ends, or [stream.ErrRevoked], [stream.ErrDelegationTime] or
// [stream.ErrDelegationRole] if the key may not ask.
func (m *Moderator) Invited(ctx context.Context) (all []stream.Invited, err error) {
	for len(all) <= stream.MaxViewers {
		a, err := m.ask(ctx, stream.Moderation{From: len(all)})
		if err != nil {
			return nil, err
		}
		all = append(all, a.Invited...)
		if len(a.Invited) == 0 || len(all) >= a.Total {
			break
		}
	}
	return all, nil
}

// Revoke takes an invite back, and returns it as it is then: who came by it is given no more keys, and
// so shut out within 30 s. Errors wrap [ErrNoInvite], or what those of [Moderator.Invited] do.
func (m *Moderator) Revoke(ctx context.Context, invite stream.InviteID) (stream.Invited, error) {
	a, err := m.ask(ctx, stream.Moderation{Revoke: invite})
	if err != nil {
		return stream.Invited{}, err
	}
	if a.Refusal != 0 || len(a.Invited) != 1 || a.Invited[0].Invite != invite {
		return stream.Invited{}, ErrNoInvite
	}
	return a.Invited[0], nil
}

// ask asks, again and again, until there is an answer.
func (m *Moderator) ask(ctx context.Context, what stream.Moderation) (*stream.ModerationAnswer, error) {
	s := m.swarm
	unanswered := func() error { return fmt.Errorf("%w: %w", ErrUnanswered, context.Cause(ctx)) }
	if err := s.roles.Holds(m.key.Delegation(), s.node.clock(time.Now())); err != nil {
		return nil, err
	}
	if !s.awaitNeighbour(ctx) {
		return nil, unanswered()
	}
	if err := s.openModerations(); err != nil {
		return nil, err
	}
	for wait := askFirst; ; wait = min(2*wait, askRarest) {
		answer, err := m.askOnce(ctx, what, wait)
		switch {
		case err != nil:
			return nil, err
		case answer != nil:
			return answer, nil
		case ctx.Err() != nil:
			return nil, unanswered()
		case s.ctx.Err() != nil:
			return nil, ErrClosed
		}
	}
}

// askOnce asks, and waits for so long for an answer; nil for none.
func (m *Moderator) askOnce(ctx context.Context, what stream.Moderation, wait time.Duration) (*stream.ModerationAnswer, error) {
	s := m.swarm
	// What came meanwhile may say that this key was revoked.
	now := s.node.clock(time.Now())
	if err := s.roles.Holds(m.key.Delegation(), now); err != nil {
		return nil, err
	}
	what.Issued = now
	if next := m.last.Add(time.Millisecond); what.Issued.Before(next) {
		what.Issued = next // whoever passes it on takes none that is not later than the last
	}
	asked, key, err := m.key.Moderate(what)
	if err != nil {
		return nil, err
	}
	m.last = asked.Issued
	answers := make(chan *stream.SealedAnswer, 1)
	s.moderations.await(asked.ID(), answers)
	defer s.moderations.await(asked.ID(), nil)
	if err := s.sendModeration(ctx, asked.Bytes()); err != nil {
		if ctx.Err() != nil || s.ctx.Err() != nil {
			return nil, nil
		}
		return nil, fmt.Errorf("ask the broadcaster: %w", err)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case a := <-answers:
		return key.Open(asked, a)
	case <-timer.C:
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
	return nil, nil
}
