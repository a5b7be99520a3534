package reports

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// caching is what VLC has in hand before it shows anything, by default.
	caching = time.Second
	// startBack is how many segments before the end of the playlist players begin (RFC 8216,
	// section 6.3.3).
	startBack = 3
)

// player plays a stream as VLC does, and knows how it fares.
type player struct {
	handler http.Handler
	path    string // of the media playlist, without its name
	agent   string
	kind    stream.PlayerKind

	last string // segment

	mu     sync.Mutex // guards all following
	began  time.Time  // it had the first
	head   time.Time  // is shown at at
	at     time.Time  // zero before it shows anything
	end    time.Time  // of what it has
	stalls []stall
	dry    time.Time // since when it shows nothing; zero if it does
}

type stall struct{ from, to time.Time }

type segment struct {
	name     string
	from     time.Time
	duration time.Duration
}

// get returns an answer, "" if there is none.
func (p *player) get(name string) string {
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8787"+p.path+name, nil)
	r.RemoteAddr = "127.0.0.1:50000"
	r.Header.Set("User-Agent", p.agent)
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		return ""
	}
	return w.Body.String()
}

// run plays until stop is closed.
func (p *player) run(stop <-chan struct{}) {
	for {
		wait := time.Second
		for _, s := range p.news(readPlaylist(p.get("index.m3u8"))) {
			if p.get(s.name) == "" {
				break
			}
			p.take(s)
			wait = s.duration
		}
		select {
		case <-stop:
			return
		case <-time.After(wait):
		}
	}
}

// news returns what of a playlist is to be fetched.
func (p *player) news(list []segment) []segment {
	for i, s := range list {
		if s.name == p.last {
			return list[i+1:]
		}
	}
	return list[max(0, len(list)-startBack):]
}

func readPlaylist(text string) (list []segment) {
	var next segment
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		tag, value, _ := strings.Cut(lines.Text(), ":")
		switch {
		case tag == "#EXTINF":
			seconds, _ := strconv.ParseFloat(strings.TrimSuffix(value, ","), 64)
			next.duration = time.Duration(seconds * float64(time.Second))
		case tag == "#EXT-X-PROGRAM-DATE-TIME":
			next.from, _ = time.Parse(time.RFC3339, value)
		case tag != "" && !strings.HasPrefix(tag, "#"):
			next.name = lines.Text()
			list = append(list, next)
			next = segment{}
		}
	}
	return list
}

// take has a segment shown after what there is.
func (p *player) take(s segment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.last = s.name
	if p.at.IsZero() {
		p.began, p.head, p.at, p.end = now, s.from, now.Add(caching), s.from
	}
	p.showLocked(now)
	if !p.dry.IsZero() {
		p.stalls = append(p.stalls, stall{p.dry, now})
		p.dry = time.Time{}
	}
	if gap := s.from.Sub(p.end); gap > 0 {
		p.head = p.head.Add(gap)
	}
	p.end = s.from.Add(s.duration)
}

// showLocked shows what there is until now.
func (p *player) showLocked(now time.Time) {
	if !now.After(p.at) {
		return
	}
	if left := p.end.Sub(p.head); now.Sub(p.at) > left {
		if p.dry.IsZero() {
			p.dry = p.at.Add(left)
		}
		p.head = p.end
	} else {
		p.head = p.head.Add(now.Sub(p.at))
	}
	p.at = now
}

// fares returns how far behind the player is, and for how long it stalled of a minute: the last one,
// or what there was of it.
func (p *player) fares(now time.Time) (delay, stalled time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at.IsZero() {
		return 0, 0, fmt.Errorf("%s shows nothing", p.agent)
	}
	p.showLocked(now)
	stalls := p.stalls
	if !p.dry.IsZero() {
		stalls = append(stalls[:len(stalls):len(stalls)], stall{p.dry, now})
	}
	since := now.Add(-time.Minute)
	if p.began.After(since) {
		since = p.began
	}
	for _, s := range stalls {
		from := s.from
		if from.Before(since) {
			from = since
		}
		stalled += max(0, s.to.Sub(from))
	}
	return now.Sub(p.head), time.Duration(float64(stalled) / float64(now.Sub(since)) * float64(time.Minute)), nil
}
