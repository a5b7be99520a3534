package stream

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// timelineOf makes a timeline of headers that arrive one by one, each when its part
// has ended.
func timelineOf(t testing.TB, headers ...*SignedHeader) *Timeline {
	t.Helper()
	tl := NewTimeline(testKey.ID(), "main")
	for _, h := range headers {
		if err := tl.Add(h, h.ProgramTime.Add(h.Duration)); err != nil {
			t.Fatalf("add %v: %v", h.Position, err)
		}
	}
	return tl
}

// segments makes the headers of whole segments.
func segments(t testing.TB, epoch uint64, numbers ...uint64) (out []*SignedHeader) {
	t.Helper()
	for _, n := range numbers {
		for part := range uint32(4) {
			out = append(out, at(t, epoch, n, part))
		}
	}
	return out
}

func positions(headers []*SignedHeader) string {
	var b strings.Builder
	for _, h := range headers {
		fmt.Fprintf(&b, "%v ", h.Position)
	}
	return strings.TrimSpace(b.String())
}

func TestTimelineOrdersWhateverArrivesFirst(t *testing.T) {
	all := slices.Concat(segments(t, 1, 8, 9), []*SignedHeader{end(t, 1, 10)}, segments(t, 2, 0, 1))
	random := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		shuffled := slices.Clone(all)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		tl := timelineOf(t, shuffled...)
		if got, want := positions(tl.From(Position{})), positions(all); got != want {
			t.Fatalf("headers are %s, want %s", got, want)
		}
		if got := tl.Newest(); got != all[len(all)-1] {
			t.Fatalf("newest is %v, want %v", got.Position, all[len(all)-1].Position)
		}
		for _, h := range all {
			if tl.Header(h.Position) != h {
				t.Fatalf("header at %v is another", h.Position)
			}
		}
	}
}

func TestAnEmptyTimelineHasNothing(t *testing.T) {
	tl := NewTimeline(testKey.ID(), "main")
	if tl.Newest() != nil || tl.Header(Position{}) != nil || tl.Ended() || len(tl.From(Position{})) != 0 ||
		len(tl.Recent(3)) != 0 || len(tl.Segments(Position{})) != 0 {
		t.Error("an empty timeline has something")
	}
	if tl.Stream() != testKey.ID() || tl.Rendition() != "main" {
		t.Errorf("timeline of %v/%s", tl.Stream(), tl.Rendition())
	}
}

func TestTimelineTakesOnlyItsOwnStreamAndRendition(t *testing.T) {
	h := at(t, 1, 0, 0)
	for _, tl := range []*Timeline{NewTimeline(seededKey(2).ID(), "main"), NewTimeline(testKey.ID(), "audio")} {
		if err := tl.Add(h, began); err == nil || tl.Newest() != nil {
			t.Errorf("timeline of %s/%s took a header of %s/%s", tl.Stream().Short(), tl.Rendition(), h.Stream.Short(), h.Rendition)
		}
	}
}

func TestTheFirstOfTwoDifferentHeadersStands(t *testing.T) {
	first := at(t, 1, 5, 1)
	again := &SignedHeader{Header: first.Header, raw: slices.Clone(first.Bytes())}
	tl := timelineOf(t, at(t, 1, 5, 0), first, at(t, 1, 5, 2))
	now := tl.Newest().ProgramTime
	for _, c := range []struct {
		name string
		h    *SignedHeader
		want error
	}{
		{"the same", first, ErrKnown},
		{"the same, opened once more", again, ErrKnown},
		{"another", other(t, first), ErrEquivocation},
	} {
		wantError(t, c.name+": Fresh", tl.Fresh(c.h, now), c.want)
		changed := tl.Changed()
		wantError(t, c.name+": Add", tl.Add(c.h, now), c.want)
		if fired(changed) {
			t.Errorf("%s: a refused header woke waiters", c.name)
		}
		if tl.Header(first.Position) != first || len(tl.From(Position{})) != 3 {
			t.Errorf("%s: the first header does not stand", c.name)
		}
	}
}

func TestOfHeadersThatArriveAtOnceOneStands(t *testing.T) {
	for range 50 {
		tl := NewTimeline(testKey.ID(), "main")
		a := at(t, 1, 5, 0)
		rivals := []*SignedHeader{a, other(t, a), a, other(t, a)}
		errs := make([]error, len(rivals))
		var wg sync.WaitGroup
		for i, h := range rivals {
			wg.Go(func() { errs[i] = tl.Add(h, began) })
		}
		wg.Wait()
		var winner *SignedHeader
		for i, err := range errs {
			if err == nil {
				if winner != nil {
					t.Fatal("two were added at one position")
				}
				winner = rivals[i]
			}
		}
		if headers := tl.From(Position{}); winner == nil || len(headers) != 1 || headers[0] != winner {
			t.Fatalf("timeline %v, want the one header whose Add succeeded: %v", headers, errs)
		}
	}
}

func TestTimelineWakesWhoeverWaits(t *testing.T) {
	tl := NewTimeline(testKey.ID(), "main")
	changed := tl.Changed()
	if fired(changed) {
		t.Error("woken by nothing")
	}
	if err := tl.Add(at(t, 1, 5, 1), began); err != nil {
		t.Fatal(err)
	}
	if !fired(changed) {
		t.Error("not woken by a header")
	}
	changed = tl.Changed()
	if err := tl.Add(at(t, 1, 5, 0), began); err != nil {
		t.Fatal(err)
	}
	if !fired(changed) {
		t.Error("not woken by a header that fills a hole")
	}
}

func TestAFullTimelineLetsTheOldestGo(t *testing.T) {
	tl := NewTimeline(testKey.ID(), "main")
	make := func(i int) *SignedHeader { return at(t, 1, uint64(i/4), uint32(i%4)) }
	const first = 4 // the hole at its start is filled later
	for i := first; i < first+MaxTimeline; i++ {
		if err := tl.Add(make(i), began); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, oldest, newest int) {
		t.Helper()
		headers := tl.From(Position{})
		if len(headers) != MaxTimeline || headers[0].Position != make(oldest).Position || tl.Newest().Position != make(newest).Position {
			t.Errorf("%s: %d headers from %v to %v, want %d from %v to %v", what, len(headers), headers[0].Position, tl.Newest().Position,
				MaxTimeline, make(oldest).Position, make(newest).Position)
		}
	}
	check("full", first, first+MaxTimeline-1)
	wantError(t, "a header before the oldest", tl.Add(make(first-1), began), ErrStale)
	check("after one before the oldest", first, first+MaxTimeline-1)
	wantError(t, "the oldest", tl.Add(make(first), began), ErrKnown)
	if err := tl.Add(make(first+MaxTimeline+1), began); err != nil {
		t.Fatal(err)
	}
	if err := tl.Add(make(first+MaxTimeline), began); err != nil { // into the hole
		t.Fatal(err)
	}
	check("after two more", first+2, first+MaxTimeline+1)
	wantError(t, "one that went out", tl.Add(make(first), began), ErrStale)
	wantError(t, "one that went out, by gossip", tl.Fresh(make(first), began), ErrStale)
}

func TestFromGivesAPositionAndWhatIsAfter(t *testing.T) {
	tl := timelineOf(t, at(t, 1, 8, 0), at(t, 1, 8, 1), at(t, 1, 9, 0), at(t, 2, 0, 0))
	for from, want := range map[Position]string{
		{}:                "1/8/0 1/8/1 1/9/0 2/0/0",
		{1, 8, 0}:         "1/8/0 1/8/1 1/9/0 2/0/0",
		{1, 8, 1}:         "1/8/1 1/9/0 2/0/0",
		{1, 8, 2}:         "1/9/0 2/0/0",
		{1, 1 << 40, 0}:   "2/0/0",
		{2, 0, 0}:         "2/0/0",
		{2, 0, 1}:         "",
		{1<<64 - 1, 0, 0}: "",
	} {
		if got := positions(tl.From(from)); got != want {
			t.Errorf("from %v: %s, want %s", from, got, want)
		}
	}
}

func TestRecentGivesTheLastSegments(t *testing.T) {
	s8, s9, s10 := segments(t, 1, 8), segments(t, 1, 9), segments(t, 1, 10)
	growing := s10[:2]
	for _, c := range []struct {
		name    string
		headers []*SignedHeader
		n       int
		want    []*SignedHeader
	}{
		{"none", slices.Concat(s8, s9), 0, nil},
		{"fewer than none", s8, -1, nil},
		{"one", slices.Concat(s8, s9), 1, s9},
		{"one that grows", slices.Concat(s8, s9, growing), 1, growing},
		{"two, one grows", slices.Concat(s8, s9, growing), 2, slices.Concat(s9, growing)},
		{"all", slices.Concat(s8, s9), 2, slices.Concat(s8, s9)},
		{"more than there are", slices.Concat(s8, s9), 3, slices.Concat(s8, s9)},
		{"one, its start unknown", slices.Concat(s8, s9[1:]), 1, s9[1:]},
		{"two, starts unknown", slices.Concat(s8[2:], s9[1:], s10[3:]), 2, slices.Concat(s9[1:], s10[3:])},
		{"one and the end", append(slices.Concat(s8, s9), end(t, 1, 10)), 1, append(slices.Clone(s9), end(t, 1, 10))},
		{"nothing but an end", []*SignedHeader{end(t, 1, 0)}, 1, []*SignedHeader{end(t, 1, 0)}},
		{"one after an end", append(segments(t, 2, 0), end(t, 1, 10), s9[3]), 1, segments(t, 2, 0)},
		{"two across an end", append(segments(t, 2, 0), end(t, 1, 10), s8[3], s9[3]), 2, slices.Concat(s9[3:], []*SignedHeader{end(t, 1, 10)}, segments(t, 2, 0))},
		{"one of each of two epochs", slices.Concat(s9, segments(t, 2, 9)), 1, segments(t, 2, 9)},
	} {
		if got, want := positions(timelineOf(t, c.headers...).Recent(c.n)), positions(c.want); got != want {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
	}
}

func TestSegmentsAreCompleteFromFirstToLastPart(t *testing.T) {
	s := segments(t, 1, 8)
	next := at(t, 1, 9, 0)
	for _, c := range []struct {
		name    string
		headers []*SignedHeader
		want    string
	}{
		{"whole", s, "1/8: 0 1 2 3 complete"},
		{"growing", s[:3], "1/8: 0 1 2"},
		{"the first part unknown", s[1:], "1/8: 1 2 3"},
		{"a hole", []*SignedHeader{s[0], s[1], s[3]}, "1/8: 0 1 3"},
		{"only the last", s[3:], "1/8: 3"},
		{"two", append(slices.Clone(s), next), "1/8: 0 1 2 3 complete, 1/9: 0"},
		{"a segment cut short by the end", []*SignedHeader{s[0], s[1], end(t, 1, 9)}, "1/8: 0 1"},
		{"only an end", []*SignedHeader{end(t, 1, 9)}, ""},
		{"the same number in two epochs", slices.Concat(s[3:], []*SignedHeader{end(t, 1, 9)}, segments(t, 2, 8)), "1/8: 3, 2/8: 0 1 2 3 complete"},
	} {
		var got []string
		for _, seg := range timelineOf(t, c.headers...).Segments(Position{}) {
			text := fmt.Sprintf("%d/%d:", seg.Epoch, seg.Number)
			for _, h := range seg.Headers {
				text += fmt.Sprintf(" %d", h.Part)
			}
			if seg.Complete {
				text += " complete"
			}
			got = append(got, text)
		}
		if got := strings.Join(got, ", "); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestASegmentFromItsMiddleIsNotComplete(t *testing.T) {
	tl := timelineOf(t, segments(t, 1, 8, 9)...)
	got := tl.Segments(Position{1, 8, 2})
	if len(got) != 2 || len(got[0].Headers) != 2 || got[0].Complete || !got[1].Complete {
		t.Errorf("segments from 1/8/2: %+v, want two parts of 8, then 9 complete", got)
	}
}

func TestASegmentSumsItsParts(t *testing.T) {
	s := timelineOf(t, segments(t, 1, 8)...).Segments(Position{})[0]
	if s.Duration() != 2*time.Second || s.Size() != 4*int64(len("grapes")) {
		t.Errorf("segment of %v and %d bytes, want 2s and 24", s.Duration(), s.Size())
	}
}

func TestAStreamHasEndedUntilItsNextEpoch(t *testing.T) {
	tl := timelineOf(t, segments(t, 1, 8)...)
	if tl.Ended() {
		t.Error("ended before the end")
	}
	for _, step := range []struct {
		h    *SignedHeader
		want bool
	}{
		{end(t, 1, 9), true},
		{at(t, 1, 7, 3), true}, // an old header by fetch
		{at(t, 2, 0, 0), false},
		{end(t, 2, 1), true},
	} {
		if err := tl.Add(step.h, began); err != nil {
			t.Fatal(err)
		}
		if tl.Ended() != step.want {
			t.Errorf("after %v: ended %t, want %t", step.h.Position, tl.Ended(), step.want)
		}
	}
}

// shifted makes a header at a position with a programme time of its own.
func shifted(t testing.TB, p Position, programTime time.Time) *SignedHeader {
	t.Helper()
	h := at(t, p.Epoch, p.Segment, p.Part).Header
	h.ProgramTime = programTime
	return held(t, h)
}

func TestFreshBeforeAnythingIsKnown(t *testing.T) {
	for _, c := range []struct {
		off  time.Duration // of the programme time from this node's clock
		want error
	}{
		{-FirstTolerance - time.Microsecond, ErrClock},
		{-FirstTolerance, nil},
		{0, nil},
		{FirstTolerance, nil},
		{FirstTolerance + time.Microsecond, ErrClock},
	} {
		tl := NewTimeline(testKey.ID(), "main")
		h := shifted(t, Position{1, 0, 0}, began.Add(c.off))
		wantError(t, fmt.Sprintf("the first header, %v off", c.off), tl.Fresh(h, began), c.want)
	}
}

func TestFresh(t *testing.T) {
	const µs = time.Microsecond
	newest := at(t, 5, 100, 0)
	programme := newest.ProgramTime
	before, after := Position{5, 90, 0}, Position{5, 110, 0}
	next := Position{6, 0, 0}

	for _, c := range []struct {
		name    string
		clock   time.Duration // this node's clock at first, ahead of the broadcaster's
		passes  time.Duration // by the node's clock, since newest was added
		where   Position
		follows time.Duration // programme time, ahead of newest's
		want    error
	}{
		{"the next part", 0, time.Second, after, time.Second, nil},
		{"a part that was lost", 0, time.Second, before, -time.Second, nil},
		{"behind by as much as may be", 0, 0, before, -StaleAfter, nil},
		{"behind by more", 0, 0, before, -StaleAfter - µs, ErrStale},
		{"ahead by as much as may be", 0, 0, after, AheadAfter, nil},
		{"ahead by more", 0, 0, after, AheadAfter + µs, ErrAhead},
		{"ahead by more, but time passed", 0, time.Hour, after, time.Hour, nil},
		{"ahead of the time that passed", 0, time.Hour, after, time.Hour + AheadAfter + µs, ErrAhead},

		// Either clock alone may be wrong.
		{"a clock a day behind", -24 * time.Hour, time.Second, after, time.Second, nil},
		{"a clock a day behind, ahead of the stream", -24 * time.Hour, 0, after, AheadAfter + µs, ErrAhead},
		{"a clock a day ahead", 24 * time.Hour, time.Second, after, time.Second, nil},
		{"a clock a day ahead, and a header that it believes", 24 * time.Hour, 0, after, 24 * time.Hour, nil},
		{"a clock that was set right while the stream stood still", -24 * time.Hour, 24 * time.Hour, after, AheadAfter, nil},
		{"a machine that slept for a day", 0, 24 * time.Hour, after, 24 * time.Hour, nil},
		{"a stream that stalled for a day and goes on as if not", 0, 24 * time.Hour, after, time.Second, nil},
		{"a clock set back by a day since", 0, -24 * time.Hour, after, time.Second, nil},
		{"a clock set back by a day since, ahead of both", 0, -24 * time.Hour, after, AheadAfter + µs, ErrAhead},

		// A broadcaster whose clock jumps within an epoch goes on being news.
		{"set back, a later part", 0, time.Second, after, -time.Hour, nil},
		{"set back, an earlier part", 0, time.Second, before, -time.Hour, ErrStale},

		// Or at a new epoch.
		{"a new epoch", 0, time.Second, next, time.Second, nil},
		{"a new epoch, clock set back", 0, time.Second, next, -24 * time.Hour, nil},
		{"a new epoch, clock set right", time.Hour, time.Second, next, time.Hour, nil},
		{"a new epoch, clock set wrong", 0, 0, next, AheadAfter + µs, nil},
		{"a new epoch, clock set wrong by more", 0, 0, next, 48 * time.Hour, nil},
	} {
		start := programme.Add(c.clock)
		tl := NewTimeline(newest.Stream, newest.Rendition)
		if err := tl.Add(newest, start); err != nil {
			t.Fatal(err)
		}
		h := shifted(t, c.where, programme.Add(c.follows))
		wantError(t, c.name, tl.Fresh(h, start.Add(c.passes)), c.want)
		// A late joiner may fetch all of these.
		wantError(t, c.name+": Add", tl.Add(h, start.Add(c.passes)), nil)
	}
}

func TestAnOldHeaderIsAReplayKnownOrNot(t *testing.T) {
	known, unknown := at(t, 1, 0, 0), at(t, 1, 0, 1)
	newest := at(t, 1, 100, 0) // three minutes later
	tl := timelineOf(t, known, newest)
	for name, h := range map[string]*SignedHeader{"known": known, "unknown": unknown, "a contradiction": other(t, known)} {
		wantError(t, name, tl.Fresh(h, newest.ProgramTime), ErrStale)
	}
	wantError(t, "the newest", tl.Fresh(newest, newest.ProgramTime), ErrKnown)
	wantError(t, "a contradiction to the newest", tl.Fresh(other(t, newest), newest.ProgramTime), ErrEquivocation)

	next := at(t, 2, 0, 0)
	if err := tl.Add(next, next.ProgramTime); err != nil {
		t.Fatal(err)
	}
	wantError(t, "known, of the epoch before, still under way", tl.Fresh(newest, next.ProgramTime), ErrLate)
}

func TestFreshCountsTimeByTheWallClockToo(t *testing.T) {
	now := time.Now()
	newest := shifted(t, Position{1, 0, 0}, now.Add(-time.Hour)) // a broadcaster whose clock is behind
	tl := NewTimeline(newest.Stream, newest.Rendition)
	if err := tl.Add(newest, now); err != nil {
		t.Fatal(err)
	}
	h := shifted(t, Position{1, 9, 0}, newest.ProgramTime.Add(8*time.Hour))
	wantError(t, "eight hours later by the wall clock", tl.Fresh(h, now.Round(0).Add(8*time.Hour)), nil)
	wantError(t, "at once", tl.Fresh(h, now), ErrAhead)
}

func TestTheEpochBeforeIsLateThenStale(t *testing.T) {
	tl := NewTimeline(testKey.ID(), "main")
	add := func(h *SignedHeader, now time.Time) {
		t.Helper()
		if err := tl.Add(h, now); err != nil {
			t.Fatal(err)
		}
	}
	add(at(t, 1, 8, 0), began)
	began2 := began.Add(10 * time.Second)
	add(at(t, 2, 0, 0), began2)
	add(at(t, 2, 0, 1), began2.Add(20*time.Second)) // goes on
	old := at(t, 1, 8, 1)
	wantError(t, "within the grace", tl.Fresh(old, began2.Add(EpochGrace-1)), ErrLate)
	wantError(t, "after it", tl.Fresh(old, began2.Add(EpochGrace)), ErrStale)
	// An old header that is fetched meanwhile begins no epoch.
	add(at(t, 1, 7, 0), began2.Add(EpochGrace))
	wantError(t, "still after it", tl.Fresh(old, began2.Add(EpochGrace)), ErrStale)
	// But one of an epoch that was not known does.
	add(at(t, 4, 0, 0), began2.Add(time.Hour))
	wantError(t, "of two epochs before", tl.Fresh(at(t, 3, 0, 0), began2.Add(time.Hour)), ErrLate)
}

func TestTimelineServesManyAtOnce(t *testing.T) {
	all := segments(t, 1, 0, 1, 2, 3, 4, 5, 6, 7)
	tl := NewTimeline(testKey.ID(), "main")
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 0))
			for _, i := range random.Perm(len(all)) {
				changed := tl.Changed()
				if tl.Fresh(all[i], all[i].ProgramTime) == nil {
					_ = tl.Add(all[i], all[i].ProgramTime)
				}
				fired(changed)
				for _, h := range tl.Recent(2) {
					_ = h.Position
				}
				tl.Segments(Position{})
				tl.Newest()
				tl.Ended()
			}
		})
	}
	wg.Wait()
	if got, want := positions(tl.From(Position{})), positions(all); got != want {
		t.Errorf("headers %s, want %s", got, want)
	}
}

func TestReplace(t *testing.T) {
	key := NewKey()
	sign := func(data string) *SignedHeader {
		t.Helper()
		p, err := NewPublisher(key, "main", 1)
		if err != nil {
			t.Fatal(err)
		}
		h, _, err := p.Publish(Part{StartsSegment: true, Duration: time.Second, ProgramTime: time.Now(), Data: []byte(data)})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	first, second := sign("one"), sign("another")
	line := NewTimeline(key.ID(), "main")
	if line.Replace(second) {
		t.Error("a header took the place of none")
	}
	if err := line.Add(first, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := line.Add(second, time.Now()); !errors.Is(err, ErrEquivocation) {
		t.Errorf("a second header: %v", err)
	}
	changed := line.Changed()
	if !line.Replace(second) || line.Header(first.Position) != second || line.Len() != 1 {
		t.Error("the second header did not take the place of the first")
	}
	select {
	case <-changed:
	default:
		t.Error("nobody was told")
	}
}
