package stream

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func newPublisher(t testing.TB, epoch uint64) *Publisher {
	t.Helper()
	p, err := NewPublisher(testKey, "main", epoch)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// piece makes a part of half a second. Its letters say what it is: s starts a segment,
// e ends one.
func piece(letters string) Part {
	return Part{
		StartsSegment: strings.Contains(letters, "s"),
		EndsSegment:   strings.Contains(letters, "e"),
		Independent:   strings.Contains(letters, "s"),
		Duration:      500 * time.Millisecond,
		Media:         Media{Codecs: "avc1.64001f", Width: 640, Height: 360, FrameRate: 25},
		Data:          []byte("grapes"),
	}
}

func TestPublisherNumbersPartsAndSegments(t *testing.T) {
	p := newPublisher(t, 7)
	var got []string
	for _, letters := range []string{"s", "", "e", "se", "s", "e"} {
		h, chunks, err := p.Publish(piece(letters))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.Position.String())
		if h.Last != strings.Contains(letters, "e") || (h.Media != nil) != (h.Part == 0) {
			t.Errorf("part %v: last %t, media %v", h.Position, h.Last, h.Media)
		}
		if len(chunks) != 1 || string(chunks[0].Data()) != "grapes" {
			t.Errorf("part %v: chunks %v", h.Position, chunks)
		}
	}
	h, err := p.End()
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, h.Position.String())
	if want := "7/0/0 7/0/1 7/0/2 7/1/0 7/2/0 7/2/1 7/3/0"; strings.Join(got, " ") != want {
		t.Errorf("positions %v, want %s", got, want)
	}
}

func TestPublisherGivesASegmentUp(t *testing.T) {
	p := newPublisher(t, 7)
	resumed := piece("s")
	resumed.Discontinuity = true
	var got []string
	for _, part := range []Part{piece("se"), piece("s"), piece(""), resumed, piece("e"), piece("s")} {
		h, _, err := p.Publish(part)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(h.Position, h.Last))
	}
	want := "7/0/0 true,7/1/0 false,7/1/1 false,7/2/0 false,7/2/1 true,7/3/0 false"
	if strings.Join(got, ",") != want {
		t.Errorf("positions %v, want %s", got, want)
	}
	if _, _, err := p.Publish(piece("s")); err == nil {
		t.Error("a segment was given up without a mark")
	}
}

func TestPublisherLeavesOutNumbersOfWhatIsAbsent(t *testing.T) {
	p := newPublisher(t, 7)
	late, pause := piece("se"), piece("se")
	late.Absent = 3
	pause.Absent, pause.Discontinuity = 2, true
	inside := piece("e")
	inside.Absent = 9 // of no meaning there
	var got []string
	for _, part := range []Part{late, piece("se"), pause, piece("s"), inside} {
		h, _, err := p.Publish(part)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.Position.String())
	}
	if want := "7/3/0,7/4/0,7/7/0,7/8/0,7/8/1"; strings.Join(got, ",") != want {
		t.Errorf("positions %v, want %s", got, want)
	}
}

func TestPublisherReturnsWhatOthersRead(t *testing.T) {
	p := newPublisher(t, 7)
	part := piece("s")
	part.Discontinuity = true
	part.Duration = 500*time.Millisecond + 999
	part.ProgramTime = began.Add(1999)
	part.Media.FrameRate = 30000. / 1001
	part.Data = pattern(3*smallestChunk + 5)
	h, chunks, err := p.Publish(part)
	if err != nil {
		t.Fatal(err)
	}
	read, err := OpenHeader(testKey.ID(), h.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(read, h) {
		t.Errorf("published\n%+v, others read\n%+v", h, read)
	}
	if h.ChunkSize != smallestChunk || len(chunks) != 4 {
		t.Errorf("%d chunks of %d bytes, want 4 of %d", len(chunks), h.ChunkSize, smallestChunk)
	}
	if h.Duration != 500*time.Millisecond || !h.ProgramTime.Equal(began.Add(time.Microsecond)) || h.Media.FrameRate != 29.97 {
		t.Errorf("%v at %v, %v frames/s; want rounded to the microsecond and the thousandth", h.Duration, h.ProgramTime, h.Media.FrameRate)
	}
	var data []byte
	for i, c := range chunks {
		if _, err := OpenChunk(read, i, c.Data()); err != nil || c.Header() != h || c.Index() != i {
			t.Errorf("chunk %d: %v", i, err)
		}
		data = append(data, c.Data()...)
	}
	if !bytes.Equal(data, part.Data) {
		t.Error("chunks joined are not the part")
	}
}

func TestPublisherRefusesPartsOutOfSequence(t *testing.T) {
	for _, c := range []struct {
		published []string
		next      string
		refused   bool
	}{
		{nil, "", true},
		{nil, "e", true},
		{nil, "s", false},
		{[]string{"s"}, "s", true},
		{[]string{"s"}, "se", true},
		{[]string{"s"}, "", false},
		{[]string{"se"}, "", true},
		{[]string{"se"}, "s", false},
		{[]string{"s", "e"}, "e", true},
	} {
		p := newPublisher(t, 7)
		for _, letters := range c.published {
			if _, _, err := p.Publish(piece(letters)); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := p.Publish(piece(c.next)); (err != nil) != c.refused {
			t.Errorf("%q after %q: error %v, want one: %t", c.next, c.published, err, c.refused)
		}
	}
}

func TestPublisherRefusesPartsOutOfBounds(t *testing.T) {
	for name, change := range map[string]func(*Part){
		"empty":             func(p *Part) { p.Data = nil },
		"too large":         func(p *Part) { p.Data = make([]byte, MaxPartSize+1) },
		"too long":          func(p *Part) { p.Duration = MaxPartDuration + time.Microsecond },
		"backwards":         func(p *Part) { p.Duration = -time.Microsecond },
		"codecs with quote": func(p *Part) { p.Media.Codecs = `"` },
		"before 1970":       func(p *Part) { p.ProgramTime = time.Unix(-1, 0) },
	} {
		p := newPublisher(t, 7)
		first := piece("se")
		first.ProgramTime = began
		if _, _, err := p.Publish(first); err != nil {
			t.Fatal(err)
		}
		bad := piece("s")
		bad.ProgramTime = began.Add(time.Hour)
		change(&bad)
		_, _, err := p.Publish(bad)
		wantError(t, name, err, ErrMalformed)

		// As though it had never been.
		h, _, err := p.Publish(piece("s"))
		if err != nil {
			t.Errorf("%s: the part after: %v", name, err)
		} else if want := began.Add(500 * time.Millisecond); h.Position != (Position{7, 1, 0}) || !h.ProgramTime.Equal(want) {
			t.Errorf("%s: the part after is %v at %v, want 7/1/0 at %v", name, h.Position, h.ProgramTime, want)
		}
	}
	p := newPublisher(t, 7)
	largest := piece("s")
	largest.Data = make([]byte, MaxPartSize)
	if h, chunks, err := p.Publish(largest); err != nil || len(chunks) != MaxChunks || h.Size != MaxPartSize {
		t.Errorf("the largest part: %d chunks, %v, want %d", len(chunks), err, MaxChunks)
	}
}

func TestPublisherDerivesProgrammeTimes(t *testing.T) {
	p := newPublisher(t, 7)
	for i, c := range []struct {
		letters  string
		given    time.Time
		duration time.Duration
		want     time.Time
	}{
		{"s", began, 300 * time.Millisecond, began},
		{"", time.Time{}, 333333333 * time.Nanosecond, began.Add(300 * time.Millisecond)},
		{"", time.Time{}, 333333333 * time.Nanosecond, began.Add(633333 * time.Microsecond)},
		{"e", time.Time{}, 333333334 * time.Nanosecond, began.Add(966666 * time.Microsecond)}, // rounding does not add up
		{"s", time.Time{}, time.Second, began.Add(1300 * time.Millisecond)},
		{"e", began.Add(time.Hour), time.Second, began.Add(time.Hour)},
		{"se", time.Time{}, time.Second, began.Add(time.Hour + time.Second)},
	} {
		part := piece(c.letters)
		part.ProgramTime, part.Duration = c.given, c.duration
		h, _, err := p.Publish(part)
		if err != nil {
			t.Fatal(err)
		}
		if !h.ProgramTime.Equal(c.want) {
			t.Errorf("part %d is at %v, want %v", i, h.ProgramTime, c.want)
		}
	}
	h, err := p.End()
	if want := began.Add(time.Hour + 2*time.Second); err != nil || !h.ProgramTime.Equal(want) {
		t.Errorf("the end is at %v, %v, want %v", h.ProgramTime, err, want)
	}
}

func TestPublisherTakesNowAsTheEndOfTheFirstPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _, err := newPublisher(t, 7).Publish(piece("s"))
		if want := time.Now().Add(-500 * time.Millisecond); err != nil || !h.ProgramTime.Equal(want) {
			t.Errorf("the first part is at %v, %v, want %v", h.ProgramTime, err, want)
		}
		h, err = newPublisher(t, 7).End()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenHeader(h.Stream, h.Bytes()); err != nil || !h.ProgramTime.Equal(time.Now()) || h.Position != (Position{7, 0, 0}) {
			t.Errorf("a stream that ended before it began ends with %v at %v, %v", h.Position, h.ProgramTime, err)
		}
	})
}

func TestNothingIsPublishedAfterTheEnd(t *testing.T) {
	p := newPublisher(t, 7)
	if _, err := p.End(); err != nil {
		t.Fatal(err)
	}
	_, _, err := p.Publish(piece("s"))
	wantError(t, "publish", err, errEnded)
	_, err = p.End()
	wantError(t, "end", err, errEnded)
}

func TestAnEndInsideASegmentTakesTheNextSegmentsPlace(t *testing.T) {
	p := newPublisher(t, 7)
	for _, letters := range []string{"se", "s", ""} {
		if _, _, err := p.Publish(piece(letters)); err != nil {
			t.Fatal(err)
		}
	}
	h, err := p.End()
	if err != nil || h.Position != (Position{7, 2, 0}) || !h.End || h.Last || len(h.Chunks) != 0 || h.ChunkSize != 0 {
		t.Errorf("end %+v, %v, want one at 7/2/0", h, err)
	}
}

func TestNewPublisherChecksTheRendition(t *testing.T) {
	for _, name := range []string{"", "Main", "a/b", strings.Repeat("a", MaxRenditionName+1)} {
		if _, err := NewPublisher(testKey, name, 7); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) {
			t.Errorf("rendition %q: error %v, want one that names it", name, err)
		}
	}
}
