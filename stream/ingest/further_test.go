package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/transport"
)

// dubbed is an encoder's output with audio in several languages: 25 pictures a second, and
// frames of AAC whose bytes name their language and their time.
type dubbed struct {
	start     int64 // decoding time of the first frame
	frames    int   // pictures
	languages []string
	late      int64                                // by how much audio comes later than its pictures
	silent    func(language string, at int64) bool // whether there is none, from start on
	pids      []uint16                             // of the audio tracks; nil for any
}

// encode returns the transport stream, and the audio frames that were sent of each track.
func (d dubbed) encode(t testing.TB) (ts []byte, sent [][]frame) {
	t.Helper()
	video := &mpegts.Track{Codec: &codecs.H264{}}
	tracks := []*mpegts.Track{video}
	for i, language := range d.languages {
		a := &mpegts.Track{Codec: aacStereo(), Language: language}
		if d.pids != nil {
			a.PID = d.pids[i]
		}
		tracks = append(tracks, a)
	}
	var buf bytes.Buffer
	w := &mpegts.Writer{W: &buf, Tracks: tracks}
	if err := w.Initialize(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteTables(); err != nil {
		t.Fatal(err)
	}
	sent = make([][]frame, len(d.languages))
	sound := make([]int64, len(d.languages)) // from start
	hear := func(until int64) {
		for i, a := range tracks[1:] {
			for ; sound[i] < until; sound[i] += 1024 * second / 48000 {
				if d.silent != nil && d.silent(d.languages[i], sound[i]) {
					continue
				}
				f := frame{pts: d.start + sound[i], name: fmt.Sprintf("%d %s %d", i, d.languages[i], d.start+sound[i])}
				if err := w.WriteMPEG4Audio(a, f.pts&(wrap-1), [][]byte{[]byte(f.name)}); err != nil {
					t.Fatal(err)
				}
				sent[i] = append(sent[i], f)
			}
		}
	}
	for n := range d.frames {
		at := int64(n) * second / 25
		au, _ := clip{}.defaults().picture(n, n%50 == 0)
		if err := w.WriteH264(video, (d.start+at)&(wrap-1), (d.start+at)&(wrap-1), au); err != nil {
			t.Fatal(err)
		}
		hear(at + second/25 - d.late)
	}
	hear(int64(d.frames) * second / 25)
	return buf.Bytes(), sent
}

// cast is the parts of an input's renditions, by name; the main one is "".
type cast map[string][]stream.Part

func ingestFurther(t *testing.T, cfg Config, in io.Reader) (cast, Stats) {
	t.Helper()
	all := make(cast)
	cfg.Input, cfg.Stdin = "-", in
	cfg.Further = func(rendition string) (func(stream.Part) error, error) {
		if _, twice := all[rendition]; twice || !stream.ValidRendition(rendition) {
			t.Errorf("rendition %q", rendition)
		}
		all[rendition] = nil
		return func(p stream.Part) error { all[rendition] = append(all[rendition], p); return nil }, nil
	}
	i, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Run(t.Context(), func(p stream.Part) error { all[""] = append(all[""], p); return nil }); err != nil {
		t.Fatal(err)
	}
	return all, i.Stats()
}

// numbered is a segment with its number, as a publisher gives it.
type numbered struct {
	number   int
	marked   bool
	at       time.Time
	duration time.Duration
	media    stream.Media
	data     []byte
}

func number(parts []stream.Part) (list []numbered) {
	next := 0
	for _, p := range parts {
		if p.StartsSegment {
			next += int(p.Absent)
			list = append(list, numbered{number: next, marked: p.Discontinuity, at: p.ProgramTime, media: p.Media})
			next++
		}
		s := &list[len(list)-1]
		s.duration += p.Duration
		s.data = append(s.data, p.Data...)
	}
	return list
}

// check fails unless a rendition of audio keeps to the main one's segments and parts, and
// each frame is in the segment of its time.
func (all cast) check(t *testing.T, rendition string) []numbered {
	t.Helper()
	parts := all[rendition]
	checkParts(t, slices.Clone(parts))
	main, list := number(all[""]), number(parts)
	for i, s := range list {
		if s.number >= len(main) {
			t.Fatalf("%s: segment %d of %d", rendition, s.number, len(main))
		}
		m := main[s.number]
		if !s.at.Equal(m.at) || s.duration != m.duration {
			t.Errorf("%s: segment %d at %v for %v, the main one at %v for %v", rendition, s.number, s.at, s.duration, m.at, m.duration)
		}
		if s.marked != (i > 0 && (m.marked || list[i-1].number+1 != s.number)) {
			t.Errorf("%s: segment %d is marked: %t", rendition, s.number, s.marked)
		}
		v, _ := demuxed(t, m.data)
		video, audio := demuxed(t, s.data)
		if len(video) > 0 || len(audio) == 0 {
			t.Fatalf("%s: segment %d has %d pictures and %d frames", rendition, s.number, len(video), len(audio))
		}
		for _, f := range audio {
			if at := f.pts - v[0].pts; at < -1024*second/48000 || at > ticks(m.duration) {
				t.Errorf("%s: segment %d has %q at %v of %v", rendition, s.number, f.name, micros(at), m.duration)
			}
		}
	}
	for _, p := range parts {
		if !p.Independent {
			t.Errorf("%s: a part at %v is not independent", rendition, p.ProgramTime)
		}
	}
	return list
}

func heard(t *testing.T, parts []stream.Part) []string {
	t.Helper()
	_, audio := demuxed(t, join(parts))
	return names(audio)
}

func TestFurtherAudioIsARenditionOfItsOwn(t *testing.T) {
	for _, late := range []int64{0, second / 2, 9 * second / 10} {
		t.Run(micros(late).String(), func(t *testing.T) {
			ts, sent := dubbed{frames: 400, languages: []string{"ger", "eng", "eng", "", "ger"}, late: late}.encode(t)
			all, stats := ingestFurther(t, Config{}, bytes.NewReader(ts))
			main := number(all[""])
			if m := main[0].media; m.Kind != stream.KindMain || m.Language != "de" || m.Name != "Deutsch" || m.Codecs != "avc1.64001e,mp4a.40.2" {
				t.Errorf("the main rendition is %+v", m)
			}
			for i, want := range []struct{ rendition, language, name string }{
				{"audio-en", "en", "English"},
				{"audio-en-2", "en", "English 2"},
				{"audio-4", "", "Audio 4"},
				{"audio-de-2", "de", "Deutsch 2"},
			} {
				list := all.check(t, want.rendition)
				if len(list) != len(main) {
					t.Errorf("%s: %d segments, the main one has %d", want.rendition, len(list), len(main))
				}
				if m, want := list[0].media, (stream.Media{Kind: stream.KindAudio, Codecs: "mp4a.40.2", Language: want.language, Name: want.name}); m != want {
					t.Errorf("media is %+v, want %+v", m, want)
				}
				if got := heard(t, all[want.rendition]); !slices.Equal(got, names(sent[i+1])) {
					t.Errorf("%s: %d frames of %d", want.rendition, len(got), len(sent[i+1]))
				}
				if n := len(all[want.rendition]); n != len(all[""]) {
					t.Errorf("%s: %d parts, the main one has %d", want.rendition, n, len(all[""]))
				}
			}
			if _, audio := demuxed(t, join(all[""])); !slices.Equal(names(audio), names(sent[0])) {
				t.Errorf("the main rendition has %d frames of %d", len(audio), len(sent[0]))
			}
			if len(all) != 5 || stats.AbsentSegments+stats.SkippedFrames+stats.Discontinuities != 0 || len(stats.Tracks) != 6 {
				t.Errorf("%d renditions, %+v", len(all), stats)
			}
		})
	}
}

// Audio that has a pause leaves out segments, and their numbers; the others go on.
func TestFurtherAudioHasAPause(t *testing.T) {
	d := dubbed{frames: 600, languages: []string{"deu", "eng", "fra"}, silent: func(language string, at int64) bool {
		return language == "eng" && at > 5*second && at < 13*second
	}}
	ts, _ := d.encode(t)
	all, stats := ingestFurther(t, Config{}, bytes.NewReader(ts))
	if n := len(all.check(t, "audio-fr")); n != 12 {
		t.Errorf("%d segments of French, want 12", n)
	}
	var numbers []int
	for _, s := range all.check(t, "audio-en") {
		numbers = append(numbers, s.number)
	}
	// Segments 3 to 6 begin in the pause.
	if want := []int{0, 1, 2, 7, 8, 9, 10, 11}; !slices.Equal(numbers, want) || stats.AbsentSegments != 4 {
		t.Errorf("segments %v, want %v; %d counted as absent", numbers, want, stats.AbsentSegments)
	}
}

// Where tracks come, go and come back, numbers stay those of the main rendition.
func TestFurtherAudioComesAndGoes(t *testing.T) {
	piece := func(start int64, languages ...string) []byte {
		ts, _ := dubbed{start: start * second, frames: 200, languages: languages}.encode(t)
		return ts
	}
	in := slices.Concat(piece(0, "deu"), piece(8, "deu", "eng"), piece(16, "deu"), piece(24, "deu", "fra", "eng"))
	all, stats := ingestFurther(t, Config{}, bytes.NewReader(in))
	for rendition, want := range map[string][]int{"audio-en": {4, 5, 6, 7, 12, 13, 14, 15}, "audio-fr": {12, 13, 14, 15}} {
		var numbers []int
		for _, s := range all.check(t, rendition) {
			numbers = append(numbers, s.number)
		}
		if !slices.Equal(numbers, want) {
			t.Errorf("%s: segments %v, want %v", rendition, numbers, want)
		}
	}
	if n := len(number(all[""])); n != 16 || stats.SkippedFrames > 3 {
		t.Errorf("%d segments, %d frames skipped", n, stats.SkippedFrames)
	}
}

// An encoder that starts again elsewhere in time is a discontinuity in all renditions.
func TestFurtherAudioAfterAJump(t *testing.T) {
	a, sentA := dubbed{frames: 230, languages: []string{"deu", "eng"}}.encode(t)
	b, sentB := dubbed{start: 5000 * second, frames: 230, languages: []string{"deu", "eng"}}.encode(t)
	all, _ := ingestFurther(t, Config{}, bytes.NewReader(slices.Concat(a, b)))
	list := all.check(t, "audio-en")
	marks := 0
	for _, s := range list {
		if s.marked {
			marks++
		}
	}
	if len(list) != len(number(all[""])) || marks != 1 {
		t.Errorf("%d segments, %d marked", len(list), marks)
	}
	if got, want := len(heard(t, all["audio-en"])), len(sentA[1])+len(sentB[1]); got < want-2 {
		t.Errorf("%d frames of %d", got, want)
	}
}

func TestFurtherAudioOfALoop(t *testing.T) {
	ts, sent := dubbed{frames: 200, languages: []string{"deu", "eng"}}.encode(t) // as long as 375 frames of audio
	path := filepath.Join(t.TempDir(), "clip.ts")
	if err := os.WriteFile(path, ts, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { loopFurther(t, path, names(sent[1])) })
}

func loopFurther(t *testing.T, path string, once []string) {
	all := make(cast)
	stop := errors.New("enough")
	i, err := New(Config{Input: path, Loop: true, Further: func(name string) (func(stream.Part) error, error) {
		return func(p stream.Part) error { all[name] = append(all[name], p); return nil }, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	err = i.Run(t.Context(), func(p stream.Part) error {
		if all[""] = append(all[""], p); len(all[""]) > 50 { // of 16 a turn
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	got := heard(t, all["audio-en"])
	if want := slices.Concat(once, once); len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("%d frames, %d a turn", len(got), len(once))
	}
}

func TestFurtherAudioIsLeftOut(t *testing.T) {
	ts, sent := dubbed{frames: 200, languages: []string{"deu", "eng"}}.encode(t)
	i, err := New(Config{Input: "-", Stdin: iotest.HalfReader(bytes.NewReader(ts)), Further: func(string) (func(stream.Part) error, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	var parts []stream.Part
	if err := i.Run(t.Context(), func(p stream.Part) error { parts = append(parts, p); return nil }); err != nil {
		t.Fatal(err)
	}
	if got := heard(t, parts); !slices.Equal(got, names(sent[0])) {
		t.Errorf("%d frames of %d", len(got), len(sent[0]))
	}
	if st := i.Stats(); len(st.Tracks) != 2 || !slices.Equal(st.Ignored, []string{"another mp4a.40.2"}) {
		t.Errorf("tracks %+v, left out %q", st.Tracks, st.Ignored)
	}
}

// Unless somebody takes them, all audio tracks stay in the one rendition.
func TestAllAudioTogether(t *testing.T) {
	ts, sent := dubbed{frames: 200, languages: []string{"deu", "eng"}}.encode(t)
	parts, _, err := ingestAll(t, Config{}, ts)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(heard(t, parts)), len(sent[0])+len(sent[1]); got != want {
		t.Errorf("%d frames of %d", got, want)
	}
}

// When languages come or go, pictures and the first language keep their PIDs: ffmpeg plays no
// track that is new.
func TestMainTracksKeepTheirPIDs(t *testing.T) {
	two, _ := dubbed{frames: 100, languages: []string{"deu", "eng"}}.encode(t)
	one, _ := dubbed{frames: 100, start: 9 * second, languages: []string{"deu"}}.encode(t)
	other, _ := dubbed{frames: 100, start: 20 * second, languages: []string{"fra"}}.encode(t)
	parts := runBreaks(t, Config{Further: func(string) (func(stream.Part) error, error) {
		return func(stream.Part) error { return nil }, nil
	}}, two, one, other)
	var pids [][]uint16
	var tables transport.Tables
	for raw := range slices.Chunk(join(parts), packetSize) {
		if pmt := tables.Add(raw, transport.ParsePacket(raw)); pmt != nil {
			var set []uint16
			for _, es := range pmt.ElementaryStreams {
				set = append(set, es.ElementaryPID)
			}
			pids = append(pids, set)
		}
	}
	pids = slices.CompactFunc(pids, slices.Equal)
	if len(pids) != 2 || len(pids[0]) != 2 || slices.Equal(pids[0], pids[1]) {
		t.Errorf("the tables name %v, want two sets: another language is another track", pids)
	}
}
