package ingest

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/transport"
)

// Parameter sets as x264 and x265 write them: 1920x1080 at 25 fps without timing,
// 640x360 at 25 fps, and HEVC of 640x360.
var (
	sps1080 = unhex("6764001facb402802dd3520202028000000300800000190" + "78c1950")
	pps264  = unhex("68ee3cb0")
	sps360  = unhex("6764001eacd940a02ff970110000030001000003003" + "28f162d96")
	vps265  = unhex("40010c01ffff01600000030090000003000003003fba0240")
	sps265  = unhex("420101016000000300900000030000" + "03003fa005020171f2e595952930bc05a02000007d20000ea601")
	pps265  = unhex("4401c172b46240")
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// clip is a made-up encoder's output. Each frame's bytes name it.
type clip struct {
	start   int64 // decoding time of the first frame
	step    int64 // between pictures; 0 means 25 fps
	frames  int   // pictures; for audio only, 40 ms each
	gop     int   // 0 means 50
	lead    int   // pictures before the first keyframe
	bframes bool
	hevc    bool
	sps     []byte
	once    bool // parameter sets only in front of the first keyframe
	noVideo bool
	audio   codecs.Codec
	noAudio bool
	size    int // of a picture, at least
	label   string
}

// frame is one frame, sent or received.
type frame struct {
	pts, dts int64
	name     string
	key      bool
}

func aacStereo() *codecs.MPEG4Audio {
	return &codecs.MPEG4Audio{Config: mpeg4audio.AudioSpecificConfig{
		Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: 2,
	}}
}

func opusStereo() *codecs.Opus {
	return &codecs.Opus{Desc: &substructs.OpusAudioDescriptor{ChannelConfigCode: 2}}
}

// defaults fills in what is zero.
func (c clip) defaults() clip {
	if c.step == 0 {
		c.step = second / 25
	}
	if c.gop == 0 {
		c.gop = 50
	}
	if c.sps == nil {
		c.sps = sps360
	}
	if c.audio == nil {
		c.audio = aacStereo()
	}
	return c
}

// each goes through the frames in the order in which an encoder sends them.
func (c clip) each(video func(f frame, au [][]byte), audio func(f frame, data []byte)) {
	c = c.defaults()
	sound := c.start
	heard := 0
	for n := range c.frames {
		dts := c.start + int64(n)*c.step
		if !c.noVideo {
			key := n >= c.lead && (n-c.lead)%c.gop == 0
			pts := dts
			if c.bframes { // I P B P B: each B is shown before the P that is sent before it
				pts = dts + c.step
				if k := (n - c.lead) % c.gop; k > 0 && k%2 == 1 {
					pts = dts + 2*c.step
				} else if k > 0 {
					pts = dts
				}
			}
			au, name := c.picture(n, key)
			video(frame{pts, dts, name, key}, au)
		}
		for ; !c.noAudio && sound < dts+c.step; heard++ {
			name := fmt.Sprintf("%ssound %d", c.label, heard)
			data, samples := c.sound(name)
			audio(frame{pts: sound, name: name}, data)
			sound += samples * second / 48000
		}
	}
}

// encode returns the clip as a transport stream, and what is in it.
func (c clip) encode(t testing.TB) (ts []byte, video, audio []frame) {
	t.Helper()
	c = c.defaults()
	vt, at := &mpegts.Track{Codec: &codecs.H264{}}, &mpegts.Track{Codec: c.audio}
	if c.hevc {
		vt.Codec = &codecs.H265{}
	}
	var tracks []*mpegts.Track
	if !c.noVideo {
		tracks = append(tracks, vt)
	}
	if !c.noAudio {
		tracks = append(tracks, at)
	}
	var buf bytes.Buffer
	w := &mpegts.Writer{W: &buf, Tracks: tracks}
	if err := w.Initialize(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteTables(); err != nil {
		t.Fatal(err)
	}
	c.each(func(f frame, au [][]byte) {
		write := w.WriteH264
		if c.hevc {
			write = w.WriteH265
		}
		if err := write(vt, f.pts&(wrap-1), f.dts&(wrap-1), au); err != nil {
			t.Fatal(err)
		}
		video = append(video, f)
	}, func(f frame, data []byte) {
		var err error
		switch pts := f.pts & (wrap - 1); c.audio.(type) {
		case *codecs.MPEG4Audio:
			err = w.WriteMPEG4Audio(at, pts, [][]byte{data})
		case *codecs.MPEG1Audio:
			err = w.WriteMPEG1Audio(at, pts, [][]byte{data})
		case *codecs.AC3:
			err = w.WriteAC3(at, pts, data)
		case *codecs.Opus:
			err = w.WriteOpus(at, pts, [][]byte{data})
		}
		if err != nil {
			t.Fatal(err)
		}
		audio = append(audio, f)
	})
	return buf.Bytes(), video, audio
}

func (c clip) picture(n int, key bool) (au [][]byte, name string) {
	name = fmt.Sprintf("%spicture %d", c.label, n)
	head := byte(0x41)
	if key {
		head = 0x65
	}
	unit := append([]byte{head}, name...)
	if c.hevc {
		head = 0x02 // TRAIL_R
		if key {
			head = 0x26 // IDR_W_RADL
		}
		unit = append([]byte{head, 1}, name...)
	}
	for len(unit) < c.size {
		unit = append(unit, '.')
	}
	if key && (!c.once || n == c.lead) {
		if c.hevc {
			au = [][]byte{vps265, c.sps, pps265}
		} else {
			au = [][]byte{c.sps, pps264}
		}
	}
	return append(au, unit), name
}

// sound returns one frame, and how many samples at 48 kHz it has.
func (c clip) sound(name string) (data []byte, samples int64) {
	switch c.audio.(type) {
	case *codecs.MPEG1Audio: // MPEG-1 layer III, 64 kbit/s at 48 kHz: 192 bytes
		data := append([]byte{0xff, 0xfb, 0x54, 0xc0}, name...)
		return append(data, make([]byte, 192-len(data))...), 1152
	case *codecs.AC3: // 64 kbit/s at 48 kHz: 256 bytes; mono
		data := append([]byte{0x0b, 0x77, 0, 0, 0x08, 0x40, 0x20, 0}, name...)
		return append(data, make([]byte, 256-len(data))...), 1536
	case *codecs.Opus: // CELT, 20 ms
		return append([]byte{0xfc}, name...), 960
	}
	return []byte(name), 1024
}

// ingestAll runs cfg on data from standard input.
func ingestAll(t testing.TB, cfg Config, data []byte) ([]stream.Part, Stats, error) {
	t.Helper()
	cfg.Input, cfg.Stdin = "-", bytes.NewReader(data)
	return runAll(t, context.Background(), cfg)
}

func runAll(t testing.TB, ctx context.Context, cfg Config) ([]stream.Part, Stats, error) {
	t.Helper()
	i, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var parts []stream.Part
	err = i.Run(ctx, func(p stream.Part) error {
		parts = append(parts, p)
		return nil
	})
	return parts, i.Stats(), err
}

func join(parts []stream.Part) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p.Data...)
	}
	return b
}

// demuxed reads a transport stream with mediacommon's reader: an independent one.
func demuxed(t testing.TB, ts []byte) (video, audio []frame) {
	t.Helper()
	r := &mpegts.Reader{R: bytes.NewReader(ts)}
	if err := r.Initialize(); err != nil {
		t.Fatalf("read output: %v", err)
	}
	r.OnDecodeError(func(err error) { t.Errorf("output: %v", err) })
	named := func(b []byte) string { return string(bytes.TrimRight(b, ".\x00")) }
	for _, tr := range r.Tracks() {
		switch tr.Codec.(type) {
		case *codecs.H264:
			r.OnDataH264(tr, func(pts, dts int64, au [][]byte) error {
				last := au[len(au)-1]
				video = append(video, frame{pts, dts, named(last[1:]), last[0] == 0x65})
				return nil
			})
		case *codecs.H265:
			r.OnDataH265(tr, func(pts, dts int64, au [][]byte) error {
				last := au[len(au)-1]
				video = append(video, frame{pts, dts, named(last[2:]), last[0] == 0x26})
				return nil
			})
		case *codecs.MPEG4Audio:
			r.OnDataMPEG4Audio(tr, func(pts int64, aus [][]byte) error {
				for _, au := range aus {
					audio = append(audio, frame{pts: pts, name: named(au)})
				}
				return nil
			})
		case *codecs.MPEG1Audio:
			r.OnDataMPEG1Audio(tr, func(pts int64, frames [][]byte) error {
				for _, f := range frames {
					audio = append(audio, frame{pts: pts, name: named(f[4:])})
				}
				return nil
			})
		case *codecs.Opus:
			r.OnDataOpus(tr, func(pts int64, packets [][]byte) error {
				for _, p := range packets {
					audio = append(audio, frame{pts: pts, name: named(p[1:])})
				}
				return nil
			})
		}
	}
	for r.Read() == nil {
	}
	return video, audio
}

// checkParts fails unless parts keep what the package promises of any input.
func checkParts(t testing.TB, parts []stream.Part) {
	t.Helper()
	cc := map[uint16]int{}
	open := false
	var clock time.Time
	for n, p := range parts {
		if p.StartsSegment == open {
			t.Fatalf("part %d: StartsSegment is %v", n, p.StartsSegment)
		}
		open = !p.EndsSegment
		if p.Duration <= 0 || p.Duration%time.Microsecond != 0 {
			t.Errorf("part %d lasts %v", n, p.Duration)
		}
		if p.Discontinuity && (!p.StartsSegment || n == 0) {
			t.Errorf("part %d: discontinuity", n)
		}
		if p.StartsSegment && (!p.Independent || p.Media.Codecs == "") {
			t.Errorf("part %d starts a segment: independent %v, media %+v", n, p.Independent, p.Media)
		}
		if n > 0 && !p.Discontinuity && !p.ProgramTime.Equal(clock) {
			t.Errorf("part %d: program time %v, want %v", n, p.ProgramTime, clock)
		}
		clock = p.ProgramTime.Add(p.Duration)
		if len(p.Data) == 0 || len(p.Data)%packetSize != 0 || len(p.Data) > maxPart {
			t.Fatalf("part %d has %d bytes", n, len(p.Data))
		}
		for at := 0; at < len(p.Data); at += packetSize {
			raw := p.Data[at : at+packetSize]
			pkt := transport.ParsePacket(raw)
			if raw[0] != syncByte || pkt.Broken {
				t.Fatalf("part %d: bad packet at %d", n, at)
			}
			if len(pkt.Payload) > 0 {
				if last, ok := cc[pkt.PID]; ok && int(pkt.CC) != (last+1)&15 {
					t.Errorf("part %d: continuity of PID %d breaks", n, pkt.PID)
				}
				cc[pkt.PID] = int(pkt.CC)
			}
			if want := []uint16{0, 0x1000}; p.Independent && at < 2*packetSize && pkt.PID != want[at/packetSize] {
				t.Errorf("part %d: packet %d has PID %d", n, at/packetSize, pkt.PID)
			}
		}
	}
	if open {
		t.Error("the last segment does not end")
	}
}

// segments joins parts by segment.
func segments(parts []stream.Part) (data [][]byte, durations []time.Duration, marked []bool) {
	for _, p := range parts {
		if p.StartsSegment {
			data, durations, marked = append(data, nil), append(durations, 0), append(marked, p.Discontinuity)
		}
		i := len(data) - 1
		data[i] = append(data[i], p.Data...)
		durations[i] += p.Duration
	}
	return data, durations, marked
}

func names(frames []frame) []string {
	out := make([]string, len(frames))
	for i, f := range frames {
		out[i] = f.name
	}
	return out
}
