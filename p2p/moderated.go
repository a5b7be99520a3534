package p2p

import (
	"context"
	"errors"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// maxModerating bounds the moderations that wait to be answered. To answer one takes a read of the
// guests, or a write.
const maxModerating = 64

// takeModeration takes a moderation that was verified, or reports false if too many wait.
func (p *Private) takeModeration(m *stream.SignedModeration) bool {
	select {
	case p.moderating <- m:
		return true
	default:
		return false
	}
}

// moderate does what a moderator asks, and answers. Who is no moderator any more gets no answer: its
// own node knows why as soon as it hears of the revocations.
func (p *Private) moderate(ctx context.Context, m *stream.SignedModeration) {
	now := p.swarm.node.clock(time.Now())
	err := p.swarm.roles.Holds(m.Delegation(), now)
	if err == nil {
		err = p.answerModerator(ctx, m, now)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.stats.Moderated++
		return
	}
	p.stats.Unanswered++
	if ctx.Err() == nil {
		p.swarm.log.Error("cannot answer a moderator", "moderator", m.Moderator(), "err", err)
	}
}

func (p *Private) answerModerator(ctx context.Context, m *stream.SignedModeration, now time.Time) error {
	var answer stream.ModerationAnswer
	if m.Asks() {
		var err error
		if answer.Invited, answer.Total, err = p.guests.Invited(m.From, stream.MaxInvited, now); err != nil {
			return err
		}
	} else {
		v, changed, err := p.guests.Revoke(m.Revoke, m.Moderator(), now)
		switch {
		case errors.Is(err, ErrNoInvite):
			answer.Refusal = stream.RefusedUnknown
		case err != nil:
			return err
		default:
			answer.Invited = []stream.Invited{v}
		}
		if changed {
			p.swarm.log.Warn("a moderator took an invite back", "moderator", m.Moderator(), "invite", v.Name, "viewers", v.Viewers)
		}
	}
	a, err := p.key.Answer(m, answer)
	if err != nil {
		return err
	}
	return p.swarm.sendModeration(ctx, a.Bytes())
}
