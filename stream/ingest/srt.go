package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	srt "github.com/datarhei/gosrt"
)

// What keeps an SRT connection from being let in, as [Config.Refused] is told.
var (
	// ErrPassphrase says that the passphrase is another, or that one side has none.
	ErrPassphrase = errors.New("wrong passphrase")
	// ErrSRTRefused says that the encoder that was called refused the connection.
	ErrSRTRefused = errors.New("the encoder refused the call")
	// ErrStreamID says that the caller named another stream ID than the input's.
	ErrStreamID = errors.New("wrong stream ID")
)

const (
	// maxSRTLatency is what 16 bits of milliseconds hold.
	maxSRTLatency = 65 * time.Second
	// minCallPause and maxCallPause bound the time between calls that fail. gosrt leaves a
	// goroutine behind for each that is not answered, so there should be few.
	minCallPause = time.Second
	maxCallPause = 15 * time.Second
	// answerTime bounds a call, which nothing can interrupt: less than a command has to
	// end.
	answerTime = 1500 * time.Millisecond
)

// srtInput is how to reach, or be reached by, an encoder that speaks SRT.
type srtInput struct {
	addr       string
	call       bool // the encoder listens
	passphrase string
	streamID   string
	latency    time.Duration
}

// parseSRT reads srt://host:port with the options passphrase, streamid, latency and mode
// in its query.
func parseSRT(s string) (input, error) {
	u, err := url.Parse(s)
	if err != nil {
		return input{}, errors.New("an input of srt:// is no URL") // it may hold a passphrase
	}
	bad := func(format string, args ...any) (input, error) {
		return input{}, fmt.Errorf("input srt://%s: %s", u.Host, fmt.Sprintf(format, args...))
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" || u.Port() == "" {
		return bad("it is not srt://host:port?passphrase=…&streamid=…&latency=200ms&mode=listener")
	}
	options, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("its options cannot be read")
	}
	in := srtInput{addr: u.Host}
	for name, values := range options {
		switch value := values[len(values)-1]; name {
		case "passphrase":
			if len(value) < srt.MIN_PASSPHRASE_SIZE || len(value) > srt.MAX_PASSPHRASE_SIZE {
				return bad("a passphrase has %d to %d bytes", srt.MIN_PASSPHRASE_SIZE, srt.MAX_PASSPHRASE_SIZE)
			}
			in.passphrase = value
		case "streamid":
			if len(value) > srt.MAX_STREAMID_SIZE {
				return bad("a stream ID has at most %d bytes", srt.MAX_STREAMID_SIZE)
			}
			in.streamID = value
		case "latency":
			// Plain numbers are milliseconds to some programs, microseconds to others.
			in.latency, err = time.ParseDuration(value)
			if err != nil || in.latency < 0 || in.latency > maxSRTLatency {
				return bad("latency %q is no duration such as 200ms", value)
			}
		case "mode":
			switch value {
			case "listener":
			case "caller":
				in.call = true
			default:
				return bad("mode %q is neither listener nor caller", value)
			}
		default:
			return bad("there is no option %q, only passphrase, streamid, latency and mode", name)
		}
	}
	if in.call && u.Hostname() == "" {
		return bad("mode caller needs a host to call")
	}
	return input{kind: inputSRT, addr: u.Host, srt: in}, nil
}

// WithoutSecrets returns an Input as it may be shown: SRT's options hold the passphrase.
func WithoutSecrets(input string) string {
	if strings.HasPrefix(input, "srt:") {
		input, _, _ = strings.Cut(input, "?")
	}
	return input
}

// config returns gosrt's own.
func (s srtInput) config() srt.Config {
	c := srt.DefaultConfig()
	if s.latency > 0 {
		c.Latency = s.latency
		c.ReceiverLatency, c.PeerLatency = s.latency, s.latency
	}
	c.PeerIdleTimeout, c.ConnectionTimeout = silence, answerTime
	return c
}

// resolve returns the address with the host's number, which is all that gosrt takes.
func (s srtInput) resolve() (string, error) {
	a, err := net.ResolveUDPAddr("udp", s.addr)
	if err != nil {
		return "", err
	}
	if a.IP == nil {
		return fmt.Sprintf(":%d", a.Port), nil
	}
	return a.String(), nil
}

func (s srtInput) open(ctx context.Context, i *Ingest) (*source, error) {
	if s.call {
		return s.openCaller(ctx, i), nil
	}
	return s.openListener(i)
}

func (s srtInput) openListener(i *Ingest) (*source, error) {
	addr, err := s.resolve()
	if err != nil {
		return nil, fmt.Errorf("listen for the encoder: %w", err)
	}
	l, err := srt.Listen("srt", addr, s.config())
	if err != nil {
		return nil, fmt.Errorf("listen for the encoder: %w", err)
	}
	i.connection(func(st *Stats) { st.Listen = l.Addr().String() })
	i.log.Info("waiting for the encoder", "listen", "srt://"+l.Addr().String())
	r := newReception(i, l.Close)
	r.running.Go(func() {
		for {
			req, err := l.Accept2()
			if err != nil {
				r.failed <- fmt.Errorf("listen for the encoder: %w", err) // none waits for it once r is closed
				return
			}
			// All that takes time was done before: this is one answer.
			if err := s.greet(r, req); err != nil {
				r.refuse(req.RemoteAddr().String(), err)
			}
		}
	})
	return r.source(), nil
}

// greet lets a caller in, or tells it why not.
func (s srtInput) greet(r *reception, req srt.ConnRequest) error {
	if reason, err := s.check(req); err != nil {
		req.Reject(reason)
		return err
	}
	if err := r.busy(); err != nil {
		req.Reject(srt.REJX_CONFLICT)
		return err
	}
	c, err := req.Accept()
	if err != nil {
		return fmt.Errorf("SRT handshake: %w", err)
	}
	if err := r.enter(&encoder{ReadCloser: c, from: req.RemoteAddr().String()}); err != nil {
		c.Close()
		return err
	}
	return nil
}

func (s srtInput) check(req srt.ConnRequest) (srt.RejectionReason, error) {
	switch {
	case s.passphrase != "" && !req.IsEncrypted():
		return srt.REJ_UNSECURE, fmt.Errorf("%w: the encoder has none", ErrPassphrase)
	case s.passphrase == "" && req.IsEncrypted():
		return srt.REJ_UNSECURE, fmt.Errorf("%w: the encoder has one, the input has none", ErrPassphrase)
	case s.passphrase != "" && req.SetPassphrase(s.passphrase) != nil:
		return srt.REJ_BADSECRET, ErrPassphrase
	case s.streamID != "" && !equalSecrets(req.StreamId(), s.streamID):
		return srt.REJX_FORBIDDEN, ErrStreamID
	}
	return 0, nil
}

// openCaller calls the encoder, and again when the connection has ended.
func (s srtInput) openCaller(ctx context.Context, i *Ingest) *source {
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := newReception(i, cancel)
	r.running.Go(func() { s.keepCalling(calls, r) })
	return r.source()
}

// keepCalling calls until ctx is done.
func (s srtInput) keepCalling(ctx context.Context, r *reception) {
	pause := minCallPause
	for ctx.Err() == nil {
		c, err := s.dial()
		switch {
		case err != nil && errors.Is(refusal(err), ErrSRTRefused):
			r.refuse("srt://"+s.addr, refusal(err))
		case err != nil && pause == minCallPause:
			r.i.log.Warn("encoder does not answer, it is called again and again", "at", "srt://"+s.addr, "err", err)
		case err != nil:
			r.i.log.Info("encoder does not answer", "at", "srt://"+s.addr, "err", err)
		default:
			if err := r.enter(&encoder{ReadCloser: c, from: "srt://" + s.addr}); err != nil {
				c.Close()
			}
			select {
			case <-c.closed: // by who reads from it
			case <-ctx.Done():
				c.Close()
			}
			c.settle()
			pause = minCallPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		if err != nil {
			pause = min(2*pause, maxCallPause)
		}
	}
}

// refusal tells a listener's refusal from other errors. gosrt has no type for it, and
// writes its reason to the base of 32.
func refusal(err error) error {
	_, text, found := strings.Cut(err.Error(), "REJECT (")
	reason, parseErr := strconv.ParseUint(strings.TrimSuffix(text, ")"), 32, 32)
	if !found || parseErr != nil {
		return err
	}
	switch srt.RejectionReason(reason) {
	case srt.REJ_BADSECRET, srt.REJ_UNSECURE:
		return fmt.Errorf("%w: %w", ErrSRTRefused, ErrPassphrase)
	case srt.REJ_PEER, srt.REJX_FORBIDDEN, srt.REJX_UNAUTHORIZED, srt.REJX_NOTFOUND, srt.REJX_BAD_REQUEST:
		return fmt.Errorf("%w: %w", ErrSRTRefused, ErrStreamID)
	case srt.REJX_CONFLICT, srt.REJX_LOCKED:
		return fmt.Errorf("%w: %w", ErrSRTRefused, ErrBusy)
	}
	return fmt.Errorf("%w: reason %d", ErrSRTRefused, reason)
}

// srtCall is a connection that we called.
type srtCall struct {
	srt.Conn
	once   sync.Once
	closed chan struct{}
}

func (s srtInput) dial() (*srtCall, error) {
	addr, err := s.resolve()
	if err != nil {
		return nil, err
	}
	c := s.config()
	c.Passphrase, c.StreamId = s.passphrase, s.streamID
	conn, err := srt.Dial("srt", addr, c)
	if err != nil {
		return nil, err
	}
	return &srtCall{Conn: conn, closed: make(chan struct{})}, nil
}

// Close makes Read return.
func (c *srtCall) Close() error {
	c.once.Do(func() {
		c.Conn.Close()
		close(c.closed)
	})
	return nil
}

// settle has gosrt's last goroutine end, after Close: it waits until somebody asks how
// the connection ended, which Write does first.
func (c *srtCall) settle() {
	for range 20 {
		if _, err := c.Conn.Write(nil); errors.Is(err, srt.ErrClientClosed) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
