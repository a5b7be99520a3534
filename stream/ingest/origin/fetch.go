package origin

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxRedirects is how often an answer may be elsewhere.
	maxRedirects = 10
	// maxSegment bounds a segment's bytes: a minute of 17 Mbit/s, or ten seconds of 100.
	maxSegment = 128 << 20
	// answerTime bounds the wait for an answer's header, beyond what is asked to be held.
	answerTime = 10 * time.Second
	// textTime bounds a playlist, likewise, and pieceTime a partial segment.
	textTime  = 30 * time.Second
	pieceTime = 10 * time.Second
	// stallTime bounds the wait for each further piece of an answer.
	stallTime = 10 * time.Second
)

var (
	// ErrInsecure says that an address would lead from https to http.
	ErrInsecure = errors.New("leads from https to http")
	// ErrScheme says that an address is neither http nor https.
	ErrScheme = errors.New("neither http nor https")
	// ErrRedirects says that an address leads elsewhere without end.
	ErrRedirects = errors.New("leads elsewhere again and again")
	// ErrSlow says that an answer did not come, or came to a halt.
	ErrSlow = errors.New("answer does not come")
	// ErrTooLarge says that an answer is larger than what it should be can be.
	ErrTooLarge = errors.New("answer is too large")
)

// StatusError says that an address answered with another status than success.
type StatusError struct {
	URL  string // without a password
	Code int
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s answers %d %s", e.URL, e.Code, http.StatusText(e.Code))
}

// checkURL refuses what is not fetched.
func checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: %s", ErrScheme, u.Redacted())
	case u.Host == "":
		return fmt.Errorf("%w: %s names no host", ErrNoPlaylist, u.Redacted())
	}
	return nil
}

// client fetches playlists and segments.
type client struct{ http *http.Client }

// newClient returns a client; nil takes connections of its own, which close ends.
func newClient(via http.RoundTripper) *client {
	if via == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.MaxIdleConnsPerHost = maxRenditions
		own.DisableCompression = true // it is asked for where it helps
		via = own
	}
	return &client{&http.Client{Transport: via, CheckRedirect: checkRedirect}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

func checkRedirect(req *http.Request, via []*http.Request) error {
	if err := checkURL(req.URL); err != nil {
		return err
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("%w: %s", ErrInsecure, req.URL.Redacted())
	}
	if len(via) > maxRedirects {
		return fmt.Errorf("%w: %d times", ErrRedirects, maxRedirects)
	}
	return nil
}

// answer is the body of an answer, which says when it is cut off: less than announced, a
// halt, more than the limit.
type answer struct {
	url    *url.URL // where it came from in the end
	body   io.Reader
	raw    io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	watch  *time.Timer
	left   int64 // bytes that may come
	exact  int64 // bytes that must come, -1 if unknown
}

// get asks for a span. At most limit bytes of it are read; hold is for how long it may be
// held back before it comes.
func (c *client) get(ctx context.Context, s span, limit int64, hold time.Duration, encoding string) (*answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	a := &answer{ctx: ctx, cancel: cancel, left: limit, exact: -1}
	a.watch = time.AfterFunc(answerTime+hold, func() { cancel(ErrSlow) })
	if err := a.ask(c, s, encoding); err != nil {
		err = a.why(err)
		a.Close()
		return nil, fmt.Errorf("fetch %s: %w", redact(s.url), err)
	}
	return a, nil
}

// ask sends the request and reads the header of the answer.
func (a *answer) ask(c *client, s span, encoding string) error {
	req, err := http.NewRequestWithContext(a.ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "grapevine")
	req.Header.Set("Accept-Encoding", encoding)
	ranged := s.offset > 0 || s.length > 0
	if s.length > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", s.offset, s.offset+s.length-1))
	} else if ranged {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", s.offset))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err // it names the address again, with its password
		}
		return err
	}
	a.raw, a.url = resp.Body, resp.Request.URL
	a.watch.Reset(stallTime)
	switch {
	case resp.StatusCode == http.StatusPartialContent && ranged:
		from := fmt.Sprintf("bytes %d-", s.offset)
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), from) {
			return fmt.Errorf("asked for %s, got %q", from, resp.Header.Get("Content-Range"))
		}
	case resp.StatusCode != http.StatusOK:
		return &StatusError{a.url.Redacted(), resp.StatusCode}
	}
	if !ranged && resp.ContentLength > a.left {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, resp.ContentLength)
	}
	if err := a.decode(resp); err != nil {
		return err
	}
	return a.narrow(s, resp.StatusCode == http.StatusPartialContent)
}

// decode undoes the encoding of the transfer.
func (a *answer) decode(resp *http.Response) error {
	a.body = a.raw
	switch e := resp.Header.Get("Content-Encoding"); e {
	case "", "identity":
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(a.raw)
		if err != nil {
			return fmt.Errorf("gzip: %w", err)
		}
		a.body = z
	default:
		return fmt.Errorf("answer is encoded as %q, which was not asked for", e)
	}
	return nil
}

// narrow takes the span out of what a server sends that knows no ranges.
func (a *answer) narrow(s span, ranged bool) error {
	if s.length > 0 {
		a.exact = s.length
	}
	if ranged || s.offset == 0 {
		return nil
	}
	if s.offset > maxSegment {
		return fmt.Errorf("%w: the server knows no ranges", ErrTooLarge)
	}
	a.left += s.offset
	exact := a.exact
	a.exact = -1
	_, err := io.CopyN(io.Discard, a, s.offset)
	a.exact = exact
	return err
}

func (a *answer) Read(b []byte) (int, error) {
	if a.exact == 0 {
		return 0, io.EOF
	}
	if a.exact > 0 {
		b = b[:min(int64(len(b)), a.exact)]
	}
	a.watch.Reset(stallTime)
	n, err := a.body.Read(b)
	a.watch.Stop() // whoever reads may take its time
	a.left -= int64(n)
	if a.exact > 0 {
		a.exact -= int64(n)
	}
	switch {
	case a.left < 0:
		return n, ErrTooLarge
	case err == io.EOF && a.exact > 0:
		return n, io.ErrUnexpectedEOF
	case err != nil && err != io.EOF:
		return n, a.why(err)
	}
	return n, err
}

// why returns the reason for which an answer was given up, rather than that it was.
func (a *answer) why(err error) error {
	if cause := context.Cause(a.ctx); cause != nil {
		return cause
	}
	return err
}

func (a *answer) Close() {
	a.watch.Stop()
	a.cancel(context.Canceled)
	if a.raw != nil {
		a.raw.Close()
	}
}

// text fetches a playlist. hold is for how long the server may hold it back.
func (c *client) text(ctx context.Context, address string, hold time.Duration) (string, *url.URL, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, textTime+hold, ErrSlow)
	defer cancel()
	a, err := c.get(ctx, span{url: address}, maxPlaylist, hold, "gzip")
	if err != nil {
		return "", nil, err
	}
	defer a.Close()
	b, err := io.ReadAll(a)
	if err != nil {
		return "", nil, fmt.Errorf("fetch %s: %w", redact(address), err)
	}
	return string(b), a.url, nil
}

// redact returns an address without its password.
func redact(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Redacted()
}
