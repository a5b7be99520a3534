package ingest

import (
	"io"
	"net"
	"time"
)

// slateDelay is for how long an encoder has to be gone until the slate begins. Then the slate
// begins with the time at which the encoder went: players that had more than this in hand,
// which those of low latency have, show no stop. Who is back within it was hardly missed.
const slateDelay = time.Second

// maxSlateBack bounds how far back a slate begins that was not made in time: players have no
// more in hand, and would only be that late from then on.
const maxSlateBack = 10 * time.Second

// absence is the time between one encoder and the next. It is of the goroutine that reads.
type absence struct {
	since time.Time     // an encoder went
	late  *time.Timer   // waiting ends; nil if it does not, as for the first encoder
	begin *time.Timer   // the slate may; nil unless it is to
	ready chan struct{} // closed once there is a slate; nil before begin

	player *slatePlayer // nil unless the slate is on
	tick   *time.Timer  // its next frame is due
	back   *opening     // an encoder that was let in meanwhile; the slate goes on until it sends
}

// await waits for an encoder: without end for the first, and at most the time to reconnect
// for one that broke off. It returns nothing when something has changed: there may be an
// encoder to read from. Else it returns bytes of the slate, ErrBreak at its end, io.EOF when
// the time is over, and what failed if no encoder can come.
func (r *reception) await(b []byte) (int, error) {
	if r.away == nil {
		r.away = r.absent()
	}
	a := r.away
	if a.player != nil && a.player.mux.pending() > 0 {
		return a.player.mux.Read(b)
	}
	admitted, here := r.admitted, (chan struct{})(nil)
	if a.back != nil {
		admitted, here = nil, a.back.here
	}
	select {
	case e := <-admitted:
		r.i.connection(func(s *Stats) { s.From, s.Gone = e.from, time.Time{} })
		r.i.log.Info("encoder connected", "from", e.from)
		if a.player == nil {
			r.present(e, nil)
			return 0, nil
		}
		stopTimers(a.late)
		a.late = nil
		return 0, r.open(e)
	case <-here:
		return 0, r.sends()
	case err := <-r.failed:
		r.present(nil, nil)
		return 0, err
	case <-expires(a.late):
		r.i.log.Warn("encoder did not come back", "waited", r.wait)
		r.present(nil, nil)
		return 0, io.EOF
	case <-r.closed:
		r.present(nil, nil)
		return 0, net.ErrClosed
	case <-expires(a.begin):
		a.begin, a.ready = nil, r.i.slates.ready
		return 0, nil
	case <-a.ready:
		a.ready = nil
		return 0, r.show()
	case <-expires(a.tick):
		return 0, r.write()
	}
}

// absent begins an absence.
func (r *reception) absent() *absence {
	a := new(absence)
	if st := r.i.Stats(); !st.Gone.IsZero() && st.Parts > 0 {
		a.since = st.Gone
		a.late = time.NewTimer(r.wait)
		if r.i.slates != nil {
			a.begin = time.NewTimer(time.Until(a.since.Add(slateDelay)))
		}
	}
	return a
}

// present ends an absence, with the encoder to read from, if there is one, and what it has
// sent.
func (r *reception) present(e *encoder, o *opening) {
	a := r.away
	r.reading, r.opened, r.away = e, o, nil
	stopTimers(a.late, a.begin, a.tick)
	if a.player != nil {
		r.i.connection(func(s *Stats) { s.OnSlate = false })
		r.i.log.Info("slate ends", "after", time.Since(a.since))
	}
}

// show begins with the slate.
func (r *reception) show() error {
	a := r.away
	p, err := newSlatePlayer(r.i.slates.latest(), time.Now().Add(-min(time.Since(a.since), maxSlateBack)))
	if err != nil {
		return err
	}
	r.i.connection(func(s *Stats) { s.OnSlate = true })
	r.i.log.Info("slate begins", "gone", time.Since(a.since))
	a.player, a.tick = p, time.NewTimer(0)
	return nil
}

// write has the slate write what is due.
func (r *reception) write() error {
	a := r.away
	wrote, err := a.player.write(time.Now())
	if err != nil {
		return err
	}
	r.i.connection(func(s *Stats) { s.Slate += wrote })
	a.tick.Reset(time.Until(a.player.due()))
	return nil
}

// opening is what an encoder sends first, read while the slate is shown.
type opening struct {
	encoder *encoder
	here    chan struct{} // closed when all following is
	data    []byte
	err     error
}

// open reads the first bytes of an encoder that was let in.
func (r *reception) open(e *encoder) error {
	o := &opening{encoder: e, here: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return net.ErrClosed
	}
	r.away.back = o
	r.running.Go(func() {
		defer close(o.here)
		b := make([]byte, maxDatagram)
		for len(o.data) == 0 && o.err == nil {
			var n int
			n, o.err = e.Read(b)
			o.data = b[:n]
		}
	})
	return nil
}

// sends ends the slate: the encoder that is back sends. If it left without a byte, the slate
// goes on, and the time to reconnect begins anew.
func (r *reception) sends() error {
	a := r.away
	o := a.back
	if len(o.data) > 0 {
		r.present(o.encoder, o)
		return ErrBreak
	}
	a.back = nil
	if err := r.leave(o.encoder, o.err); err != ErrBreak {
		return err
	}
	a.late = time.NewTimer(r.wait)
	return nil
}

// take returns the bytes, and then the error.
func (o *opening) take(b []byte) (int, error) {
	if len(o.data) == 0 {
		return 0, o.err
	}
	n := copy(b, o.data)
	o.data = o.data[n:]
	return n, nil
}

// left returns what there still is to take, nil if there is nothing.
func (o *opening) left() *opening {
	if len(o.data) == 0 && o.err == nil {
		return nil
	}
	return o
}

// expires returns when a timer does; nil does not.
func expires(t *time.Timer) <-chan time.Time {
	if t == nil {
		return nil
	}
	return t.C
}

func stopTimers(timers ...*time.Timer) {
	for _, t := range timers {
		if t != nil {
			t.Stop()
		}
	}
}
