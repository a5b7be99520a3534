package transcode

import (
	"fmt"
	"strings"
	"time"
)

const (
	// audioBits is for stereo AAC that nobody hears to be coded.
	audioBits = 128_000
	// firstPipe is the first file descriptor after the standard ones.
	firstPipe = 3
	// keyframeSlack is by how much a keyframe may come before its time: less than the
	// segments' own slack, so that each begins one.
	keyframeSlack = 4 * time.Millisecond
	// noKeyframes is how many frames there are between keyframes that are not forced:
	// more than in any segment.
	noKeyframes = 1 << 16
)

// fromIngest is how ffmpeg reads what ingest wrote. Its timestamps are right, and it knows
// half a second after the tables what there is; what it reads to know is not lost. Three
// frames decoded at a time are three frames of delay.
var fromIngest = []string{
	"-analyzeduration", "500000", "-threads", "3", "-f", "mpegts", "-i", "pipe:0",
}

// command is what ffmpeg is told.
type command struct {
	encoder    encoder
	input      []string
	renditions []Rendition
	segment    time.Duration
	rate       float64  // frames a second, about
	audio      []string // languages of the input's audio tracks, ISO 639-2; "" if unknown
}

// live returns the arguments to encode standard input to a pipe per rendition.
func (c command) live() []string {
	return append(append([]string{"-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"}, c.encode()...), "-f", "tee", c.outputs())
}

// encode returns the arguments to make all renditions of the input, without where they go.
func (c command) encode() []string {
	args := append([]string{"-copyts"}, c.encoder.device...)
	args = append(append(args, c.input...), "-filter_complex", c.filters())
	for n := range c.renditions {
		args = append(args, "-map", fmt.Sprintf("[v%d]", n))
	}
	// Frames stay at their times, to the tick.
	args = append(args, "-fps_mode", "passthrough", "-enc_time_base:v", "1:90000")
	args = append(args, c.encoder.video(c.segment, c.rate)...)
	for n, r := range c.renditions {
		args = append(args, r.rate(fmt.Sprintf("v:%d", n))...)
	}
	for n, language := range c.audio {
		args = append(append(args, "-map", fmt.Sprintf("[a%d]", n)), stereo(n)...)
		if language != "" {
			args = append(args, fmt.Sprintf("-metadata:s:a:%d", n), "language="+language)
		}
	}
	return args
}

// stereo returns the arguments to encode the n-th audio stream.
func stereo(n int) []string {
	a := func(option string) string { return fmt.Sprintf("-%s:a:%d", option, n) }
	return []string{a("c"), "aac", a("b"), fmt.Sprint(audioBits), a("ar"), "48000", a("ac"), "2"}
}

// video returns the arguments to encode video, with a keyframe where each segment begins
// and nowhere else. Frames that are the same get the same keyframes.
func (e encoder) video(segment time.Duration, rate float64) []string {
	args := append([]string{
		"-force_key_frames:v", fmt.Sprintf("expr:if(isnan(prev_forced_t),1,gte(t-prev_forced_t,%.3f))", (segment - keyframeSlack).Seconds()),
		"-c:v", e.name, "-g", fmt.Sprint(noKeyframes), "-bf", "0", "-flags:v", "+cgop",
	}, e.options...)
	if e.name == software {
		// Bits are for a time, not for a number of frames; the rate is for the level only. By
		// itself, zerolatency has it count frames, at the rate that the input's headers tell,
		// and those of WebRTC tell none: then it takes a tick of the clock for a frame's time.
		args = append(args, "-x264-params", fmt.Sprintf("force-cfr=0:fps=%.3f", rate))
	}
	return args
}

// rate returns the arguments for the bits of one of the video streams. The rate is held
// over a second, and exceeded by a tenth at most: it has to fit through uplinks.
func (r Rendition) rate(stream string) []string {
	return []string{
		"-b:" + stream, fmt.Sprint(r.Bits), "-maxrate:" + stream, fmt.Sprint(r.Bits + r.Bits/10), "-bufsize:" + stream, fmt.Sprint(r.Bits),
	}
}

// filters returns the graph from the input to each encoder.
func (c command) filters() string {
	var g strings.Builder
	fmt.Fprintf(&g, "[0:v:0]split=%d", len(c.renditions))
	for n := range c.renditions {
		fmt.Fprintf(&g, "[i%d]", n)
	}
	for n, r := range c.renditions {
		fmt.Fprintf(&g, ";[i%d]scale=%d:%d,%s[v%d]", n, r.Width, r.Height, c.encoder.pixels, n)
	}
	for n := range c.audio {
		fmt.Fprintf(&g, ";[0:a:%d]aresample=async=1[a%d]", n, n) // holes become silence
	}
	return g.String()
}

// outputs returns what the tee muxer writes where: to each pipe a video and the first sound, as
// soon as there is a frame, with the timestamps that it has; and to the first all other
// sound, which is published once.
func (c command) outputs() string {
	var outs []string
	for n := range c.renditions {
		pick := fmt.Sprintf("v:%d", n)
		switch {
		case len(c.audio) > 0 && n == 0:
			pick += ",a"
		case len(c.audio) > 0:
			pick += ",a:0"
		}
		outs = append(outs, fmt.Sprintf("[f=mpegts:select=\\'%s\\':mpegts_copyts=1:pes_payload_size=0:flush_packets=1]pipe:%d", pick, firstPipe+n))
	}
	return strings.Join(outs, "|")
}
