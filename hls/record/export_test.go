package record

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/transport"
)

// recorded returns the playlist of a recording of what air publishes.
func recorded(t *testing.T, air func(*station)) (playlist string, s *station) {
	t.Helper()
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s = newStation(t)
		rec := startRecording(t, root, s, nil)
		air(s)
		synctest.Wait()
		rec.stop()
	})
	return filepath.Join(s.dir(root), PlaylistName), s
}

// twoEpochs airs five segments, pauses for 10 s and airs five more.
func twoEpochs(s *station) {
	s.air(5)
	s.end()
	time.Sleep(10 * time.Second)
	s.clock = s.clock.Add(10 * time.Second)
	s.restart()
	s.air(5)
}

func TestCutMP4(t *testing.T) {
	playlist, _ := recorded(t, twoEpochs)
	out := filepath.Join(t.TempDir(), "talk.mp4")
	cut, err := Cut(t.Context(), ExportConfig{Playlist: playlist, From: offsetOf(7), To: offsetOf(13), Out: out})
	if err != nil {
		t.Fatal(err)
	}
	if cut.From != 6*time.Second || cut.To != 14*time.Second || len(cut.Segments) != 4 || cut.Breaks() != 1 || cut.Lost != 0 {
		t.Errorf("it cut %+v", cut)
	}
	if info, err := os.Stat(out); err != nil || info.Size() != cut.Bytes {
		t.Errorf("%v, %v; %d bytes were told", info, err, cut.Bytes)
	}
	starts := expectMovie(t, out, 4, true)
	for i, want := range []time.Duration{0, 2 * time.Second, 14 * time.Second, 16 * time.Second} {
		if off := (starts[i] - starts[0] - want).Abs(); off > 25*time.Millisecond {
			t.Errorf("fragment %d begins at %v, want %v", i, starts[i], want)
		}
	}
}

func TestCutTS(t *testing.T) {
	playlist, s := recorded(t, twoEpochs)
	out := filepath.Join(t.TempDir(), "talk.ts")
	if _, err := Cut(t.Context(), ExportConfig{Playlist: playlist, From: offsetOf(0), To: offsetOf(4), Out: out}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(out)
	if want := append(bytes.Clone(s.aired["1-0.ts"]), s.aired["1-1.ts"]...); err != nil || !bytes.Equal(data, want) {
		t.Errorf("without a break, the bytes are not those that were aired: %d, want %d (%v)", len(data), len(want), err)
	}
	if _, err := Cut(t.Context(), ExportConfig{Playlist: playlist, From: offsetOf(7), To: offsetOf(13), Out: out, Force: true}); err != nil {
		t.Fatal(err)
	}
	if data, err = os.ReadFile(out); err != nil {
		t.Fatal(err)
	}
	expectContinuous(t, data, 26*time.Second-6*time.Second-2*time.Second)
}

// expectContinuous reads MPEG-TS that lasts that long: counters count, each track's
// decoding times rise, and clock references are never behind them.
func expectContinuous(t *testing.T, data []byte, want time.Duration) {
	t.Helper()
	counters, times := map[uint16]uint8{}, map[uint16]int64{}
	first, last, pcr := int64(-1), int64(0), int64(-1)
	for ; len(data) >= transport.PacketSize; data = data[transport.PacketSize:] {
		b := data[:transport.PacketSize]
		p := transport.ParsePacket(b)
		c, seen := counters[p.PID]
		if len(p.Payload) > 0 {
			c++
		}
		if seen && p.CC != c&0x0f {
			t.Fatalf("PID %d counts %d after %d", p.PID, p.CC, counters[p.PID])
		}
		counters[p.PID] = p.CC
		if b[3]&0x20 != 0 && b[4] >= 7 && b[5]&0x10 != 0 {
			now := int64(b[6])<<25 | int64(b[7])<<17 | int64(b[8])<<9 | int64(b[9])<<1 | int64(b[10]>>7)
			if now <= pcr {
				t.Fatalf("the clock reference goes from %d to %d", pcr, now)
			}
			pcr = now
		}
		if h, ok := timedStart(p); ok {
			if before, seen := times[p.PID]; seen && h.DTS <= before || h.PTS < h.DTS || h.DTS < pcr {
				t.Fatalf("PID %d: decoding time %d after %d, presentation time %d, clock %d", p.PID, h.DTS, before, h.PTS, pcr)
			}
			times[p.PID] = h.DTS
			if first < 0 {
				first = h.DTS
			}
			last = max(last, h.DTS)
		}
	}
	if got := time.Duration(last-first) * time.Second / second; (got - want).Abs() > 100*time.Millisecond {
		t.Errorf("it lasts %v, want %v", got, want)
	}
}

// TestMoveTimestamps checks that timestamps wrap as they should and marker bits stay.
func TestMoveTimestamps(t *testing.T) {
	b := []byte{0x31, 0x00, 0x01, 0x00, 0x01}
	for _, ts := range []int64{0, 1, 90000, wrap/2 + 12345, wrap - 1, wrap + 7} {
		moveTimestamp(b, ts)
		if got := transport.ParseTimestamp(b); got != ts&(wrap-1) || b[0]&0xf1 != 0x31 || b[2]&1 != 1 || b[4]&1 != 1 {
			t.Errorf("%d is written as %d, % x", ts, got, b)
		}
	}
	pcr := []byte{0xff, 0xff, 0xff, 0xff, 0xfe, 0x12} // 2^33-1
	movePCR(pcr, 1)
	if !bytes.Equal(pcr, []byte{0, 0, 0, 0, 0x7e, 0x12}) {
		t.Errorf("the clock reference after the last is % x", pcr)
	}
}

func TestCutLongPause(t *testing.T) {
	playlist, _ := recorded(t, func(s *station) {
		s.air(2)
		s.end()
		s.clock = s.clock.Add(3 * time.Hour)
		s.restart()
		s.air(2)
	})
	dir := t.TempDir()
	for _, name := range []string{"a.mp4", "a.ts"} {
		if _, err := Cut(t.Context(), ExportConfig{Playlist: playlist, Out: filepath.Join(dir, name)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if starts := expectMovie(t, filepath.Join(dir, "a.mp4"), 4, true); (starts[3] - starts[0] - 6*time.Second).Abs() > 50*time.Millisecond {
		t.Errorf("the last fragment begins at %v, want 6 s", starts[3])
	}
	data, err := os.ReadFile(filepath.Join(dir, "a.ts"))
	if err != nil {
		t.Fatal(err)
	}
	expectContinuous(t, data, 8*time.Second)
}

func TestCutRefuses(t *testing.T) {
	playlist, _ := recorded(t, func(s *station) {
		s.air(2)
		s.restart()
		s.film = [][]stream.Part{pictures(s.t, largeSPS)}
		s.air(1)
	})
	dir := t.TempDir()
	there := filepath.Join(dir, "there.mp4")
	if err := os.WriteFile(there, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name string
		ctx  context.Context
		cfg  ExportConfig
		is   error
	}{
		{"unknown suffix", nil, ExportConfig{Out: "a.mkv"}, ErrSuffix},
		{"no suffix", nil, ExportConfig{Out: "mp4"}, ErrSuffix},
		{"out of range", nil, ExportConfig{Out: "a.ts", To: offsetOf(100)}, ErrRange},
		{"there already", nil, ExportConfig{Out: "there.mp4", To: offsetOf(4)}, fs.ErrExist},
		{"no such directory", nil, ExportConfig{Out: "nowhere/a.mp4", To: offsetOf(4)}, fs.ErrNotExist},
		{"interrupted", cancelled, ExportConfig{Out: "a.mp4", To: offsetOf(4)}, context.Canceled},
	} {
		test.cfg.Playlist, test.cfg.Out = playlist, filepath.Join(dir, test.cfg.Out)
		if test.ctx == nil {
			test.ctx = t.Context()
		}
		if _, err := Cut(test.ctx, test.cfg); !errors.Is(err, test.is) {
			t.Errorf("%s: %v, want %v", test.name, err, test.is)
		}
	}
	for _, name := range []string{"a.mp4", "a.ts", "there.mp4"} {
		var codecs *CodecsError
		_, err := Cut(t.Context(), ExportConfig{Playlist: playlist, Out: filepath.Join(dir, name), Force: true})
		if !errors.As(err, &codecs) || codecs.At != 4*time.Second {
			t.Errorf("%s: codecs change, and the answer is %v", name, err)
		}
	}
	if data, err := os.ReadFile(there); err != nil || string(data) != "precious" {
		t.Errorf("the file from before is %q, %v", data, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are left (%v)", len(left), err)
	}
	if _, err := Cut(t.Context(), ExportConfig{Playlist: playlist, Out: there, To: offsetOf(4), Force: true}); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(filepath.Dir(playlist), "1-1.ts")); err != nil {
		t.Fatal(err)
	}
	if _, err := Cut(t.Context(), ExportConfig{Playlist: playlist, Out: filepath.Join(dir, "b.ts")}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "1-1.ts") {
		t.Errorf("a segment is gone, and the answer is %v", err)
	}
}
