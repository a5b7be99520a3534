//go:build linux

package main

import (
	"slices"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// arrivals notes what the sinks got, when.
type arrivals struct {
	mu       sync.Mutex // guards all following
	from, to time.Time
	bytes    int64 // that arrived within
	parts    map[stream.Position]*arrival
	delays   []time.Duration
}

// arrival is of a part published within.
type arrival struct {
	chunks int
	inTime map[int]int // chunks by the deadline, by node
}

// delivery is what the sinks got.
type delivery struct {
	Bytes int64         `json:"bytes"` // payload within the interval
	Pairs int           `json:"pairs"` // nodes times parts published within the interval
	Whole int           `json:"whole"` // of those, complete by the deadline
	P50   time.Duration `json:"p50"`   // from a part's publication to a chunk's arrival
	P99   time.Duration `json:"p99"`
}

func (a *arrivals) measure(from, to time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.from, a.to = from, to
	a.bytes, a.delays, a.parts = 0, nil, make(map[stream.Position]*arrival)
}

func (a *arrivals) receive(node int, h *stream.SignedHeader, index int, now time.Time) {
	published := h.ProgramTime.Add(h.Duration)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !now.Before(a.from) && now.Before(a.to) {
		a.bytes += int64(h.ChunkLen(index))
	}
	if published.Before(a.from) || !published.Before(a.to) {
		return
	}
	p := a.parts[h.Position]
	if p == nil {
		p = &arrival{chunks: len(h.Chunks), inTime: make(map[int]int)}
		a.parts[h.Position] = p
	}
	d := now.Sub(published)
	a.delays = append(a.delays, d)
	if d <= deadline {
		p.inTime[node]++
	}
}

// result is of the last interval. Parts that nobody got count, too.
func (a *arrivals) result(nodes int, every time.Duration) delivery {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := delivery{Bytes: a.bytes, Pairs: nodes * int(a.to.Sub(a.from)/every)}
	for _, p := range a.parts {
		for _, n := range p.inTime {
			if n == p.chunks {
				d.Whole++
			}
		}
	}
	slices.Sort(a.delays)
	if n := len(a.delays); n > 0 {
		d.P50, d.P99 = a.delays[n/2], a.delays[n*99/100]
	}
	return d
}
