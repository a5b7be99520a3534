package ingest

import (
	"bytes"
	"testing"

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
	perSecond := b.Elapsed().Seconds() / float64(b.N) / seconds
	b.ReportMetric(perSecond*1e9, "ns/s-of-stream")
	b.ReportMetric(perSecond*100, "%core")
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(parts), "ms/part")
}
