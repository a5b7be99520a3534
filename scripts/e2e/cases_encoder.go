//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// encoderKey is the stream key of the cases with RTMP.
const encoderKey = "correct-horse"

// listening is a way for encoders to reach a broadcaster.
type listening struct {
	input string // of broadcast
	// at returns where an encoder sends to, given the address that was bound.
	at     func(addr string) string
	format string
}

var (
	byRTMP = listening{
		"rtmp://127.0.0.1:0/live",
		func(addr string) string { return "rtmp://" + addr + "/live/" + encoderKey }, "flv",
	}
	bySRT = listening{
		"srt://127.0.0.1:0?passphrase=correct-horse&streamid=studio&latency=200ms",
		func(addr string) string {
			return "srt://" + addr + "?passphrase=correct-horse&streamid=studio&latency=200000&pkt_size=1316"
		}, "mpegts",
	}
	byTCP = listening{
		"tcp://127.0.0.1:0",
		func(addr string) string { return "tcp://" + addr }, "mpegts",
	}
)

// listen starts a broadcaster that encoders connect to, and returns where they send to.
func (b *bench) listen(ctx context.Context, l listening, args ...string) (broadcaster *node, target string, err error) {
	args = append([]string{"broadcast", "--input", l.input, "--log-level", "info"}, args...)
	if l.format == "flv" {
		args = append(args, "--stream-key", encoderKey)
	}
	if broadcaster, err = b.grapevine(ctx, nil, "broadcaster", nil, append(args, anyLoopback...)...); err != nil {
		return nil, "", err
	}
	now, err := broadcaster.await(ctx, "the address of its input", func(s stats) bool { return s.Input.Listen != "" })
	return broadcaster, l.at(now.Input.Listen), err
}

// rtmpCase has an encoder send for a while and stop, a viewer play all of it, and
// compares what was sent with what was played.
func rtmpCase(ctx context.Context, b *bench) (string, error) {
	const seconds = 15
	broadcaster, target, err := b.listen(ctx, byRTMP, "--reconnect", "2s")
	if err != nil {
		return "", err
	}
	encoder, err := b.encoder(nil, ordinary, target, nil, "-t", strconv.Itoa(seconds))
	if err != nil {
		return "", err
	}
	player, err := b.playAll(ctx, broadcaster, 600)
	if err != nil {
		return "", err
	}
	if err := encoder.wait(ctx); err != nil {
		return "", err
	}
	if encoder.err != nil {
		return "", fmt.Errorf("the encoder ended with %w", encoder.err)
	}
	const sent = seconds * frameRate
	frames, err := player.perfect(ctx, sent)
	if err != nil {
		return "", err
	}
	if frames > sent {
		return "", fmt.Errorf("%d frames of %d", frames, sent)
	}
	return fmt.Sprintf("%d of %d frames that were sent, to ENDLIST", frames, sent), nil
}

// srtCase looks at an encoder that goes on: what SRT holds back for its latency is lost
// with one that ends.
func srtCase(ctx context.Context, b *bench) (string, error) {
	const seconds = 15
	broadcaster, target, err := b.listen(ctx, bySRT)
	if err != nil {
		return "", err
	}
	if _, err := b.encoder(nil, ordinary, target, nil); err != nil {
		return "", err
	}
	player, err := b.playAll(ctx, broadcaster, seconds)
	if err != nil {
		return "", err
	}
	frames, err := player.perfect(ctx, seconds*frameRate)
	return fmt.Sprintf("%d of %d frames from the first on, none missing", frames, seconds*frameRate), err
}

// playAll has ffmpeg play a stream from its beginning, behind a relay, for so long.
func (b *bench) playAll(ctx context.Context, broadcaster *node, seconds int) (*ffmpegPlayer, error) {
	c, err := b.chainBehind(ctx, broadcaster)
	if err != nil {
		return nil, err
	}
	media, err := rewinding(ctx, c.viewer)
	if err != nil {
		return nil, err
	}
	return b.ffmpeg(nil, media, seconds, "-live_start_index", "0")
}

func rtmpBackCase(ctx context.Context, b *bench) (string, error) { return backCase(ctx, b, byRTMP) }
func srtBackCase(ctx context.Context, b *bench) (string, error)  { return backCase(ctx, b, bySRT) }
func tcpBackCase(ctx context.Context, b *bench) (string, error)  { return backCase(ctx, b, byTCP) }

// fragile has an encoder send to a broadcaster, whose stream VLC and ffmpeg play. Another
// encoder may take its place at target.
func (b *bench) fragile(ctx context.Context, l listening, flags ...string) (broadcaster *node, target string, encoder *process, i *interruption, err error) {
	if broadcaster, target, err = b.listen(ctx, l, flags...); err != nil {
		return nil, "", nil, nil, err
	}
	if encoder, err = b.encoder(nil, ordinary, target, nil); err != nil {
		return nil, "", nil, nil, err
	}
	c, err := b.chainBehind(ctx, broadcaster)
	if err != nil {
		return nil, "", nil, nil, err
	}
	i, err = b.interrupt(ctx, c.viewer.HLS)
	return broadcaster, target, encoder, i, err
}

// backCase kills the encoder and starts another while VLC and ffmpeg play.
func backCase(ctx context.Context, b *bench, l listening) (string, error) {
	broadcaster, target, encoder, i, err := b.fragile(ctx, l)
	if err != nil {
		return "", err
	}
	encoder.kill()
	if _, err := broadcaster.await(ctx, "that the encoder is gone", func(s stats) bool { return s.Input.Gone > 0 }); err != nil {
		return "", err
	}
	// A person takes a while to start it again.
	select {
	case <-time.After(3 * time.Second):
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if _, err := b.encoder(nil, ordinary, target, nil); err != nil {
		return "", err
	}
	listed, err := i.over(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("both play on, the new encoder listed %.1f s after its start, one discontinuity", listed.Seconds()), nil
}

// bothPlayers are the two that most people have.
type bothPlayers struct {
	vlc    *vlcPlayer
	ffmpeg *ffmpegPlayer
}

// playBoth starts both, and waits until they play.
func (b *bench) playBoth(ctx context.Context, url string) (p bothPlayers, err error) {
	if p.vlc, err = b.vlc(nil, url, onNoScreen...); err != nil {
		return p, err
	}
	if p.ffmpeg, err = b.ffmpeg(nil, url, 600); err != nil {
		return p, err
	}
	if _, err := p.ffmpeg.awaitFrames(ctx, 5*frameRate); err != nil {
		return p, err
	}
	_, _, err = p.vlc.awaitShown(ctx, 2*frameRate)
	return p, err
}

// goOn waits until both have shown more than they can have had in hand.
func (p bothPlayers) goOn(ctx context.Context) error {
	// What both had buffered is less than the window, which is less than this.
	const more = 15 * frameRate
	decoded, err := p.ffmpeg.frames()
	if err != nil {
		return err
	}
	shown, _, err := p.vlc.shown(ctx)
	if err != nil {
		return err
	}
	if _, err := p.ffmpeg.awaitFrames(ctx, len(decoded)+more); err != nil {
		return err
	}
	_, _, err = p.vlc.awaitShown(ctx, shown+more)
	return err
}

// gstreamerSink is a way for GStreamer to publish.
type gstreamerSink struct {
	by        listening
	mux, sink string
}

var (
	gstreamerRTMP = gstreamerSink{byRTMP, "flvmux streamable=true", "rtmp2sink location="}
	gstreamerSRT  = gstreamerSink{bySRT, "mpegtsmux alignment=7", "srtsink uri="}
)

// gstreamer publishes seconds of e with GStreamer, in real time: a file, for it has no
// encoder for H.264 among what the checks install.
func (b *bench) gstreamer(ctx context.Context, to gstreamerSink, e encoding, seconds int) (broadcaster *node, err error) {
	file := filepath.Join(b.dir, "clip.mp4")
	if _, err := output(ctx, "ffmpeg", append(patternArgs(e, false), "-t", strconv.Itoa(seconds), "-y", file)...); err != nil {
		return nil, err
	}
	broadcaster, target, err := b.listen(ctx, to.by)
	if err != nil {
		return nil, err
	}
	// It counts milliseconds where ffmpeg counts microseconds, and knows no packet size.
	target = strings.NewReplacer("latency=200000", "latency=200", "&pkt_size=1316", "").Replace(target)
	pipeline := fmt.Sprintf("%s name=mux ! identity sync=true ! %s%s filesrc location=%s ! qtdemux name=demux "+
		"demux.video_0 ! queue ! h264parse ! mux. demux.audio_0 ! queue ! aacparse ! mux.", to.mux, to.sink, target, file)
	encoder, err := b.start("gstreamer", exec.Command("gst-launch-1.0", append([]string{"-q"}, strings.Fields(pipeline)...)...))
	if err != nil {
		return nil, err
	}
	go encoder.reap()
	return broadcaster, nil
}

// gstreamerCase publishes with GStreamer.
func gstreamerCase(ctx context.Context, b *bench) (string, error) {
	const seconds, seen = 12, 10 // SRT's last frames are lost, see srtCase
	var figures []string
	for _, to := range []gstreamerSink{gstreamerRTMP, gstreamerSRT} {
		broadcaster, err := b.gstreamer(ctx, to, ordinary, seconds)
		if err != nil {
			return "", err
		}
		player, err := b.playAll(ctx, broadcaster, seen)
		if err != nil {
			return "", err
		}
		frames, err := player.perfect(ctx, seen*frameRate)
		if err != nil {
			return "", fmt.Errorf("%s: %w", to.sink, err)
		}
		figures = append(figures, fmt.Sprintf("%d of %d frames by %s", frames, seen*frameRate, strings.Fields(to.sink)[0]))
		for _, p := range b.processes { // the next ones have the same homes
			p.kill()
		}
	}
	return strings.Join(figures, ", "), nil
}
