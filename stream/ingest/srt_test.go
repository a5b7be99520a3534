package ingest

import (
	"errors"
	"strings"
	"testing"
	"time"

	srt "github.com/datarhei/gosrt"
)

func TestParseSRT(t *testing.T) {
	in, err := parseInput("srt://localhost:9710?passphrase=correct-horse&streamid=studio/1&latency=200ms&mode=caller")
	if want := (srtInput{"localhost:9710", true, "correct-horse", "studio/1", 200 * time.Millisecond}); err != nil || in.srt != want {
		t.Errorf("%+v, %v", in.srt, err)
	}
	if in, err := parseInput("srt://:9710"); err != nil || in.srt != (srtInput{addr: ":9710"}) {
		t.Errorf("%+v, %v", in.srt, err)
	}
	for _, s := range []string{
		"srt://localhost", "srt://localhost:1/path", "srt://me@localhost:1", "srt://localhost:1?passphrase=short",
		"srt://localhost:1?latency=200", "srt://localhost:1?latency=2h", "srt://localhost:1?latency=-1s",
		"srt://localhost:1?mode=rendezvous", "srt://:1?mode=caller", "srt://localhost:1?pkt_size=1316",
		"srt://localhost:1?streamid=" + strings.Repeat("x", 513), "srt://localhost:1?passphrase=%zz",
	} {
		_, err := parseInput(s)
		if err == nil {
			t.Errorf("%s is taken", s)
		} else if strings.Contains(err.Error(), "short") {
			t.Errorf("the passphrase is told: %v", err)
		}
	}
}

func TestWithoutSecrets(t *testing.T) {
	for input, want := range map[string]string{
		"srt://:9710?passphrase=correct-horse": "srt://:9710",
		"file?.ts":                             "file?.ts",
	} {
		if got := WithoutSecrets(input); got != want {
			t.Errorf("%s becomes %s", input, got)
		}
	}
}

// sendSRT sends a transport stream at about its speed: SRT has no way to hold a sender back.
func sendSRT(t *testing.T, c srt.Conn, ts []byte) {
	t.Helper()
	for at := 0; at < len(ts); {
		n := min(7*packetSize, len(ts)-at)
		if _, err := c.Write(ts[at : at+n]); err != nil {
			t.Fatal(err)
		}
		at += n
		time.Sleep(time.Millisecond)
	}
}

func srtCaller(passphrase, streamID string) srt.Config {
	c := srt.DefaultConfig()
	c.Passphrase, c.StreamId, c.Latency = passphrase, streamID, 20*time.Millisecond
	return c
}

// dialSRT returns a connection that leaves nothing behind.
func dialSRT(t testing.TB, addr string, config srt.Config) *srtCall {
	t.Helper()
	conn, err := srt.Dial("srt", addr, config)
	if err != nil {
		t.Fatal(err)
	}
	c := &srtCall{Conn: conn, closed: make(chan struct{})}
	t.Cleanup(func() {
		c.Close()
		c.settle()
	})
	return c
}

func TestSRTListener(t *testing.T) {
	ts, video, _ := clip{frames: 100}.encode(t)
	r := start(t, Config{Input: "srt://127.0.0.1:0?passphrase=correct-horse&streamid=studio&latency=20ms", Reconnect: time.Minute})

	refused := func(config srt.Config, want error) {
		t.Helper()
		if c, err := srt.Dial("srt", r.addr, config); err == nil {
			c.Close()
			t.Error("it is let in")
		} else if got := refusal(err); !errors.Is(got, ErrSRTRefused) || !errors.Is(got, want) {
			t.Errorf("the caller is told %v (%v), want %v", got, err, want)
		}
		if got := <-r.refused; !errors.Is(got, want) {
			t.Errorf("refused because of %v, want %v", got, want)
		}
	}
	refused(srtCaller("wrong-horse", "studio"), ErrPassphrase)
	refused(srtCaller("", "studio"), ErrPassphrase)
	refused(srtCaller("correct-horse", "garage"), ErrStreamID)

	c := dialSRT(t, r.addr, srtCaller("correct-horse", "studio"))
	sendSRT(t, c, ts)
	r.until(t, "all is here", func(s Stats) bool { return s.Bytes == uint64(len(ts)) })
	refused(srtCaller("correct-horse", "studio"), ErrBusy)
	c.Close()
	r.until(t, "broke off", broke(1))

	again := dialSRT(t, r.addr, srtCaller("correct-horse", "studio"))
	sendSRT(t, again, ts)
	r.until(t, "all is here again", func(s Stats) bool { return s.Bytes == 2*uint64(len(ts)) })
	again.Close()
	r.until(t, "broke off again", broke(2))
	r.wantTwice(t, video)
	if s := r.Stats(); s.LostPackets+s.Garbage+s.DamagedFrames != 0 || s.Strangers != 4 {
		t.Errorf("%+v", s)
	}
}

func TestSRTCaller(t *testing.T) {
	ts, video, _ := clip{frames: 100}.encode(t)
	l, err := srt.Listen("srt", "127.0.0.1:0", srtCaller("", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := Config{Input: "srt://" + l.Addr().String() + "?mode=caller&passphrase=correct-horse&streamid=studio&latency=20ms", Reconnect: time.Minute}
	i, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, i)
	for n := range 2 {
		req, err := l.Accept2()
		if err != nil {
			t.Fatal(err)
		}
		if err := req.SetPassphrase("correct-horse"); err != nil || req.StreamId() != "studio" {
			t.Errorf("stream ID %q, %v", req.StreamId(), err)
		}
		c, err := req.Accept()
		if err != nil {
			t.Fatal(err)
		}
		sendSRT(t, c, ts)
		r.until(t, "all is here", func(s Stats) bool { return s.Bytes == uint64((n+1)*len(ts)) })
		c.Close()
		r.until(t, "broke off", broke(uint64(n+1)))
	}
	r.wantTwice(t, video)
}

// Who calls and is told that the passphrase is wrong says so.
func TestSRTCallerIsRefused(t *testing.T) {
	l, err := srt.Listen("srt", "127.0.0.1:0", srtCaller("", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	i, err := New(Config{Input: "srt://" + l.Addr().String() + "?mode=caller"})
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, i)
	req, err := l.Accept2()
	if err != nil {
		t.Fatal(err)
	}
	req.Reject(srt.REJ_UNSECURE)
	r.until(t, "was refused", func(s Stats) bool { return s.Strangers == 1 })
}
