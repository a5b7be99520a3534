package ingest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/transport"
)

func TestNew(t *testing.T) {
	stdin := io.MultiReader()
	for _, cfg := range []Config{
		{},
		{Input: "-"},
		{Input: "tcp://"},
		{Input: "tcp://localhost"},
		{Input: "udp://localhost/path:1"},
		{Input: "rtmp://localhost/live"},
		{Input: "-", Stdin: stdin, Loop: true},
		{Input: "tcp://:9000", Loop: true},
		{Input: "-", Stdin: stdin, Segment: time.Millisecond},
		{Input: "-", Stdin: stdin, Segment: time.Hour},
		{Input: "-", Stdin: stdin, Part: time.Millisecond},
		{Input: "-", Stdin: stdin, Part: 3 * time.Second},
		{Input: "-", Stdin: stdin, KeyframeTimeout: -1},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
	for _, cfg := range []Config{
		{Input: "-", Stdin: stdin},
		{Input: "file.ts", Loop: true},
		{Input: "C:\\file.ts"},
		{Input: "sample:"},
		{Input: "tcp://:9000"},
		{Input: "tcp://[::1]:9000?listen=1"},
		{Input: "udp://239.1.1.1:1234"},
		{Input: "udp://@:1234"},
	} {
		if _, err := New(cfg); err != nil {
			t.Error(err)
		}
	}
}

func TestMissingFile(t *testing.T) {
	_, _, err := runAll(t, t.Context(), Config{Input: filepath.Join(t.TempDir(), "none.ts")})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, _, err := runAll(t, t.Context(), Config{Input: t.TempDir()}); err == nil {
		t.Error("a directory is taken")
	}
}

func writeFile(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clip.ts")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Parts come when their last frame's time has passed, by a clock that only tests move.
func TestFileIsPaced(t *testing.T) {
	ts, _, _ := clip{frames: 500, bframes: true}.encode(t)
	path := writeFile(t, ts)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		i, err := New(Config{Input: path})
		if err != nil {
			t.Fatal(err)
		}
		var media time.Duration
		err = i.Run(t.Context(), func(p stream.Part) error {
			if want := start.Add(media); (p.ProgramTime.Sub(want)).Abs() > time.Microsecond {
				t.Errorf("program time %v, want %v", p.ProgramTime.Sub(start), media)
			}
			media += p.Duration
			if at := time.Since(start); (at - media).Abs() > 41*time.Millisecond {
				t.Errorf("the part until %v came at %v", media, at)
			}
			return nil
		})
		if err != nil || media != 20*time.Second {
			t.Errorf("%v of media, %v", media, err)
		}
	})
}

func TestLoopIsContinuous(t *testing.T) {
	tests := map[string]clip{
		"whole segments":  {frames: 100},
		"B-frames":        {frames: 110, bframes: true},
		"odd length":      {frames: 77},
		"starts mid-GOP":  {frames: 100, lead: 10},
		"audio only":      {frames: 100, noVideo: true},
		"across rollover": {frames: 100, start: wrap - 2*second},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			ts, video, audio := c.encode(t)
			path := writeFile(t, ts)
			var parts []stream.Part
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), 15*time.Second, io.ErrShortBuffer)
				defer cancel()
				var err error
				parts, _, err = runAll(t, ctx, Config{Input: path, Loop: true})
				if err != io.ErrShortBuffer {
					t.Errorf("got %v", err)
				}
			})
			for len(parts) > 0 && !parts[len(parts)-1].EndsSegment { // what was cut off
				parts = parts[:len(parts)-1]
			}
			checkParts(t, parts)
			for _, p := range parts {
				if p.Discontinuity {
					t.Error("discontinuity")
				}
			}
			v, a := demuxed(t, join(parts))
			sent := video[c.lead*min(1, len(video)):]
			for i, f := range v {
				if f.name != sent[i%len(sent)].name {
					t.Fatalf("picture %d is %q", i, f.name)
				}
				if i > 0 && (f.dts <= v[i-1].dts || f.dts-v[i-1].dts > 2*3600) {
					t.Errorf("picture %d at %d after %d", i, f.dts, v[i-1].dts)
				}
			}
			for i := 1; i < len(a); i++ {
				if d := a[i].pts - a[i-1].pts; d < 1920/2 || d > 3*1920 && c.lead == 0 {
					t.Errorf("audio frame %d at %d after %d", i, a[i].pts, a[i-1].pts)
				}
			}
			if d := a[len(a)-1].pts - v0(v, a); len(audio) == 0 || d < 8*second {
				t.Errorf("audio for %d ticks", d)
			}
		})
	}
}

// v0 is when the first picture is shown, or the first sound heard.
func v0(v, a []frame) int64 {
	if len(v) > 0 {
		return v[0].pts
	}
	return a[0].pts
}

func TestSample(t *testing.T) {
	if len(sample) >= 1_000_000 {
		t.Errorf("the sample has %d bytes", len(sample))
	}
	var parts []stream.Part
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Second)
		defer cancel()
		var err error
		if parts, _, err = runAll(t, ctx, Config{Input: "sample:"}); err != context.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
	})
	parts = parts[:len(parts)-1]
	for !parts[len(parts)-1].EndsSegment {
		parts = parts[:len(parts)-1]
	}
	checkParts(t, parts)
	if want := (stream.Media{Codecs: "avc1.64001e,mp4a.40.2", Width: 640, Height: 360, FrameRate: 25}); parts[0].Media != want {
		t.Errorf("%+v", parts[0].Media)
	}
	_, durations, marked := segments(parts)
	for i, d := range durations {
		if d != 2*time.Second || marked[i] {
			t.Errorf("segment %d lasts %v, marked %v", i, d, marked[i])
		}
	}
	if len(durations) < 98 {
		t.Errorf("%d segments in 200 s", len(durations))
	}
	// Not a frame is missing or late where it loops.
	v, a := demuxed(t, join(parts))
	for i := 1; i < len(v); i++ {
		if d := v[i].dts - v[i-1].dts; d != 3600 {
			t.Errorf("picture %d comes %d ticks after the one before", i, d)
		}
	}
	last := int64(0)
	for i, f := range a {
		if i > 0 && f.pts != last && (f.pts-last)%1920 != 0 {
			t.Errorf("audio at %d after %d", f.pts, last)
		}
		last = f.pts
	}
	if got, want := len(a), len(v)*3000/1600; got < want-4 || got > want+4 {
		t.Errorf("%d audio frames with %d pictures", got, len(v))
	}
}

// listening waits until i listens.
func listening(t testing.TB, i *Ingest) string {
	t.Helper()
	for range 1000 {
		if a := i.Stats().Listen; a != "" {
			return a
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("it does not listen")
	return ""
}

func TestTCP(t *testing.T) {
	ts, video, _ := clip{frames: 200}.encode(t)
	i, err := New(Config{Input: "tcp://127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	var parts []stream.Part
	done := make(chan error)
	go func() {
		done <- i.Run(t.Context(), func(p stream.Part) error {
			parts = append(parts, p)
			return nil
		})
	}()
	addr := listening(t, i)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(ts[:len(ts)/2]); err != nil {
		t.Fatal(err)
	}
	for i.Stats().Bytes < uint64(len(ts)/2) {
		time.Sleep(time.Millisecond)
	}
	other, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := other.Read(make([]byte, 1)); err == nil {
		t.Errorf("a second encoder is sent %d bytes", n)
	}
	other.Close()
	if _, err := c.Write(ts[len(ts)/2:]); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	checkParts(t, parts)
	if v, _ := demuxed(t, join(parts)); !slices.Equal(names(v), names(video)) {
		t.Errorf("%d pictures of %d", len(v), len(video))
	}
	if s := i.Stats(); s.From != c.LocalAddr().String() || s.Bytes != uint64(len(ts)) || s.Strangers != 1 {
		t.Errorf("%+v", s)
	}
}

func TestUDP(t *testing.T) {
	ts, video, _ := clip{frames: 100}.encode(t)
	i, err := New(Config{Input: "udp://127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var parts []stream.Part
	done := make(chan error)
	go func() {
		done <- i.Run(ctx, func(p stream.Part) error {
			parts = append(parts, p)
			return nil
		})
	}()
	addr := listening(t, i)
	var conns [2]net.Conn
	for n := range conns {
		if conns[n], err = net.Dial("udp", addr); err != nil {
			t.Fatal(err)
		}
		defer conns[n].Close()
	}
	for at := 0; at < len(ts); {
		n := min(7*packetSize, len(ts)-at)
		if _, err := conns[0].Write(ts[at : at+n]); err != nil {
			t.Fatal(err)
		}
		at += n
		for i.Stats().Bytes < uint64(at) {
			time.Sleep(10 * time.Microsecond)
		}
		if _, err := conns[1].Write([]byte("not for you")); err != nil {
			t.Fatal(err)
		}
	}
	over := errors.New("over")
	cancel(over)
	if err := <-done; err != over {
		t.Fatal(err)
	}
	s := i.Stats()
	if s.From != conns[0].LocalAddr().String() || s.Strangers == 0 || s.LostPackets+s.Garbage != 0 {
		t.Errorf("%+v", s)
	}
	// The last frame never ends, and the last part waits for more.
	if got := len(parts); got < 6 || s.Parts != uint64(got) {
		t.Errorf("%d parts", got)
	}
	v, _ := demuxed(t, join(parts))
	if n := len(v); n < 80 || !slices.Equal(names(v), names(video[:n])) {
		t.Errorf("%d pictures of %d", n, len(video))
	}
}

// Nothing waits once the context is done.
func TestCancel(t *testing.T) {
	quiet, loud := io.Pipe()
	defer loud.Close()
	for _, cfg := range []Config{
		{Input: "-", Stdin: quiet},
		{Input: "tcp://127.0.0.1:0"},
		{Input: "udp://127.0.0.1:0"},
		{Input: "sample:"},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		over := errors.New("over")
		time.AfterFunc(20*time.Millisecond, func() { cancel(over) })
		start := time.Now()
		if _, _, err := runAll(t, ctx, cfg); err != over {
			t.Errorf("%s: got %v", cfg.Input, err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: took %v", cfg.Input, d)
		}
		cancel(nil)
	}
}

// A part leaves as soon as the frame after it begins, before that frame is complete.
func TestPartLeavesWithTheNextFrame(t *testing.T) {
	ts, _, _ := clip{frames: 60, noAudio: true, size: 5000}.encode(t)
	r, w := io.Pipe()
	i, err := New(Config{Input: "-", Stdin: r})
	if err != nil {
		t.Fatal(err)
	}
	published := make(chan stream.Part, 100)
	done := make(chan error)
	go func() {
		done <- i.Run(t.Context(), func(p stream.Part) error {
			published <- p
			return nil
		})
	}()
	// The fixture's tables come with each keyframe: picture 50 starts the second
	// segment, and its first packets are written, no more.
	at := 0
	for n := 0; n < len(ts); n += packetSize {
		p := transport.ParsePacket(ts[n : n+packetSize])
		if h, ok, _ := transport.ParsePESHeader(p.Payload); p.Start && ok && h.DTS == 50*3600 {
			at = n
		}
	}
	if _, err := w.Write(ts[:at+2*packetSize]); err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		if p := <-published; p.EndsSegment != (n == 3) {
			t.Errorf("part %d: EndsSegment is %v", n, p.EndsSegment)
		}
	}
	w.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
