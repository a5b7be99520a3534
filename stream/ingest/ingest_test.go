package ingest

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream"
)

func TestEveryFrameArrives(t *testing.T) {
	tests := []struct {
		name string
		clip clip
		want stream.Media
	}{
		{"H.264 and AAC", clip{}, stream.Media{Codecs: "avc1.64001e,mp4a.40.2", Width: 640, Height: 360, FrameRate: 25}},
		{"B-frames", clip{bframes: true}, stream.Media{Codecs: "avc1.64001e,mp4a.40.2", Width: 640, Height: 360, FrameRate: 25}},
		{"parameter sets once", clip{once: true}, stream.Media{Codecs: "avc1.64001e,mp4a.40.2", Width: 640, Height: 360, FrameRate: 25}},
		{"HEVC and MP3", clip{hevc: true, sps: sps265, audio: &codecs.MPEG1Audio{}},
			stream.Media{Codecs: "hvc1.1.6.L63.90,mp4a.40.34", Width: 640, Height: 360, FrameRate: 29.97}},
		{"H.264 and Opus", clip{audio: opusStereo()}, stream.Media{Codecs: "avc1.64001e,opus", Width: 640, Height: 360, FrameRate: 25}},
		{"H.264 alone", clip{noAudio: true}, stream.Media{Codecs: "avc1.64001e", Width: 640, Height: 360, FrameRate: 25}},
		{"long GOP", clip{gop: 300}, stream.Media{Codecs: "avc1.64001e,mp4a.40.2", Width: 640, Height: 360, FrameRate: 25}},
		{"short GOP", clip{gop: 13}, stream.Media{Codecs: "avc1.64001e,mp4a.40.2", Width: 640, Height: 360, FrameRate: 25}},
		{"rollover", clip{start: wrap - 3*second}, stream.Media{Codecs: "avc1.64001e,mp4a.40.2", Width: 640, Height: 360, FrameRate: 25}},
		{"timestamps in milliseconds", clip{step: 2999}, stream.Media{Codecs: "avc1.64001e,mp4a.40.2", Width: 640, Height: 360, FrameRate: 25}},
		{"AAC alone", clip{noVideo: true}, stream.Media{Codecs: "mp4a.40.2"}},
		{"MP3 alone", clip{noVideo: true, audio: &codecs.MPEG1Audio{}}, stream.Media{Codecs: "mp4a.40.34"}},
		{"Opus alone", clip{noVideo: true, audio: opusStereo()}, stream.Media{Codecs: "opus"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.clip.frames = 400
			ts, video, audio := tt.clip.encode(t)
			parts, stats, err := ingestAll(t, Config{}, ts)
			if err != nil {
				t.Fatal(err)
			}
			checkParts(t, parts)
			gotVideo, gotAudio := demuxed(t, join(parts))
			if !slices.Equal(names(gotVideo), names(video)) {
				t.Errorf("%d pictures, sent %d", len(gotVideo), len(video))
			}
			if !slices.Equal(names(gotAudio), names(audio)) {
				t.Errorf("%d audio frames, sent %d", len(gotAudio), len(audio))
			}
			for i := range gotVideo {
				base := video[0].pts - firstTimestamp
				if gotVideo[i].pts != video[i].pts-base || gotVideo[i].dts != video[i].dts-base {
					t.Fatalf("picture %d has timestamps %d %d", i, gotVideo[i].pts, gotVideo[i].dts)
				}
			}
			if got := parts[0].Media; got != tt.want {
				t.Errorf("media is %+v", got)
			}
			if stats.LostPackets+stats.Garbage+stats.SkippedFrames+stats.DamagedFrames+stats.Discontinuities != 0 {
				t.Errorf("%+v", stats)
			}

			data, durations, _ := segments(parts)
			var total time.Duration
			for i, seg := range data {
				v, _ := demuxed(t, seg)
				if !tt.clip.noVideo && !v[0].key {
					t.Errorf("segment %d does not start with a keyframe", i)
				}
				last := i == len(data)-1
				if !last && durations[i] < 2*time.Second-5*time.Millisecond {
					t.Errorf("segment %d lasts %v", i, durations[i])
				}
				total += durations[i]
			}
			step := tt.clip.step
			if step == 0 {
				step = second / 25
			}
			if want := micros(400 * step); (total-want).Abs() > 50*time.Millisecond || total < want && !tt.clip.noVideo {
				t.Errorf("all lasts %v, want %v", total, want)
			}
			for i, p := range parts {
				if !p.EndsSegment && (p.Duration < 495*time.Millisecond || p.Duration > 560*time.Millisecond) {
					t.Errorf("part %d lasts %v", i, p.Duration)
				}
				if tt.clip.noVideo && !p.Independent {
					t.Errorf("part %d is not independent", i)
				}
			}
		})
	}
}

// Many frames can end up in one PES packet, and AC-3 has no reader for that.
func TestAC3Alone(t *testing.T) {
	ts, _, audio := clip{noVideo: true, audio: &codecs.AC3{SampleRate: 48000, ChannelCount: 1}, frames: 200}.encode(t)
	parts, stats, err := ingestAll(t, Config{}, ts)
	if err != nil {
		t.Fatal(err)
	}
	checkParts(t, parts)
	if parts[0].Media.Codecs != "ac-3" || stats.Tracks[0].Frames != uint64(len(audio)) {
		t.Errorf("media %+v, %d frames of %d", parts[0].Media, stats.Tracks[0].Frames, len(audio))
	}
	if n := bytes.Count(join(parts), []byte("sound ")); n != len(audio) {
		t.Errorf("%d frames of %d", n, len(audio))
	}
}

func TestMidGOPStart(t *testing.T) {
	ts, video, _ := clip{lead: 20, frames: 200}.encode(t)
	parts, stats, err := ingestAll(t, Config{}, ts)
	if err != nil {
		t.Fatal(err)
	}
	checkParts(t, parts)
	got, sound := demuxed(t, join(parts))
	if !slices.Equal(names(got), names(video[20:])) {
		t.Errorf("%d pictures, first %q", len(got), got[0].name)
	}
	if stats.SkippedFrames < 20 || sound[0].pts < firstTimestamp-second/10 {
		t.Errorf("%d skipped, audio from %d", stats.SkippedFrames, sound[0].pts)
	}
}

func TestGarbageBetweenPackets(t *testing.T) {
	ts, video, audio := clip{frames: 200}.encode(t)
	junk := []byte("between \x47 packets")
	var dirty []byte
	var count uint64
	for at := 0; at < len(ts); at += packetSize {
		if (at/packetSize)%97 == 0 {
			dirty = append(dirty, junk...)
			count += uint64(len(junk))
		}
		dirty = append(dirty, ts[at:at+packetSize]...)
	}
	parts, stats, err := ingestAll(t, Config{}, dirty)
	if err != nil {
		t.Fatal(err)
	}
	checkParts(t, parts)
	v, a := demuxed(t, join(parts))
	if !slices.Equal(names(v), names(video)) || !slices.Equal(names(a), names(audio)) {
		t.Errorf("%d pictures of %d, %d audio frames of %d", len(v), len(video), len(a), len(audio))
	}
	if stats.Garbage != count {
		t.Errorf("%d bytes of garbage, sent %d", stats.Garbage, count)
	}
}

func TestLostPackets(t *testing.T) {
	ts, video, _ := clip{frames: 300, size: 2000}.encode(t)
	var lossy []byte
	for at, n := 0, 0; at < len(ts); at, n = at+packetSize, n+1 {
		if n > 300 && n%301 == 0 {
			continue
		}
		lossy = append(lossy, ts[at:at+packetSize]...)
	}
	parts, stats, err := ingestAll(t, Config{}, lossy)
	if err != nil {
		t.Fatal(err)
	}
	checkParts(t, parts)
	v, _ := demuxed(t, join(parts))
	if stats.LostPackets == 0 || stats.DamagedFrames == 0 || len(v) < len(video)*8/10 || len(v) >= len(video) {
		t.Errorf("%d pictures of %d, %+v", len(v), len(video), stats)
	}
	sent := names(video)
	for _, name := range names(v) {
		if !slices.Contains(sent, name) {
			t.Errorf("a picture that was not sent: %q", name)
		}
	}
}

// A lost keyframe that should have started a segment: the next one does.
func TestLostKeyframe(t *testing.T) {
	ts, video, _ := clip{frames: 200, noAudio: true, size: 2000}.encode(t)
	at := bytes.Index(ts, []byte("picture 50."))
	at = at/packetSize*packetSize + 3*packetSize // in the middle of it
	lossy := slices.Concat(ts[:at], ts[at+packetSize:])
	parts, stats, err := ingestAll(t, Config{}, lossy)
	if err != nil {
		t.Fatal(err)
	}
	checkParts(t, parts)
	v, _ := demuxed(t, join(parts))
	if want := slices.Concat(names(video[:50]), names(video[100:])); !slices.Equal(names(v), want) {
		t.Errorf("%d pictures", len(v))
	}
	_, durations, marked := segments(parts)
	if stats.DamagedFrames != 1 || !slices.Equal(marked, []bool{false, true, false}) || durations[0] != 2*time.Second {
		t.Errorf("%+v, segments last %v, marked %v", stats, durations, marked)
	}
}

func TestDiscontinuities(t *testing.T) {
	tests := []struct {
		name   string
		second clip
		marked []bool
	}{
		{"back to 0", clip{start: 0}, []bool{false, false, true, false}},
		{"an hour on", clip{start: 3610 * second}, []bool{false, false, true, false}},
		{"within the jitter of muxers", clip{start: 10*second + 4*second}, []bool{false, false, false, false}},
		{"other size", clip{start: 14 * second, sps: sps1080}, []bool{false, false, true, false}},
		{"other codecs", clip{start: 14 * second, hevc: true, sps: sps265}, []bool{false, false, true, false}},
		{"without audio", clip{start: 14 * second, noAudio: true}, []bool{false, false, true, false}},
		{"other codecs back to 0", clip{start: 0, audio: opusStereo()}, []bool{false, false, true, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			first := clip{start: 10 * second, frames: 100, label: "first "}
			tt.second.frames, tt.second.label = 100, "second "
			a, videoA, audioA := first.encode(t)
			b, videoB, audioB := tt.second.encode(t)
			parts, stats, err := ingestAll(t, Config{}, slices.Concat(a, b))
			if err != nil {
				t.Fatal(err)
			}
			checkParts(t, parts)
			data, durations, marked := segments(parts)
			if !slices.Equal(marked, tt.marked) {
				t.Fatalf("marked %v", marked)
			}
			for i, d := range durations {
				if (d - 2*time.Second).Abs() > 60*time.Millisecond {
					t.Errorf("segment %d lasts %v", i, d)
				}
			}
			var video, audio []frame
			for _, seg := range data { // one by one, for readers that know one set of tracks
				v, s := demuxed(t, seg)
				video, audio = append(video, v...), append(audio, s...)
			}
			if want := slices.Concat(names(videoA), names(videoB)); !slices.Equal(names(video), want) {
				t.Errorf("%d pictures of %d", len(video), len(want))
			}
			if want := slices.Concat(names(audioA), names(audioB)); !slices.Equal(names(audio), want) {
				t.Errorf("%d audio frames of %d", len(audio), len(want))
			}
			for _, frames := range [][]frame{video, audio} {
				for i := 1; i < len(frames); i++ {
					d := max(frames[i].dts, frames[i].pts) - max(frames[i-1].dts, frames[i-1].pts)
					if d <= 0 || d > second/5 {
						t.Errorf("from %+v to %+v", frames[i-1], frames[i])
					}
				}
			}
			if want := slices.Contains(marked, true); want != (stats.Discontinuities == 1) {
				t.Errorf("%+v", stats)
			}
		})
	}
}

func TestOutputStartsAgainBeforeItWraps(t *testing.T) {
	ts, video, audio := clip{frames: 300, bframes: true}.encode(t)
	i, err := New(Config{Input: "-", Stdin: bytes.NewReader(ts)})
	if err != nil {
		t.Fatal(err)
	}
	src, err := i.in.open(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	var parts []stream.Part
	r := newRunner(i, src, func(p stream.Part) error {
		parts = append(parts, p)
		return nil
	})
	r.cut.first = lastTimestamp - 5*second // as after 26 hours
	if err := r.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkParts(t, parts)
	if _, _, marked := segments(parts); !slices.Equal(marked, []bool{false, false, false, true, false, false}) {
		t.Errorf("marked %v", marked)
	}
	v, a := demuxed(t, join(parts))
	if !slices.Equal(names(v), names(video)) || !slices.Equal(names(a), names(audio)) {
		t.Errorf("%d pictures of %d, %d audio frames of %d", len(v), len(video), len(a), len(audio))
	}
	if v[0].pts != lastTimestamp-5*second || v[150].pts != firstTimestamp {
		t.Errorf("pictures from %d and %d", v[0].pts, v[150].pts)
	}
	first, last := parts[0], parts[len(parts)-1]
	if d := last.ProgramTime.Add(last.Duration).Sub(first.ProgramTime); d != 12*time.Second {
		t.Errorf("program time advanced by %v", d)
	}
}

func TestOtherTracksAreLeftOut(t *testing.T) {
	var b bytes.Buffer
	v, a := &mpegts.Track{Codec: &codecs.H264{}}, &mpegts.Track{Codec: aacStereo(), Language: "deu"}
	klv, e := &mpegts.Track{Codec: &codecs.KLV{}}, &mpegts.Track{Codec: &codecs.EAC3{SampleRate: 48000, ChannelCount: 2}}
	w := &mpegts.Writer{W: &b, Tracks: []*mpegts.Track{klv, e, a, v}}
	if err := w.Initialize(); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		ts := int64(i) * 3600
		au, _ := clip{sps: sps1080}.picture(i, i%50 == 0)
		if err := errors.Join(w.WriteH264(v, ts, ts, au), w.WriteKLV(klv, ts, []byte{1}), w.WriteMPEG4Audio(a, ts, [][]byte{{1, 2}})); err != nil {
			t.Fatal(err)
		}
	}
	parts, stats, err := ingestAll(t, Config{}, b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	checkParts(t, parts)
	if len(stats.Tracks) != 2 || stats.Tracks[1].Language != "deu" || len(stats.Ignored) != 2 {
		t.Errorf("%+v", stats)
	}
	// The 1080p parameter sets say no frame rate, or the one that is measured.
	if m := parts[0].Media; m.FrameRate != 25 || m.Codecs != "avc1.64001f,mp4a.40.2" {
		t.Errorf("%+v", m)
	}
}

func TestBigPartIsCutEarlier(t *testing.T) {
	ts, video, _ := clip{frames: 20, noAudio: true, size: 2 << 20}.encode(t)
	parts, stats, err := ingestAll(t, Config{}, ts)
	if err != nil {
		t.Fatal(err)
	}
	checkParts(t, parts) // none is too long
	if stats.Tracks[0].Frames != uint64(len(video)) || len(parts) < 3 {
		t.Errorf("%d pictures of %d in %d parts", stats.Tracks[0].Frames, len(video), len(parts))
	}
}
