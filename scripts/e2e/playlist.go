//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// playlist is what the cases read of a media playlist.
type playlist struct {
	url             string
	sequence        int
	discontinuities int
	ended           bool
	duration        float64 // seconds
	segments        []segment
}

type segment struct {
	uri           string
	discontinuity bool // before it
}

func get(ctx context.Context, u string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", u, res.Status, body)
	}
	return body, err
}

// mediaURL returns the first media playlist of a multivariant one.
func mediaURL(ctx context.Context, master string) (string, error) {
	body, err := get(ctx, master)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(body)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return resolve(master, line)
		}
	}
	return "", fmt.Errorf("%s lists no media playlist:\n%s", master, body)
}

func resolve(base, ref string) (string, error) {
	b, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	u, err := b.Parse(ref)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

func getPlaylist(ctx context.Context, media string) (*playlist, error) {
	body, err := get(ctx, media)
	if err != nil {
		return nil, err
	}
	p := &playlist{url: media}
	discontinuity := false
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() {
		line := lines.Text()
		number, isSequence := strings.CutPrefix(line, "#EXT-X-MEDIA-SEQUENCE:")
		seconds, isDuration := strings.CutPrefix(line, "#EXTINF:")
		switch {
		case isDuration:
			d, err := strconv.ParseFloat(strings.TrimSuffix(seconds, ","), 64)
			if err != nil {
				return nil, fmt.Errorf("duration in %s: %w", media, err)
			}
			p.duration += d
		case isSequence:
			if p.sequence, err = strconv.Atoi(number); err != nil {
				return nil, fmt.Errorf("media sequence of %s: %w", media, err)
			}
		case line == "#EXT-X-DISCONTINUITY":
			discontinuity = true
			p.discontinuities++
		case line == "#EXT-X-ENDLIST":
			p.ended = true
		case line != "" && line[0] != '#':
			p.segments = append(p.segments, segment{line, discontinuity})
			discontinuity = false
		}
	}
	return p, lines.Err()
}

// awaitPlaylist reads a playlist twice a second until it is as wanted.
func awaitPlaylist(ctx context.Context, media string, wanted func(*playlist) bool) error {
	for {
		p, err := getPlaylist(ctx, media)
		if err != nil || wanted(p) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s has %.0f s: %w", media, p.duration, context.Cause(ctx))
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// watchPlaylist reads a playlist every half second until stop is closed, and checks that
// it goes on as players need it: numbers rise, a number keeps its address, and the
// epochs, which begin the addresses, change at discontinuities only and never go back.
func watchPlaylist(ctx context.Context, media string, stop <-chan struct{}) (discontinuities int, err error) {
	names := make(map[int]segment)
	newest := -1
	for {
		p, err := getPlaylist(ctx, media)
		if err != nil {
			return discontinuities, err
		}
		if p.sequence+len(p.segments)-1 < newest {
			return discontinuities, fmt.Errorf("the playlist fell back from %d to %d", newest, p.sequence+len(p.segments)-1)
		}
		for i, s := range p.segments {
			n := p.sequence + i
			if old, ok := names[n]; ok && old != s {
				return discontinuities, fmt.Errorf("segment %d was %v and is %v", n, old, s)
			} else if ok {
				continue
			}
			if before, ok := names[n-1]; ok {
				switch was, is := epochOf(before.uri), epochOf(s.uri); {
				case is < was:
					return discontinuities, fmt.Errorf("epoch %d follows %d", is, was)
				case is > was && !s.discontinuity:
					return discontinuities, fmt.Errorf("epoch %d follows %d without a discontinuity", is, was)
				}
			}
			names[n] = s
			if s.discontinuity {
				discontinuities++
			}
			newest = max(newest, n)
		}
		select {
		case <-stop:
			return discontinuities, nil
		case <-ctx.Done():
			return discontinuities, context.Cause(ctx)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// epochOf reads the epoch in a segment's name, <epoch>-<segment>.ts.
func epochOf(uri string) int64 {
	epoch, _, _ := strings.Cut(uri[strings.LastIndexByte(uri, '/')+1:], "-")
	n, _ := strconv.ParseInt(epoch, 10, 64)
	return n
}

// compareSegments fetches what a listed from both nodes until stop is closed, and
// returns how many segments were the same at both.
func compareSegments(ctx context.Context, a, b string, stop <-chan struct{}) (same int, total int64, err error) {
	seen := make(map[string]bool)
	for {
		p, err := getPlaylist(ctx, a)
		if err != nil {
			return same, total, err
		}
		for _, s := range p.segments {
			if seen[s.uri] {
				continue
			}
			seen[s.uri] = true
			var sums [2][sha256.Size]byte
			for i, base := range []string{a, b} {
				u, err := resolve(base, s.uri)
				if err != nil {
					return same, total, err
				}
				body, err := get(ctx, u)
				if err != nil {
					return same, total, err
				}
				sums[i] = sha256.Sum256(body)
				total += int64(len(body)) / 2
			}
			if sums[0] != sums[1] {
				return same, total, fmt.Errorf("segment %s differs between %s and %s", s.uri, a, b)
			}
			same++
		}
		select {
		case <-stop:
			return same, total, nil
		case <-ctx.Done():
			return same, total, context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}
