//go:build linux

package main

import (
	"context"
	"io"
	"os"
	"strings"
)

const (
	frameRate = 25
	// second is in MPEG-TS's ticks.
	second = 90000
	// ticksPerFrame is a frame's time.
	ticksPerFrame = second / frameRate
)

// encoding is how the test pattern is encoded.
type encoding struct {
	size    string // of the picture
	rate    string // bits per second of the video
	profile string // H.264's
	offset  string // seconds on all timestamps
}

// ordinary is what most cases are about.
var ordinary = encoding{size: "640x360", rate: "800k", profile: "high", offset: "0"}

// patternArgs make ffmpeg encode a test pattern, with B-frames as real encoders make them.
func patternArgs(e encoding, live bool) []string {
	args := []string{"-hide_banner", "-nostdin", "-v", "error"}
	for _, source := range []string{"testsrc2=size=" + e.size + ":rate=25", "sine=frequency=440:sample_rate=48000"} {
		if live {
			args = append(args, "-re")
		}
		args = append(args, "-f", "lavfi", "-i", source)
	}
	return append(args, "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-profile:v", e.profile, "-b:v", e.rate, "-g", "50", "-bf", "2",
		"-c:a", "aac", "-b:a", "96k", "-output_ts_offset", e.offset)
}

// encoder starts ffmpeg's live test pattern, which goes to target: "pipe:1" for stdout, or
// an address. It is MPEG-TS but for RTMP.
func (b *bench) encoder(ns inNamespace, e encoding, target string, stdout io.Writer, options ...string) (*process, error) {
	format := "mpegts"
	if strings.HasPrefix(target, "rtmp:") {
		format = "flv"
		options = append(options, "-flvflags", "no_duration_filesize") // it cannot go back to write them
	}
	args := append(patternArgs(e, true), options...)
	cmd := ns.command("ffmpeg", append(args, "-f", format, target)...)
	cmd.Stdout = stdout
	p, err := b.start("encoder", cmd)
	if err != nil {
		return nil, err
	}
	go p.reap()
	return p, nil
}

// broadcaster starts an encoder and a node that reads it from standard input.
func (b *bench) broadcaster(ctx context.Context, ns inNamespace, args ...string) (*node, error) {
	return b.broadcasterOf(ctx, ns, "broadcaster", args...)
}

// broadcasterOf is broadcaster with another name, and so another home.
func (b *bench) broadcasterOf(ctx context.Context, ns inNamespace, name string, args ...string) (*node, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	// The processes have their own copies: when one dies, the other notices.
	defer r.Close()
	_, err = b.encoder(ns, ordinary, "pipe:1", w)
	w.Close()
	if err != nil {
		return nil, err
	}
	return b.grapevine(ctx, ns, name, r, append([]string{"broadcast", "--input", "-"}, args...)...)
}

// chain is the way that most cases look at: the viewer knows the relay only.
type chain struct{ broadcaster, relay, viewer *node }

// anyLoopback lets a node listen on free ports of this machine.
var anyLoopback = []string{"--listen", "/ip4/127.0.0.1/udp/0/quic-v1", "--listen", "/ip4/127.0.0.1/tcp/0"}

func (b *bench) chain(ctx context.Context) (*chain, error) {
	broadcaster, err := b.broadcaster(ctx, nil, anyLoopback...)
	if err != nil {
		return nil, err
	}
	return b.chainBehind(ctx, broadcaster)
}

func (b *bench) chainBehind(ctx context.Context, broadcaster *node) (*chain, error) {
	relay, err := b.grapevine(ctx, nil, "relay", nil, append([]string{"relay", broadcaster.Link}, anyLoopback...)...)
	if err != nil {
		return nil, err
	}
	viewer, err := b.grapevine(ctx, nil, "viewer", nil, append([]string{"watch", relay.Link}, anyLoopback...)...)
	if err != nil {
		return nil, err
	}
	return &chain{broadcaster, relay, viewer}, nil
}
