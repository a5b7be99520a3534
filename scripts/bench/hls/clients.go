//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// warmUp is how long clients run before they are counted.
	warmUp = 500 * time.Millisecond
	// readAtOnce is what a client takes from its socket at a time.
	readAtOnce = 256 << 10
)

// moment is what the clients have got until a time.
type moment struct {
	Bytes    int64 `json:"bytes"` // of answers' bodies
	Requests int64 `json:"requests"`
}

// clients ask a server for a playlist and its segments, as players do.
type clients struct {
	url   *url.URL
	bytes atomic.Int64
	asked atomic.Int64
}

// play is the life of the clients' process: it prints what they have got when they are
// warm, and after the interval.
func play(o options) error {
	u, err := url.Parse(o.url)
	if err != nil {
		return err
	}
	c := &clients{url: u}
	ctx, cancel := context.WithCancelCause(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)
	for range o.clients {
		running.Go(func() {
			if err := c.play(ctx); err != nil && ctx.Err() == nil {
				cancel(err)
			}
		})
	}
	out := json.NewEncoder(os.Stdout)
	for _, d := range []time.Duration{warmUp, o.interval} {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := out.Encode(moment{c.bytes.Load(), c.asked.Load()}); err != nil {
			return err
		}
	}
	return nil
}

// play is one client: over a connection of its own it reloads the playlist and fetches a
// segment, again and again.
func (c *clients) play(ctx context.Context) error {
	transport := &http.Transport{MaxIdleConnsPerHost: 1, ReadBufferSize: readAtOnce, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	buf := make([]byte, readAtOnce)
	// io.Discard alone would read by its own small buffer.
	discard := struct{ io.Writer }{io.Discard}
	var list bytes.Buffer
	for next := 0; ; next++ {
		list.Reset()
		if err := c.fetch(ctx, client, c.url.String(), struct{ io.Writer }{&list}, buf); err != nil {
			return err
		}
		names := segmentsOf(list.String())
		if len(names) == 0 {
			return fmt.Errorf("%s lists no segments", c.url)
		}
		u, err := c.url.Parse(names[next%len(names)])
		if err != nil {
			return err
		}
		if err := c.fetch(ctx, client, u.String(), discard, buf); err != nil {
			return err
		}
	}
}

// fetch reads an answer through buf into w.
func (c *clients) fetch(ctx context.Context, client *http.Client, u string, w io.Writer, buf []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", u, res.Status)
	}
	n, err := io.CopyBuffer(w, counted{res.Body, &c.bytes}, buf)
	if err == nil && n != res.ContentLength {
		err = fmt.Errorf("%d bytes, want %d", n, res.ContentLength)
	}
	if err != nil {
		return fmt.Errorf("GET %s: %w", u, err)
	}
	c.asked.Add(1)
	return nil
}

// counted counts what is read, when it is: an answer may outlast an interval.
type counted struct {
	io.Reader
	n *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}
