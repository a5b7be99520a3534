package ingest

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/webvtt"
)

// captions is SubRip, of which all is there, so that a test need not wait: texts by when
// they are shown, in tenths of a second.
func captions(cues ...string) io.Reader {
	var b strings.Builder
	for n, c := range cues {
		var from, to int
		var words string
		if _, err := fmt.Sscanf(c, "%d %d %s", &from, &to, &words); err != nil {
			panic(err)
		}
		fmt.Fprintf(&b, "%d\n00:00:%02d,%d00 --> 00:00:%02d,%d00\n%s\n\n", n+1, from/10, from%10, to/10, to%10, words)
	}
	return strings.NewReader(b.String())
}

// ahead is a transport stream that is not read before all cues are.
type ahead struct {
	io.Reader
	ready func() bool
}

func (a ahead) Read(b []byte) (int, error) {
	for n := 0; !a.ready(); n++ {
		if n > 5000 {
			return 0, io.ErrNoProgress
		}
		time.Sleep(time.Millisecond)
	}
	return a.Reader.Read(b)
}

// drained reports when what it reads from is at its end.
type drained struct {
	io.Reader
	ended chan struct{}
}

func (d drained) Read(b []byte) (int, error) {
	n, err := d.Reader.Read(b)
	if err == io.EOF {
		close(d.ended)
	}
	return n, err
}

func TestSubtitlesAreCutIntoSegments(t *testing.T) {
	ts, _ := dubbed{start: 3 * second, frames: 300, languages: []string{"deu"}}.encode(t)
	cues := drained{captions("31 39 first", "45 92 long", "70 71 short", "10 20 before"), make(chan struct{})}
	in := ahead{bytes.NewReader(ts), func() bool {
		select {
		case <-cues.ended:
			return true
		default:
			return false
		}
	}}
	all, stats := ingestFurther(t, Config{Subtitles: []Subtitles{
		{Language: "eng", Default: true, Cues: cues},
		{Language: "en", Name: "Signs", Cues: captions()},
		{Cues: captions()},
	}}, in)
	main, list := number(all[""]), number(all["text-en"])
	if len(list) != len(main) {
		t.Fatalf("%d segments, the main rendition has %d", len(list), len(main))
	}
	if m, want := list[0].media, (stream.Media{Kind: stream.KindSubtitles, Codecs: "wvtt", Language: "en", Name: "English", Default: true}); m != want {
		t.Errorf("media is %+v, want %+v", m, want)
	}
	// The input begins at 3 s, the output at 10 s.
	at := func(tenths int) time.Duration { return time.Duration(tenths+70) * 100 * time.Millisecond }
	cue := func(from, to int, words string) webvtt.Cue {
		return webvtt.Cue{Start: at(from), End: at(to), Text: words}
	}
	first, long, short := cue(31, 39, "first"), cue(45, 92, "long"), cue(70, 71, "short")
	want := [][]webvtt.Cue{{first, long}, {long}, {long, short}, {long}, nil, nil}
	for i, s := range list {
		if m := main[i]; !s.at.Equal(m.at) || s.duration != m.duration || s.number != m.number || s.marked != m.marked {
			t.Errorf("segment %d is %+v, the main one %+v", i, s, m)
		}
		if got := string(webvtt.Segment(want[i])); string(s.data) != got {
			t.Errorf("segment %d is\n%s\nwant\n%s", i, s.data, got)
		}
	}
	for name, want := range map[string]string{"text-en-2": "Signs", "text-3": ""} {
		if list := number(all[name]); len(list) != len(main) || list[0].media.Name != want {
			t.Errorf("%s: %d segments, %+v", name, len(list), list)
		}
	}
	if stats.LostCues != 1 {
		t.Errorf("%d cues count as lost", stats.LostCues)
	}
}

// A part lasts a minute at most, and a segment may be longer.
func TestSubtitlesOfLongSegments(t *testing.T) {
	var got []stream.Part
	x := &text{stats: &Stats{}, publish: func(p stream.Part) error { got = append(got, p); return nil }}
	for n := range 3 {
		p := stream.Part{StartsSegment: n == 0, EndsSegment: n == 2, Duration: 50 * time.Second, ProgramTime: time.Unix(1000, 0)}
		if err := x.span(span{p, int64(n) * 50 * second, int64(n+1) * 50 * second}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.finish(); err != nil {
		t.Fatal(err)
	}
	p, err := stream.NewPublisher(stream.NewKey(), "text-en", 1)
	if err != nil {
		t.Fatal(err)
	}
	var total time.Duration
	for _, part := range got {
		part.ProgramTime = time.Unix(1000, 0)
		if _, _, err := p.Publish(part); err != nil {
			t.Error(err)
		}
		total += part.Duration
	}
	if len(got) != 3 || total != 150*time.Second || !got[2].EndsSegment {
		t.Errorf("%d parts, %v", len(got), total)
	}
}

// Cues that nobody can place are bounded.
func TestSubtitlesAreBounded(t *testing.T) {
	x := &text{stats: &Stats{}, publish: func(stream.Part) error { return nil }}
	var many []string
	for range maxCues + 5 {
		many = append(many, "10 20 x")
	}
	if err := x.read(captions(many...)); err != nil {
		t.Fatal(err)
	}
	if n := len(x.shown(0, second)); n != 0 || x.stats.LostCues != 5 {
		t.Errorf("%d shown, %d lost", n, x.stats.LostCues)
	}
	if n := len(x.shown(second, 2*second)); n != maxCues || len(x.cues) != 0 {
		t.Errorf("%d shown, %d left", n, len(x.cues))
	}
}

func TestSubtitlesNeedAPublisher(t *testing.T) {
	if _, err := New(Config{Input: "sample:", Subtitles: []Subtitles{{Cues: captions()}}}); err == nil {
		t.Error("subtitles without")
	}
	if !slices.Contains([]string{"text-1"}, renditionName("text", strings.Repeat("a", 35), 0, 1)) {
		t.Error("a tag that is longer than a name")
	}
}

// Encoders leave subtitles out. What they made has those of the input, at the pictures' times,
// though the input's timestamps jump.
func TestSubtitlesOfWhatIsEncoded(t *testing.T) {
	one, _, _ := clip{frames: 200, start: 7 * second}.encode(t)
	two, _, _ := clip{frames: 200, start: 30 * second}.encode(t)
	cues := drained{captions("71 79 first", "110 160 long", "301 309 second", "330 340 third", "500 510 never"), make(chan struct{})}
	subtitles := []Subtitles{{Language: "eng", Cues: cues}}
	base := NewBase()
	input := breaks{one, two}
	var first []stream.Part
	lead, err := New(Config{Input: "-", Base: base, Subtitles: subtitles, Stdin: ahead{&input, func() bool {
		select {
		case <-cues.ended:
			return true
		default:
			return false
		}
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := lead.Run(t.Context(), func(p stream.Part) error { first = append(first, p); return nil }); err != nil {
		t.Fatal(err)
	}
	all, stats := ingestFurther(t, Config{Base: base.Encoded(), Subtitles: subtitles}, bytes.NewReader(join(first)))
	main, list := number(all[""]), number(all["text-en"])
	if len(all) != 2 || len(list) != len(main) || len(list) != 8 {
		t.Fatalf("%d renditions, %d segments of subtitles, %d of pictures", len(all), len(list), len(main))
	}
	at := func(tenths int) time.Duration { return time.Duration(tenths) * 100 * time.Millisecond }
	cue := func(from, to int, words string) webvtt.Cue {
		return webvtt.Cue{Start: at(from), End: at(to), Text: words}
	}
	// The input begins at 7 s, and again at 30 s after 8 s; the output at 10 s.
	long := cue(140, 190, "long")
	want := [][]webvtt.Cue{{cue(101, 109, "first")}, nil, {long}, {long}, {long, cue(181, 189, "second")}, {cue(210, 220, "third")}, nil, nil}
	for i, s := range list {
		if !s.at.Equal(main[i].at) || s.duration != main[i].duration {
			t.Errorf("segment %d is %+v, the pictures' %+v", i, s, main[i])
		}
		if got := string(webvtt.Segment(want[i])); string(s.data) != got {
			t.Errorf("segment %d is\n%s\nwant\n%s", i, s.data, got)
		}
	}
	if n := stats.LostCues + lead.Stats().LostCues; n != 0 {
		t.Errorf("%d cues count as lost", n)
	}
}

// What there is no room for is counted.
func TestSharedCuesAreBounded(t *testing.T) {
	base := NewBase()
	lost := base.shareCues(1, make([]webvtt.Cue, maxCues-1))
	if lost += base.shareCues(1, make([]webvtt.Cue, 3)); lost != 2 || len(base.takeCues(1)) != maxCues || len(base.takeCues(1)) != 0 || base.takeCues(5) != nil {
		t.Errorf("%d lost", lost)
	}
}
