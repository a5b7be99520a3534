package origin

import (
	"cmp"
	"fmt"
	"path"
	"strings"
	"time"
)

const (
	// startTargets is how many target durations before the end of a live playlist its
	// first segment to publish begins (RFC 8216, section 6.3.3). All are published at
	// once, so that a viewer can start right away.
	startTargets = 3
	// maxKnown is of how many segments it is known where they were.
	maxKnown = 64
	// staleLoads is how many playlists in a row may be older than the one before: servers
	// behind one name are not always at the same point.
	staleLoads = 3
)

// sequence decides which segments come next. It is a pure state machine.
type sequence struct {
	targets int // where to start; 0 means startTargets
	started bool
	next    uint64            // number of the segment to publish next
	known   map[uint64]string // where segments were
	stale   int               // playlists in a row that were older
	last    uint64            // the end of the playlist before

	lost     uint64 // segments that were gone before they were fetched
	restarts uint64
}

// verdict is what a playlist means for what was published.
type verdict struct {
	segments []segment // to publish, in order
	broken   bool      // the first does not continue what was published
	changed  bool      // the playlist is another than the one before
}

// take takes the playlist as it is now.
func (s *sequence) take(l *playlist) verdict {
	var v verdict
	switch {
	case !s.started:
		s.started = true
		s.begin(l)
	case s.restarted(l), l.sequence > s.next+maxKnown:
		s.restarts++
		s.known = nil
		s.begin(l)
		v.broken = true
	case l.end() < s.last:
		s.stale++
		return v
	}
	s.stale = 0
	v.changed = v.broken || l.end() != s.last
	s.last = l.end()
	if s.next < l.sequence {
		s.lost += l.sequence - s.next
		s.next, v.broken = l.sequence, true
	}
	s.remember(l)
	if at := s.next - l.sequence; at < uint64(len(l.segments)) {
		v.segments = l.segments[at:]
	}
	return v
}

// begin chooses the first segment.
func (s *sequence) begin(l *playlist) {
	s.next, s.last = l.sequence, 0
	if l.ended {
		return
	}
	targets := cmp.Or(s.targets, startTargets)
	var tail time.Duration
	for i := len(l.segments) - 1; i >= 0; i-- {
		s.next = l.segments[i].number
		tail += l.segments[i].duration
		if tail >= time.Duration(targets)*l.target || l.segments[i].whole && len(l.segments)-i >= 2*targets {
			return
		}
	}
}

// restarted reports whether the origin began anew, with other segments.
func (s *sequence) restarted(l *playlist) bool {
	same, other := 0, 0
	for _, seg := range l.segments {
		if was, ok := s.known[seg.number]; ok && seg.whole {
			if was == name(seg.media) {
				same++
			} else {
				other++
			}
		}
	}
	switch {
	case same > 0:
		return false
	case l.end() < s.last:
		// Nothing in common: far back at once, or it stays there.
		return other > 0 || s.stale >= staleLoads || l.end()+maxKnown < s.last
	}
	return other > 1
}

// remember notes where segments are.
func (s *sequence) remember(l *playlist) {
	if s.known == nil {
		s.known = make(map[uint64]string)
	}
	for _, seg := range l.segments {
		if seg.whole {
			s.known[seg.number] = name(seg.media)
		}
	}
	for n := range s.known {
		if n+maxKnown < l.end() {
			delete(s.known, n)
		}
	}
}

// name is what tells a segment from others: its file and range, as hosts, directories and
// queries may hold a signature that is new each time.
func name(s span) string {
	at, _, _ := strings.Cut(s.url, "?")
	if s.length > 0 {
		return fmt.Sprintf("%s@%d", path.Base(at), s.offset)
	}
	return path.Base(at)
}

// done tells that the segment next was dealt with.
func (s *sequence) done() { s.next++ }
