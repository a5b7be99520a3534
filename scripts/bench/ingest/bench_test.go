//go:build linux

package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

// TestMemoryStaysFlat has half minutes stand for hours, with the wrap in the midst of them.
func TestMemoryStaysFlat(t *testing.T) {
	o := options{hours: 6, rate: minRate, every: 30 * time.Second}
	r, w := io.Pipe()
	go func() { w.CloseWithError(encode(w, o)) }()
	defer r.Close()
	var out strings.Builder
	printHead(&out)
	res, err := measure(t.Context(), r, o, func(h hour) { h.print(&out) })
	if err != nil {
		t.Fatal(err)
	}
	res.print(&out)
	t.Log(out.String())
	if len(res.Hours) != o.hours {
		t.Fatalf("%d looks, want %d", len(res.Hours), o.hours)
	}
	// What is on its way differs by less; a leak of a byte in five would be twice as much.
	const most = 500 << 10
	if n := res.growth(); n > most {
		t.Errorf("the heap grew by %d bytes:\n%s", n, &out)
	}
	last := res.Hours[len(res.Hours)-1]
	if rate := float64(last.Bytes) * 8 / last.StreamSeconds; rate < minRate*0.9 || rate > minRate*1.15 {
		t.Errorf("the stream has %.0f bit/s, want %d", rate, minRate)
	}
	if first := res.Hours[0]; last.Goroutines > first.Goroutines {
		t.Errorf("%d goroutines, %d at first", last.Goroutines, first.Goroutines)
	}
}

// TestWhatIsLostFails cuts a packet out of the stream.
func TestWhatIsLostFails(t *testing.T) {
	o := options{hours: 1, rate: minRate, every: 10 * time.Second}
	var ts strings.Builder
	if err := encode(&ts, o); err != nil {
		t.Fatal(err)
	}
	whole := ts.String()
	const packet = 188
	half := len(whole) / 2 / packet * packet
	_, err := measure(t.Context(), strings.NewReader(whole[:half]+whole[half+packet:]), o, nil)
	if err == nil || !strings.Contains(err.Error(), "1 missing packets") {
		t.Errorf("got %v", err)
	}
	if _, err := measure(t.Context(), strings.NewReader(whole), o, nil); err != nil {
		t.Error(err)
	}
}
