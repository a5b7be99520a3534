package ingest

import (
	"bytes"
	"io"
	"log/slog"
	"testing"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/bytecounter"
	"github.com/bluenviron/gortmplib/pkg/message"

	"github.com/grapevine-live/grapevine/stream"
)

// BenchmarkIngest20Mbit takes 20 s of 20 Mbit/s, keyframes as long as other pictures.
// It reports the time that a second of stream takes, and that of a part.
func BenchmarkIngest20Mbit(b *testing.B) {
	const seconds = 20
	ts, _, _ := clip{frames: 25 * seconds, size: 20_000_000 / 8 / 25 * 97 / 100}.encode(b)
	b.SetBytes(int64(len(ts)))
	b.ReportAllocs()
	parts := 0
	for b.Loop() {
		i, err := New(Config{Input: "-", Stdin: bytes.NewReader(ts)})
		if err != nil {
			b.Fatal(err)
		}
		if err := i.Run(b.Context(), func(stream.Part) error {
			parts++
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	reportPerSecond(b, seconds, parts)
}

func reportPerSecond(b *testing.B, seconds, parts int) {
	perSecond := b.Elapsed().Seconds() / float64(b.N) / float64(seconds)
	b.ReportMetric(perSecond*1e9, "ns/s-of-stream")
	b.ReportMetric(perSecond*100, "%core")
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(parts), "ms/part")
}

// rtmpStream is a publisher's stream without its handshake, in memory.
func rtmpStream(tb testing.TB, c clip) []byte {
	var buf bytes.Buffer
	conn := memoryConn{readMessages(&buf)}
	if err := conn.Write(&message.SetChunkSize{Value: 4096}); err != nil { // as OBS has it
		tb.Fatal(err)
	}
	p := publishTo(tb, conn, c)
	p.send(tb, c)
	p.unpublish(tb)
	return buf.Bytes()
}

// memoryConn is gortmplib's connection without a network.
type memoryConn struct{ *message.ReadWriter }

func (memoryConn) BytesReceived() uint64 { return 0 }
func (memoryConn) BytesSent() uint64     { return 0 }

var _ gortmplib.Conn = memoryConn{}

func readMessages(rw io.ReadWriter) *message.ReadWriter {
	return message.NewReadWriter(rw, bytecounter.NewReadWriter(rw), false)
}

// rtmpSource returns a publisher's stream as an input.
func rtmpSource(raw []byte) *source {
	var out bytes.Buffer // acknowledgements
	feed := &rtmpFeed{
		messages: readMessages(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(raw), &out}),
		log: slog.New(slog.DiscardHandler), leftOut: func() {},
	}
	return &source{Reader: feed, waits: true, close: noClose}
}

// BenchmarkRTMP20Mbit is BenchmarkIngest20Mbit for an RTMP publisher's stream.
func BenchmarkRTMP20Mbit(b *testing.B) {
	const seconds = 20
	raw := rtmpStream(b, clip{frames: 25 * seconds, size: 20_000_000 / 8 / 25 * 97 / 100})
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	parts := 0
	for b.Loop() {
		i, err := New(rtmpConfig())
		if err != nil {
			b.Fatal(err)
		}
		r := newRunner(i, rtmpSource(raw), func(stream.Part) error {
			parts++
			return nil
		})
		if err := r.run(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	reportPerSecond(b, seconds, parts)
}
