package hls

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// show is a player that follows a stream of segments of 2 s, each of which is listed a second after
// its end, in a test of nothing but the clock.
type show struct {
	p     playback
	began time.Time
	held  map[uint64]time.Time // when segments were listed
}

func newShow() *show { return &show{began: time.Unix(1000, 0), held: make(map[uint64]time.Time)} }

func (s *show) at(seconds float64) time.Time {
	return s.began.Add(time.Duration(seconds * float64(time.Second)))
}

func (s *show) shows(n uint64) showing {
	return showing{key{1, n}, s.at(float64(2 * n)), s.at(float64(2*n + 2)), s.held[n]}
}

func (s *show) list(n uint64, seconds float64) { s.held[n] = s.at(seconds) }

func (s *show) fetch(n uint64, seconds float64) {
	s.p.fetched(s.shows(n), s.at(seconds), offered{func(k key) (time.Time, bool) { at, ok := s.held[k.number]; return at, ok }, 4 * time.Second})
}

func (s *show) report(seconds float64) stream.PlayerReport {
	now := s.at(seconds)
	return s.p.report(now, func(after time.Time) (showing, bool) {
		for n := range uint64(1000) {
			if _, ok := s.held[n]; ok && s.shows(n).to.After(after) {
				return s.shows(n), true
			}
		}
		return showing{}, false
	}, 4*time.Second)
}

// usually has segments listed and fetched in time, n to m.
func (s *show) usually(n, m uint64) {
	for ; n <= m; n++ {
		s.list(n, float64(2*n+3))
		s.fetch(n, float64(2*n+3))
	}
}

// begin has a player begin three segments back, 7 s behind.
func (s *show) begin() {
	for n := range uint64(3) {
		s.list(n, float64(2*n+3))
		s.fetch(n, 7)
	}
	s.usually(3, 10)
}

func (s *show) check(t *testing.T, seconds, delay, stalled float64, stalls int) {
	t.Helper()
	r := s.report(seconds)
	if r.Delay != time.Duration(delay*float64(time.Second)) || r.Stalled != time.Duration(stalled*float64(time.Second)) || r.Stalls != stalls {
		t.Errorf("after %g s: %v behind, stalled %d times for %v; want %g s, %d times for %g s", seconds, r.Delay, r.Stalls, r.Stalled, delay, stalls, stalled)
	}
}

func TestAPlayerThatIsFedDoesNotStall(t *testing.T) {
	s := newShow()
	if r := s.report(1); r != (stream.PlayerReport{}) {
		t.Errorf("before it played: %+v", r)
	}
	s.begin()
	s.check(t, 24, 7, 0, 0)
	if r := s.report(24); r.Watched != 17*time.Second {
		t.Errorf("watched %v, want since it began", r.Watched)
	}
	s.usually(11, 80)
	s.check(t, 164, 7, 0, 0)
	if r := s.report(164); r.Watched != time.Minute {
		t.Errorf("watched %v, want of the last minute", r.Watched)
	}
}

// Segment 11 comes 10 s late. The player has 4 s in hand when it should have come, at 25 s.
func TestAPlayerStallsWhileNothingComes(t *testing.T) {
	s := newShow()
	s.begin()
	s.check(t, 28, 7, 0, 0)
	s.check(t, 31, 9, 2, 1)
	for n := uint64(11); n <= 15; n++ {
		s.list(n, 35)
		s.fetch(n, 35)
	}
	s.check(t, 35, 13, 6, 1) // it goes on where it was
	s.usually(17, 30)
	s.check(t, 65, 11, 6, 1) // segment 16 never came, and was not shown
	s.usually(31, 50)
	s.check(t, 104, 11, 0, 0) // long ago
}

func TestAPauseIsNoStall(t *testing.T) {
	s := newShow()
	s.begin()
	for n := uint64(11); n <= 40; n++ {
		s.list(n, float64(2*n+3))
	}
	s.check(t, 60, 38, 0, 0)
	// It goes on at the live edge.
	s.fetch(38, 83)
	s.check(t, 83, 7, 0, 0)
	// Or where it was, while that is there.
	s = newShow()
	s.begin()
	for n := uint64(11); n <= 14; n++ {
		s.list(n, float64(2*n+3))
	}
	s.fetch(11, 36)
	s.check(t, 36, 14, 0, 0)
}

// All that was missed comes at once, and the player goes on at the live edge.
func TestAPlayerThatSkipsAheadHadStalled(t *testing.T) {
	s := newShow()
	s.begin()
	for n := uint64(11); n <= 16; n++ {
		s.list(n, 36)
	}
	s.fetch(14, 36.5)
	s.check(t, 36.5, 8.5, 7.5, 1)
}

// A segment that was lost is left out, for which a player that has little waits.
func TestASegmentThatIsLeftOutStalls(t *testing.T) {
	s := newShow()
	s.begin()
	s.list(12, 31) // 11 is waited for, and given up
	s.fetch(12, 31)
	s.check(t, 31, 7, 2, 1)
}

func TestABroadcasterThatComesBack(t *testing.T) {
	s := newShow()
	s.begin()
	next := showing{key{2, 0}, s.at(60), s.at(62), s.at(63)}
	s.p.fetched(next, s.at(63), offered{func(key) (time.Time, bool) { return time.Time{}, false }, 4 * time.Second})
	if r := s.report(63); r.Stalls != 1 || r.Stalled != 34*time.Second || r.Delay != 3*time.Second {
		t.Errorf("%+v, want a stall of 34 s, and 3 s behind", r)
	}
}

func TestARewindBeginsAnew(t *testing.T) {
	s := newShow()
	s.begin()
	s.usually(11, 40)
	s.fetch(5, 84)
	s.check(t, 84, 74, 0, 0)
}

// The page knows better where it is.
func TestAPlayerThatSaysWhereItIs(t *testing.T) {
	s := newShow()
	s.p.told(time.Second, s.at(1)) // before it has anything
	s.begin()
	s.p.told(2500*time.Millisecond, s.at(24))
	s.check(t, 24, 2.5, 0, 0)
	s.check(t, 25, 3, 0.5, 1)          // of what it has it showed the last at 24.5 s
	s.p.told(-time.Second, s.at(24.6)) // ahead of all there is
	s.check(t, 25, 3, 0.5, 1)
}

// TestThePageTellsWhereItIs has the page ask for the figures.
func TestThePageTellsWhereItIs(t *testing.T) {
	running(t, 3, func(t *testing.T, b *broadcast, s *Server, h http.Handler, _ context.CancelFunc) {
		ask := func(path string) {
			r := newRequest("GET", path)
			r.Header.Set("User-Agent", "Mozilla/5.0")
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
		delay := func() time.Duration {
			_, some := s.Playing(b.key.ID(), time.Now())
			if len(some) != 1 {
				t.Fatalf("%+v", some)
			}
			return some[0].Delay
		}
		ask(b.path(b.order[2].name))
		before := delay()
		for _, wrong := range []string{"", "?delay=1", "?stream=x&delay=1", "?stream=" + b.key.ID().String() + "&delay=NaN", "?stream=" + b.key.ID().String() + "&delay=-1", "?stream=" + b.key.ID().String() + "&delay=1e9", "?stream=" + stream.NewKey().ID().String() + "&delay=1"} {
			ask("/api/v1/status" + wrong)
			if d := delay(); d != before {
				t.Errorf("%q made it %v behind, before it was %v", wrong, d, before)
			}
		}
		want := before + 500*time.Millisecond
		ask(fmt.Sprintf("/api/v1/status?stream=%v&delay=%.2f", b.key.ID(), want.Seconds()))
		if d := delay(); d != want {
			t.Errorf("%v behind, told %v", d, want)
		}
	})
}

func TestPlayersByWhatTheySayThatTheyAre(t *testing.T) {
	for agent, kind := range map[string]stream.PlayerKind{
		"VLC/3.0.20 LibVLC/3.0.20":           stream.PlayerVLC,
		"libmpv":                             stream.PlayerMPV,
		"Lavf/60.16.100":                     stream.PlayerFFmpeg,
		"GStreamer souphttpsrc 1.22 libsoup": stream.PlayerGStreamer,
		"Mozilla/5.0 (X11; Linux x86_64)":    stream.PlayerPage,
		"":                                   stream.PlayerOther,
	} {
		if got := playerKind(agent); got != kind {
			t.Errorf("%q is %v, want %v", agent, got, kind)
		}
	}
}

// TestPlayingIsTold has players of a server fetch what it lists while nothing new comes for a while.
func TestPlayingIsTold(t *testing.T) {
	running(t, 3, func(t *testing.T, b *broadcast, s *Server, h http.Handler, _ context.CancelFunc) {
		fetch := func(agent, name string) {
			t.Helper()
			r := newRequest("GET", b.path(name))
			r.Header.Set("User-Agent", agent)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != http.StatusOK {
				t.Fatalf("%s: %d", name, w.Code)
			}
		}
		id := b.key.ID()
		if kinds, some := s.Playing(id, time.Now()); kinds != [stream.PlayerKinds]int{} || len(some) > 0 {
			t.Errorf("%v, %+v before anybody plays", kinds, some)
		}
		for _, shot := range b.order {
			fetch("VLC/3.0", shot.name)
		}
		fetch("libmpv", b.order[2].name)
		time.Sleep(7 * time.Second)
		kinds, some := s.Playing(id, time.Now())
		if kinds[stream.PlayerVLC] != 1 || kinds[stream.PlayerMPV] != 1 || len(some) != 2 {
			t.Fatalf("players %v, %+v", kinds, some)
		}
		for _, p := range some {
			want := fmt.Sprint(map[stream.PlayerKind]time.Duration{stream.PlayerVLC: time.Second, stream.PlayerMPV: 5 * time.Second}[p.Kind])
			if p.Stalls != 1 || fmt.Sprint(p.Stalled) != want || p.Watched != 7*time.Second {
				t.Errorf("%v stalled %d times for %v of %v, want once for %v of 7 s", p.Kind, p.Stalls, p.Stalled, p.Watched, want)
			}
		}
		time.Sleep(viewerIdle)
		if kinds, some := s.Playing(id, time.Now()); kinds != [stream.PlayerKinds]int{} || len(some) > 0 {
			t.Errorf("%v, %+v after all went", kinds, some)
		}
	})
}

// A player of the low-latency playlist is half a second behind what comes.
func TestPlayingWithLowLatencyIsTold(t *testing.T) {
	runningLL(t, func(t *testing.T, b *broadcast, s *Server, h http.Handler, shot *testShot, next uint64) {
		p := parsePlaylist(t, do(h, "GET", b.llPath("")).Body.String())
		r := newRequest("GET", b.path(p.parts[next][1].uri))
		r.Header.Set("User-Agent", "Mozilla/5.0")
		h.ServeHTTP(httptest.NewRecorder(), r)
		kinds, some := s.Playing(b.key.ID(), time.Now())
		if kinds[stream.PlayerPage] != 1 || len(some) != 1 {
			t.Fatalf("players %v, %+v", kinds, some)
		}
		time.Sleep(time.Second)
		if _, some := s.Playing(b.key.ID(), time.Now()); some[0].Stalls != 1 || some[0].Stalled != 500*time.Millisecond {
			t.Errorf("%+v, want a stall since what it fetched was shown", some[0])
		}
	})
}
