package main

import (
	"sync"
	"time"
)

// meterWindow is the time over which an input's rate is taken: longer than a part, so
// that it stands still for a steady encoder.
const meterWindow = 5 * time.Second

// inputMeter derives the rate of an input from its count of bytes.
type inputMeter struct {
	in source

	mu      sync.Mutex // guards all following
	samples []sample   // of the last meterWindow, at least one
}

type sample struct {
	at    time.Time
	bytes int64
}

func (m *inputMeter) stats() *inputStats {
	st, encoding := m.in.stats()
	in := &inputStats{
		Bytes:    int64(st.Bytes),
		Rate:     m.rate(sample{time.Now(), int64(st.Bytes)}),
		Listen:   st.Listen,
		Encoding: encoding,
	}
	if o, ok := m.in.(*originSource); ok {
		in.Origin = o.figures()
	}
	return in
}

// rate returns bits per second over the window that ends with now.
func (m *inputMeter) rate(now sample) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.samples = append(m.samples, now)
	for len(m.samples) > 2 && now.at.Sub(m.samples[1].at) >= meterWindow {
		m.samples = m.samples[1:]
	}
	oldest := m.samples[0]
	seconds := now.at.Sub(oldest.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(now.bytes-oldest.bytes) * 8 / seconds
}
