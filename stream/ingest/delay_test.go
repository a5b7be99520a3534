package ingest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	srt "github.com/datarhei/gosrt"

	"github.com/grapevine-live/grapevine/stream"
)

// BenchmarkDelay sends frames in real time, and measures from when the first bytes are
// written of the frame that ends a part to when the part is published. By RTMP, all of the
// frame has to be here; SRT's latency is taken off.
//
//	go test ./stream/ingest -run '^$' -bench Delay -benchtime 1x
func BenchmarkDelay(b *testing.B) {
	for _, in := range []struct {
		name, input string
		latency     time.Duration
		dial        func(testing.TB, string, clip) frameWriter
	}{
		{"TCP", "tcp://127.0.0.1:0", 0, dialFramesTCP},
		{"RTMP", "rtmp://127.0.0.1:0/live", 0, dialFramesRTMP},
		{"SRT", "srt://127.0.0.1:0?latency=20ms", 20 * time.Millisecond, dialFramesSRT},
	} {
		for _, mbit := range []int{4, 20} {
			b.Run(fmt.Sprintf("%s/%dMbit", in.name, mbit), func(b *testing.B) {
				var delays []time.Duration
				for b.Loop() {
					c := clip{frames: 25 * 10, size: mbit * 1_000_000 / 8 / 25}
					delays = append(delays, measureDelays(b, Config{Input: in.input, StreamKey: testKey}, c, in.dial)...)
				}
				slices.Sort(delays)
				for _, q := range []int{50, 99} {
					d := delays[(len(delays)-1)*q/100] - in.latency
					b.ReportMetric(float64(d.Microseconds())/1000, fmt.Sprintf("ms-p%d", q))
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// frameWriter sends one frame.
type frameWriter struct {
	video func(f frame, au [][]byte) error
	audio func(f frame, data []byte) error
}

func measureDelays(b *testing.B, cfg Config, c clip, dial func(testing.TB, string, clip) frameWriter) []time.Duration {
	i, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	var mu sync.Mutex
	written := make(map[int64]time.Time) // pictures, by decoding time
	var delays []time.Duration
	var media time.Duration
	ctx, cancel := context.WithCancelCause(b.Context())
	done := make(chan error)
	go func() {
		done <- i.Run(ctx, func(p stream.Part) error {
			media += p.Duration
			mu.Lock()
			defer mu.Unlock()
			if at, ok := written[ticks(media)]; ok {
				delays = append(delays, time.Since(at))
			}
			return nil
		})
	}()
	w := dial(b, listening(b, i), c)
	began := time.Now()
	c.each(func(f frame, au [][]byte) {
		time.Sleep(time.Until(began.Add(duration(f.dts))))
		mu.Lock()
		written[f.dts] = time.Now()
		mu.Unlock()
		if err := w.video(f, au); err != nil {
			b.Fatal(err)
		}
	}, func(f frame, data []byte) {
		if err := w.audio(f, data); err != nil {
			b.Fatal(err)
		}
	})
	time.Sleep(100 * time.Millisecond) // what is on its way
	cancel(errOver)
	<-done
	if want := c.frames/25*2 - 1; len(delays) < want {
		b.Fatalf("%d parts of %d were published", len(delays), want)
	}
	return delays
}

// tsFrames writes frames as MPEG-TS.
func tsFrames(tb testing.TB, c clip, write func([]byte) error) frameWriter {
	c = c.defaults()
	mux := &remuxer{}
	video, audio := &remuxTrack{codec: &codecs.H264{}}, &remuxTrack{codec: c.audio}
	if err := mux.add(video, audio); err != nil {
		tb.Fatal(err)
	}
	flush := func(err error) error {
		if err != nil {
			return err
		}
		return write(mux.out.Next(mux.pending()))
	}
	return frameWriter{
		func(f frame, au [][]byte) error { return flush(mux.writeVideo(video, f.pts, f.dts, au)) },
		func(f frame, data []byte) error { return flush(mux.writeAudio(audio, f.pts, [][]byte{data})) },
	}
}

func dialFramesTCP(tb testing.TB, addr string, c clip) frameWriter {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return tsFrames(tb, c, func(data []byte) error {
		_, err := conn.Write(data)
		return err
	})
}

func dialFramesSRT(tb testing.TB, addr string, c clip) frameWriter {
	config := srt.DefaultConfig()
	config.Latency = 20 * time.Millisecond
	conn := dialSRT(tb, addr, config)
	return tsFrames(tb, c, func(data []byte) error {
		for len(data) > 0 {
			n := min(7*packetSize, len(data))
			if _, err := conn.Write(data[:n]); err != nil {
				return err
			}
			data = data[n:]
		}
		return nil
	})
}

func dialFramesRTMP(tb testing.TB, addr string, c clip) frameWriter {
	p := connect(tb, addr, c)
	return frameWriter{
		func(f frame, au [][]byte) error { return p.w.WriteH264(p.video, duration(f.pts), duration(f.dts), au) },
		func(f frame, data []byte) error { return p.w.WriteMPEG4Audio(p.audio, duration(f.pts), data) },
	}
}
