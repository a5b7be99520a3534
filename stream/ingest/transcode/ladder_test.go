package transcode

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
)

// clip is the test card: 64 s of 640x360 with a keyframe every 2 s, n times with a jump
// back in time between.
func clip(t *testing.T, n int) io.Reader {
	t.Helper()
	sample, err := os.ReadFile("../sample.ts")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(bytes.Repeat(sample, n))
}

func newLadder(t *testing.T, how string, in io.Reader, heights ...int) *Ladder {
	t.Helper()
	standInAs(t, how)
	l, err := New(Config{
		Input:   ingest.Config{Input: "-", Stdin: in},
		Heights: heights,
		FFmpeg:  os.Args[0],
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// run prepares and runs a ladder, and returns each rendition's parts.
func run(t *testing.T, ctx context.Context, l *Ladder) (plan Plan, parts [][]stream.Part, err error) {
	t.Helper()
	if _, err := l.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	err = l.Run(ctx, func(p Plan) ([]func(stream.Part) error, error) {
		plan, parts = p, make([][]stream.Part, len(p.Renditions))
		var publish []func(stream.Part) error
		for n := range p.Renditions {
			publish = append(publish, func(p stream.Part) error {
				parts[n] = append(parts[n], p)
				return nil
			})
		}
		return publish, nil
	})
	return plan, parts, err
}

// segmentStart is what all renditions must have in common of a segment.
type segmentStart struct {
	at     time.Time
	marked bool
}

func starts(parts []stream.Part) []segmentStart {
	var out []segmentStart
	for _, p := range parts {
		if p.StartsSegment {
			out = append(out, segmentStart{p.ProgramTime, p.Discontinuity})
		}
	}
	return out
}

func TestRenditionsShareATimeLine(t *testing.T) {
	l := newLadder(t, "copy", clip(t, 2), 720, 360, 240)
	plan, parts, err := run(t, t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Renditions) != 2 || plan.Renditions[0].Name != "360p" || !slices.Equal(plan.LeftOut, []string{"720p"}) {
		t.Errorf("plan is %+v", plan)
	}
	a, b := starts(parts[0]), starts(parts[1])
	if !slices.Equal(a, b) {
		t.Errorf("segments start at\n%v and\n%v", a, b)
	}
	if len(a) != 64 {
		t.Fatalf("%d segments", len(a))
	}
	for n, s := range a {
		if s.marked != (n == 32) {
			t.Errorf("segment %d: discontinuity %v", n, s.marked)
		}
		if d := s.at.Sub(a[0].at); n < 32 && d != time.Duration(n)*2*time.Second {
			t.Errorf("segment %d starts after %v", n, d)
		}
	}
	st := l.Stats()
	if st.Restarts != 0 || st.Lost != 0 || st.Waiting != 0 || len(st.Renditions) != 2 {
		t.Errorf("%+v", st)
	}
}

// An encoder that may come back is waited for by the input, not by what cuts the renditions.
func TestInputThatReconnects(t *testing.T) {
	standInAs(t, "copy")
	l, err := New(Config{Input: ingest.Config{Input: "tcp://127.0.0.1:0", Reconnect: time.Millisecond}, Heights: []int{360, 240}, FFmpeg: os.Args[0]})
	if err != nil {
		t.Fatal(err)
	}
	sample, err := io.ReadAll(clip(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- sendTo(ctx, l, sample) }()
	_, parts, err := run(t, ctx, l)
	if sentErr := <-sent; err != nil || sentErr != nil {
		t.Fatal(err, sentErr)
	}
	if a, b := starts(parts[0]), starts(parts[1]); len(a) != 32 || !slices.Equal(a, b) {
		t.Errorf("%d and %d segments", len(a), len(b))
	}
}

// sendTo connects to a ladder's input once it listens.
func sendTo(ctx context.Context, l *Ladder, data []byte) error {
	for l.Stats().Input.Listen == "" {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	c, err := net.Dial("tcp", l.Stats().Input.Listen)
	if err != nil {
		return err
	}
	_, err = c.Write(data)
	return errors.Join(err, c.Close())
}

// The program time is when a frame came in, whatever ffmpeg takes.
func TestProgramTimeIsTheInputs(t *testing.T) {
	l := newLadder(t, "copy", clip(t, 1), 240)
	if _, err := l.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, after := time.Now().Round(0), time.Time{}
	var first time.Time
	err := l.Run(t.Context(), func(Plan) ([]func(stream.Part) error, error) {
		after = time.Now().Round(0) // no ffmpeg runs yet
		return []func(stream.Part) error{func(p stream.Part) error {
			if first.IsZero() {
				first = p.ProgramTime
			}
			return nil
		}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if first.Before(before) || first.After(after) {
		t.Errorf("the first part is of %v, its frame came from %v to %v", first, before, after)
	}
}

// await waits until the figures are as they should be.
func (l *Ladder) await(t *testing.T, what string, ok func(Stats) bool) {
	t.Helper()
	for range 10000 {
		if ok(l.Stats()) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("never %s: %+v", what, l.Stats())
}

// An encoder that breaks off is waited for, and the renditions go on with the next one's.
func TestEncodersThatComeAndGo(t *testing.T) {
	standInAs(t, "copy")
	sample, err := io.ReadAll(clip(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(Config{
		Input:   ingest.Config{Input: "tcp://127.0.0.1:0", Reconnect: time.Minute},
		Heights: []int{360, 240},
		FFmpeg:  os.Args[0],
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	var parts [][]stream.Part
	done := make(chan error)
	go func() {
		var err error
		_, parts, err = run(t, ctx, l)
		done <- err
	}()
	l.await(t, "listening", func(s Stats) bool { return s.Input.Listen != "" })
	for n := range uint64(2) {
		c, err := net.Dial("tcp", l.Stats().Input.Listen)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(sample); err != nil {
			t.Fatal(err)
		}
		c.Close()
		l.await(t, "gone", func(s Stats) bool { return s.Input.Breaks == n+1 })
		l.await(t, "encoded", func(s Stats) bool { // the last segment ends with what follows
			return len(s.Renditions) == 2 && min(s.Renditions[0].Ingest.Segments, s.Renditions[1].Ingest.Segments) >= 32*(n+1)-1
		})
	}
	cancel(enough)
	if err := <-done; err != enough {
		t.Fatal(err)
	}
	for n := range parts {
		for at, s := range starts(parts[n]) {
			if s.marked != (at == 32) {
				t.Errorf("rendition %d, segment %d: discontinuity %v", n, at, s.marked)
			}
		}
	}
}

// While an encoder is gone, the slate is encoded, and the renditions stay aligned.
func TestSlateIsEncoded(t *testing.T) {
	standInAs(t, "copy")
	sample, err := io.ReadAll(clip(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(Config{
		Input: ingest.Config{Input: "tcp://127.0.0.1:0", Reconnect: time.Minute, Slate: func(context.Context, ingest.SlateFormat) ([]byte, error) {
			return sample, nil
		}},
		Heights: []int{360, 240},
		FFmpeg:  os.Args[0],
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	var parts [][]stream.Part
	done := make(chan error)
	go func() {
		var err error
		_, parts, err = run(t, ctx, l)
		done <- err
	}()
	l.await(t, "listening", func(s Stats) bool { return s.Input.Listen != "" })
	c, err := net.Dial("tcp", l.Stats().Input.Listen)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(sample); err != nil {
		t.Fatal(err)
	}
	c.Close()
	l.await(t, "slate", func(s Stats) bool {
		return s.Input.Slate > 2*time.Second && len(s.Renditions) == 2 && min(s.Renditions[0].Ingest.Segments, s.Renditions[1].Ingest.Segments) > 32
	})
	enough := errors.New("enough")
	cancel(enough)
	if err := <-done; err != enough {
		t.Fatal(err)
	}
	a, b := starts(parts[0]), starts(parts[1])
	if n := min(len(a), len(b)); n < 33 || !slices.Equal(a[:n], b[:n]) || !a[32].marked {
		t.Errorf("segments start at\n%v and\n%v", a, b)
	}
}

func TestAnFFmpegThatDiesIsReplaced(t *testing.T) {
	once := filepath.Join(t.TempDir(), "once")
	if err := os.WriteFile(once, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLadder(t, "die:"+once, clip(t, 2), 360, 240)
	_, parts, err := run(t, t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	st := l.Stats()
	if st.Restarts != 1 || st.Lost == 0 {
		t.Errorf("%d restarts, %v lost", st.Restarts, st.Lost)
	}
	for n := range parts {
		s := starts(parts[n])
		if len(s) < 6 || !slices.ContainsFunc(s[1:], func(s segmentStart) bool { return s.marked }) {
			t.Errorf("rendition %d: %v", n, s)
		}
		if !slices.Equal(s[len(s)-5:], starts(parts[0])[len(starts(parts[0]))-5:]) {
			t.Errorf("rendition %d ends with other segments", n)
		}
	}
}

func TestAnFFmpegThatKeepsDying(t *testing.T) {
	l := newLadder(t, "die", clip(t, 2), 240)
	_, _, err := run(t, t.Context(), l)
	var died *DiedError
	if !errors.As(err, &died) || died.Times != maxDeaths || died.Err.Error() != "a fault of its own" {
		t.Errorf("got %v", err)
	}
}

func TestPicturesThatAreTooSmall(t *testing.T) {
	_, _, err := run(t, t.Context(), newLadder(t, "copy", clip(t, 1), 1080, 720))
	var small *TooSmallError
	if !errors.As(err, &small) || small.Lines != 360 {
		t.Errorf("got %v", err)
	}
}

func TestInputsThatAreNone(t *testing.T) {
	_, _, err := run(t, t.Context(), newLadder(t, "copy", bytes.NewReader([]byte("some text")), 240))
	if !errors.Is(err, ingest.ErrNotMPEGTS) {
		t.Errorf("got %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	standInAs(t, "copy")
	l, err := New(Config{Input: ingest.Config{Input: "sample:"}, Heights: []int{240}, FFmpeg: os.Args[0]})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	err = l.Run(ctx, func(Plan) ([]func(stream.Part) error, error) {
		return []func(stream.Part) error{func(stream.Part) error {
			cancel(enough)
			return nil
		}}, nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

func TestPublishingFails(t *testing.T) {
	l := newLadder(t, "copy", clip(t, 1), 360, 240)
	if _, err := l.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no room")
	err := l.Run(t.Context(), func(Plan) ([]func(stream.Part) error, error) {
		fails := func(stream.Part) error { return full }
		return []func(stream.Part) error{func(stream.Part) error { return nil }, fails}, nil
	})
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}
