package fmp4

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	mp4codecs "github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
)

// Parameter sets as x264 and x265 write them: 1920x1080, 640x360, and HEVC of 640x360.
var (
	sps1080 = unhex("67640028acd940780227e5c044000003000400000300c83c60c658")
	sps360  = unhex("6764001eacd940a02ff97011000003000100000300328f162d96")
	pps264  = unhex("68ee3cb0")
	vps265  = unhex("40010c01ffff01600000030090000003000003003fba0240")
	sps265  = unhex("42010101600000030090000003000003003fa005020171f2e595952930bc05a02000007d20000ea601")
	pps265  = unhex("4401c172b46240")
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func aac(rate int, channels uint8) *codecs.MPEG4Audio {
	return &codecs.MPEG4Audio{Config: mpeg4audio.AudioSpecificConfig{
		Type: mpeg4audio.ObjectTypeAACLC, SampleRate: rate, ChannelConfig: channels,
	}}
}

func opusStereo() *codecs.Opus {
	return &codecs.Opus{Desc: &substructs.OpusAudioDescriptor{ChannelConfigCode: 2}}
}

// clip is a made-up encoder's output. Each frame's bytes name it.
type clip struct {
	start   int64 // ticks
	frames  int   // pictures of 40 ms
	jitter  int64 // ticks by which every second picture is late
	bframes bool
	hevc    bool
	sps     []byte       // nil means sps360
	video   bool         // there is video
	audio   codecs.Codec // nil for none
	lose    int          // this picture does not come; 0 for none
	size    int          // bytes of a picture, at least
}

const step = second / 25

// write writes the clip, keyframes every 50 pictures, and returns how many pictures and
// audio frames there are.
func (c clip) write(t testing.TB, to *bytes.Buffer) (pictures, sounds int) {
	t.Helper()
	if c.sps == nil {
		c.sps = sps360
	}
	vt, at := &mpegts.Track{Codec: &codecs.H264{}}, &mpegts.Track{Codec: c.audio}
	if c.hevc {
		vt.Codec = &codecs.H265{}
	}
	w := &mpegts.Writer{W: to}
	if c.video {
		w.Tracks = append(w.Tracks, vt)
	}
	if c.audio != nil {
		w.Tracks = append(w.Tracks, at)
	}
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	check(w.Initialize())
	_, err := w.WriteTables()
	check(err)
	samples := int64(0)
	for n := range c.frames {
		dts := c.start + int64(n)*step + int64(n%2)*c.jitter
		if c.video && (n != c.lose || n == 0) {
			pts := dts
			if c.bframes { // I P B P B: each B is shown before the P that is sent before it
				pts = c.start + int64(n+1)*step
				if k := n % 50; k > 0 && k%2 == 1 {
					pts += step
				} else if k > 0 {
					pts -= step
				}
			}
			check(c.picture(w, vt, n, pts, dts))
			pictures++
		}
		for c.audio != nil && c.start+samples*second/48000 < dts+step {
			d, err := c.sound(w, at, (c.start+samples*second/48000)&(wrap-1), fmt.Sprintf("sound %d", sounds))
			check(err)
			samples += d
			sounds++
		}
	}
	return pictures, sounds
}

func (c clip) picture(w *mpegts.Writer, t *mpegts.Track, n int, pts, dts int64) error {
	key := n%50 == 0
	name := fmt.Sprintf("picture %d", n)
	head, write, sets := []byte{0x41}, w.WriteH264, [][]byte{c.sps, pps264}
	if key {
		head = []byte{0x65}
	}
	if c.hevc {
		head, write, sets = []byte{0x02, 1}, w.WriteH265, [][]byte{vps265, sps265, pps265}
		if key {
			head[0] = 0x26
		}
	}
	unit := append(head, name...)
	for len(unit) < c.size {
		unit = append(unit, byte('a'+len(unit)%20))
	}
	var au [][]byte
	if key {
		au = sets
	}
	return write(t, pts&(wrap-1), dts&(wrap-1), append(au, unit))
}

// sound writes one frame and returns how long it lasts, in samples at 48 kHz.
func (c clip) sound(w *mpegts.Writer, t *mpegts.Track, pts int64, name string) (int64, error) {
	switch audio := c.audio.(type) {
	case *codecs.MPEG4Audio:
		return 1024 * 48000 / int64(audio.Config.SampleRate), w.WriteMPEG4Audio(t, pts, [][]byte{[]byte(name)})
	case *codecs.MPEG1Audio: // layer III, 64 kbit/s at 48 kHz: 192 bytes
		data := append([]byte{0xff, 0xfb, 0x54, 0xc0}, name...)
		return 1152, w.WriteMPEG1Audio(t, pts, [][]byte{append(data, make([]byte, 192-len(data))...)})
	case *codecs.AC3: // 64 kbit/s at 48 kHz: 256 bytes; mono
		data := append([]byte{0x0b, 0x77, 0, 0, 0x08, 0x40, 0x20, 0}, name...)
		return 1536, w.WriteAC3(t, pts, append(data, make([]byte, 256-len(data))...))
	case *codecs.Opus: // CELT, 20 ms
		return 960, w.WriteOpus(t, pts, [][]byte{append([]byte{0xfc}, name...)})
	}
	return 0, fmt.Errorf("no sound in %T", c.audio)
}

// cut returns the parts that ingest makes of a transport stream.
func cut(t testing.TB, ts []byte) []Part {
	t.Helper()
	i, err := ingest.New(ingest.Config{Input: "-", Stdin: bytes.NewReader(ts)})
	if err != nil {
		t.Fatal(err)
	}
	var parts []Part
	if err := i.Run(t.Context(), func(p stream.Part) error {
		parts = append(parts, partOf(p))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return parts
}

func partOf(p stream.Part) Part {
	return Part{Data: p.Data, Duration: p.Duration, StartsSegment: p.StartsSegment, Independent: p.Independent, Discontinuity: p.Discontinuity}
}

// parts returns the parts of clips one after the other.
func parts(t testing.TB, clips ...clip) []Part {
	t.Helper()
	var ts bytes.Buffer
	for _, c := range clips {
		c.write(t, &ts)
	}
	return cut(t, ts.Bytes())
}

// sample is a sample as a player reads it.
type sample struct {
	dts, pts, end int64 // time units
	key           bool
	data          []byte
}

// played is what a player has seen of a track.
type played struct {
	scale   int64
	codec   mp4codecs.Codec
	samples []sample
	gaps    int   // fragments whose time is not where the last sample ended
	gap     int64 // the widest, time units
}

// play remuxes parts and reads the fragments back, with mediacommon's reader: an
// independent one. It fails if decode times fall, or if there are no samples before an
// init.
func play(t testing.TB, parts []Part) (tracks map[int]*played, inits int) {
	t.Helper()
	tracks = map[int]*played{}
	var r Remuxer
	for n, p := range parts {
		f, err := r.Remux(p)
		if err != nil {
			t.Fatalf("part %d: %v", n, err)
		}
		if f.Lost > 0 {
			t.Errorf("part %d: %d frames lost", n, f.Lost)
		}
		if f.Init != nil {
			inits++
			if !p.StartsSegment {
				t.Errorf("part %d: an init within a segment", n)
			}
			var init fmp4.Init
			if err := init.Unmarshal(bytes.NewReader(f.Init)); err != nil {
				t.Fatalf("part %d: %v", n, err)
			}
			for _, track := range init.Tracks {
				if tracks[track.ID] == nil {
					tracks[track.ID] = &played{}
				}
				tracks[track.ID].scale, tracks[track.ID].codec = int64(track.TimeScale), track.Codec
			}
		}
		var read fmp4.Parts
		if err := read.Unmarshal(f.Data); err != nil || len(read) != 1 {
			t.Fatalf("part %d: %d fragments, %v", n, len(read), err)
		}
		for _, track := range read[0].Tracks {
			to := tracks[track.ID]
			if to == nil {
				t.Fatalf("part %d: track %d is not in the init", n, track.ID)
			}
			at := int64(track.BaseTime)
			if n := len(to.samples); n > 0 && at != to.samples[n-1].end {
				to.gaps++
				to.gap = max(to.gap, at-to.samples[n-1].end, to.samples[n-1].end-at)
			}
			for _, s := range track.Samples {
				if n := len(to.samples); n > 0 && at <= to.samples[n-1].dts {
					t.Fatalf("decode time %d after %d", at, to.samples[n-1].dts)
				}
				end := at + int64(s.Duration)
				to.samples = append(to.samples, sample{at, at + int64(s.PTSOffset), end, !s.IsNonSyncSample, s.Payload})
				at = end
			}
		}
	}
	return tracks, inits
}

func total(parts []Part) (d time.Duration) {
	for _, p := range parts {
		d += p.Duration
	}
	return d
}
