package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// silence is how long an origin may send nothing of an answer before it is given up.
	silence = 2 * time.Second
	// maxIdle is how many connections are kept: as many as requests are made at a time.
	maxIdle = 8
	// maxRetryAfter bounds what an origin may say of when to come again.
	maxRetryAfter = time.Minute
)

// Client asks an origin. What it returns is not verified. It is safe for concurrent use.
type Client struct {
	base string
	http *http.Client
}

// NewClient returns a client of an origin, which via carries requests to; nil gives it
// connections of its own. Errors wrap stream.ErrNotAnOrigin.
func NewClient(address string, via http.RoundTripper) (*Client, error) {
	base, err := stream.ParseOrigin(address)
	if err != nil {
		return nil, err
	}
	if via == nil {
		via = Transport(nil)
	}
	return &Client{base, &http.Client{
		Transport:     via,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Transport returns what a client of an origin is carried by, over connections that dial makes;
// nil makes ordinary ones.
func Transport(dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = maxIdle
	t.DisableCompression = true // nothing of it shrinks
	if dial != nil {
		t.DialContext = dial
	}
	return t
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// String returns the origin's address.
func (c *Client) String() string { return c.base }

// Timeline returns the serialised headers of the stream's last segments.
func (c *Client) Timeline(ctx context.Context, id stream.ID) ([][]byte, error) {
	return c.headers(ctx, timelinePath(id), 0)
}

// After returns the serialised headers after a part, none if none came while the request
// was held.
func (c *Client) After(ctx context.Context, id stream.ID, rendition string, p stream.Position) ([][]byte, error) {
	return c.headers(ctx, afterPath(id, rendition, p), Hold)
}

func (c *Client) headers(ctx context.Context, path string, hold time.Duration) ([][]byte, error) {
	a, err := c.get(ctx, path, "", hold)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	b, err := io.ReadAll(io.LimitReader(a, maxHeadersSize+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxHeadersSize {
		return nil, a.failed(fmt.Errorf("%w: more than %d bytes of headers", errMalformed, maxHeadersSize))
	}
	raw, err := parseHeaders(b)
	if err != nil {
		return nil, a.failed(err)
	}
	return raw, nil
}

// Part returns bytes from to to, exclusively, of a part of size bytes. Who reads is told
// if fewer come, or if they stop coming. The answer is to be closed.
func (c *Client) Part(ctx context.Context, id stream.PartID, from, to, size int) (io.ReadCloser, error) {
	ranged := ""
	if from > 0 || to < size {
		ranged = fmt.Sprintf("bytes=%d-%d", from, to-1)
	}
	a, err := c.get(ctx, partPath(id), ranged, HoldPart)
	if err != nil {
		return nil, err
	}
	if err := a.narrow(from, to, size); err != nil {
		a.Close()
		return nil, a.failed(err)
	}
	return a, nil
}

// get asks for an address, which may be held for a while.
func (c *Client) get(ctx context.Context, path, ranged string, hold time.Duration) (*answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	a := &answer{path: path, ctx: ctx, cancel: cancel, left: -1}
	a.watch = time.AfterFunc(silence+hold, func() { cancel(errSlow) })
	if err := a.ask(c, ranged); err != nil {
		a.Close()
		return nil, a.failed(err)
	}
	return a, nil
}

// answer is the body of an answer, which says when it stops coming.
type answer struct {
	path   string
	body   io.ReadCloser
	resp   *http.Response
	ctx    context.Context
	cancel context.CancelCauseFunc
	watch  *time.Timer
	left   int // bytes that must come yet, -1 if that is not known
}

func (a *answer) ask(c *Client, ranged string) error {
	req, err := http.NewRequestWithContext(a.ctx, http.MethodGet, c.base+a.path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "grapevine")
	req.Header.Set("Accept-Encoding", "identity")
	if ranged != "" {
		req.Header.Set("Range", ranged)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return err
	}
	a.resp, a.body = resp, resp.Body
	a.watch.Reset(silence)
	switch code := resp.StatusCode; {
	case code == http.StatusOK, code == http.StatusNoContent, code == http.StatusPartialContent && ranged != "":
	case code >= 300 && code < 400:
		return errRedirect
	default:
		return &statusError{code, retryAfter(resp.Header)}
	}
	if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return fmt.Errorf("%w: it is encoded as %q", errMalformed, e)
	}
	return nil
}

// retryAfter reads the seconds of Retry-After; a date is none of ours.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.ParseUint(h.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
}

// narrow takes a range out of what comes, which is all of the part if the server knows no
// ranges.
func (a *answer) narrow(from, to, size int) error {
	want := size
	if a.resp.StatusCode == http.StatusNoContent {
		return fmt.Errorf("%w: a part without bytes", errMalformed)
	}
	if a.resp.StatusCode == http.StatusPartialContent {
		want = to - from
		if got, wanted := a.resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-%d/", from, to-1); len(got) < len(wanted) || got[:len(wanted)] != wanted {
			return fmt.Errorf("%w: asked for %s, got %q", errMalformed, wanted, got)
		}
		from = 0
	}
	if n := a.resp.ContentLength; n >= 0 && n != int64(want) {
		return fmt.Errorf("%w: %d bytes, want %d", errMalformed, n, want)
	}
	a.left = want
	if from > 0 {
		if _, err := io.CopyN(io.Discard, a, int64(from)); err != nil {
			return err
		}
	}
	a.left = min(a.left, to-from)
	return nil
}

// Read implements [io.Reader]. Its errors say what the origin did.
func (a *answer) Read(b []byte) (int, error) {
	if a.left == 0 {
		return 0, io.EOF
	}
	if a.left > 0 {
		b = b[:min(len(b), a.left)]
	}
	a.watch.Reset(silence)
	n, err := a.body.Read(b)
	a.watch.Stop() // whoever reads may take its time
	if a.left > 0 {
		a.left -= n
	}
	switch {
	case err == io.EOF && a.left > 0:
		return n, a.failed(io.ErrUnexpectedEOF)
	case err != nil && err != io.EOF:
		return n, a.failed(err)
	}
	return n, err
}

// failed says what was asked for, and the reason for which an answer was given up rather
// than that it was.
func (a *answer) failed(err error) error {
	if cause := context.Cause(a.ctx); errors.Is(cause, errSlow) {
		err = cause
	}
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	return &Error{a.path, err}
}

// Close implements [io.Closer].
func (a *answer) Close() error {
	a.watch.Stop()
	if a.body != nil {
		_ = a.body.Close() // what is left of it is not wanted
	}
	a.cancel(context.Canceled)
	return nil
}
