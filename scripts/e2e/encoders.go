//go:build linux

package main

import (
	"context"
	"slices"
	"strings"
)

// source is an encoder, its codecs, and the way that they take to a broadcaster.
type source struct {
	name, what string
	// prepare starts encoder and broadcaster.
	prepare func(context.Context, *bench) (*node, error)
	// varies is set where pictures are not at equal distances: the camera of a browser.
	varies bool
	// cannot has the reasons why players, by their names, must show nothing; mute, why they
	// must play no sound.
	cannot, mute map[string]string
}

// Chromium decodes neither HEVC, without hardware, nor AC-3; hls.js takes Opus from
// fragmented MP4 only, and MP3 from MPEG-TS only.
var (
	noHEVC = map[string]string{"hls.js": "no HEVC", lowLatencyPlayer: "no HEVC"}
	noAC3  = map[string]string{"hls.js": "no AC-3", lowLatencyPlayer: "no AC-3"}
	noMP3  = map[string]string{lowLatencyPlayer: "no MP3 in MP4"}
	noOpus = map[string]string{"hls.js": "no Opus in MPEG-TS"}
)

var sources = []source{
	{name: "stdin", what: "ffmpeg by standard input", prepare: func(ctx context.Context, b *bench) (*node, error) {
		n, _, err := b.feed(ctx, small, anyLoopback...)
		return n, err
	}},
	{name: "tcp", what: "ffmpeg by TCP", prepare: sending(byTCP)},
	{name: "rtmp", what: "ffmpeg by RTMP", prepare: sending(byRTMP)},
	{name: "srt", what: "ffmpeg by SRT", prepare: sending(bySRT)},
	{name: "hevc", what: "ffmpeg by SRT: HEVC, AAC", cannot: noHEVC,
		prepare: sending(bySRT, "-c:v", "libx265", "-preset", "ultrafast", "-profile:v", "main", "-x265-params", "log-level=error")},
	{name: "mp3", what: "ffmpeg by TCP: H.264, MP3", cannot: noMP3, prepare: sending(byTCP, "-c:a", "libmp3lame")},
	{name: "ac3", what: "ffmpeg by TCP: H.264, AC-3", cannot: noAC3, prepare: sending(byTCP, "-c:a", "ac3")},
	{name: "gst-rtmp", what: "GStreamer by RTMP", prepare: gstreaming(gstreamerRTMP)},
	{name: "gst-srt", what: "GStreamer by SRT", prepare: gstreaming(gstreamerSRT)},
	{name: "whip", what: "Chromium by WHIP: H.264, Opus", varies: true, mute: noOpus, prepare: func(ctx context.Context, b *bench) (*node, error) {
		n, _, _, err := b.whip(ctx)
		return n, err
	}},
	{name: "hls-ts", what: "an HLS stream, MPEG-TS", prepare: republishing("mpegts")},
	{name: "hls-fmp4", what: "an HLS stream, fragmented MP4", prepare: republishing("fmp4")},
	{name: "hls-ladder", what: "an HLS stream of two variants", prepare: republishing("mpegts",
		"-map", "0:v", "-map", "1:a", "-map", "0:v", "-map", "1:a", "-b:v:0", "300k", "-b:v:1", "100k", "-s:v:1", "160x90",
		"-var_stream_map", "v:0,a:0 v:1,a:1", "-master_pl_name", "index.m3u8")},
	{name: "encode", what: "ffmpeg by RTMP, encoded to two renditions", prepare: func(ctx context.Context, b *bench) (*node, error) {
		return b.sent(ctx, byRTMP, ordinary, nil, "--encode", "360p,180p", "--encoder", "libx264")
	}},
}

// sending has ffmpeg send a small picture, with further options.
func sending(l listening, options ...string) func(context.Context, *bench) (*node, error) {
	return func(ctx context.Context, b *bench) (*node, error) { return b.sent(ctx, l, small, options) }
}

// sent starts a broadcaster with args, and ffmpeg with options.
func (b *bench) sent(ctx context.Context, l listening, e encoding, options []string, args ...string) (*node, error) {
	broadcaster, target, err := b.listen(ctx, l, args...)
	if err != nil {
		return nil, err
	}
	_, err = b.encoder(nil, e, target, nil, options...)
	return broadcaster, err
}

func gstreaming(to gstreamerSink) func(context.Context, *bench) (*node, error) {
	return func(ctx context.Context, b *bench) (*node, error) {
		// It must not end before the players.
		return b.gstreamer(ctx, to, small, int(sourceLimit.Seconds()))
	}
}

func republishing(kind string, ladder ...string) func(context.Context, *bench) (*node, error) {
	return func(ctx context.Context, b *bench) (*node, error) {
		n, _, _, err := b.republish(ctx, "broadcaster", kind, ladder...)
		return n, err
	}
}

// encoderPlayers are those that play what encoders send.
var encoderPlayers = []string{"vlc", "mpv", "ffmpeg", "gstreamer", "hls.js", lowLatencyPlayer}

// encoderMatrix has players play what encoders send.
func (t tools) encoderMatrix(ctx context.Context, from, with string) (bool, error) {
	wanted, err := choose("encoder", from, namesOf(sources, func(s source) string { return s.name }))
	if err != nil {
		return false, err
	}
	players, err := choose("player", with, encoderPlayers)
	if err != nil {
		return false, err
	}
	var trials []trial
	for _, s := range sources {
		if slices.Contains(wanted, s.name) {
			trials = append(trials, trial{s.name, s.what, func(ctx context.Context, b *bench) (map[string]verdict, error) {
				return b.runSource(ctx, s, players)
			}})
		}
	}
	return t.matrix(ctx, trials, players, strings.Join([]string{
		"ok: it shows pictures without a pause; with the longest time without a new one where that is longer than usual.",
		"ffmpeg: how many pictures it has decoded, from its first to its last, none missing.",
		"no HEVC, no AC-3, no MP3 in MP4: it cannot play that, shows nothing and says so, as it must.",
		"no sound: it does not take Opus from MPEG-TS, and shows the pictures.",
	}, "\n"))
}
