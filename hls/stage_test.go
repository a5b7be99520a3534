package hls

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// stage is a broadcaster, a network that may fail, a node with its server, and players,
// in virtual time. One goroutine leads: it publishes, and when all others have come to
// rest, players look.
type stage struct {
	t          testing.TB
	renditions []*broadcast
	archive    *archive // what peers hold of the first
	random     *rand.Rand
	viewers    []*viewer
	spoil      func(http.Handler) http.Handler // breaks answers; nil for none
	cfg        Config
	stop       context.CancelFunc

	deliveries []delivery // to come
	lag        func(s *testShot, part int) (d time.Duration, lost bool)
	parts      []time.Duration // of each segment
	woken      chan struct{}   // gets something when a reload that was held is answered
	lossy      bool            // something was late, or never came
	down       bool            // there is no server

	mu        sync.Mutex // guards all following
	handler   http.Handler
	changedAt time.Time // when hidden was last
	hidden    string    // a rendition that the stream does not have for now
	told      []string  // what the node was told to carry
	carried   []string  // nil for all
}

// delivery is a part on its way.
type delivery struct {
	at   time.Time
	b    *broadcast
	shot *testShot
	part int
}

// cut cuts a segment into parts as a broadcaster does: of half a second, the last of what
// is left.
func cut(d time.Duration) (parts []time.Duration) {
	for ; d > 0; d -= usualPart {
		parts = append(parts, min(d, usualPart))
	}
	return parts
}

const usualPart = 500 * time.Millisecond

// stageStore is the node's store, in bytes: of two segments, so that what is listed is held
// by the server alone, and what is rewound to is fetched from peers.
const stageStore = 26_000

// newStage puts a stream with so many renditions on a node's server.
func newStage(t testing.TB, renditions int, picky bool) *stage {
	b := newBroadcast(t, stageStore)
	b.film = newFilm(t)
	st := &stage{
		t: t, renditions: []*broadcast{b}, random: rand.New(rand.NewPCG(*seed, 2)),
		cfg: Config{DVR: 30 * time.Minute}, parts: cut(2 * time.Second), woken: make(chan struct{}, 1),
	}
	if renditions > 1 {
		low := b.another("low")
		low.media.Width, low.media.Height = 640, 360
		st.renditions = append(st.renditions, low)
		// Of both, for as long as they can be rewound: there is nobody to fetch them from.
		b.store = stream.NewStore(1000 * stageStore)
		low.store = b.store
	}
	if picky {
		st.carried = []string{b.rendition}
	}
	for _, r := range st.renditions {
		r.timeline.Retain(st.cfg.DVR, r.store)
	}
	st.archive = newArchive(b)
	return st
}

// Streams and Status make a stage a Node.
func (st *stage) Streams() []Stream {
	st.mu.Lock()
	defer st.mu.Unlock()
	b := st.renditions[0]
	s := Stream{ID: b.key.ID(), Link: "grapevine://" + b.key.ID().String(), Store: b.store}
	if len(st.renditions) == 1 {
		s.Past = st.archive
	}
	for _, r := range st.renditions {
		if r.rendition != st.hidden {
			s.Timelines = append(s.Timelines, r.timeline)
		}
	}
	if st.carried != nil {
		s.Carry = func(names []string) error {
			st.mu.Lock()
			defer st.mu.Unlock()
			st.told = names
			return nil
		}
	}
	return []Stream{s}
}

func (st *stage) Status() Status { return st.renditions[0].Status() }

func (st *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	st.mu.Lock()
	h := st.handler
	st.mu.Unlock()
	h.ServeHTTP(w, r)
}

// serve starts a server.
func (st *stage) serve() {
	cfg := st.cfg
	cfg.Node, cfg.Door.Origins = st, []string{AllOrigins}
	s, err := NewServer(cfg)
	if err != nil {
		st.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			st.t.Error(err)
		}
	}()
	st.mu.Lock()
	st.handler = s.Handler()
	if st.spoil != nil {
		st.handler = st.spoil(st.handler)
	}
	st.mu.Unlock()
	st.stop = func() { cancel(); <-done }
}

// restart ends the server and starts another.
func (st *stage) restart() {
	st.stop()
	st.each(func(p *player) { p.leave(); p.restarted = true })
	st.down = true
	st.wait(time.Second)
	st.down = false
	st.serve()
	st.each(func(p *player) { p.next = time.Now() })
}

func (st *stage) each(f func(*player)) {
	for _, v := range st.viewers {
		for _, p := range v.players {
			f(p)
		}
	}
}

// wait lets time pass.
func (st *stage) wait(d time.Duration) { st.until(time.Now().Add(d)) }

// until lets time pass, and has parts come and players act meanwhile.
func (st *stage) until(end time.Time) {
	for {
		next := end
		for _, d := range st.deliveries {
			next = minTime(next, d.at)
		}
		for _, v := range st.viewers {
			next = minTime(next, v.next())
		}
		select {
		case <-time.After(time.Until(next)):
		case <-st.woken:
		}
		now := time.Now()
		st.deliveries = slices.DeleteFunc(st.deliveries, func(d delivery) bool {
			due := !now.Before(d.at)
			if due {
				st.arrive(d.b, d.shot, d.part)
				synctest.Wait() // bytes do not come all at once
			}
			return due
		})
		st.look()
		if !now.Before(end) && !time.Now().Before(end) {
			return
		}
	}
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// look has all players act.
func (st *stage) look() {
	for range 10 {
		synctest.Wait()
		for _, v := range st.viewers {
			if !st.down {
				v.act()
			}
		}
		synctest.Wait()
		if !st.carry() {
			return
		}
	}
	st.t.Error("the node is told without end what to carry")
}

// receives reports whether the node gets bytes of a rendition.
func (st *stage) receives(b *broadcast) bool {
	return b.rendition != st.hidden && (st.carried == nil || slices.Contains(st.carried, b.rendition))
}

// carry has the node do what it was told, and reports whether there was anything. What it
// carries anew, it gets the last segments of.
func (st *stage) carry() bool {
	st.mu.Lock()
	told := st.told
	st.told = nil
	before := st.carried
	if told != nil {
		st.carried = told
	}
	st.mu.Unlock()
	for _, b := range st.renditions {
		if !slices.Contains(told, b.rendition) || slices.Contains(before, b.rendition) {
			continue
		}
		for _, s := range b.order[max(0, len(b.order)-5):] {
			for i := range s.here {
				late := slices.ContainsFunc(st.deliveries, func(d delivery) bool { return d.shot == s && d.part == i })
				if s.here[i].IsZero() && !late && s.made(i) {
					b.airPart(s, i)
				}
			}
		}
	}
	return told != nil
}

// made reports whether a part is over and was not lost.
func (s *testShot) made(part int) bool {
	var left time.Duration
	for _, h := range s.headers[part+1:] {
		left += h.Duration
	}
	return !s.lost[part] && !time.Now().Before(s.due.Add(-left))
}

// air publishes segments in real time, until a rule was not kept.
func (st *stage) air(n int) {
	for range n {
		if st.failed() {
			return
		}
		st.publish(st.shoot(false))
	}
}

// failed reports whether a rule was not kept: the first violation is what is of interest.
func (st *stage) failed() bool {
	return slices.ContainsFunc(st.viewers, func(v *viewer) bool { return v.failed() != nil })
}

// shoot makes the next segment of each rendition.
func (st *stage) shoot(discontinuity bool) (shots []*testShot) {
	for _, b := range st.renditions {
		s := b.shootParts(st.parts, discontinuity)
		s.due = time.Now().Add(s.duration)
		s.lost = make([]bool, len(s.here))
		shots = append(shots, s)
	}
	return shots
}

// publish publishes the first parts of segments, all unless told otherwise, as they come
// about.
func (st *stage) publish(shots []*testShot, parts ...int) {
	n := len(shots[0].here)
	if len(parts) > 0 {
		n = parts[0]
	}
	for i := range n {
		st.wait(shots[0].headers[i].Duration)
		for k, s := range shots {
			st.send(st.renditions[k], s, i)
		}
	}
	for _, s := range shots {
		s.lost = slices.Clone(s.lost)
		for i := n; i < len(s.lost); i++ {
			s.lost[i], st.lossy = true, true
		}
	}
	st.look()
	if shots[0].complete() {
		st.archive.keep(shots[0])
	}
	st.forget()
}

func (s *testShot) complete() bool { return !slices.Contains(s.lost, true) }

// send sends a part on its way.
func (st *stage) send(b *broadcast, s *testShot, i int) {
	var d time.Duration
	if st.lag != nil {
		d, s.lost[i] = st.lag(s, i)
	}
	switch {
	case s.lost[i]:
	case d > 0:
		st.deliveries = append(st.deliveries, delivery{time.Now().Add(d), b, s, i})
	default:
		st.arrive(b, s, i)
	}
}

// arrive has a part come to the node, or its header alone if the rendition is not carried.
func (st *stage) arrive(b *broadcast, s *testShot, i int) {
	switch {
	case st.receives(b):
		b.airPart(s, i)
	case b.rendition != st.hidden && b.timeline.Header(s.headers[i].Position) == nil:
		b.add(s.headers[i])
		if s.known.IsZero() {
			s.known = time.Now()
		}
	}
}

// failing has something befall parts while f runs.
func (st *stage) failing(lag func(s *testShot, part int) (time.Duration, bool), f func()) {
	st.lag, st.lossy = lag, true
	f()
	st.lag = nil
}

// forget lets go of what was published so long ago that nothing lists it.
func (st *stage) forget() {
	for _, b := range st.renditions {
		for b.forgotten < len(b.order) && time.Since(b.order[b.forgotten].due) > st.cfg.DVR+15*time.Minute {
			s := b.order[b.forgotten]
			s.data, s.headers, s.chunks = nil, nil, nil
			st.archive.forget(s)
			b.forgotten++
		}
	}
}

// end publishes the end of the epoch.
func (st *stage) end() {
	for _, b := range st.renditions {
		b.end()
	}
	st.look()
}

// comeBack begins the next epoch.
func (st *stage) comeBack() {
	for _, b := range st.renditions {
		b.restart()
		b.clock = time.Now()
		if b.film != nil {
			b.film.dts = 10 * 90000
		}
	}
}
