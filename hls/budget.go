package hls

import (
	"context"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// budgetPiece is how many bytes of an answer go out at a time where bandwidth is bounded,
	// so that all answers go on side by side.
	budgetPiece = 64 << 10
	// newcomersDebt and mostDebt are how far answers may be behind until those who do not
	// watch yet are refused, and until all are: who watches goes on watching first.
	newcomersDebt = 500 * time.Millisecond
	mostDebt      = 2 * time.Second
)

// budget is the bandwidth that answers share. It is safe for concurrent use.
type budget struct {
	rate float64 // bytes per second

	mu   sync.Mutex // guards all following
	free time.Time  // when all that was taken has gone out
}

func newBudget(bits int) *budget { return &budget{rate: float64(bits) / 8} }

// take takes n bytes, and returns how long to wait until they may go.
func (b *budget) take(n int, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.free.Before(now) {
		b.free = now
	}
	wait := b.free.Sub(now)
	b.free = b.free.Add(time.Duration(float64(n) / b.rate * float64(time.Second)))
	return wait
}

// debt returns how far answers are behind.
func (b *budget) debt(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, b.free.Sub(now))
}

// metered counts what goes out by a gateway, and holds it to its bandwidth.
type metered struct {
	http.ResponseWriter
	gateway *Gateway
	ctx     context.Context // the request's
}

// Unwrap lets http.ResponseController reach the connection.
func (m *metered) Unwrap() http.ResponseWriter { return m.ResponseWriter }

// Write implements [io.Writer].
func (m *metered) Write(b []byte) (written int, err error) {
	for len(b) > 0 && err == nil {
		piece := b
		if m.gateway.budget.Load() != nil {
			piece = b[:min(len(b), budgetPiece)]
		}
		if err := m.pace(len(piece)); err != nil {
			return written, err
		}
		var n int
		n, err = m.ResponseWriter.Write(piece)
		m.gateway.bytes.Add(int64(n))
		written += n
		b = b[n:]
	}
	return written, err
}

// ReadFrom implements [io.ReaderFrom], by which a segment goes to the system as it lies in
// memory, if nothing bounds the bandwidth.
func (m *metered) ReadFrom(r io.Reader) (int64, error) {
	if to, ok := m.ResponseWriter.(io.ReaderFrom); ok && m.gateway.budget.Load() == nil {
		n, err := to.ReadFrom(r)
		m.gateway.bytes.Add(n)
		return n, err
	}
	return io.CopyBuffer(struct{ io.Writer }{m}, r, make([]byte, budgetPiece))
}

// pace waits until n bytes may go out.
func (m *metered) pace(n int) error {
	b := m.gateway.budget.Load()
	if b == nil {
		return nil
	}
	wait := b.take(n, time.Now())
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-m.ctx.Done():
		return context.Cause(m.ctx)
	}
}

// refuse answers that there is no room, and when there may be. That waits for nothing.
func refuse(w http.ResponseWriter, status int, after time.Duration, why string) {
	if m, ok := w.(*metered); ok {
		w = m.ResponseWriter
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
	http.Error(w, why, status)
}
