package hls

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// picky is a node that holds the renditions that it was told to carry. Of the others it
// knows the headers.
type picky struct {
	high, low *broadcast

	mu      sync.Mutex
	carried []string
	told    int
	fails   bool
}

func newPicky(t *testing.T) *picky {
	p := &picky{high: newBroadcast(t, 0)}
	p.high.timeline = stream.NewTimeline(p.high.key.ID(), "high")
	p.high.rendition, p.high.epoch = "high", 0
	p.high.restart()
	p.low = p.high.another("low")
	p.low.film = nil
	return p
}

func (p *picky) Streams() []Stream {
	list := p.high.Streams()
	list[0].Carry = func(names []string) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.told++
		if p.fails {
			return errors.New("not now")
		}
		// What it carries anew, it gets the last segments of.
		for _, b := range []*broadcast{p.high, p.low} {
			if slices.Contains(names, b.rendition) && !slices.Contains(p.carried, b.rendition) {
				for _, s := range b.order[max(0, len(b.order)-4):] {
					b.deliver(s, -1)
				}
			}
		}
		p.carried = names
		return nil
	}
	return list
}

func (p *picky) Status() Status { return p.high.Status() }

func (p *picky) carries() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.carried
}

// air waits for a segment of both renditions and publishes it.
func (p *picky) air(discontinuity bool) {
	time.Sleep(2 * time.Second)
	carried := p.carries()
	for _, b := range []*broadcast{p.high, p.low} {
		p.mu.Lock() // Carry reads what was shot
		s := b.shoot(2*time.Second, discontinuity)
		p.mu.Unlock()
		b.announce(s)
		if carried == nil || slices.Contains(carried, b.rendition) {
			b.deliver(s, -1)
		}
	}
	synctest.Wait()
}

// picking runs f with a server of a picky node with five segments on air.
func picking(t *testing.T, f func(t *testing.T, p *picky, h http.Handler)) {
	bubble(t, func(t *testing.T) {
		p := newPicky(t)
		// The other rendition's picture is smaller.
		p.low.media.Width, p.low.media.Height = 640, 360
		_, h, stop := serve(t, p)
		for range 5 {
			p.air(false)
		}
		f(t, p, h)
		stop()
		synctest.Wait()
	})
}

func TestTheBestRenditionIsCarriedUntilSomebodyAsks(t *testing.T) {
	picking(t, func(t *testing.T, p *picky, h http.Handler) {
		if got := p.carries(); !slices.Equal(got, []string{"high"}) {
			t.Errorf("carries %v, want the best", got)
		}
		list := do(h, "GET", p.high.multivariantPath()).Body.String()
		for _, want := range []string{"high/index.m3u8", "low/index.m3u8", "RESOLUTION=640x360"} {
			if !strings.Contains(list, want) {
				t.Errorf("multivariant playlist without %s:\n%s", want, list)
			}
		}
	})
}

func TestRenditionsArePlayedOnDemand(t *testing.T) {
	picking(t, func(t *testing.T, p *picky, h http.Handler) {
		if w := do(h, "GET", p.high.path("index.m3u8")); w.Code != http.StatusOK {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
		start := time.Now()
		w := do(h, "GET", p.low.path("index.m3u8"))
		if w.Code != http.StatusOK || time.Since(start) > time.Second {
			t.Fatalf("%d after %v:\n%s", w.Code, time.Since(start), w.Body)
		}
		// Nobody plays the other any more. It is let go after a while, not before.
		for i := range 32 {
			p.air(false)
			if i == 25 && len(p.carries()) < 2 {
				t.Error("what was played a short while ago is not carried any more")
			}
			if w := do(h, "GET", p.low.path("index.m3u8")); w.Code != http.StatusOK {
				t.Fatalf("%d: %s", w.Code, w.Body)
			}
		}
		if got := p.carries(); !slices.Equal(got, []string{"low"}) {
			t.Errorf("carries %v, want what is played", got)
		}
		if w := do(h, "GET", p.high.path("index.m3u8")); w.Code != http.StatusOK {
			t.Fatalf("switching back: %d", w.Code)
		}
		synctest.Wait() // what it still held could be answered with at once
		if got := p.carries(); !slices.Equal(got, []string{"high", "low"}) {
			t.Errorf("carries %v, want both for a while", got)
		}
		for range 32 {
			p.air(false)
		}
		if got := p.carries(); !slices.Equal(got, []string{"high"}) {
			t.Errorf("carries %v when nobody plays, want what was played last", got)
		}
	})
}

// TestRenditionsCountTheSameDiscontinuities checks what players need to find their way
// from one rendition to the other.
func TestRenditionsCountTheSameDiscontinuities(t *testing.T) {
	picking(t, func(t *testing.T, p *picky, h http.Handler) {
		for i := range 20 {
			p.air(i%4 == 3)
			do(h, "GET", p.high.path("index.m3u8"))
		}
		high := parseInspected(t, do(h, "GET", p.high.path("index.m3u8")).Body.String())
		low := parseInspected(t, do(h, "GET", p.low.path("index.m3u8")).Body.String())
		wantSameMarks(t, low, high)
	})
}

// wantSameMarks compares discontinuity sequence numbers of what is in both, three at least.
func wantSameMarks[M ~map[string]N, N comparable](t *testing.T, a, b M) {
	t.Helper()
	matched := 0
	for at, n := range a {
		if m, ok := b[at]; ok {
			matched++
			if m != n {
				t.Errorf("%s has discontinuity sequence number %v in one, %v in the other", at, n, m)
			}
		}
	}
	if matched < 3 {
		t.Errorf("of %d and %d segments both have %d", len(a), len(b), matched)
	}
}

// parseInspected returns each listed segment's discontinuity sequence number.
func parseInspected(t *testing.T, text string) map[string]uint64 {
	t.Helper()
	out := make(map[string]uint64)
	var n uint64
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#EXT-X-DISCONTINUITY-SEQUENCE:"):
			var err error
			if n, err = strconv.ParseUint(strings.TrimPrefix(line, "#EXT-X-DISCONTINUITY-SEQUENCE:"), 10, 64); err != nil {
				t.Fatal(err)
			}
		case line == "#EXT-X-DISCONTINUITY":
			n++
		case strings.HasSuffix(line, ".ts"):
			out[line] = n
		}
	}
	return out
}

func TestNodeThatCannotChangeIsToldAgain(t *testing.T) {
	picking(t, func(t *testing.T, p *picky, h http.Handler) {
		p.mu.Lock()
		p.fails, p.told = true, 0
		p.mu.Unlock()
		ctx := t.Context()
		code := heldRequest(ctx, h, p.low.path("index.m3u8"))
		time.Sleep(3 * time.Second)
		p.mu.Lock()
		if p.told < 2 {
			t.Errorf("told %d times", p.told)
		}
		p.fails = false
		p.mu.Unlock()
		time.Sleep(time.Second)
		expect(t, "the playlist", code, http.StatusOK)
	})
}

func TestDemand(t *testing.T) {
	b := newBroadcast(t, 0)
	other := stream.NewTimeline(b.key.ID(), "other")
	d := newDemand(nil, slog.New(slog.DiscardHandler))
	now := time.Now()
	if got := d.wanted([]*stream.Timeline{b.timeline, other}, nil, now); !slices.Equal(got, []string{"main", "other"}) {
		t.Errorf("a node that carries all: %v", got)
	}
	if d.changed([]string{"main"}) {
		t.Error("it is told nothing")
	}
	d = newDemand(func([]string) error { return nil }, slog.New(slog.DiscardHandler))
	if got := d.wanted(nil, nil, now); got != nil || d.changed(got) {
		t.Errorf("of nothing %v is wanted", got)
	}
}

// both is a node that carries all, as a broadcaster does.
type both struct{ *picky }

func (b both) Streams() []Stream {
	list := b.picky.Streams()
	list[0].Carry = nil
	return list
}

// A player that comes as a stream begins, when one rendition is a moment ahead of another,
// learns of both.
func TestARenditionThatIsLateIsListed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPicky(t)
		p.low.media.Width, p.low.media.Height = 640, 360
		_, h, stop := serve(t, both{p})
		for n := range 3 {
			for _, b := range []*broadcast{p.high, p.low} {
				s := b.shoot(2*time.Second, false)
				if b == p.low && n == 2 {
					continue
				}
				b.announce(s)
				b.deliver(s, -1)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		list := do(h, "GET", p.high.multivariantPath()).Body.String()
		for _, want := range []string{"high/index.m3u8", "low/index.m3u8", "RESOLUTION=640x360"} {
			if !strings.Contains(list, want) {
				t.Errorf("multivariant playlist without %s:\n%s", want, list)
			}
		}
		stop()
		synctest.Wait()
	})
}

// TestDescribeLooksPastWhatIsLate has headers of a rendition come late.
func TestDescribeLooksPastWhatIsLate(t *testing.T) {
	b := newBroadcast(t, 1_000_000)
	whole := b.shoot(2*time.Second, false)
	b.announce(whole)
	want := bitrate(int64(len(whole.data)), whole.duration)
	for i := range 4 * describeSegments {
		if v := describe(b.timeline); v.average != want || v.peak != want || v.media != b.media {
			t.Fatalf("with %d segments that are late: %+v, want %d bits per second", i, v, want)
		}
		b.add(b.shoot(2*time.Second, false).headers[0])
	}
}
