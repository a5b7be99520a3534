package ingest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// What keeps an encoder from being let in, as [Config.Refused] is told.
var (
	// ErrBusy says that another encoder is sending.
	ErrBusy = errors.New("another encoder is sending")
	// ErrStreamKey says that an RTMP or WHIP publisher's stream key is not Config.StreamKey.
	ErrStreamKey = errors.New("wrong stream key")
	// ErrPath says that an RTMP publisher named another path than the input's.
	ErrPath = errors.New("wrong path")
	// ErrPlays says that an RTMP or WHIP client came to play, not to publish.
	ErrPlays = errors.New("it wants to play, not to publish")
)

const (
	// silence is for how long an encoder that is connected may send nothing before
	// another may take its place: one that restarts comes before the system has noticed
	// that its old connection is dead.
	silence = 5 * time.Second
	// maxGreeting bounds how long a connection may take until it is let in.
	maxGreeting = 10 * time.Second
	// maxGreetings bounds the connections that are not let in yet.
	maxGreetings = 16
)

// keepAlive finds out within 20 s that a connection's other end has gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3}

// encoder is one that was let in. Its bytes are MPEG-TS.
type encoder struct {
	io.ReadCloser
	from string
	// whole says that it delivers frames whole or not at all.
	whole bool
	// heldFor returns, once something was read, for how long its first frame was held back
	// before; nil for those that hold nothing back.
	heldFor func() time.Duration
	// own says that it is the reception's: the slate.
	own bool

	last time.Time // it sent; guarded by the reception's mu
}

// reception lets one encoder in at a time, and is the source of its bytes. When an
// encoder breaks off, Read returns ErrBreak, and waits for the next one when it is
// called again.
type reception struct {
	i    *Ingest
	wait time.Duration // for an encoder that broke off; 0 if its end is the input's

	admitted chan *encoder // at most one, which Read has not seen yet
	reading  *encoder      // whose bytes Read returned last; of the goroutine that reads
	opened   *opening      // what reading sent before Read came to it, if any; likewise
	away     *absence      // while there is no reading; likewise

	failed  chan error     // why no further encoder can come
	running sync.WaitGroup // who lets encoders in
	stop    func()         // ends those
	closed  chan struct{}

	mu     sync.Mutex // guards all following, and encoders' last
	inside *encoder
	ended  bool
}

func newReception(i *Ingest, stop func()) *reception {
	return &reception{
		i: i, wait: i.cfg.Reconnect, stop: stop,
		admitted: make(chan *encoder, 1), failed: make(chan error, 1), closed: make(chan struct{}),
	}
}

// source returns the reception as an open input.
func (r *reception) source() *source {
	return &source{Reader: r, waits: true, close: r.close, reception: r}
}

// enter lets an encoder in, which the reception closes from then on, or fails with
// ErrBusy.
func (r *reception) enter(e *encoder) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended:
		return net.ErrClosed
	case r.busyLocked():
		return ErrBusy
	case r.inside != nil:
		r.i.log.Warn("encoder was silent, another takes its place", "from", r.inside.from, "now", e.from, "silent", time.Since(r.inside.last))
		r.inside.Close() // Read finds out
		select {
		case <-r.admitted:
		default:
		}
	}
	e.last = time.Now()
	r.inside = e
	r.admitted <- e // there is room: nobody else is inside
	return nil
}

// busy returns ErrBusy if an encoder could not enter now.
func (r *reception) busy() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busyLocked() {
		return ErrBusy
	}
	return nil
}

// busyLocked reports whether the encoder that is inside stays there. The only one that
// there will be does, however silent it is.
func (r *reception) busyLocked() bool {
	return r.inside != nil && (r.wait == 0 || time.Since(r.inside.last) < silence)
}

// refuse tells that the encoder at from was not let in, or is not listened to any more.
func (r *reception) refuse(from string, why error) {
	r.i.connection(func(s *Stats) { s.Strangers++ })
	if r.i.cfg.Refused != nil {
		r.i.cfg.Refused(from, why)
	} else {
		r.i.log.Warn("encoder refused", "from", from, "err", why)
	}
}

// Read returns what the encoder that is inside sends, or the slate.
func (r *reception) Read(b []byte) (int, error) {
	for r.reading == nil {
		if n, err := r.await(b); n > 0 || err != nil {
			return n, err
		}
	}
	var n int
	var err error
	if r.opened != nil {
		n, err = r.opened.take(b)
		r.opened = r.opened.left()
	} else {
		n, err = r.reading.Read(b)
	}
	if n > 0 {
		r.mu.Lock()
		r.reading.last = time.Now()
		r.mu.Unlock()
		return n, nil
	}
	if err == nil {
		return 0, nil
	}
	e := r.reading
	r.reading, r.opened = nil, nil
	return 0, r.leave(e, err)
}

// sender returns whose bytes Read returned last.
func (r *reception) sender() *encoder {
	if r.away != nil && r.away.player != nil {
		return r.away.player.encoder
	}
	return r.reading
}

// leave ends with an encoder whose Read failed with err.
func (r *reception) leave(e *encoder, err error) error {
	e.Close()
	r.mu.Lock()
	if r.inside == e {
		r.inside = nil
	}
	ended := r.ended
	r.mu.Unlock()
	switch {
	case ended:
		return net.ErrClosed
	case errors.Is(err, io.EOF):
		r.i.log.Info("encoder ended", "from", e.from)
	case isBreak(err) || r.wait == 0:
		r.i.log.Info("encoder broke off", "from", e.from, "err", err)
	default:
		r.refuse(e.from, err)
	}
	if r.wait == 0 {
		return err
	}
	r.i.connection(func(s *Stats) { s.Breaks++; s.Gone = time.Now() })
	return ErrBreak
}

// isBreak reports whether an error is the network's, not of what was sent.
func isBreak(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET)
}

// dismiss ends with an encoder that was let in: its bytes are of no use.
func (r *reception) dismiss(e *encoder, why error) {
	if e.own {
		r.i.log.Error("the slate cannot be shown", "err", why)
		return
	}
	e.Close() // Read finds out
	r.refuse(e.from, why)
}

// close ends the reception. It returns when all who let encoders in have ended.
func (r *reception) close() error {
	r.mu.Lock()
	if r.ended {
		r.mu.Unlock()
		return nil
	}
	r.ended = true
	close(r.closed)
	inside := r.inside
	r.mu.Unlock()
	r.stop()
	if inside != nil {
		inside.Close()
	}
	r.running.Wait()
	return nil
}

// equalSecrets compares in a time that says nothing of want, not even its length.
func equalSecrets(got, want string) bool {
	g, w := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(g[:], w[:]) == 1
}

// receive listens at addr, and has greet let connections in, each on a goroutine of its
// own and with a deadline. greet closes what it does not let in.
func receive(ctx context.Context, scheme, addr string, i *Ingest, greet func(*reception, *net.TCPConn) error) (*source, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the encoder: %w", err)
	}
	i.connection(func(s *Stats) { s.Listen = l.Addr().String() })
	i.log.Info("waiting for the encoder", "listen", scheme+"://"+l.Addr().String())
	greetings, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := newReception(i, func() { cancel(); l.Close() })
	r.running.Go(func() { r.accept(greetings, l, greet) })
	return r.source(), nil
}

// accept greets who connects, until the listener closes.
func (r *reception) accept(ctx context.Context, l net.Listener, greet func(*reception, *net.TCPConn) error) {
	slots := make(chan struct{}, maxGreetings)
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many open files: those who are inside go on
			r.i.log.Warn("cannot accept a connection", "err", err)
			select {
			case <-time.After(time.Second):
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case slots <- struct{}{}:
		default:
			r.refuse(c.RemoteAddr().String(), ErrBusy)
			c.Close()
			continue
		}
		r.running.Go(func() {
			defer func() { <-slots }()
			r.greet(ctx, c.(*net.TCPConn), greet)
		})
	}
}

func (r *reception) greet(ctx context.Context, c *net.TCPConn, greet func(*reception, *net.TCPConn) error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	from := c.RemoteAddr().String()
	err := errors.Join(c.SetKeepAliveConfig(keepAlive), c.SetDeadline(time.Now().Add(maxGreeting)))
	if err == nil {
		err = greet(r, c)
	}
	if err != nil {
		c.Close()
		if ctx.Err() == nil {
			r.refuse(from, err)
		}
	}
}
