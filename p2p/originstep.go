package p2p

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// overdueAfter is when a chunk that a peer says that it has is fetched from an origin.
	// By then both the exchange and, since repairAfter, the fetch protocol had their turn; a
	// player without low latency has three segments in reserve, 3 s at least.
	overdueAfter = 2 * time.Second
	// absentAfter is the same for a chunk that no peer says that it has: in a swarm that the
	// broadcaster feeds, word of each chunk is everywhere before that.
	absentAfter = time.Second
	// turnTime is what each of those who lack such a chunk leaves to the one before it, so
	// that one of them fetches it and the others get it from that one: a request, and a few
	// trips. lastTurn bounds how long a node waits for its turn.
	turnTime = 300 * time.Millisecond
	lastTurn = overdueAfter
	// othersSilence is how long who carries a rendition may say nothing of it until nothing is
	// left to it any more. In a swarm that is not fed nobody has news until somebody had his turn.
	othersSilence = absentAfter + lastTurn
	// originShares is in how many pieces a part is dealt out to those who lack it.
	originShares = 4
	// originSilence is how much longer than usual peers may bring no header until an origin
	// is asked for what follows.
	originSilence = time.Second
	// mostUsual bounds what is taken as usual: an input that comes a segment at a time may
	// bring ten seconds at once. usualFade is how slowly what was usual is forgotten.
	mostUsual = 10 * time.Second
	usualFade = 32
	// joinFromOrigin is how long a node that knows peers leaves the first headers to them.
	joinFromOrigin = subscribeAfter
	// originTimelineEvery is how often, while peers bring no headers, an origin is asked for
	// all renditions and not only for what follows in those that are carried.
	originTimelineEvery = 10 * time.Second
	// maxOriginJobs bounds the requests for chunks under way.
	maxOriginJobs = 8
	// originRest and originRestMost are how long an origin is not asked that failed, at first
	// and at last; originLiarRest of one that sent what the broadcaster did not sign.
	originRest     = 250 * time.Millisecond
	originRestMost = 30 * time.Second
	originLiarRest = time.Minute
)

// origins decides what to fetch from HTTP origins: headers while peers bring none, and
// chunks that are overdue. It belongs to its swarm's loop.
type origins struct {
	s       *Swarm
	list    []*originSource
	since   time.Time     // when there was one first
	heard   time.Time     // when a peer last told a header
	usual   time.Duration // between headers that peers tell, at most
	jobs    int           // requests for chunks under way
	asking  bool          // for a timeline
	asked   time.Time     // for a timeline, last
	follows map[string]bool
}

// originSource is an origin that may be asked.
type originSource struct {
	Origin
	address string
	jobs    int
	headers pause // of requests for headers
	parts   pause // of requests for chunks
}

// pause is how long an origin is left alone.
type pause struct {
	until time.Time
	next  time.Duration // if it fails once more
}

func (p *pause) rests(now time.Time) bool { return now.Before(p.until) }

// fail has it rest for at least as long as given, each time for twice as long.
func (p *pause) fail(least time.Duration, now time.Time) {
	d := max(least, p.next)
	p.next = min(max(2*p.next, originRest), originRestMost)
	p.until = now.Add(d/2 + rand.N(d+1))
}

func newOrigins(s *Swarm) *origins { return &origins{s: s, follows: make(map[string]bool)} }

func (o *origins) add(address string, of Origin) {
	for _, k := range o.list {
		if k.address == address {
			return
		}
	}
	if len(o.list) == 0 {
		o.since = time.Now()
	}
	o.list = append(o.list, &originSource{Origin: of, address: address, headers: pause{next: originRest}, parts: pause{next: originRest}})
}

// close lets go of all origins. The loop has ended.
func (o *origins) close() {
	for _, k := range o.list {
		k.Close()
	}
}

// onPeers notes that a peer told a header, new or not.
func (o *origins) onPeers(now time.Time) {
	if gap := now.Sub(o.heard); !o.heard.IsZero() && gap <= mostUsual {
		o.usual = max(gap, o.usual-o.usual/usualFade)
	}
	o.heard = now
}

// step asks for whatever is due, and returns when to look again at the latest.
func (o *origins) step(now time.Time) time.Duration {
	if len(o.list) == 0 || o.s.node.gate.shut.Load() {
		return time.Second
	}
	if o.silent(now) {
		o.stepHeaders(now)
	}
	o.stepChunks(now)
	return 50 * time.Millisecond
}

// silent reports whether peers bring no headers though there should be some.
func (o *origins) silent(now time.Time) bool {
	switch {
	case o.heard.IsZero() && o.s.repair.firstHeader.IsZero():
		return !o.s.dialer.seeks() || now.Sub(o.since) >= joinFromOrigin
	case o.heard.IsZero():
		return true // all that is known came from an origin
	}
	usual := o.usual
	for _, f := range o.s.exchange.flows {
		if f.rendition == stream.KeysRendition {
			continue // they come seldom
		}
		if newest := o.s.timeline(f.rendition).Newest(); newest != nil {
			usual = max(usual, newest.Duration)
		}
	}
	return now.Sub(o.heard) > usual+originSilence
}

// stepHeaders asks for what follows in the renditions that are carried, and now and then
// for all.
func (o *origins) stepHeaders(now time.Time) {
	last := o.s.repair.lastHeader
	if !o.asking && (last.IsZero() || now.Sub(o.asked) > originTimelineEvery) {
		o.askTimeline(now)
	}
	if last.IsZero() || now.Sub(last) > originTimelineEvery {
		return // what follows would be of the past; a timeline tells of what is now
	}
	for _, f := range o.s.exchange.flows {
		newest := o.s.timeline(f.rendition).Newest()
		if newest != nil && !newest.End && !o.follows[f.rendition] {
			o.askAfter(f.rendition, newest.Position, now)
		}
	}
}

// pick chooses an origin that does not rest: the first of those with least to do.
func (o *origins) pick(now time.Time, of func(*originSource) *pause) (best *originSource) {
	for _, k := range o.list {
		if !of(k).rests(now) && (best == nil || k.jobs < best.jobs) {
			best = k
		}
	}
	return best
}

func (k *originSource) ofHeaders() *pause { return &k.headers }
func (k *originSource) ofParts() *pause   { return &k.parts }

// askTimeline asks for the last segments' headers of all renditions.
func (o *origins) askTimeline(now time.Time) {
	k := o.pick(now, (*originSource).ofHeaders)
	if k == nil {
		return
	}
	o.asking, o.asked = true, now
	o.request(k, func() (int, error) {
		ctx, cancel := context.WithTimeout(o.s.ctx, originTimeout)
		defer cancel()
		raw, err := k.Timeline(ctx, o.s.id)
		if err != nil {
			return 0, err
		}
		return o.s.openOrigin(raw, false)
	}, func(_ int, err error, now time.Time) {
		o.asking = false
		if !o.settle(k, &k.headers, err, now) {
			return
		}
		o.s.repair.joined = true
		for _, f := range o.s.exchange.flows {
			o.s.repair.begin(f, now)
		}
	})
}

// askAfter asks for the headers that follow a part.
func (o *origins) askAfter(rendition string, p stream.Position, now time.Time) {
	k := o.pick(now, (*originSource).ofHeaders)
	if k == nil {
		return
	}
	o.follows[rendition] = true
	o.request(k, func() (int, error) {
		ctx, cancel := context.WithTimeout(o.s.ctx, originTimeout)
		defer cancel()
		raw, err := k.After(ctx, o.s.id, rendition, p)
		if err != nil {
			return 0, err
		}
		return o.s.openOrigin(raw, true)
	}, func(added int, err error, now time.Time) {
		delete(o.follows, rendition)
		if o.settle(k, &k.headers, err, now) && added == 0 {
			k.headers.fail(0, now) // the stream pauses, or it has nothing new
		}
	})
}

// request runs ask beside the loop, and then done on it.
func (o *origins) request(k *originSource, ask func() (int, error), done func(got int, err error, now time.Time)) {
	k.jobs++
	o.s.count(func(c *counters) { c.stats.OriginRequests++ })
	o.s.wg.Go(func() {
		got, err := ask()
		// Waits, as the count of requests must not go wrong.
		_ = o.s.send(o.s.ctx, func(now time.Time) {
			k.jobs--
			done(got, err, now)
		})
	})
}

// settle notes how a request went, and reports whether it went well.
func (o *origins) settle(k *originSource, p *pause, err error, now time.Time) bool {
	if err == nil {
		p.next = originRest
		o.s.node.answered.Store(true)
		return true
	}
	reason, least := originFailure(err)
	if reason == reasonForged {
		k.distrust(least, now)
		o.s.past.distrust(k.address, least, now)
	} else {
		p.fail(least, now)
	}
	o.s.count(func(c *counters) { c.stats.OriginFailures[reason]++ })
	o.s.log.Info("origin failed", "origin", k.address, "reason", reason, "err", err)
	return false
}

// distrust leaves an origin alone that lied.
func (k *originSource) distrust(least time.Duration, now time.Time) {
	k.headers.fail(least, now)
	k.parts.fail(least, now)
}

// distrust leaves an origin alone that lied about the past.
func (o *origins) distrust(address string, least time.Duration, now time.Time) {
	for _, k := range o.list {
		if k.address == address {
			k.distrust(least, now)
		}
	}
}

// Reasons for which a request of an origin failed; others are the origin's own, see
// SwarmStats.OriginFailures.
const (
	reasonForged  = "forged"
	reasonFailed  = "failed"
	reasonMissing = "missing"
)

// originFailure names the kind of failure of a request, and says for how long the origin is
// not to be asked at least.
func originFailure(err error) (reason string, least time.Duration) {
	var told interface{ Reason() string }
	var waits interface{ Wait() time.Duration }
	switch {
	case restAfter(err) == liarRest:
		return reasonForged, originLiarRest
	case errors.As(err, &told):
		reason = told.Reason()
	default:
		reason = reasonFailed
	}
	if errors.As(err, &waits) {
		least = waits.Wait()
	}
	return reason, least
}

// stepChunks asks for chunks that are overdue.
func (o *origins) stepChunks(now time.Time) {
	for _, f := range o.s.exchange.flows {
		if o.jobs >= maxOriginJobs {
			return
		}
		due := o.due(f, now)
		for _, h := range f.x.Overdue(maxOriginJobs-o.jobs, due, now) {
			k := o.pick(now, (*originSource).ofParts)
			if k == nil {
				return
			}
			o.askChunks(k, f, h, now)
		}
	}
}

// askChunks asks for what is overdue of a part: from the first such chunk to the last if
// seven of eight between are, too, else for the first of them that follow each other.
func (o *origins) askChunks(k *originSource, f *flow, h schedule.Hole, now time.Time) {
	header := f.headers[h.Part].header
	n := len(header.Chunks)
	from, to := 0, n
	for !h.Want.Get(from) {
		from++
	}
	for !h.Want.Get(to - 1) {
		to--
	}
	if 8*h.Want.Count() < 7*(to-from) {
		for to = from + 1; h.Want.Get(to); to++ {
		}
	}
	want := stream.NewBitmap(n)
	for i := from; i < to; i++ {
		if h.Want.Get(i) {
			want.Set(i)
		}
	}
	holes := []schedule.Hole{{Part: h.Part, Want: want}}
	f.x.Divert(holes, now)
	o.jobs++
	o.request(k, func() (int, error) {
		ctx, cancel := context.WithTimeout(o.s.ctx, originTimeout)
		defer cancel()
		return o.s.fetchOrigin(ctx, k, header, from, to, func(c stream.Chunk) error {
			return o.s.send(ctx, func(now time.Time) { o.s.exchange.onOriginChunk(c, now) })
		})
	}, func(_ int, err error, now time.Time) {
		o.jobs--
		o.settle(k, &k.parts, err, now)
		f.x.Fetched(schedule.Origin, holes, true)
	})
}

// due returns when chunks of a rendition are overdue: at once if there is no peer to have
// them from, and none that told of them a moment ago.
func (o *origins) due(f *flow, now time.Time) func(pos stream.Position, i, n int, told, late bool) time.Duration {
	others := o.others(f, now)
	if len(others) == 0 && o.silent(now) {
		return func(stream.Position, int, int, bool, bool) time.Duration { return 0 }
	}
	self := o.s.node.host.ID()
	type share struct {
		stream.Position
		of int
	}
	turns := make(map[share]time.Duration)
	return func(pos stream.Position, i, n int, told, late bool) time.Duration {
		if told {
			return overdueAfter
		}
		s := share{pos, i * originShares / n}
		turn, ok := turns[s]
		if !ok {
			own := lot(self, pos, s.of)
			for _, id := range others {
				if lot(id, pos, s.of) < own {
					turn += turnTime
				}
			}
			turns[s] = min(turn, lastTurn)
		}
		if late {
			return overdueAfter + turns[s]
		}
		return absentAfter + turns[s]
	}
}

// others returns the connected peers that carry a rendition and spoke of it lately.
func (o *origins) others(f *flow, now time.Time) (ids []peer.ID) {
	for id := range o.s.holdersOf(f.rendition) {
		if n, ok := o.s.exchange.numbers[id]; ok && f.x.Silence(n, now) > othersSilence {
			continue
		}
		if !o.s.node.isCutOff(id) && o.s.node.host.Network().Connectedness(id) == network.Connected {
			ids = append(ids, id)
		}
	}
	return ids
}

// lot is what orders those who lack a share of a part: all draw the same for each.
func lot(id peer.ID, p stream.Position, share int) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(marshalPosition(p)) // it never fails
	_, _ = h.Write([]byte{byte(share)})
	_, _ = h.Write([]byte(id))
	return h.Sum64()
}
