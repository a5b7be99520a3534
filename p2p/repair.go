package p2p

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/quic-go/quic-go"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// joinSegments is how many of the last whole segments a joiner fetches: enough for
	// a playlist that any player starts from at once, and one to spare.
	joinSegments = 4
	// joinGrace is how long after the first header a joiner still asks new peers what came
	// before it.
	joinGrace = 5 * time.Second
	// repairAfter is when chunks of a part whose header came by gossip, but that no
	// neighbour delivers, are fetched.
	repairAfter = 1500 * time.Millisecond
	// gapAfter is how long a missing header may be under way before it is fetched.
	gapAfter = time.Second
	// stallAfter is how long after the newest part should have been followed by the
	// next the timeline is fetched, in case this node is cut off.
	stallAfter = 1500 * time.Millisecond
	// timelineEvery and timelineRarest are how often timelines are asked for, first
	// and, while nothing new is learned, at last.
	timelineEvery  = 500 * time.Millisecond
	timelineRarest = 10 * time.Second
	// maxTimelineAsks bounds the timeline requests under way, which is how many
	// neighbours a joiner asks at once.
	maxTimelineAsks = 3
	// maxJobs and maxJobsPeer bound the chunk requests under way, in all and to a peer.
	maxJobs     = 8
	maxJobsPeer = 2
	// pressedJobs is instead of maxJobs for parts of the past while live ones are late: who was away, and
	// is back by lossy paths, would fetch half a minute of them, and have none of the live ones in time.
	pressedJobs = 1
	// maxJobBytes bounds what one request asks for. Several peers share a gap that is
	// larger than leastJobBytes for each.
	maxJobBytes   = 1 << 20
	leastJobBytes = 64 << 10
	// maxFetches is how often a chunk is fetched in vain before it is left to gossip.
	maxFetches = 8
	// peerRest is how long a peer that failed a request is not asked again.
	peerRest = 3 * time.Second
	// busyRest is how long one is not asked again that refused a request, as it had too many.
	busyRest = 250 * time.Millisecond
	// liarRest is how long one is not asked again that sent what no honest peer sends.
	liarRest = invalidDecayWindow
)

// repair decides what to fetch: timelines when joining or cut off, chunks of holes.
// It belongs to its swarm's loop.
type repair struct {
	s       *Swarm
	floor   map[string]stream.Position // by rendition: nothing before it is wanted
	joining map[string]time.Time       // renditions of which more may be wanted, since when
	peers   map[peer.ID]*source
	jobs    int // chunk requests under way
	past    int // of those, for parts of the past first of all
	asks    int // timeline requests under way

	introductions introductions

	nextTimeline time.Time     // when timelines may be asked for again
	interval     time.Duration // from that time on
	firstHeader  time.Time     // when the first header was added
	lastHeader   time.Time     // when the last header was added
	began        time.Time     // when this node did
	roused       bool          // timelines were asked for sooner since then
	gapSince     time.Time     // since when a header is missing; zero if none is
	joined       bool          // a peer answered with its timeline
}

// source is a peer that may be asked.
type source struct {
	holds bool // subscribed to the stream, or answered with some of it
	asked bool // for its timeline, when it was new
	jobs  int
	rest  time.Time // not to be asked before
	got   int       // chunks fetched from it
}

func newRepair(s *Swarm) *repair {
	r := &repair{
		s:        s,
		floor:    make(map[string]stream.Position),
		joining:  make(map[string]time.Time),
		peers:    make(map[peer.ID]*source),
		interval: timelineEvery,
	}
	r.introductions = introductions{r: r, interval: introduceFirst}
	return r
}

func (r *repair) source(id peer.ID) *source {
	p := r.peers[id]
	if p == nil {
		p = &source{}
		r.peers[id] = p
	}
	return p
}

// onSubscriber notes whether a peer holds the stream.
func (r *repair) onSubscriber(id peer.ID, joined bool, now time.Time) {
	if !joined {
		r.lost(id, now)
		return
	}
	p := r.source(id)
	p.holds = true
	r.greet(id, p, now)
}

// onIdentified notes that a peer that speaks the fetch protocol was connected.
func (r *repair) onIdentified(id peer.ID, now time.Time) { r.greet(id, r.source(id), now) }

// young reports whether this node still has to learn what came before it joined.
func (r *repair) young(now time.Time) bool {
	return !r.s.publishing() && !r.joined && (r.firstHeader.IsZero() || now.Sub(r.firstHeader) < joinGrace)
}

// greet asks a new peer for its timeline as long as this node is young. So it does if this node hears
// nothing new, but for one request that is left for those that it knows.
func (r *repair) greet(id peer.ID, p *source, now time.Time) {
	asks := maxTimelineAsks
	if !r.young(now) {
		if asks--; !r.silent(now) || now.Before(p.rest) {
			return
		}
	}
	if !p.asked && r.asks < asks {
		p.asked = true
		r.askTimeline(id, p, now)
	}
}

func (r *repair) onGone(id peer.ID, now time.Time) {
	r.lost(id, now)
	delete(r.peers, id)
}

// lost notes that a peer holds the stream no more.
func (r *repair) lost(id peer.ID, now time.Time) {
	if p := r.peers[id]; p != nil && p.holds {
		p.holds = false
		r.introductions.hasten(now) // others may have to take its place
	}
}

// onHeader notes progress.
func (r *repair) onHeader(now time.Time) {
	r.revived(now)
	r.lastHeader, r.roused = now, false
	if r.firstHeader.IsZero() {
		r.firstHeader = now
	}
}

// wants reports whether the chunks of a part are wanted: those of carried renditions from
// where this node joined on, unless they are too old to be played by anybody at the live
// edge. Gossip's first header tells where that is, or else begin.
func (r *repair) wants(h *stream.SignedHeader, fetched bool, now time.Time) bool {
	if r.s.exchange.flow(h.Rendition) == nil || r.old(h) {
		return false
	}
	floor, ok := r.floor[h.Rendition]
	if !ok {
		if fetched {
			return false // there may be newer ones in the same answer
		}
		floor = segmentOf(h)
		r.floor[h.Rendition], r.joining[h.Rendition] = floor, now
	}
	return h.Position.Compare(floor) >= 0
}

// leave forgets a rendition that is carried no more. If it is again, it begins anew.
func (r *repair) leave(rendition string) {
	delete(r.floor, rendition)
	delete(r.joining, rendition)
}

// old reports whether a part is too old to be played by anybody at the live edge.
func (r *repair) old(h *stream.SignedHeader) bool {
	newest := r.s.timeline(h.Rendition).Newest()
	return newest.ProgramTime.Sub(h.ProgramTime) > exchangeTTL
}

// step asks for whatever is due, and returns when to look again at the latest.
func (r *repair) step(now time.Time) time.Duration {
	r.stepStarved(now)
	r.stepTimeline(now)
	r.stepJoin(now)
	r.introductions.step(now)
	r.stepChunks(now)
	if r.s.publishing() {
		return time.Second
	}
	return 100 * time.Millisecond
}

// stepTimeline asks a peer for headers when some are missing or none come.
func (r *repair) stepTimeline(now time.Time) {
	if r.s.publishing() || now.Before(r.nextTimeline) || r.asks >= maxTimelineAsks || !r.behind(now) {
		return
	}
	id, p := r.pickHeard(now, nil, nil)
	if p == nil {
		return
	}
	r.askTimeline(id, p, now)
	// Less and less often while it does not help, with jitter so that a swarm whose
	// broadcaster fell silent does not ask in step.
	r.interval = min(2*r.interval, timelineRarest)
	r.nextTimeline = now.Add(r.interval/2 + rand.N(r.interval))
}

// behind reports whether headers are missing.
func (r *repair) behind(now time.Time) bool {
	known, anyGap := false, false
	for _, t := range r.s.Timelines() {
		newest := t.Newest()
		if newest == nil {
			continue // all that came was refused
		}
		known = true
		if !newest.End && now.Sub(r.lastHeader) > stallAfter+newest.Duration {
			return true
		}
		_, gap := r.firstGap(t)
		anyGap = anyGap || gap
	}
	if !anyGap {
		r.gapSince = time.Time{}
	} else if r.gapSince.IsZero() {
		r.gapSince = now
	}
	return !known || anyGap && now.Sub(r.gapSince) >= gapAfter
}

// firstGap returns the position after which the first header is missing that this
// node wants, or else the newest. It raises the floor to where chunks are still wanted.
func (r *repair) firstGap(t *stream.Timeline) (after stream.Position, gap bool) {
	after, ok := r.floor[t.Rendition()]
	headers := t.From(after)
	if !ok || len(headers) == 0 {
		return after, false
	}
	newest := headers[len(headers)-1]
	var last *stream.SignedHeader
	for _, h := range headers {
		// What is missing before a header as old as that is wanted no more.
		if old := newest.ProgramTime.Sub(h.ProgramTime) > exchangeTTL; old {
			r.floor[t.Rendition()] = h.Position
		} else if h.Position != after && !next(h, last) {
			return after, true
		}
		last, after = h, h.Position
	}
	return after, false
}

// next reports whether nothing is missing between two headers of a timeline; last may
// be nil.
func next(h, last *stream.SignedHeader) bool {
	switch {
	case last == nil || h.Epoch != last.Epoch:
		return h.Segment == 0 && h.Part == 0 // of the end of last's epoch nobody can say
	case h.End && !last.Last:
		return h.Segment == last.Segment+1 // which was cut short
	default:
		return h.Follows(&last.Header)
	}
}

// pick chooses a peer to ask: one that holds the stream and rests neither from failure
// nor, if for chunks, has requests enough; those with least to do first. If only is not
// nil, it must be in it.
func (r *repair) pick(now time.Time, only map[peer.ID]struct{}, avoid []peer.ID) (peer.ID, *source) {
	var best peer.ID
	var found *source
	ids := make([]peer.ID, 0, len(r.peers))
	for id := range r.peers {
		ids = append(ids, id)
	}
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	for _, id := range ids {
		p := r.peers[id]
		if _, ok := only[id]; only != nil && !ok {
			continue
		}
		if !p.holds || now.Before(p.rest) || p.jobs >= maxJobsPeer || slices.Contains(avoid, id) {
			continue
		}
		if found == nil || p.jobs < found.jobs {
			best, found = id, p
		}
	}
	return best, found
}

// askTimeline asks a peer for the headers that this node lacks.
func (r *repair) askTimeline(id peer.ID, p *source, now time.Time) {
	req := &timelineRequest{segments: joinSegments + 1}
	if timelines := r.s.Timelines(); len(timelines) == 1 && timelines[0].Newest() != nil && !r.young(now) {
		after, _ := r.firstGap(timelines[0])
		req = &timelineRequest{rendition: timelines[0].Rendition(), from: after}
	}
	r.askHeaders(id, p, req)
}

// askHeaders asks a peer for headers, and for the peers that it tells of with them.
func (r *repair) askHeaders(id peer.ID, p *source, timeline *timelineRequest) {
	req := fetchRequest{stream: r.s.id, timeline: timeline}
	if l := r.s.roles.Revocations(); l != nil {
		req.revocations = l.Bytes()
	}
	r.asks++
	r.s.wg.Go(func() {
		result := r.s.fetch(id, req, nil)
		// Waits, as the count of requests must not go wrong.
		_ = r.s.send(r.s.ctx, func(now time.Time) {
			r.asks--
			if result.headers > 0 {
				p.holds, r.joined = !r.s.node.limited(id), true
			} else {
				p.asked = false // it may know more another time
				if !r.young(now) {
					p.rest = now.Add(peerRest)
				}
			}
			if result.added > 0 {
				r.interval = timelineEvery
				r.nextTimeline = now.Add(timelineEvery)
			}
			for _, f := range r.s.exchange.flows {
				r.begin(f, now)
			}
			if result.err != nil {
				p.rest = now.Add(restAfter(result.err))
				r.s.log.Debug("timeline not fetched", "peer", id, "err", result.err)
			}
			if r.s.dialer.add(result.peers) > 0 {
				r.introductions.hasten(now)
			}
		})
	})
}

// restAfter returns how long a peer is not asked again after err, nil if it had nothing.
func restAfter(err error) time.Duration {
	for _, lie := range []error{errWire, stream.ErrBadChunk, stream.ErrForged, stream.ErrMalformed, stream.ErrRevocationsForged, stream.ErrBadRevocations} {
		if errors.Is(err, lie) {
			return liarRest
		}
	}
	if busy(err) || cut(err) {
		return busyRest
	}
	return peerRest
}

// cut reports whether a request failed because its connection was lost: the peer may have
// been restarted, and be back at once.
func cut(err error) bool {
	var restarted *quic.StatelessResetError
	var closed *quic.ApplicationError
	var silent *quic.IdleTimeoutError
	return errors.As(err, &restarted) || errors.As(err, &closed) || errors.As(err, &silent)
}

// busy reports whether a peer refused a request because it had too many.
func busy(err error) bool {
	var reset *network.StreamError
	return errors.As(err, &reset) && reset.Remote && reset.ErrorCode == network.StreamRateLimited
}

// stepChunks asks peers for chunks that gossip does not bring.
func (r *repair) stepChunks(now time.Time) {
	limits := schedule.HoleLimits{After: repairAfter, Bytes: maxJobBytes, Parts: maxFetchParts, Fetches: maxFetches}
	for _, f := range r.s.exchange.flows {
		r.s.exchange.giveUpOld(f)
		if r.jobs >= maxJobs {
			continue
		}
		all, _, _ := f.x.Holes(limits, now)
		if len(all) == 0 {
			continue
		}
		share := limits
		share.Bytes = r.share(f, all, now)
		pressed := !r.young(now) && f.x.Pressed(now)
		for r.jobs < maxJobs {
			share.NoPast = pressed && r.past >= pressedJobs
			holes, has, failed := f.x.Holes(share, now)
			if len(holes) == 0 {
				break
			}
			id, p := r.pickHolder(f, r.s.exchange.idsOf(has), r.s.exchange.idsOf(failed), now)
			if p == nil {
				break // another rendition has other holders
			}
			r.askChunks(id, p, f, holes, now)
		}
	}
}

// share returns how many bytes of holes one request may ask for, so that all peers that may
// be asked for them share the work.
func (r *repair) share(f *flow, holes []schedule.Hole, now time.Time) int {
	size, peers := 0, 0
	for _, h := range holes {
		size += h.Want.Count() * int(f.headers[h.Part].header.ChunkSize)
	}
	holders := r.s.holdersOf(f.rendition)
	for id, p := range r.peers {
		if _, ok := holders[id]; p.holds && (ok || holders == nil) && !now.Before(p.rest) {
			peers++
		}
	}
	return max(leastJobBytes, min(maxJobBytes, size/max(1, peers*maxJobsPeer)))
}

// pickHolder chooses a peer to ask for chunks: one that says that it has them, or else one
// that carries the rendition, if any is known to.
func (r *repair) pickHolder(f *flow, has, failed []peer.ID, now time.Time) (peer.ID, *source) {
	say := make(map[peer.ID]struct{}, len(has))
	for _, id := range has {
		say[id] = struct{}{}
	}
	return r.pickHeard(now, failed, say, r.s.holdersOf(f.rendition))
}

// pickHeard is pick among several sets, of which the first are better. It prefers peers that
// speak of the stream now, as who does not may be dead, and among them those that did not
// fail before.
func (r *repair) pickHeard(now time.Time, failed []peer.ID, sets ...map[peer.ID]struct{}) (peer.ID, *source) {
	quiet := r.s.exchange.quiet(now)
	for _, avoid := range [][]peer.ID{slices.Concat(quiet, failed), quiet, failed, nil} {
		for _, only := range sets {
			if id, p := r.pick(now, only, avoid); p != nil {
				return id, p
			}
		}
	}
	return "", nil
}

// askChunks asks a peer for the holes of a rendition.
func (r *repair) askChunks(id peer.ID, p *source, f *flow, holes []schedule.Hole, now time.Time) {
	req := fetchRequest{stream: r.s.id}
	asked := make([]*stream.SignedHeader, len(holes))
	for k, h := range holes {
		asked[k] = f.headers[h.Part].header
		req.parts = append(req.parts, partRequest{f.rendition, h.Part, h.Want})
	}
	n := r.s.exchange.number(id)
	f.x.Fetching(n, holes, now)
	past := 0
	if f.x.Past(holes[0].Part) {
		past = 1
	}
	r.jobs++
	r.past += past
	p.jobs++
	r.s.wg.Go(func() {
		result := r.s.fetch(id, req, asked)
		_ = r.s.send(r.s.ctx, func(now time.Time) {
			r.jobs--
			r.past -= past
			p.jobs--
			p.got += result.chunks
			if result.err != nil || result.chunks == 0 {
				rest := restAfter(result.err)
				if rest == liarRest && slices.ContainsFunc(asked, func(h *stream.SignedHeader) bool { return r.s.disputed(h.ID()) }) {
					rest = peerRest // it may have the other header's
				}
				p.rest = now.Add(rest)
				r.s.log.Debug("chunks not fetched", "peer", id, "got", result.chunks, "err", result.err)
			}
			f.x.Fetched(n, holes, !busy(result.err))
		})
	})
}

// holders returns the connected peers that hold the stream, sorted.
func (s *Swarm) holders() []peer.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]peer.ID, 0, len(s.subscribed))
	for id := range s.subscribed {
		out = append(out, id)
	}
	slices.SortFunc(out, cmp.Compare)
	return out
}
