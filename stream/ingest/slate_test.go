package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream"
)

// awaited is an input whose encoders a test lets in.
type awaited struct {
	*Ingest
	*reception
	began time.Time
	done  chan error
	stop  func()

	mu    sync.Mutex // guards all following
	parts []stream.Part
	came  []time.Duration // when each part did
}

// await runs an input in virtual time, until nobody comes back for 10.02 s, unless cfg says how long.
func await(t *testing.T, cfg Config) *awaited {
	t.Helper()
	cfg.Input = "tcp://:1"
	if cfg.Reconnect == 0 {
		cfg.Reconnect = 10020 * time.Millisecond
	}
	i, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a := &awaited{Ingest: i, reception: newReception(i, func() {}), began: time.Now(), done: make(chan error, 1)}
	ctx, cancel := context.WithCancelCause(t.Context())
	a.stop = func() { cancel(errOver) }
	go i.slates.run(ctx)
	go func() {
		defer a.stop()
		a.done <- newRunner(i, a.source(), func(p stream.Part) error {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.parts, a.came = append(a.parts, p), append(a.came, time.Since(a.began))
			return nil
		}).run(ctx)
	}()
	return a
}

// at lets an encoder in once so much time has passed.
func (a *awaited) at(t *testing.T, after time.Duration, c clip) {
	t.Helper()
	time.Sleep(time.Until(a.began.Add(after)))
	if err := a.enter(publisherOf(t, c, false)); err != nil {
		t.Errorf("after %v: %v", after, err)
	}
}

// pictures returns those that were published, and the names of the slate's.
func (a *awaited) pictures(t *testing.T) (all []frame, slate []string) {
	t.Helper()
	all, _ = demuxed(t, join(a.parts))
	for _, f := range all {
		if strings.HasPrefix(f.name, "slate ") {
			slate = append(slate, f.name)
		}
	}
	return all, slate
}

// slateOf returns what makes a slate of a clip.
func slateOf(t *testing.T, c clip) (makes func(context.Context, SlateFormat) ([]byte, error), video []frame) {
	c.label = "slate "
	ts, video, _ := c.encode(t)
	return func(context.Context, SlateFormat) ([]byte, error) { return ts, nil }, video
}

// While an encoder is gone, its viewers see the slate: from when it went, at the speed of
// life, without a seam where it is repeated; until another sends, or none comes.
func TestSlate(t *testing.T) {
	makes, loop := slateOf(t, clip{frames: 100, start: 7777, noAudio: true})
	synctest.Test(t, func(t *testing.T) {
		a := await(t, Config{Slate: makes})
		a.at(t, 0, clip{frames: 130, label: "first "})                      // its end is seen at 5.16 s
		a.at(t, 15010*time.Millisecond, clip{frames: 75, label: "second "}) // at 17.97 s
		if err := <-a.done; err != nil || time.Since(a.began) != 27990*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(a.began))
		}
		checkParts(t, a.parts)
		if got := discontinuities(a.parts); !slices.Equal(got, []int{3, 8, 10}) {
			t.Errorf("discontinuities at %v", got)
		}

		all, slate := a.pictures(t)
		var want []string
		for _, count := range []int{247, 251} { // 9.85 s and 10.02 s
			for n := range count {
				want = append(want, loop[n%100].name)
			}
		}
		if !slices.Equal(slate, want) {
			t.Errorf("%d pictures of the slate, want %d", len(slate), len(want))
		}
		for n := 1; n < len(all); n++ {
			if all[n].pts-all[n-1].pts != 3600 {
				t.Errorf("%q at %d after %q at %d", all[n].name, all[n].pts, all[n-1].name, all[n-1].pts)
			}
		}
		media := time.Duration(0)
		for n, p := range a.parts {
			if late := p.ProgramTime.Add(p.Duration).Sub(a.began) - a.came[n]; late < -slateDelay || late > 41*time.Millisecond {
				t.Errorf("part %d until %v came at %v", n, p.ProgramTime.Add(p.Duration).Sub(a.began), a.came[n])
			}
			media += p.Duration
		}
		if lacks := time.Since(a.began) - media; lacks.Abs() > 200*time.Millisecond {
			t.Errorf("%v of media in %v", media, time.Since(a.began))
		}
		if st := a.Stats(); st.Slate != 498*40*time.Millisecond || st.OnSlate || st.Breaks != 2 || st.SkippedFrames+st.DamagedFrames != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// Who is back soon is not covered by a slate, and who comes back without a word does not end it.
func TestSlateBegins(t *testing.T) {
	makes, _ := slateOf(t, clip{frames: 100, noAudio: true})
	synctest.Test(t, func(t *testing.T) {
		a := await(t, Config{Slate: makes})
		a.at(t, 0, clip{frames: 51, label: "first "})                      // until 2 s
		a.at(t, 2990*time.Millisecond, clip{frames: 51, label: "second "}) // until 4.99 s
		time.Sleep(6010 * time.Millisecond)
		if st := a.Stats(); !st.OnSlate || st.Slate != 4040*time.Millisecond {
			t.Errorf("%v of the slate, %v", st.Slate, st.OnSlate)
		}
		mute, w := pipeEncoder("mute")
		if err := a.enter(mute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if st := a.Stats(); !st.OnSlate || !st.Gone.IsZero() {
			t.Errorf("it ends with an encoder that is silent: %+v", st)
		}
		w.Close()
		if err := <-a.done; err != nil {
			t.Fatal(err)
		}
		if got := discontinuities(a.parts); !slices.Equal(got, []int{2, 4}) {
			t.Errorf("discontinuities at %v", got)
		}
		if st := a.Stats(); st.Breaks != 3 || st.Strangers != 0 {
			t.Errorf("%+v", st)
		}
		if _, slate := a.pictures(t); len(slate) != 44*25+1 {
			t.Errorf("%d pictures of the slate", len(slate))
		}
	})
}

// An encoder that is let in while the slate is shown, and is silent, is replaced like others.
func TestSlateWhileEncodersChange(t *testing.T) {
	makes, _ := slateOf(t, clip{frames: 100, noAudio: true})
	synctest.Test(t, func(t *testing.T) {
		a := await(t, Config{Slate: makes})
		a.at(t, 0, clip{frames: 51, label: "first "}) // until 2 s
		time.Sleep(5 * time.Second)
		mute, _ := pipeEncoder("mute")
		if err := a.enter(mute); err != nil {
			t.Fatal(err)
		}
		if err := a.enter(mute); err != ErrBusy {
			t.Errorf("it is not busy: %v", err)
		}
		a.at(t, 5*time.Second+silence+10*time.Millisecond, clip{frames: 51, label: "second "})
		if err := <-a.done; err != nil {
			t.Fatal(err)
		}
		if got := discontinuities(a.parts); !slices.Equal(got, []int{2, 7, 9}) {
			t.Errorf("discontinuities at %v", got)
		}
		if all, slate := a.pictures(t); len(all)-len(slate) != 2*51 {
			t.Errorf("%d pictures of encoders", len(all)-len(slate))
		}
	})
}

// The input's end is the slate's.
func TestSlateEndsWithTheInput(t *testing.T) {
	makes, _ := slateOf(t, clip{frames: 100, noAudio: true})
	synctest.Test(t, func(t *testing.T) {
		a := await(t, Config{Slate: makes})
		a.at(t, 0, clip{frames: 51})
		time.Sleep(5 * time.Second)
		mute, _ := pipeEncoder("mute")
		if err := a.enter(mute); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		a.stop()
		if err := <-a.done; err != errOver {
			t.Errorf("got %v", err)
		}
		if err := a.enter(mute); err != net.ErrClosed {
			t.Errorf("it still lets in: %v", err)
		}
		if st := a.Stats(); st.OnSlate || st.Slate == 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A slate that comes late does not make its viewers as late.
func TestSlateThatIsLate(t *testing.T) {
	loop, _ := slateOf(t, clip{frames: 100, noAudio: true})
	synctest.Test(t, func(t *testing.T) {
		var made time.Time
		a := await(t, Config{Reconnect: 20 * time.Second, Slate: func(ctx context.Context, f SlateFormat) ([]byte, error) {
			time.Sleep(14 * time.Second)
			made = time.Now()
			return loop(ctx, f)
		}})
		a.at(t, 0, clip{frames: 51}) // until 2 s
		if err := <-a.done; err != nil {
			t.Fatal(err)
		}
		want := time.Since(made) + maxSlateBack
		if st := a.Stats(); want > 19*time.Second || (st.Slate-want).Abs() > 40*time.Millisecond {
			t.Errorf("%v of the slate, want %v", st.Slate, want)
		}
	})
}

// All languages go on, with silence.
func TestSlateInSeveralLanguages(t *testing.T) {
	languages := []string{"deu", "eng"}
	sent, _ := dubbed{frames: 130, languages: languages}.encode(t)
	loop, _ := dubbed{frames: 50, languages: []string{"", ""}}.encode(t)
	synctest.Test(t, func(t *testing.T) {
		all := make(cast)
		a := await(t, Config{
			Slate: func(_ context.Context, f SlateFormat) ([]byte, error) {
				if n := len(f.Audio); n != 2 || f.Audio[1] != (SlateAudio{Codec: "mp4a.40.2", Language: "eng", Rate: 48000, Channels: 2}) {
					t.Errorf("asked for %+v", f)
				}
				return loop, nil
			},
			Further: func(rendition string) (func(stream.Part) error, error) {
				return func(p stream.Part) error {
					all[rendition] = append(all[rendition], p)
					return nil
				}, nil
			},
		})
		if err := a.enter(&encoder{ReadCloser: io.NopCloser(bytes.NewReader(sent)), whole: true}); err != nil {
			t.Fatal(err)
		}
		if err := <-a.done; err != nil {
			t.Fatal(err)
		}
		further := all["audio-en"]
		if len(all) != 1 || len(further) == 0 {
			t.Fatalf("renditions are %v", slices.Collect(maps.Keys(all)))
		}
		if got, want := starts(further), starts(a.parts); len(want) != 9 || !slices.EqualFunc(got, want, time.Time.Equal) {
			t.Errorf("segments start at\n%v and\n%v", got, want)
		}
		if got := discontinuities(further); !slices.Equal(got, []int{3}) {
			t.Errorf("discontinuities at %v", got)
		}
		if st := a.Stats(); st.AbsentSegments+st.DamagedFrames != 0 || len(st.Tracks) != 3 {
			t.Errorf("%+v", st)
		}
	})
}

// Several inputs that lose their encoders together, and get them back together, have as many
// segments, which begin as their encoders went and came.
func TestSlatesTogether(t *testing.T) {
	makes, _ := slateOf(t, clip{frames: 100, noAudio: true})
	synctest.Test(t, func(t *testing.T) {
		base := NewSharedBase(2)
		inputs := []*awaited{await(t, Config{Slate: makes, Base: base}), await(t, Config{Slate: makes, Base: base})}
		for n, a := range inputs {
			a.at(t, 0, clip{frames: 130 + n}) // the second is seen to end 40 ms later
		}
		for n, a := range inputs {
			a.at(t, 15010*time.Millisecond+time.Duration(n)*130*time.Millisecond, clip{frames: 75, start: 5000 * second})
		}
		for _, a := range inputs {
			if err := <-a.done; err != nil {
				t.Error(err)
			}
			checkParts(t, a.parts)
		}
		a, b := starts(inputs[0].parts), starts(inputs[1].parts)
		if !slices.EqualFunc(a, b, func(a, b time.Time) bool { return a.Sub(b).Abs() <= 130*time.Millisecond }) || len(a) != 15 {
			t.Errorf("segments start at\n%v and\n%v", a, b)
		}
		if a, b := discontinuities(inputs[0].parts), discontinuities(inputs[1].parts); !slices.Equal(a, b) || len(a) != 3 {
			t.Errorf("discontinuities at %v and %v", a, b)
		}
		for n, a := range inputs {
			if st := a.Stats(); st.Slate < 19*time.Second {
				t.Errorf("input %d showed %v of the slate", n, st.Slate)
			}
		}
	})
}

// While one of several inputs shows the slate, the others go on. It is by the clock, and has no
// part in where its encoder continues when that is back.
func TestSlateOfOneInputAmongSeveral(t *testing.T) {
	makes, _ := slateOf(t, clip{frames: 100, noAudio: true})
	synctest.Test(t, func(t *testing.T) {
		base := NewSharedBase(2)
		stays, leaves := await(t, Config{Slate: makes, Base: base}), await(t, Config{Slate: makes, Base: base})
		stays.at(t, 0, clip{frames: 500})
		leaves.at(t, 0, clip{frames: 130})
		leaves.at(t, 15*time.Second, clip{frames: 125, start: 15 * second, lead: 25})
		for _, a := range []*awaited{stays, leaves} {
			if err := <-a.done; err != nil {
				t.Error(err)
			}
			checkParts(t, a.parts)
		}
		for n, p := range leaves.parts {
			if late := p.ProgramTime.Add(p.Duration).Sub(leaves.began) - leaves.came[n]; late < -slateDelay || late > 41*time.Millisecond {
				t.Errorf("part %d until %v came at %v", n, p.ProgramTime.Add(p.Duration).Sub(leaves.began), leaves.came[n])
			}
		}
		a, b := starts(stays.parts), starts(leaves.parts)
		for _, second := range []int{2, 4, 16, 18} {
			at := stays.began.Add(time.Duration(second) * time.Second)
			for _, list := range [][]time.Time{a, b} {
				if !slices.ContainsFunc(list, at.Equal) {
					t.Errorf("none of the segments that start at\n%v\nstarts at %v", list, at)
				}
			}
		}
	})
}

// A slate that was not made yet begins when it is, one that cannot be made does not.
func TestSlateIsMade(t *testing.T) {
	loop, _ := slateOf(t, clip{frames: 100, noAudio: true})
	synctest.Test(t, func(t *testing.T) {
		var formats []SlateFormat
		a := await(t, Config{Slate: func(ctx context.Context, f SlateFormat) ([]byte, error) {
			formats = append(formats, f)
			if len(formats) == 1 {
				return nil, errors.New("no")
			}
			time.Sleep(4 * time.Second)
			return loop(ctx, f)
		}})
		a.at(t, 0, clip{frames: 51})
		a.at(t, 8*time.Second, clip{frames: 51, hevc: true, sps: sps265})
		if err := <-a.done; err != nil {
			t.Fatal(err)
		}
		want := []SlateFormat{
			{Video: "avc1.64001e", Width: 640, Height: 360, FrameRate: 25, Segment: 2 * time.Second},
			{Video: "hvc1.1.6.L63.90", Width: 640, Height: 360, FrameRate: 29.97, Segment: 2 * time.Second},
		}
		if !slices.EqualFunc(formats, want, func(a, b SlateFormat) bool { return a.same(b) && a.FrameRate == b.FrameRate }) {
			t.Errorf("asked for %+v", formats)
		}
		// The second came 0.5 s after it was first asked for, and 10 s had to pass since.
		if st := a.Stats(); st.Slate < 9*time.Second || st.Slate > 11*time.Second {
			t.Errorf("%v of the slate", st.Slate)
		}
	})
}

// Pictures and sounds loop each for itself, and stay together.
func TestSlatePlayer(t *testing.T) {
	for name, c := range map[string]clip{
		"H.264 and AAC": {},
		"HEVC and MP3":  {hevc: true, sps: sps265, audio: &codecs.MPEG1Audio{}},
		"Opus":          {audio: opusStereo()},
		"B-frames":      {bframes: true},
	} {
		t.Run(name, func(t *testing.T) {
			c.frames, c.start = 50, 12345
			ts, video, audio := c.encode(t)
			s, err := readSlate(ts, SlateFormat{Audio: []SlateAudio{{Language: "deu"}}})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				p, err := newSlatePlayer(s, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				var shown time.Duration
				var ts bytes.Buffer
				for range 60 * 50 {
					wrote, err := p.write(time.Now())
					if err != nil {
						t.Fatal(err)
					}
					if _, err := ts.ReadFrom(&p.mux.out); err != nil {
						t.Fatal(err)
					}
					shown += wrote
					time.Sleep(20 * time.Millisecond)
				}
				if shown != time.Minute || p.sound[0].language != "deu" {
					t.Errorf("%v shown, language %q", shown, p.sound[0].language)
				}
				v, a := demuxed(t, ts.Bytes())
				if len(v) != 60*25 {
					t.Fatalf("%d pictures", len(v))
				}
				for n, f := range v {
					if want := video[n%50]; f.name != want.name || f.dts != firstTimestamp+int64(n)*3600 || f.pts-f.dts != want.pts-want.dts {
						t.Fatalf("picture %d is %+v", n, f)
					}
				}
				for n, f := range a {
					if f.name != audio[n%len(audio)].name {
						t.Fatalf("sound %d is %q", n, f.name)
					}
				}
				if d := a[len(a)-1].pts - v[len(v)-1].dts; abs(d) > second/20 {
					t.Errorf("sound is %d ticks off", d)
				}
			})
		})
	}
}

// What cannot be written is found out before it is shown.
func TestSlatesThatCannotBeShown(t *testing.T) {
	ts, _, _ := clip{frames: 25}.encode(t)
	s, err := readSlate(ts, SlateFormat{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.rehearse(); err != nil {
		t.Error(err)
	}
	last := len(s.sounds[0].frames) - 1
	s.sounds[0].frames[last] = make([]byte, maxADTS)
	if err := s.rehearse(); err == nil {
		t.Errorf("a frame of %d bytes is taken", maxADTS)
	}
}

func TestSlatesThatAreNone(t *testing.T) {
	noKey, _, _ := clip{frames: 50, lead: 50}.encode(t)
	sound, _, _ := clip{frames: 50, noVideo: true}.encode(t)
	for name, ts := range map[string][]byte{"text": []byte("some text"), "no keyframe": noKey, "sound": sound, "nothing": nil} {
		if _, err := readSlate(ts, SlateFormat{}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
