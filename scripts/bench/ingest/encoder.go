//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
)

const (
	second     = 90000 // ticks
	wrap       = 1 << 33
	frameRate  = 25
	keyEvery   = 2 * frameRate
	sampleRate = 48000
	perFrame   = 1024 // samples of AAC
	soundRate  = 128_000
	// minRate leaves each picture some bytes.
	minRate = 300_000
	// overhead is the share of MPEG-TS that is not media.
	overhead = 0.03
	// writeAtOnce is what a pipe holds.
	writeAtOnce = 64 << 10
)

// Parameter sets of 1920x1080 as x264 writes them.
var (
	sps = []byte{0x67, 0x64, 0x00, 0x1f, 0xac, 0xb4, 0x02, 0x80, 0x2d, 0xd3, 0x52, 0x02, 0x02, 0x02, 0x80, 0x00, 0x00, 0x03, 0x00, 0x80, 0x00, 0x00, 0x19, 0x07, 0x8c, 0x19, 0x50}
	pps = []byte{0x68, 0xee, 0x3c, 0xb0}
)

// startEncoder starts this program as the encoder. ended waits for it, once the pipe is
// closed or read to its end.
func startEncoder(ctx context.Context, o options) (in io.ReadCloser, ended func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-role", "encoder", "-hours", strconv.Itoa(o.hours), "-rate", strconv.Itoa(o.rate))
	cmd.Stderr = os.Stderr
	if in, err = cmd.StdoutPipe(); err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start the encoder: %w", err)
	}
	return in, func() error {
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("the encoder ended: %w", err)
		}
		return nil
	}, nil
}

// encode writes the stream.
func encode(w io.Writer, o options) error {
	out := bufio.NewWriterSize(w, writeAtOnce)
	if err := writeStream(out, o); err != nil {
		return fmt.Errorf("write the stream: %w", err)
	}
	return out.Flush()
}

func writeStream(out io.Writer, o options) error {
	video := &mpegts.Track{Codec: &codecs.H264{}}
	audio := &mpegts.Track{Codec: &codecs.MPEG4Audio{Config: mpeg4audio.AudioSpecificConfig{
		Type: mpeg4audio.ObjectTypeAACLC, SampleRate: sampleRate, ChannelConfig: 2,
	}}}
	w := &mpegts.Writer{W: out, Tracks: []*mpegts.Track{video, audio}}
	if err := w.Initialize(); err != nil {
		return err
	}
	picture, sound := frames(o.rate)
	length := o.length()
	pictures := int64(length/time.Second) * frameRate
	start := wrap - ticks(length)/2
	heard := int64(0)
	for n := range pictures {
		dts := start + n*second/frameRate
		au := [][]byte{append([]byte{0x41}, picture...)}
		if n%keyEvery == 0 {
			au = [][]byte{sps, pps, append([]byte{0x65}, picture...)}
		}
		if err := w.WriteH264(video, dts%wrap, dts%wrap, au); err != nil {
			return err
		}
		for ; heard*perFrame*frameRate < (n+1)*sampleRate; heard++ {
			pts := start + heard*perFrame*second/sampleRate
			if err := w.WriteMPEG4Audio(audio, pts%wrap, [][]byte{sound}); err != nil {
				return err
			}
		}
	}
	return nil
}

// frames returns what is in each picture and each frame of sound. No byte of them is zero,
// so that nothing looks like a start code.
func frames(rate int) (picture, sound []byte) {
	filled := func(n int) []byte {
		random := rand.New(rand.NewPCG(uint64(n), 0))
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(1 + random.IntN(255))
		}
		return data
	}
	return filled(int(float64(rate)*(1-overhead)-soundRate) / 8 / frameRate), filled(soundRate / 8 * perFrame / sampleRate)
}

func (o options) length() time.Duration { return time.Duration(o.hours) * o.every }

func ticks(d time.Duration) int64 { return int64(d / time.Microsecond * second / 1_000_000) }
