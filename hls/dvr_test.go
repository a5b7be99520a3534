package hls

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// archive is a peer that holds all that a broadcast shot so far, and says so.
type archive struct {
	b *broadcast

	mu      sync.Mutex    // guards all following
	learn   time.Duration // how long it takes to ask it
	fetch   time.Duration // how long a segment takes
	spans   []stream.Span
	shots   map[key]*testShot
	gone    map[key]bool // claimed, and not sent
	fetched []key
	learns  int // times that it was asked
	under   int // fetches under way
	most    int // at a time
}

func newArchive(b *broadcast) *archive {
	return &archive{b: b, shots: make(map[key]*testShot), gone: make(map[key]bool)}
}

// keep has the archive hold a segment.
func (a *archive) keep(s *testShot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shots[s.key] = s
	if n := len(a.spans); n > 0 && a.spans[n-1].Epoch == s.epoch && a.spans[n-1].Last+1 == s.number {
		a.spans[n-1].Last++
	} else {
		a.spans = append(a.spans, stream.Span{Epoch: s.epoch, First: s.number, Last: s.number})
	}
}

// forget has the archive lose a segment, the oldest.
func (a *archive) forget(s *testShot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.shots, s.key)
	if len(a.spans) > 0 && a.spans[0].Contains(s.epoch, s.number) {
		if a.spans[0].First++; a.spans[0].First > a.spans[0].Last {
			a.spans = a.spans[1:]
		}
	}
}

// change changes how the archive behaves.
func (a *archive) change(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// figures returns how many fetches there were, and how many at a time.
func (a *archive) figures() (fetched, most int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.fetched), a.most
}

// learned returns how often it was asked what it holds.
func (a *archive) learned() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.learns
}

// Learn implements Past.
func (a *archive) Learn(ctx context.Context, _ string, since time.Time, _ int64) error {
	var takes time.Duration
	a.change(func() {
		takes = a.learn
		a.learns++
	})
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var headers []*stream.SignedHeader
	for _, s := range a.shots {
		if !s.programTime.Before(since) {
			headers = append(headers, s.headers...)
		}
	}
	a.b.timeline.AddPast(headers)
	return nil
}

// Fetch implements Past.
func (a *archive) Fetch(ctx context.Context, _ string, epoch, segment uint64) ([][][]byte, error) {
	k := key{epoch, segment}
	a.mu.Lock()
	s := a.shots[k]
	a.fetched = append(a.fetched, k)
	a.under++
	a.most = max(a.most, a.under)
	if a.gone[k] {
		s = nil
	}
	takes := a.fetch
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.under--
	}()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if s == nil {
		return nil, errNoPast
	}
	parts := make([][][]byte, len(s.chunks))
	for i, part := range s.chunks {
		for _, c := range part {
			parts[i] = append(parts[i], c.Data())
			a.b.store.PutPast(c)
		}
	}
	return parts, nil
}

// Held implements Past.
func (a *archive) Held(string) []stream.Span {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]stream.Span(nil), a.spans...)
}

// archived is a broadcast whose node has a Past.
type archived struct {
	*broadcast
	past Past
}

func (a archived) Streams() []Stream {
	streams := a.broadcast.Streams()
	streams[0].Past = a.past
	return streams
}

// late starts a server at a node that joins when an archive has n segments of 2 s.
func late(t *testing.T, n int, cfg Config) (*broadcast, *archive, *player) {
	b := newBroadcast(t, 8_000_000) // 146 segments
	a := newArchive(b)
	for range n {
		time.Sleep(2 * time.Second)
		a.keep(b.shoot(2*time.Second, false))
	}
	in := rewinding(t, b, a, cfg)
	for range 3 {
		time.Sleep(2 * time.Second)
		a.keep(b.air(2 * time.Second))
	}
	synctest.Wait()
	return b, a, in
}

// rewinding serves b until the test ends.
func rewinding(t *testing.T, b *broadcast, past Past, cfg Config) *player {
	cfg.Node, cfg.Door.Origins = archived{b, past}, []string{AllOrigins}
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); synctest.Wait() })
	synctest.Wait()
	return newPlayer(b, s.Handler(), "dvr.m3u8")
}

func TestLateViewerRewindsToTheStartAndPlaysToTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, _, in := late(t, 30, Config{})
		p := in.reload()
		if len(p.segments) != 33 || p.segments[0].uri != b.order[0].name || in.marks != 0 {
			t.Fatalf("%d segments from %s on, %d marks; want all 33 without a mark", len(p.segments), p.segments[0].uri, in.marks)
		}
		in.air(10)
		b.end()
		in.watch(endTargets * 3 * time.Second)
		if p = in.last; !p.ended || len(p.segments) != len(b.order) {
			t.Fatalf("at the end: ended %t, %d of %d segments", p.ended, len(p.segments), len(b.order))
		}
		// A player that comes now has all of it, as with a file.
		for i, s := range p.segments {
			w := in.get(in.path(s.uri))
			if w.Code != http.StatusOK || w.Body.String() != string(b.order[i].data) {
				t.Errorf("segment %d: %d, %d bytes", i, w.Code, w.Body.Len())
			}
		}
		if p := in.reload(); p.segments[0].uri != b.order[0].name {
			t.Error("after the end, the playlist lost its beginning")
		}
	})
}

// TestDVREndsByItsOwnTarget has a segment in the past that is longer than all that the live
// playlist knows of.
func TestDVREndsByItsOwnTarget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBroadcast(t, 8_000_000)
		a := newArchive(b)
		a.keep(b.shoot(5*time.Second, false))
		b.restart()
		in := rewinding(t, b, a, Config{})
		for range 5 {
			time.Sleep(2 * time.Second)
			b.air(2 * time.Second)
		}
		live := newPlayer(b, in.handler, "index.m3u8")
		if long, short := in.reload().target, live.reload().target; long != 6 || short != 2 {
			t.Fatalf("target durations of %d and %d s, want 6 and 2", long, short)
		}
		b.end()
		live.watch(10 * time.Second)
		in.watch(19 * time.Second)
		if !live.last.ended || in.last.ended {
			t.Errorf("29 s after the end: live ended %t, the other %t", live.last.ended, in.last.ended)
		}
		in.watch(2 * time.Second)
		if !in.last.ended {
			t.Error("31 s after the end: not ended")
		}
	})
}

func TestRewindingConformsOverHours(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const segment, window = 10 * time.Second, 10 * time.Minute
		// A store of three minutes: the rest is at the archive.
		b := newBroadcast(t, 1_000_000)
		a := newArchive(b)
		for range 100 {
			time.Sleep(segment)
			a.keep(b.shoot(segment, false))
		}
		in := rewinding(t, b, a, Config{DVR: window})
		air := func(n int, but func(i int) bool) {
			for i := range n {
				time.Sleep(segment)
				s := b.shoot(segment, false)
				b.announce(s)
				if but == nil || !but(i) {
					b.deliver(s, -1)
					a.keep(s)
				}
				if in.last != nil || i >= 3 {
					synctest.Wait()
					in.reload()
				}
			}
		}
		air(150, nil)
		if in.last.duration() < window || in.last.duration() >= window+segment || in.marks != 0 {
			t.Fatalf("%v are listed with %d marks, want %v and none", in.last.duration(), in.marks, window)
		}
		air(60, func(i int) bool { return i == 20 }) // lost for all
		if in.marks != 1 || in.last.discontinuity != 0 {
			t.Fatalf("%d marks after a hole, discontinuity sequence %d", in.marks, in.last.discontinuity)
		}
		b.restart()
		air(120, nil)
		if in.marks != 2 || in.last.discontinuity != 2 {
			t.Fatalf("%d marks after a restart, discontinuity sequence %d when both slid out, want 2 and 2", in.marks, in.last.discontinuity)
		}
		if s := b.store.Stats(); s.Bytes > s.Limit {
			t.Errorf("the store holds %d of %d bytes", s.Bytes, s.Limit)
		}
		fetched, most := a.figures()
		t.Logf("%d reloads, %d fetches, at most %d at a time", in.reloads, fetched, most)
		if most > maxFetching {
			t.Errorf("%d fetches at a time, want at most %d", most, maxFetching)
		}
	})
}

func TestTheFirstAnswerWaitsForThePastAndNothingIsPrepended(t *testing.T) {
	for name, c := range map[string]struct {
		learn time.Duration
		after time.Duration // first answer
		first int           // segment listed first
	}{
		"at once":  {0, 0, 0},
		"slow":     {5 * time.Second, 5 * time.Second, 0},
		"too slow": {learnFor + time.Second, learnFor, 30},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b, a, in := late(t, 30, Config{})
				a.change(func() { a.learn = c.learn })
				began := time.Now()
				p := in.reload()
				if took := time.Since(began); took != c.after || p.segments[0].uri != b.order[c.first].name {
					t.Errorf("answered after %v from %s on, want %v and %s", took, p.segments[0].uri, c.after, b.order[c.first].name)
				}
				a.learn = 0
				in.air(20) // peers are asked again meanwhile
				if in.last.segments[0].uri != p.segments[0].uri {
					t.Errorf("the playlist begins with %s, and began with %s", in.last.segments[0].uri, p.segments[0].uri)
				}
			})
		})
	}
}

func TestHolesOfThePastAreLeftOutAndMarked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBroadcast(t, 2_000_000)
		a := newArchive(b)
		for i := range 20 {
			time.Sleep(2 * time.Second)
			if s := b.shoot(2*time.Second, false); i != 7 && i != 8 {
				a.keep(s)
			}
		}
		b.restart() // the broadcaster was killed; nobody knows more of the epoch
		in := rewinding(t, b, a, Config{})
		for range 3 {
			b.air(2 * time.Second)
		}
		synctest.Wait()
		p := in.reload()
		if len(p.segments) != 21 || in.marks != 2 || !p.segments[7].discontinuity || !p.segments[18].discontinuity {
			t.Errorf("%d segments and %d marks, want 21 and 2, after the hole and before the epoch", len(p.segments), in.marks)
		}
	})
}

func TestWhatCannotBeHadIsAnswered404OnceAndNeverListedAgain(t *testing.T) {
	for name, fetch := range map[string]time.Duration{"nobody has it": time.Second, "nobody answers": time.Hour} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b, a, in := late(t, 30, Config{})
				in.reload()
				synctest.Wait() // what was fetched ahead is there
				lost := b.order[10]
				a.change(func() {
					a.gone[lost.key] = true
					a.fetch = fetch
				})
				began := time.Now()
				w := in.get(in.path(lost.name))
				if took := time.Since(began); w.Code != http.StatusNotFound || took != min(fetch, fetchFor) {
					t.Fatalf("a segment that nobody has: %d after %v, want 404 after %v", w.Code, took, min(fetch, fetchFor))
				}
				a.change(func() {
					a.fetch = 0
				})
				synctest.Wait()
				p := in.reload()
				first := 11
				if fetch > fetchFor {
					first += fetchAhead // which were to be fetched ahead
				}
				if p.segments[0].uri != b.order[first].name {
					t.Errorf("the playlist begins with %s, want %s", p.segments[0].uri, b.order[first].name)
				}
				in.air(20) // peers go on claiming it
				if in.last.sequence != p.sequence {
					t.Error("the playlist changed its beginning")
				}
				if w := in.get(in.path(lost.name)); w.Code != http.StatusNotFound {
					t.Errorf("asked again: %d, want 404 at once", w.Code)
				}
				var status Figures
				if err := json.Unmarshal(in.get("/api/v1/status").Body.Bytes(), &status); err != nil {
					t.Fatal(err)
				}
				if d := status.Streams[0].Renditions[0].DVR; d.Lost == 0 || !d.Playable || d.Segments != len(in.last.segments) {
					t.Errorf("status: %+v, %d listed", d, len(in.last.segments))
				}
			})
		})
	}
}

func TestWhatPeersNoLongerHoldIsNoLongerListed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, a, in := late(t, 30, Config{})
		in.quiet = true // what was fetched would stay in the store
		in.reload()
		a.change(func() {
			a.spans[0].First = 12
		})
		in.air(1)
		if in.last.segments[0].uri != b.order[12].name {
			t.Errorf("the playlist begins with %s, want %s", in.last.segments[0].uri, b.order[12].name)
		}
		a.change(func() {
			a.spans = []stream.Span{{Epoch: 1, First: 12, Last: 19}, {Epoch: 1, First: 22, Last: 29}}
		})
		in.air(10) // by then all was looked at
		if in.last.segments[0].uri != b.order[22].name {
			t.Errorf("the playlist begins with %s, want %s, after the hole", in.last.segments[0].uri, b.order[22].name)
		}
		a.change(func() {
			a.spans = nil
		})
		in.air(1)
		if in.last.segments[0].uri != b.order[30].name {
			t.Errorf("the playlist begins with %s, want %s, which the node has itself", in.last.segments[0].uri, b.order[30].name)
		}
	})
}

// TestOwnStoreAlone checks that segments leave the playlist before the store lets go.
func TestOwnStoreAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBroadcast(t, 2_000_000) // 36 segments
		in := rewinding(t, b, nil, Config{DVR: MaxDVR})
		for range 3 {
			b.air(2 * time.Second)
		}
		synctest.Wait()
		in.air(100)
		if n := len(in.last.segments); n < 32 || n > 35 {
			t.Errorf("%d segments are listed of some 36 in the store, want somewhat less", n)
		}
	})
}

func TestSegmentsAreFetchedAheadOfThePlayer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, a, in := late(t, 30, Config{})
		in.reload()
		synctest.Wait()
		a.change(func() {
			a.fetch, a.fetched = time.Second, nil
		})
		var waited []time.Duration
		for _, s := range b.order[5:10] {
			began := time.Now()
			if w := in.get(in.path(s.name)); w.Code != http.StatusOK {
				t.Fatalf("%s: %d", s.name, w.Code)
			}
			waited = append(waited, time.Since(began))
			time.Sleep(2 * time.Second) // it plays
		}
		for i, d := range waited {
			if want := map[bool]time.Duration{true: time.Second}[i == 0]; d != want {
				t.Errorf("the player waited %v for its segment %d, want %v", d, i, want)
			}
		}
		if n, _ := a.figures(); n != 5+fetchAhead {
			t.Errorf("%d fetches for 5 segments played, want %d: each once, and %d ahead", n, 5+fetchAhead, fetchAhead)
		}
	})
}

// TestLivePlayersDoNotKeepTheArchive checks that peers are asked no more once nobody
// rewinds, whoever plays live.
func TestLivePlayersDoNotKeepTheArchive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, a, in := late(t, 30, Config{})
		in.reload()
		asked := 0
		for at := time.Duration(0); at < 3*dvrIdle; at += 2 * time.Second {
			if at == 2*dvrIdle {
				asked = a.learned()
			}
			s := b.air(2 * time.Second)
			synctest.Wait()
			if w := in.get(in.path(s.name)); w.Code != http.StatusOK {
				t.Fatalf("%s: %d", s.name, w.Code)
			}
			time.Sleep(2 * time.Second)
		}
		if n := a.learned() - asked; n > 0 {
			t.Errorf("peers were asked %d times more", n)
		}
	})
}

func TestDVRCatchesUpWithMoreThanTheLivePlaylistShows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, _, in := late(t, 0, Config{})
		in.reload()
		held := b.shoot(2*time.Second, false)
		b.announce(held)
		b.deliver(held, 2)
		for range windowFor(2) + 4 {
			b.air(2 * time.Second)
		}
		b.deliver(held, -1) // all are listed in one go
		synctest.Wait()
		if p := in.reload(); len(p.segments) != 3+1+windowFor(2)+4 || in.marks != 0 {
			t.Errorf("%d segments with %d marks, want %d and none", len(p.segments), in.marks, 3+1+windowFor(2)+4)
		}
	})
}

func TestDVRMultivariantPlaylist(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, a, in := late(t, 30, Config{})
		a.change(func() { a.learn = time.Second })
		w := in.get("/" + b.key.ID().String() + "/dvr.m3u8")
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "\nmain/dvr.m3u8\n") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		for path, want := range map[string]int{
			"/" + stream.NewKey().ID().String() + "/dvr.m3u8": http.StatusNotFound,
			"/nonsense/dvr.m3u8":                              http.StatusNotFound,
			"/nonsense/main/dvr.m3u8":                         http.StatusNotFound,
			strings.TrimSuffix(in.path("dvr.m3u8"), "main/dvr.m3u8") + "other/dvr.m3u8": http.StatusNotFound,
			in.path("9-9.ts"): http.StatusNotFound,
		} {
			if w := in.get(path); w.Code != want {
				t.Errorf("%s: %d, want %d", path, w.Code, want)
			}
		}
	})
}

func TestManyRequestsForThePastAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, a, in := late(t, 60, Config{})
		in.reload()
		a.change(func() {
			a.fetch = time.Second
		})
		var asking sync.WaitGroup
		codes := make(chan int, 60)
		for _, s := range b.order[:60] {
			asking.Go(func() {
				w := httptest.NewRecorder()
				in.handler.ServeHTTP(w, newRequest("GET", in.path(s.name)))
				codes <- w.Code
			})
		}
		asking.Wait()
		close(codes)
		answered := map[int]int{}
		for c := range codes {
			answered[c]++
		}
		t.Logf("answers: %v", answered)
		if answered[http.StatusNotFound] > 0 || answered[http.StatusOK] < 40 {
			t.Errorf("answers: %v; want most whole, and none refused for good", answered)
		}
		if _, most := a.figures(); most > maxFetching {
			t.Errorf("%d fetches at a time, want at most %d", most, maxFetching)
		}
	})
}
