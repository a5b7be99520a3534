package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/grapevine-live/grapevine/stream/transport"
)

func TestUnwrap(t *testing.T) {
	for _, tt := range []struct{ ref, ts, want int64 }{
		{0, 5, 5},
		{100, 0, 0},
		{wrap - 1, 0, wrap},
		{wrap, wrap - 1, wrap - 1},
		{0, wrap - 10, -10},
		{5*wrap + 3, 1, 5*wrap + 1},
	} {
		if got := unwrap(tt.ref, tt.ts); got != tt.want {
			t.Errorf("unwrap(%d, %d) = %d, want %d", tt.ref, tt.ts, got, tt.want)
		}
	}
}

func TestSyncer(t *testing.T) {
	var packets [][]byte
	for n := range 50 {
		p := bytes.Repeat([]byte{byte(n)}, packetSize)
		p[0] = syncByte
		packets = append(packets, p)
	}
	clean := slices.Concat(packets...)
	tests := []struct {
		name    string
		input   []byte
		garbage int
	}{
		{"clean", clean, 0},
		{"one packet", packets[1], 0},
		{"before", slices.Concat([]byte("junk\x47\x47"), clean), 6},
		{"after", slices.Concat(clean, []byte("junk")), 4},
		{"between", slices.Concat(clean[:10*packetSize], []byte("some\x47junk"), clean[10*packetSize:]), 9},
		{"cut off", clean[:len(clean)-100], packetSize - 100},
	}
	for _, tt := range tests {
		for _, step := range []int{1, 7, 188, 1000, len(tt.input)} {
			t.Run(fmt.Sprint(tt.name, " by ", step), func(t *testing.T) {
				var s syncer
				var got []byte
				for at := 0; at < len(tt.input); at += step {
					end := min(at+step, len(tt.input))
					if err := s.write(tt.input[at:end], end == len(tt.input), func(p []byte) error {
						got = append(got, p...)
						return nil
					}); err != nil {
						t.Fatal(err)
					}
				}
				if s.garbage != uint64(tt.garbage) || len(got) != len(tt.input)-tt.garbage {
					t.Errorf("%d bytes of garbage, want %d; %d bytes of packets", s.garbage, tt.garbage, len(got))
				}
			})
		}
	}
}

func TestIsMPEGTS(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []byte
		want bool
	}{
		{"the test card", sample, true},
		{"after some garbage", slices.Concat(make([]byte, 1000), sample[:10*packetSize]), true},
		{"nothing", nil, false},
		{"text", []byte("no packets"), false},
		{"sync bytes at other distances", bytes.Repeat([]byte("G at each ten"), 100_000), false},
		{"after too much garbage", slices.Concat(make([]byte, notTSAfter+1), sample), false},
	} {
		if got, err := IsMPEGTS(bytes.NewReader(tt.in)); got != tt.want || err != nil {
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
	}
	if _, err := IsMPEGTS(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

// Frames that run on into the next PES packet come out whole, with their own times.
func TestFramesAcrossPESPackets(t *testing.T) {
	var es []byte
	var starts []int
	for n := range 20 {
		size := 50 + n*7
		starts = append(starts, len(es))
		crc := n % 2
		h := []byte{0xff, 0xf1 - byte(crc), 0x4c, 0x80 | byte(size>>11), byte(size >> 3), byte(size<<5) | 0x1f, 0xfc}
		es = append(es, append(h, bytes.Repeat([]byte{byte(n)}, size-7)...)...)
	}
	var f framer
	var got []audioFrame
	for at, prev := 0, 0; at < len(es); at, prev = at+333, at {
		_ = prev
		end := min(at+333, len(es))
		// The timestamp is that of the first frame that starts in the packet.
		first, _ := slices.BinarySearch(starts, at)
		timed := first < len(starts) && starts[first] < end
		frames, format := f.frames(&codecs.MPEG4Audio{}, es[at:end], int64(first)*1920, timed)
		for _, fr := range frames {
			fr.data = bytes.Clone(fr.data)
			got = append(got, fr)
		}
		if len(frames) > 0 && (format.rate != 48000 || format.codecs != "mp4a.40.2" || format.channels != 2) {
			t.Errorf("%+v", format)
		}
	}
	if len(got) != 20 || f.lost != 0 {
		t.Fatalf("%d frames, %d bytes lost", len(got), f.lost)
	}
	for n, fr := range got {
		if fr.pts != int64(n)*1920 || fr.end != fr.pts+1920 || len(fr.data) != 50+n*7 || fr.data[len(fr.data)-1] != byte(n) {
			t.Errorf("frame %d: %d to %d, %d bytes", n, fr.pts, fr.end, len(fr.data))
		}
	}
}

func TestKeyframes(t *testing.T) {
	unit := func(b ...byte) []byte { return append([]byte{0, 0, 0, 1}, b...) }
	recovery := unit(0x06, 6, 1, 0xc4, 0x80)
	late := unit(0x06, 6, 1, 0x44, 0x80) // recovery_frame_cnt is 1
	tests := []struct {
		name  string
		frame []byte
		hevc  bool
		key   bool
	}{
		{"IDR", unit(0x65, 1, 2), false, true},
		{"slice", unit(0x41, 1, 2), false, false},
		{"IDR after SEI", slices.Concat(unit(0x09, 0xf0), unit(0x06, 5, 1, 0, 0x80), unit(0x65, 1, 2)), false, true},
		{"open GOP", slices.Concat(unit(sps360...), unit(pps264...), recovery, unit(0x41, 1, 2)), false, true},
		{"gradual refresh", slices.Concat(unit(sps360...), unit(pps264...), late, unit(0x41, 1, 2)), false, false},
		{"recovery point without parameter sets", slices.Concat(recovery, unit(0x41, 1, 2)), false, false},
		{"HEVC IDR", unit(0x26, 1, 2), true, true},
		{"HEVC CRA", unit(0x2a, 1, 2), true, true},
		{"HEVC BLA", unit(0x20, 1, 2), true, true},
		{"HEVC trailing", unit(0x02, 1, 2), true, false},
		{"HEVC leading", unit(0x10, 1, 2), true, false},
	}
	for _, tt := range tests {
		// It comes in pieces, and is known when its first slice is there.
		for step := 1; step <= len(tt.frame); step++ {
			var s headScanner
			found := false
			for end := 0; end < len(tt.frame) && !found; {
				end = min(end+step, len(tt.frame))
				found = s.scan(tt.frame[:end], tt.hevc, end == len(tt.frame))
			}
			if !found {
				t.Fatalf("%s by %d: no slice", tt.name, step)
			}
			if h := s.head(tt.frame, tt.hevc); h.key != tt.key || tt.frame[h.slice+2] != 2 {
				t.Errorf("%s by %d: %+v", tt.name, step, h)
			}
		}
	}
}

func TestParamSets(t *testing.T) {
	var p paramSets
	aud, sei := []byte{0x09, 0xf0}, []byte{0x06, 5, 0, 0x80}
	p.note([][]byte{aud, sps360, pps264}, false)
	got := p.complete([][]byte{aud, sei}, false)
	if !slices.EqualFunc(got, [][]byte{aud, sps360, pps264, sei}, bytes.Equal) {
		t.Errorf("%x", got)
	}
	got = p.complete([][]byte{sps360, pps264}, false)
	if len(got) != 2 {
		t.Errorf("%x", got)
	}
}

// What a packet carries beyond the end of its PES packet is no part of the frame, found
// by FuzzIngest.
func TestPESShorterThanItsPackets(t *testing.T) {
	d := demuxer{cut: &cutter{stats: &Stats{}, log: slog.New(slog.DiscardHandler), timeout: second}, stats: &Stats{}}
	tr := &track{codec: &codecs.H264{}}
	s := &pes{track: tr}
	payload := []byte{0, 0, 1, 0xe0, 0, 12, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x65, 1, 2}
	if err := d.startPES(s, payload, false); err != nil || s.open {
		t.Errorf("%v, open: %v", err, s.open)
	}
}

// Repeated packets, which ISO 13818-1 allows, and padding change nothing.
func TestRepeatedPackets(t *testing.T) {
	ts, video, audio := clip{frames: 150, size: 900}.encode(t)
	var padded []byte
	null := bytes.Repeat([]byte{0xff}, packetSize)
	copy(null, []byte{syncByte, 0x1f, 0xff, 0x10})
	rnd := rand.New(rand.NewPCG(1, 2))
	for at := 0; at < len(ts); at += packetSize {
		p := ts[at : at+packetSize]
		padded = append(padded, p...)
		switch pid := transport.ParsePacket(p).PID; rnd.IntN(10) {
		case 0:
			if pid != 0 && pid != 0x1000 {
				padded = append(padded, p...)
			}
		case 1:
			padded = append(padded, null...)
		}
	}
	parts, stats, err := ingestAll(t, Config{}, padded)
	if err != nil {
		t.Fatal(err)
	}
	checkParts(t, parts)
	v, a := demuxed(t, join(parts))
	if len(v) != len(video) || len(a) != len(audio) || stats.LostPackets != 0 {
		t.Errorf("%d pictures of %d, %d audio frames of %d, %+v", len(v), len(video), len(a), len(audio), stats)
	}
}

// The clock comes at least each 0.1 s, rises, and is ahead of what it times.
func TestPCR(t *testing.T) {
	ts, _, _ := clip{frames: 250, bframes: true}.encode(t)
	parts, _, err := ingestAll(t, Config{}, ts)
	if err != nil {
		t.Fatal(err)
	}
	var last int64
	out := join(parts)
	for at := 0; at < len(out); at += packetSize {
		raw := out[at : at+packetSize]
		p := transport.ParsePacket(raw)
		if hasPCR(raw) {
			pcr := int64(raw[6])<<25 | int64(raw[7])<<17 | int64(raw[8])<<9 | int64(raw[9])<<1 | int64(raw[10]>>7)
			if d := pcr - last; last != 0 && (d <= 0 || d > second/10) {
				t.Errorf("clock goes from %d to %d", last, pcr)
			}
			last = pcr
		}
		if h, ok, _ := transport.ParsePESHeader(p.Payload); p.Start && ok && p.PID >= 256 && p.PID < 0x1000 {
			if d := h.DTS - last; d < 0 || d > second {
				t.Errorf("a frame of PID %d at %d, the clock is %d", p.PID, h.DTS, last)
			}
		}
	}
}
