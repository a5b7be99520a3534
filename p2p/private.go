package p2p

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// periodFor is how long a key is in use, and periodLead how long before that it goes out, so
	// that it is everywhere by then. Who is not to have any more keys opens nothing that is
	// published later than both together after it was decided.
	periodFor  = 15 * time.Second
	periodLead = 5 * time.Second
	// newcomersPeriods is of how many periods who enrols gets the keys, the one in use and those
	// before: a player starts three segments back, and some have ten seconds.
	newcomersPeriods = stream.MaxSecrets - 1
	// blockEvery is how soon after a key block another one may follow for those who enrolled
	// meanwhile.
	blockEvery = 100 * time.Millisecond
	// maxEnrolling bounds the enrolments that wait to be answered.
	maxEnrolling = stream.MaxViewers
	// maxAnswers is how often in a period a viewer is given keys: one may be lost.
	maxAnswers = 4
)

// Guests decide who may open a private stream. One goroutine at a time calls it.
type Guests interface {
	// Viewers returns those who may open what is published from now on, at most
	// [stream.MaxViewers].
	Viewers(now time.Time) ([]stream.ViewerID, error)
	// Enrol lets viewers in by invites, and has kept that when it returns; or says of each why
	// not.
	Enrol(asks []Enrolling, now time.Time) ([]stream.Refusal, error)
}

// Enrolling is a viewer that came with an invite.
type Enrolling struct {
	Invite stream.InviteID
	Viewer stream.ViewerID
}

// Private is the broadcaster's side of a private stream: it makes a key for each period, and
// gives it to those who may have it.
type Private struct {
	swarm  *Swarm
	key    stream.Key
	epoch  uint64
	title  string
	guests Guests
	sealer *stream.Sealer
	ring   *stream.Keyring
	asking chan *stream.Enrolment

	// since is when it began, and shown what this machine's clock showed then: key blocks' times
	// follow from these, as those of parts do, whatever the clock is set to meanwhile.
	since, shown time.Time

	mu     sync.Mutex // guards all following
	blocks *Broadcast
	ended  bool

	period  uint64          // in use
	secrets []stream.Secret // of it and of those before, oldest first, as many as newcomers get
	began   time.Time
	next    *stream.Secret // of the period after it, once it has gone out
	nextAt  time.Time      // when that begins
	open    bool           // a segment of key blocks has begun, and not ended
	waiting []Enrolling    // for the next block
	answers map[stream.ViewerID]int
	blockAt time.Time // when the last block went out
	stats   PrivateStats
}

// PrivateStats are the figures of a private stream at its broadcaster.
type PrivateStats struct {
	Period     uint64 // in use
	Viewers    int    // that were given its key
	Enrolled   int64  // enrolments that were granted
	Refused    int64  // enrolments that were not
	Unanswered int64  // enrolments that did not open, or came again and again
}

// Seal joins the stream of the key as its broadcaster, who seals it, and gives out the first key.
// The title is for those who may open the stream. [Private.Run] must be called.
func (n *Node) Seal(ctx context.Context, key stream.Key, epoch uint64, title string, guests Guests) (*Private, error) {
	blocks, err := n.Broadcast(key, stream.KeysRendition, epoch)
	if err != nil {
		return nil, err
	}
	p := &Private{
		swarm:  blocks.swarm,
		key:    key,
		epoch:  epoch,
		title:  title,
		guests: guests,
		sealer: stream.NewSealer(key.ID(), epoch),
		ring:   stream.NewKeyring(key.ID()),
		asking: make(chan *stream.Enrolment, maxEnrolling),
		blocks: blocks,
	}
	if err := p.swarm.openEnrolments(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.since, p.shown = now, n.clock(now)
	if err := p.announceLocked(ctx, now); err != nil {
		return nil, err
	}
	p.nextAt = now // nothing was published yet
	p.switchLocked(now)
	p.swarm.hosting.Store(p)
	return p, nil
}

// Broadcast is [Node.Broadcast] for a rendition that is sealed.
func (p *Private) Broadcast(name string) (*Broadcast, error) {
	b, err := p.swarm.node.Broadcast(p.key, name, p.epoch)
	if err != nil {
		return nil, err
	}
	b.publisher.Seal(p.sealer)
	return b, nil
}

// Keyring returns what opens the stream, for the broadcaster's own player.
func (p *Private) Keyring() *stream.Keyring { return p.ring }

// Stats returns the figures.
func (p *Private) Stats() PrivateStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.stats
	st.Period = p.period
	return st
}

// take takes an enrolment that was verified, or reports false if too many wait.
func (p *Private) take(e *stream.Enrolment) bool {
	select {
	case p.asking <- e:
		return true
	default:
		return false
	}
}

// Run changes keys and answers enrolments until ctx ends.
func (p *Private) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-p.asking:
			p.enlist(e)
		case <-timer.C:
		}
		for len(p.asking) > 0 {
			p.enlist(<-p.asking)
		}
		again, err := p.step(ctx)
		if err != nil && ctx.Err() == nil && !errors.Is(err, errPrivateEnded) {
			// The key in use stays until the next is out: who must not have that one is not
			// given it.
			p.swarm.log.Error("cannot give out keys, trying again", "err", err)
			again = time.Second
		}
		timer.Reset(again)
	}
}

// enlist has a viewer answered in the next block.
func (p *Private) enlist(e *stream.Enrolment) {
	viewer, err := p.key.OpenEnrolled(e)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || p.answers[viewer] >= maxAnswers || len(p.answers) >= 2*stream.MaxViewers {
		p.stats.Unanswered++
		return
	}
	p.answers[viewer]++
	p.waiting = append(p.waiting, Enrolling{e.Invite, viewer})
}

var errPrivateEnded = errors.New("the stream has ended")

// step does what is due, and returns when to look again.
func (p *Private) step(ctx context.Context) (time.Duration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return time.Minute, errPrivateEnded
	}
	now := time.Now()
	if p.next != nil && !now.Before(p.nextAt) {
		p.switchLocked(now)
	}
	if p.next == nil && !now.Before(p.began.Add(periodFor-periodLead)) {
		if err := p.announceLocked(ctx, now); err != nil {
			return 0, err
		}
	}
	if len(p.waiting) > 0 && p.open && !now.Before(p.blockAt.Add(blockEvery)) {
		if err := p.answerLocked(ctx, now, false); err != nil {
			return 0, err
		}
	}
	next := p.began.Add(periodFor - periodLead)
	if p.next != nil {
		next = p.nextAt
	}
	if at := p.blockAt.Add(blockEvery); len(p.waiting) > 0 && at.Before(next) {
		next = at
	}
	return max(0, time.Until(next)), nil
}

// switchLocked has the key that went out used from now on.
func (p *Private) switchLocked(now time.Time) {
	p.sealer.Use(p.period+1, *p.next)
	p.secrets = append(p.secrets, *p.next)
	p.secrets = p.secrets[max(0, len(p.secrets)-newcomersPeriods):]
	p.period, p.began, p.next = p.period+1, now, nil
	p.answers = make(map[stream.ViewerID]int)
}

// announceLocked gives out the next period's key, to all who may have it. A segment of key
// blocks is of a period: it begins with this one.
func (p *Private) announceLocked(ctx context.Context, now time.Time) error {
	// Who is let in now has the next key, too. A second try finds the segment closed.
	if p.open {
		if err := p.answerLocked(ctx, now, true); err != nil {
			return err
		}
		p.open = false
	}
	viewers, err := p.guests.Viewers(p.swarm.node.clock(now))
	if err != nil {
		return fmt.Errorf("who may have the next key: %w", err)
	}
	grants := make([]stream.KeyGrant, len(viewers))
	for i, v := range viewers {
		grants[i].Viewer = v
	}
	next := stream.NewSecret()
	block, err := stream.NewKeyBlock(p.key.ID(), p.epoch, p.period+1, []stream.Secret{next}, p.title, grants)
	if err != nil {
		return err
	}
	if err := p.publishLocked(ctx, stream.Part{StartsSegment: true, Independent: true, Duration: periodFor, Media: stream.Media{Kind: stream.KindKeys}, Data: block}, now); err != nil {
		return err
	}
	p.open = true
	p.next, p.nextAt = &next, time.Now().Add(periodLead) // many wraps take a while
	p.ring.Add(p.epoch, p.period+1, next)
	p.stats.Viewers = len(viewers)
	return nil
}

// answerLocked answers those who wait, in a block that may be the last of its period.
func (p *Private) answerLocked(ctx context.Context, now time.Time, last bool) error {
	asks := p.waiting
	var grants []stream.KeyGrant
	if len(asks) > 0 {
		asks = asks[:min(len(asks), stream.MaxViewers)]
		refusals, err := p.guests.Enrol(asks, p.swarm.node.clock(now))
		if err != nil {
			return fmt.Errorf("let viewers in: %w", err)
		}
		for i, a := range asks {
			grants = append(grants, stream.KeyGrant{Viewer: a.Viewer, Refusal: refusals[i]})
		}
	}
	period, secrets := p.period, slices.Clone(p.secrets)
	if p.next != nil {
		period, secrets = p.period+1, append(secrets, *p.next)
	}
	block, err := stream.NewKeyBlock(p.key.ID(), p.epoch, period, secrets, p.title, grants)
	if err != nil {
		return err
	}
	if err := p.publishLocked(ctx, stream.Part{EndsSegment: last, Independent: true, Data: block}, now); err != nil {
		return err
	}
	p.waiting = p.waiting[len(asks):]
	for _, g := range grants {
		if g.Refusal == 0 {
			p.stats.Enrolled++
		} else {
			p.stats.Refused++
		}
	}
	return nil
}

func (p *Private) publishLocked(ctx context.Context, part stream.Part, now time.Time) error {
	part.ProgramTime = p.shown.Add(now.Sub(p.since))
	if err := p.blocks.Publish(ctx, part); err != nil {
		return fmt.Errorf("publish key block: %w", err)
	}
	p.blockAt = now
	return nil
}

// End publishes that no more keys follow, as [Broadcast.End] does. What is published already
// stays open to who has its keys.
func (p *Private) End(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil
	}
	p.ended = true
	return p.blocks.End(ctx)
}
