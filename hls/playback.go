package hls

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// playbackOf is of how long stalls are kept.
	playbackOf = time.Minute
	// leastStall is what a player has in hand beside what it fetched last, about: frames that are
	// decoded, and sound that is handed to the system. What is shorter nobody sees.
	leastStall = 500 * time.Millisecond
	// patience is how many target durations a player may take to fetch what is there again.
	patience = 2
	// maxGap is how much of a stream may be missing before a player is taken to have gone elsewhere.
	maxGap = 15 * time.Second
	// maxStalls bounds the stalls that are kept of a player: those of a minute.
	maxStalls = int(playbackOf / leastStall)
	// maxPlaybacks bounds the players of a stream that are followed, all those of a gateway.
	maxPlaybacks = maxGatewayViewers
)

// showing is what a file of a live playlist shows, by the broadcaster's clock, and since when it is
// listed.
type showing struct {
	key
	from, to time.Time
	listed   time.Time // by this node's clock
}

// playback is what can be told of a player that tells nothing itself, such as VLC, from what it
// fetches, and of the page, which says where it is: as if it showed the first file when it has it, and all others at the same pace, as long as
// it has some. Without any it stalls, if this node had none for it either; else it was paused.
type playback struct {
	kind  stream.PlayerKind
	last  time.Time // it fetched something
	begun time.Time // it fetched the first that is live

	key            // fetched last
	head time.Time // is shown at at, by the broadcaster's clock
	at   time.Time
	end  time.Time // of what was fetched; zero before the first
	dry  time.Time // since when there is nothing left to show; zero if there is

	stalls []stall
}

type stall struct{ from, to time.Time }

// offered is what this node lists and lately listed, and how long a player may take to fetch it.
type offered struct {
	since    func(key) (time.Time, bool)
	patience time.Duration
}

// fetched notes that a player got a file.
func (p *playback) fetched(s showing, now time.Time, l offered) {
	if p.end.IsZero() {
		p.begun = now
		p.restart(s, now)
		return
	}
	p.advance(now)
	gap := s.from.Sub(p.end)
	first, follows := p.next(s, l)
	if !p.dry.IsZero() && first.After(p.dry) && s.to.After(p.end) {
		// Who did not fetch what was there again was paused meanwhile.
		if to := earlier(now, first.Add(l.patience)); to.Sub(p.dry) >= leastStall {
			p.stalls = append(p.stalls, stall{p.dry, to})
			p.stalls = p.stalls[max(0, len(p.stalls)-maxStalls):]
		}
	}
	switch {
	case s.from.Before(p.head.Add(-maxGap)), gap > maxGap, gap > 0 && !follows:
		p.restart(s, now) // it rewound, or skipped what was there
	case s.to.After(p.end):
		p.head = p.head.Add(max(0, gap)) // what is missing is not shown
		p.key, p.end, p.dry = s.key, s.to, time.Time{}
	}
}

// restart begins to show a file.
func (p *playback) restart(s showing, now time.Time) {
	p.key, p.head, p.at, p.end, p.dry = s.key, s.from, now, s.to, time.Time{}
}

// next returns since when this node has something to show after the last file, and whether a file is
// the first of that. A player that was away for so long that nobody knows was paused.
func (p *playback) next(s showing, l offered) (first time.Time, follows bool) {
	switch {
	case s.epoch > p.epoch:
		return s.listed, true
	case s.epoch < p.epoch || s.number > p.number+uint64(maxGap/time.Second):
		return time.Time{}, false
	}
	for n := p.number + 1; n < s.number; n++ {
		if at, ok := l.since(key{s.epoch, n}); ok {
			return at, false
		}
	}
	return s.listed, true
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// told notes how far behind the player itself says that it is.
func (p *playback) told(delay time.Duration, now time.Time) {
	if p.end.IsZero() {
		return
	}
	p.advance(now)
	if head := now.Add(-delay); head.Before(p.end) {
		p.head, p.dry = head, time.Time{}
	}
}

// advance shows what there is until now.
func (p *playback) advance(now time.Time) {
	left := p.end.Sub(p.head)
	if elapsed := now.Sub(p.at); elapsed <= left {
		p.head = p.head.Add(elapsed)
	} else {
		if p.dry.IsZero() {
			p.dry = p.at.Add(left)
		}
		p.head = p.end
	}
	p.at = now
}

// report says how the player fares. next is what this node lists after a time, if there is anything,
// and waits how long a player may take to fetch it.
func (p *playback) report(now time.Time, next func(time.Time) (showing, bool), waits time.Duration) stream.PlayerReport {
	q := *p
	out := stream.PlayerReport{Kind: q.kind}
	if q.end.IsZero() {
		return out // it plays nothing that is live
	}
	q.advance(now)
	stalls := slices.Clone(q.stalls)
	if !q.dry.IsZero() && now.Sub(q.dry) >= leastStall {
		if s, there := next(q.end); !there || s.listed.After(q.dry) && now.Sub(s.listed) < waits {
			stalls = append(stalls, stall{q.dry, now})
		}
	}
	since := now.Add(-playbackOf)
	if q.begun.After(since) {
		since = q.begun
	}
	out.Delay, out.Watched = max(0, now.Sub(q.head)), now.Sub(since)
	for _, s := range stalls {
		if s.to.After(since) {
			out.Stalls++
			out.Stalled += s.to.Sub(latest(s.from, since))
		}
	}
	return out
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// playbacks are the players of a stream, by the server or by its gateway. It is safe for concurrent
// use.
type playbacks struct {
	mu  sync.Mutex // guards all following
	all map[viewerKey]*playback
}

func newPlaybacks() *playbacks { return &playbacks{all: make(map[viewerKey]*playback)} }

// fetched notes that a player got a file; of one that is not of a live playlist shows is nil.
func (p *playbacks) fetched(v viewerKey, shows *showing, now time.Time, l offered) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.all[v]
	if one == nil {
		if len(p.all) >= maxPlaybacks {
			p.leaveLocked(now)
		}
		if len(p.all) >= maxPlaybacks {
			return
		}
		one = &playback{kind: playerKind(v.agent)}
		p.all[v] = one
	}
	one.last = now
	if shows != nil {
		one.fetched(*shows, now, l)
	}
}

// told notes how far behind a player says that it is, if it is known.
func (p *playbacks) told(v viewerKey, delay time.Duration, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.all[v]; one != nil {
		one.told(delay, now)
	}
}

// leaveLocked forgets those who fetched nothing lately.
func (p *playbacks) leaveLocked(now time.Time) {
	for v, one := range p.all {
		if now.Sub(one.last) >= viewerIdle {
			delete(p.all, v)
		}
	}
}

// report counts the players by kind, and says how some of them fare.
func (p *playbacks) report(now time.Time, next func(time.Time) (showing, bool), waits time.Duration) (kinds [stream.PlayerKinds]int, some []stream.PlayerReport) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaveLocked(now)
	live := make([]*playback, 0, len(p.all))
	for _, one := range p.all {
		kinds[one.kind]++
		if !one.end.IsZero() {
			live = append(live, one)
		}
	}
	rand.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })
	for _, one := range live[:min(len(live), stream.MaxPlaying)] {
		some = append(some, one.report(now, next, waits))
	}
	return kinds, some
}

// playerKind tells players apart by what they say that they are.
func playerKind(agent string) stream.PlayerKind {
	for _, k := range []struct {
		in   string
		kind stream.PlayerKind
	}{
		{"VLC", stream.PlayerVLC},
		{"mpv", stream.PlayerMPV},
		{"Lavf/", stream.PlayerFFmpeg},
		{"GStreamer", stream.PlayerGStreamer},
		{"Mozilla/", stream.PlayerPage},
	} {
		if strings.Contains(agent, k.in) {
			return k.kind
		}
	}
	return stream.PlayerOther
}

// plays notes that a player is sent a file.
func (s *Server) plays(r *http.Request, b *body) {
	id, err := stream.ParseID(r.PathValue("stream"))
	if err != nil || r.Method != http.MethodGet {
		return
	}
	st, _, _ := s.find(id)
	rendition := st.rendition(r.PathValue("rendition"))
	if rendition == nil || kindOf(rendition.timeline) != stream.KindMain {
		return // sound of its own, or subtitles: the pictures tell
	}
	view, _ := rendition.current()
	st.plays.fetched(viewerOf(r), b.shows, time.Now(), offered{func(k key) (time.Time, bool) {
		if b := view.bodies[k]; b != nil && b.shows != nil {
			return b.shows.listed, true
		}
		return time.Time{}, false
	}, patience * view.window.targetDuration()})
}

// told takes what the node's page says of its player when it asks for the figures: the stream, and
// how many seconds its picture is behind the broadcaster. Others say nothing.
func (s *Server) told(r *http.Request, now time.Time) {
	q := r.URL.Query()
	id, err := stream.ParseID(q.Get("stream"))
	if err != nil {
		return
	}
	seconds, err := strconv.ParseFloat(q.Get("delay"), 64)
	if err != nil || !(seconds >= 0 && seconds <= stream.MaxReportedDelay.Seconds()) {
		return
	}
	if st, _, _ := s.find(id); st != nil {
		st.plays.told(viewerOf(r), time.Duration(seconds*float64(time.Second)), now)
	}
}

// Playing counts the players of a stream that fetched some of it within the last half minute, by the
// server or by its gateway, and says how some of them fare. Those of one address and program are one.
func (s *Server) Playing(id stream.ID, now time.Time) (kinds [stream.PlayerKinds]int, some []stream.PlayerReport) {
	st, _, _ := s.find(id)
	if st == nil {
		return kinds, nil
	}
	var waits time.Duration
	var views []*view
	for _, r := range st.renditions {
		if kindOf(r.timeline) == stream.KindMain {
			v, _ := r.current()
			views = append(views, v)
			waits = max(waits, patience*v.window.targetDuration())
		}
	}
	return st.plays.report(now, func(after time.Time) (next showing, found bool) {
		for _, v := range views {
			for _, e := range v.window.entries {
				if shows := e.body.shows; shows != nil && shows.to.After(after) && (!found || shows.listed.Before(next.listed)) {
					next, found = *shows, true
				}
			}
		}
		return next, found
	}, waits)
}
