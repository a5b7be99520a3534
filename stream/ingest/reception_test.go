package ingest

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortmplib"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/transport"
)

// tcpEncoder connects and sends b.
func tcpEncoder(t *testing.T, r *running, b []byte) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	return c
}

func broke(times uint64) func(Stats) bool {
	return func(s Stats) bool { return s.Breaks == times && !s.Gone.IsZero() }
}

// published reports whether so many pictures are.
func published(pictures int) func(Stats) bool {
	return func(s Stats) bool { return s.MediaTime == time.Duration(pictures)*40*time.Millisecond }
}

// discontinuities returns which segments are discontinuities.
func discontinuities(parts []stream.Part) (at []int) {
	_, _, marked := segments(parts)
	for i, m := range marked {
		if m {
			at = append(at, i)
		}
	}
	return at
}

// What an encoder sent before it broke off is published but for the frame that was cut
// off, and the next one's first keyframe follows.
func TestReconnectTCP(t *testing.T) {
	one, firstVideo, _ := clip{frames: 130, size: 1000, label: "first "}.encode(t)
	two, secondVideo, secondAudio := clip{frames: 120, start: 500 * second, label: "second "}.encode(t)
	r := start(t, Config{Input: "tcp://127.0.0.1:0", Reconnect: 2 * time.Second})

	// It dies within the second packet of picture 110.
	at := 0
	for n := 0; n < len(one); n += packetSize {
		p := transport.ParsePacket(one[n : n+packetSize])
		if h, ok, _ := transport.ParsePESHeader(p.Payload); p.Start && ok && h.DTS == 110*3600 {
			at = n
		}
	}
	tcpEncoder(t, r, one[:at+packetSize+100]).Close()
	r.until(t, "broke off", broke(1))
	c := tcpEncoder(t, r, two)
	r.until(t, "came back", func(s Stats) bool { return s.Gone.IsZero() })
	c.Close()

	// Nobody comes back.
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	parts := r.collected()
	checkParts(t, parts)
	if got := discontinuities(parts); !slices.Equal(got, []int{3}) {
		t.Errorf("discontinuities at %v", got)
	}
	video, audio := demuxed(t, join(parts))
	if want := slices.Concat(names(firstVideo[:110]), names(secondVideo)); !slices.Equal(names(video), want) {
		t.Errorf("%d pictures, want %d", len(video), len(want))
	}
	if got := names(audio); got[len(got)-1] != secondAudio[len(secondAudio)-1].name {
		t.Errorf("the last sound is %s", got[len(got)-1])
	}
	for i := 1; i < len(video); i++ {
		if video[i].dts <= video[i-1].dts || video[i].dts-video[i-1].dts > second/2 {
			t.Errorf("picture %d at %d after %d", i, video[i].dts, video[i-1].dts)
		}
	}
	if s := r.Stats(); s.DamagedFrames != 1 || s.Garbage != 100 || s.Breaks != 2 || s.Strangers != 0 {
		t.Errorf("%+v", s)
	}
}

// RTMP's frames are whole, however the connection ends. What the next encoder sends may
// be another codec.
func TestReconnectRTMP(t *testing.T) {
	cfg := rtmpConfig()
	cfg.Reconnect = time.Minute
	r := start(t, cfg)
	var want []string
	for i, c := range []clip{
		{frames: 77, label: "first "},
		{frames: 60, label: "second ", start: 9 * second, hevc: true, sps: sps265, audio: opusStereo()},
		{frames: 60, label: "third ", bframes: true},
	} {
		p := connect(t, r.addr, c)
		video, _ := p.send(t, c)
		want = append(want, names(video)...)
		if i == 1 {
			p.unpublish(t)
		} else {
			p.Conn.(*gortmplib.Client).Close()
		}
		r.until(t, "broke off", broke(uint64(i+1)))
	}
	r.until(t, "published all", published(77+60+60))
	r.stop(errOver)
	if err := <-r.done; err != errOver {
		t.Fatal(err)
	}
	parts := r.collected()
	checkParts(t, parts)
	if got := discontinuities(parts); !slices.Equal(got, []int{2, 4}) {
		t.Errorf("discontinuities at %v", got)
	}
	var got []string
	data, _, _ := segments(parts)
	for _, segment := range data { // the tracks change
		video, _ := demuxed(t, segment)
		got = append(got, names(video)...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d pictures, want %d", len(got), len(want))
	}
	if s := r.Stats(); s.DamagedFrames+s.SkippedFrames+s.LeftOut+s.Strangers != 0 {
		t.Errorf("%+v", s)
	}
}

// wantTwice ends the input once all is published, and wants a clip's pictures twice.
func (r *running) wantTwice(t *testing.T, video []frame) {
	t.Helper()
	r.until(t, "published all", published(2*len(video)))
	r.stop(errOver)
	<-r.done
	parts := r.collected()
	checkParts(t, parts)
	if v, _ := demuxed(t, join(parts)); !slices.Equal(names(v), slices.Concat(names(video), names(video))) {
		t.Errorf("%d pictures of %d", len(v), 2*len(video))
	}
}

// Who sends what is of no use is dismissed, and the next is welcome.
func TestReconnectAfterNonsense(t *testing.T) {
	ts, video, _ := clip{frames: 100}.encode(t)
	r := start(t, Config{Input: "tcp://127.0.0.1:0", Reconnect: time.Minute})
	tcpEncoder(t, r, ts).Close()
	r.until(t, "broke off", broke(1))
	tcpEncoder(t, r, []byte(strings.Repeat("GRAPES GROW ON VINES\n", 50000)))
	if err := <-r.refused; !errors.Is(err, ErrNotMPEGTS) {
		t.Errorf("refused because of %v", err)
	}
	r.until(t, "broke off again", broke(2))
	tcpEncoder(t, r, ts).Close()
	r.until(t, "broke off at last", broke(3))
	r.wantTwice(t, video)
}

// pipeEncoder is an encoder that the test writes for.
func pipeEncoder(from string) (*encoder, *io.PipeWriter) {
	r, w := io.Pipe()
	return &encoder{ReadCloser: r, from: from}, w
}

// One who was silent for some time is replaced, and no one else.
func TestReceptionTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, err := New(Config{Input: "tcp://:1", Reconnect: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		r := newReception(i, func() {})
		read := make(chan string)
		go func() {
			defer close(read)
			b := make([]byte, 10)
			for {
				n, err := r.Read(b)
				switch {
				case err == nil:
					read <- string(b[:n])
				case err == ErrBreak:
					read <- "broken"
				default:
					read <- err.Error()
					return
				}
			}
		}()
		a, aw := pipeEncoder("a")
		b, _ := pipeEncoder("b")
		c, cw := pipeEncoder("c")
		if err := r.enter(a); err != nil {
			t.Fatal(err)
		}
		time.Sleep(silence - 1)
		if err := r.enter(b); err != ErrBusy {
			t.Errorf("b: %v", err)
		}
		go aw.Write([]byte("a"))
		if got := <-read; got != "a" {
			t.Errorf("read %q", got)
		}
		time.Sleep(silence - 1)
		if err := r.busy(); err != ErrBusy {
			t.Errorf("not busy: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if err := r.enter(c); err != nil {
			t.Errorf("c: %v", err)
		}
		go cw.Write([]byte("c"))
		if got := <-read + <-read; got != "brokenc" {
			t.Errorf("read %q", got)
		}
		if got := i.Stats(); got.From != "c" || got.Breaks != 1 || !got.Gone.IsZero() {
			t.Errorf("%+v", got)
		}
		r.close()
		if got := <-read; got != net.ErrClosed.Error() {
			t.Errorf("read %q", got)
		}
		if err := r.enter(b); err != net.ErrClosed {
			t.Errorf("b after the end: %v", err)
		}
	})
}

// Who waits hears that nobody can come.
func TestReceptionFails(t *testing.T) {
	i, err := New(Config{Input: "tcp://:1", Reconnect: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	r := newReception(i, func() {})
	r.failed <- errOver
	if _, err := r.Read(nil); err != errOver {
		t.Errorf("got %v", err)
	}
}

// The only encoder that there will be may be silent for long.
func TestReceptionOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, err := New(Config{Input: "tcp://:1"})
		if err != nil {
			t.Fatal(err)
		}
		r := newReception(i, func() {})
		a, aw := pipeEncoder("a")
		b, _ := pipeEncoder("b")
		if err := r.enter(a); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := r.enter(b); err != ErrBusy {
			t.Errorf("b: %v", err)
		}
		aw.Close()
		if _, err := r.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("got %v", err)
		}
	})
}

// An encoder without keyframes is dismissed, and the next is welcome.
func TestReconnectAfterNoKeyframe(t *testing.T) {
	noKey, _, _ := clip{lead: 1000, frames: 40, step: second}.encode(t)
	ts, _, _ := clip{frames: 50}.encode(t)
	r := start(t, Config{Input: "tcp://127.0.0.1:0", Reconnect: time.Minute, KeyframeTimeout: 38 * time.Second})
	tcpEncoder(t, r, noKey)
	if err := <-r.refused; !errors.Is(err, ErrNoKeyframe) {
		t.Errorf("refused because of %v", err)
	}
	r.until(t, "broke off", broke(1))
	tcpEncoder(t, r, ts).Close()
	r.until(t, "published all", published(50))
}

// An encoder that broke off is waited for; before anything was published, without end.
func TestReceptionWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, err := New(Config{Input: "tcp://:1", Reconnect: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		r := newReception(i, func() {})
		brokeOff := func() {
			t.Helper()
			e, w := pipeEncoder("a")
			w.Close()
			if err := r.enter(e); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Read(nil); err != ErrBreak {
				t.Errorf("got %v", err)
			}
		}
		brokeOff()
		time.AfterFunc(time.Hour, func() {
			e, w := pipeEncoder("b")
			w.Close()
			r.enter(e)
		})
		began := time.Now()
		if _, err := r.Read(nil); err != ErrBreak || time.Since(began) != time.Hour {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		i.setStats(Stats{Parts: 1})
		began = time.Now()
		if _, err := r.Read(nil); err != io.EOF || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
