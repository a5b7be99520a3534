//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// camera takes 25 pictures a second, each with its time, and writes them to w until ctx
// ends or nobody reads. One that comes late does not delay those after it: the encoder
// counts them, and its sound goes by the clock.
func camera(ctx context.Context, w io.WriteCloser) {
	defer w.Close()
	picture := make([]byte, pictureWidth*pictureHeight)
	began := time.Now()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(began.Add(time.Duration(n) * time.Second / frameRate))):
		}
		drawStamp(picture, stampOf(time.Now()))
		if _, err := w.Write(picture); err != nil {
			return
		}
	}
}

// filming starts a camera, an encoder set for low delay with keyframes so many frames
// apart, and a broadcaster.
func (b *bench) filming(ctx context.Context, ns inNamespace, keyframes int, args ...string) (*node, error) {
	pictures, film, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer pictures.Close()
	r, w, err := os.Pipe()
	if err != nil {
		film.Close()
		return nil, err
	}
	defer r.Close()
	cmd := ns.command("ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-fflags", "nobuffer", "-probesize", "32",
		"-f", "rawvideo", "-pixel_format", "gray", "-video_size", fmt.Sprintf("%dx%d", pictureWidth, pictureHeight), "-framerate", "25", "-i", "pipe:0",
		"-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-b:v", "800k", "-g", fmt.Sprint(keyframes),
		"-c:a", "aac", "-b:a", "96k", "-f", "mpegts", "-flush_packets", "1", "pipe:1")
	cmd.Stdin, cmd.Stdout = pictures, w
	p, err := b.start("encoder", cmd)
	w.Close()
	if err != nil {
		film.Close()
		return nil, err
	}
	go p.reap()
	filmed := make(chan struct{})
	ctx2, stop := context.WithCancel(ctx)
	go func() {
		defer close(filmed)
		camera(ctx2, film)
	}()
	b.cleanups = append(b.cleanups, func() { stop(); <-filmed })
	return b.grapevine(ctx, ns, "broadcaster", r, append([]string{"broadcast", "--input", "-"}, args...)...)
}
