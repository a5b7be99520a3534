package hls

import (
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// fault is what may befall a stream, and some of what goes on after it.
type fault struct {
	name, what string
	files      string // the playlists that go through it; "" for all
	switches   bool   // it is of several renditions
	befall     func(*stage)
}

// lateFor is the longest that anything is late.
const lateFor = 12 * time.Second

var faults = []fault{
	{"calm", "nothing", "", false, func(st *stage) { st.air(30) }},
	{"late-part", "a part comes 1.5 s late", "", false, latePart(1500 * time.Millisecond)},
	{"late", "nothing comes for 12 s, then all of it does", "", false, late12},
	{"jitter", "parts come up to 12 s late, in any order", "", false, jitter},
	{"hole", "a part never comes", "", false, lose(2)},
	{"hole-first", "a segment's first part never comes", "", false, lose(0)},
	{"long-hole", "not even the headers of three segments come", "", false, loseSegments(3)},
	{"silence", "nothing comes for 40 s, and never will", "", false, loseSegments(20)},
	{"epoch", "the broadcaster is stopped and starts again at once", "", false, restartAtOnce},
	{"killed", "the broadcaster is killed within a segment and comes back after 20 s", "", false, killed},
	{"end", "the broadcaster ends, and comes back after a minute", "", false, endAndComeBack},
	{"encoder", "the encoder is replaced: pictures of another size", "", false, replaceEncoder},
	{"encoder-silent", "pictures have another size, and the broadcaster does not say so", onlyLL, false, replaceSilently},
	{"lengths", "segments of other lengths, one beyond the target duration", "", false, lengths},
	{"long-parts", "a segment with parts beyond the part target", "", false, longParts},
	{"clock-ahead", "the broadcaster's clock jumps an hour ahead", "", false, clockJumps(time.Hour)},
	{"clock-back", "the broadcaster's clock is set back by an hour", "", false, clockJumps(-time.Hour)},
	{"timestamps-ahead", "timestamps jump an hour ahead", "", false, timestampsJump(time.Hour)},
	{"timestamps-back", "timestamps fall back", "", false, timestampsJump(-8 * time.Second)},
	{"rollover", "timestamps pass 33 bits", "", false, rollover},
	{"garbage", "a segment is not MPEG-TS", onlyLL, false, garbage},
	{"server", "the node is started anew", "", false, restartServer},
	{"rest", "nobody asks for 100 s", "", false, rest},
	{"rest-rollover", "timestamps pass 33 bits while nobody asks", "", false, restRollover},
	{"rest-back", "timestamps jump an hour ahead, and fall back while nobody asks", "", false, restBack},
	{"vanish", "a rendition vanishes and comes back after 20 s", "", true, vanish},
}

// restartServer does so when the server has run for a while: numbers begin at the seconds
// since 2020, and it lists a window at once.
func restartServer(st *stage) {
	for _, v := range st.viewers {
		v.switchAt = time.Now().Add(time.Minute)
	}
	st.air(2 * llWindow)
	st.restart()
	st.air(20)
}

func latePart(by time.Duration) func(*stage) {
	return func(st *stage) {
		shots := st.shoot(false)
		st.failing(func(s *testShot, part int) (time.Duration, bool) {
			if part == 1 {
				return by, false
			}
			return 0, false
		}, func() { st.publish(shots) })
		st.air(12)
	}
}

func late12(st *stage) {
	over := time.Now().Add(lateFor)
	st.failing(func(*testShot, int) (time.Duration, bool) { return time.Until(over), false }, func() {
		st.air(int(lateFor/(2*time.Second)) - 1)
	})
	st.air(14)
}

func jitter(st *stage) {
	st.failing(func(*testShot, int) (time.Duration, bool) {
		return time.Duration(st.random.Int64N(int64(lateFor))).Truncate(time.Millisecond), false
	}, func() { st.air(12) })
	st.air(16)
}

func lose(lost int) func(*stage) {
	return func(st *stage) {
		shots := st.shoot(false)
		st.failing(func(_ *testShot, part int) (time.Duration, bool) { return 0, part == lost }, func() { st.publish(shots) })
		st.air(14)
	}
}

func loseSegments(n int) func(*stage) {
	return func(st *stage) {
		st.failing(func(*testShot, int) (time.Duration, bool) { return 0, true }, func() { st.air(n) })
		st.air(14)
	}
}

func restartAtOnce(st *stage) {
	st.end()
	st.wait(3 * time.Second)
	st.comeBack()
	st.air(14)
}

func killed(st *stage) {
	st.publish(st.shoot(false), 2)
	st.wait(20 * time.Second)
	st.comeBack()
	st.air(14)
}

func endAndComeBack(st *stage) {
	st.end()
	st.wait(time.Minute)
	st.comeBack()
	st.air(14)
}

// replaceEncoder has pictures of another size, which begin anew.
func replaceEncoder(st *stage) {
	for _, b := range st.renditions {
		b.otherSize()
		b.film.dts = 10 * 90000
	}
	st.publish(st.shoot(true))
	st.air(14)
}

// otherSize is of the pictures only: a rendition's resolution stays what it is.
func (b *broadcast) otherSize() {
	if &b.film.sps[0] == &smallSPS[0] {
		b.film.sps = largeSPS
	} else {
		b.film.sps = smallSPS
	}
}

func replaceSilently(st *stage) {
	for _, b := range st.renditions {
		b.otherSize()
	}
	st.air(14)
}

func lengths(st *stage) {
	usual := st.parts
	for _, d := range []time.Duration{1500 * time.Millisecond, 2400 * time.Millisecond, 800 * time.Millisecond, 5 * time.Second} {
		st.parts = cut(d)
		st.air(1)
	}
	st.parts = usual
	st.air(20)
}

func longParts(st *stage) {
	usual := st.parts
	st.parts = []time.Duration{1250 * time.Millisecond, 1250 * time.Millisecond}
	st.air(1)
	st.parts = usual
	st.air(20)
}

// clockJumps has the broadcaster's clock jump, which is seen at a break only.
func clockJumps(by time.Duration) func(*stage) {
	return func(st *stage) {
		for _, b := range st.renditions {
			b.clock = b.clock.Add(by)
		}
		st.publish(st.shoot(true))
		st.air(14)
	}
}

func timestampsJump(by time.Duration) func(*stage) {
	return func(st *stage) {
		for _, b := range st.renditions {
			b.film.dts = max(0, b.film.dts+int64(by/time.Millisecond)*90)
		}
		st.publish(st.shoot(true))
		st.air(14)
	}
}

// rollover begins ten seconds before timestamps need a 34th bit (ISO 13818-1, 2.4.3.6).
func rollover(st *stage) {
	for _, b := range st.renditions {
		b.film.dts = 1<<33 - 10*90000
	}
	st.publish(st.shoot(true))
	st.air(14)
}

// garbage has parts that cannot be remuxed: they are left out, what follows is not harmed.
func garbage(st *stage) {
	var shots []*testShot
	for _, b := range st.renditions {
		film := b.film
		b.film = nil
		s := b.shootParts(st.parts, false)
		b.film = film
		s.garbage, s.due, s.lost = true, time.Now().Add(s.duration), make([]bool, len(s.here))
		shots = append(shots, s)
	}
	st.publish(shots)
	st.air(14)
}

func rest(st *stage) { st.unwatched(func() { st.air(50) }) }

func restRollover(st *stage) {
	for _, b := range st.renditions {
		b.film.dts = 1<<33 - 10*90000
	}
	st.publish(st.shoot(true))
	st.unwatched(func() { st.air(50) })
}

func restBack(st *stage) {
	for _, b := range st.renditions {
		b.film.dts += 3600 * 90000
	}
	st.publish(st.shoot(true))
	st.unwatched(func() {
		st.air(35) // until what was made is let go
		for _, b := range st.renditions {
			b.film.dts = 10 * 90000
		}
		st.publish(st.shoot(true))
		st.air(20)
	})
}

// unwatched has all players leave while f runs.
func (st *stage) unwatched(f func()) {
	playing := make(map[*viewer][]int)
	for _, v := range st.viewers {
		playing[v] = v.playing
		v.playing, v.switchAt = nil, time.Now().Add(time.Hour)
	}
	st.each(func(p *player) { p.leave() })
	f()
	st.each(func(p *player) { p.next = time.Now() })
	for _, v := range st.viewers {
		v.playing, v.switchAt = playing[v], time.Now().Add(20*time.Second)
	}
	st.air(14)
}

// vanish has the stream lose its second rendition, and get it back as something new.
func vanish(st *stage) {
	gone := st.renditions[1]
	st.hide(gone.rendition)
	st.air(10)
	timeline := stream.NewTimeline(gone.key.ID(), gone.rendition)
	timeline.Retain(st.cfg.DVR, gone.store)
	st.mu.Lock()
	gone.timeline = timeline
	st.mu.Unlock()
	st.hide("")
	st.air(20)
}

// hide takes a rendition from the stream.
func (st *stage) hide(rendition string) {
	st.mu.Lock()
	st.hidden, st.changedAt = rendition, time.Now()
	st.mu.Unlock()
	for _, v := range st.viewers {
		for i, p := range v.players {
			if p.rendition == rendition {
				p.leave()
				if i > 0 {
					v.playing = []int{0}
				}
			}
		}
	}
}
