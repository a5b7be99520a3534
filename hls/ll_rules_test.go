package hls

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"time"
)

// eachParts calls f with the parts of each segment that lists any; closed says that the
// segment is listed, too.
func (s *sighting) eachParts(f func(n uint64, parts []listedPart, closed bool) string) string {
	for i := range len(s.p.segments) + 1 {
		n := s.p.sequence + uint64(i)
		if parts := s.p.parts[n]; len(parts) > 0 {
			if what := f(n, parts, i < len(s.p.segments)); what != "" {
				return what
			}
		}
	}
	return ""
}

func partsWithinTarget(s *sighting) string {
	least := s.p.partTarget * 85 / 100
	if s.longestPart > usualPart {
		// A broadcaster's odd part raises the target, for which the others are too short.
		least = min(least, usualPart*85/100)
	}
	return s.eachParts(func(n uint64, parts []listedPart, _ bool) string {
		for i, part := range parts {
			if part.duration > s.p.partTarget || part.duration < least && i < len(parts)-1 {
				return fmt.Sprintf("part %d of %d lasts %v, the target is %v", i, n, part.duration, s.p.partTarget)
			}
		}
		return ""
	})
}

func holdBack(s *sighting) string {
	switch p := s.p; {
	case !p.block:
		return "CAN-BLOCK-RELOAD is missing"
	case p.partTarget <= 0:
		return "PART-TARGET is missing"
	case p.holdBack < llHoldParts*p.partTarget:
		return fmt.Sprintf("PART-HOLD-BACK is %v, with parts of %v", p.holdBack, p.partTarget)
	}
	return ""
}

func partsStay(s *sighting) string {
	if s.last == nil || s.away {
		return ""
	}
	return s.eachParts(func(n uint64, parts []listedPart, _ bool) string {
		if before := s.parts[n]; len(before) > len(parts) || !slices.Equal(before, parts[:len(before)]) {
			return fmt.Sprintf("those of %d were %v and are %v", n, before, parts)
		}
		return ""
	})
}

func partsNearTheEnd(s *sighting) string {
	left := s.p.whole()
	for i, listed := range s.p.segments {
		n := s.p.sequence + uint64(i)
		if near := left < llPartTargets*s.p.targetDuration(); near != (len(s.p.parts[n]) > 0) {
			return fmt.Sprintf("%d begins %v before the end, and has %d", n, left, len(s.p.parts[n]))
		}
		left -= listed.duration
	}
	return ""
}

func segmentIsParts(s *sighting) string {
	return s.eachParts(func(n uint64, parts []listedPart, closed bool) string {
		if !closed {
			return ""
		}
		var sum time.Duration
		var joined []byte
		for _, part := range parts {
			sum += part.duration
			f := s.files[part.uri]
			if f == nil || f.data == nil {
				return ""
			}
			joined = append(joined, f.data...)
		}
		listed := s.p.segments[n-s.p.sequence]
		if f := s.files[listed.uri]; sum != listed.duration || !bytes.Equal(joined, f.data) {
			return fmt.Sprintf("%s lasts %v and has %d bytes, its parts %v and %d", listed.uri, listed.duration, len(f.data), sum, len(joined))
		}
		return ""
	})
}

// hintIsNext also says that what was hinted at comes, or proves lost: then the segment
// before it is cut, or nothing of it was listed.
func hintIsNext(s *sighting) string {
	if (s.p.hint == "") != s.p.ended {
		return fmt.Sprintf("there is one: %t, and it has ended: %t", s.p.hint != "", s.p.ended)
	}
	for _, f := range s.flaws {
		if f.rule == 14 {
			return f.what
		}
	}
	if s.files[s.p.hint] != nil {
		return s.p.hint + " came before"
	}
	if s.last == nil || s.away || s.last.ended || s.last.hint == s.p.hint || s.files[s.last.hint] != nil {
		return ""
	}
	n := s.last.next()
	i := int(n - s.p.sequence)
	if n < s.p.sequence {
		return "" // it slid out as it became known: so much was listed at once
	}
	if s.p.ended || i < len(s.p.segments) && (len(s.p.parts[n]) == 0 || s.cut[i] || s.shots[i] != nil && s.shots[i].garbage) {
		return ""
	}
	return s.last.hint + " did not come"
}

// hintsAnswered says that who asked for what was hinted at gets it when it is listed, and
// not before, or is told that it will not come.
func hintsAnswered(s *sighting) string {
	for uri := range s.hinted {
		if s.files[uri] != nil {
			return uri + " is listed, and who asked for it waits"
		}
	}
	for _, r := range s.answers {
		waited := r.to.Sub(r.from)
		switch {
		case s.away:
		case r.w.Code == http.StatusOK && !s.isListed(r.uri, r.w.Body.Bytes()):
			return r.uri + " was answered, and is not listed as that"
		case r.w.Code == http.StatusNotFound && s.p.ended:
			// There is none: players leave, and a broadcaster that comes back finds others.
		case r.w.Code == http.StatusNotFound:
			s.dead[r.uri] = r.to
		case r.w.Code == http.StatusServiceUnavailable && waited < holdTargets*s.p.targetDuration():
			return fmt.Sprintf("%s was given up after %v", r.uri, waited)
		}
	}
	for uri := range s.dead {
		if s.files[uri] != nil {
			return uri + " is listed, and who asked for it was told that there is none"
		}
	}
	return ""
}

// isListed reports whether a part is, or the segment that it is of.
func (s *sighting) isListed(uri string, data []byte) bool {
	if f := s.files[uri]; f != nil {
		return bytes.Equal(f.data, data)
	}
	for _, listed := range s.p.segments {
		if bytes.Contains(s.files[listed.uri].data, data) {
			return true
		}
	}
	return false
}

// reloadsBlock until what they ask for is there, or for three target durations.
func reloadsBlock(s *sighting) string {
	r := s.request
	if !r.wait || s.away {
		return ""
	}
	if s.p == nil {
		bound := holdTargets * s.last.targetDuration()
		if waited := r.to.Sub(r.from); r.w.Code != http.StatusServiceUnavailable || waited < bound || waited > bound+2*s.last.targetDuration() {
			return fmt.Sprintf("%d after %v", r.w.Code, waited)
		}
		return ""
	}
	if s.reply.ended || s.reply.next() > r.at.sequence || len(s.reply.parts[r.at.sequence]) > r.at.part {
		return ""
	}
	return fmt.Sprintf("part %d of %d is asked for, and not there", r.at.part, r.at.sequence)
}

func picturesFollow(s *sighting) string {
	return s.eachParts(func(n uint64, parts []listedPart, _ bool) string {
		pictures := 0
		for i, part := range parts {
			f := s.files[part.uri]
			if f == nil || f.code != http.StatusOK {
				continue
			}
			if f.err != nil || f.reel.first != pictures || i > 0 && len(f.reel.init) > 0 {
				return fmt.Sprintf("%s begins with picture %d, after %d: %v", part.uri, f.reel.first, pictures, f.err)
			}
			pictures += f.reel.n
		}
		return ""
	})
}

// initsFit says that a map can be fetched, that the segment after a mark has it in front,
// too, and no other has.
func initsFit(s *sighting) string {
	for i, listed := range s.p.segments {
		init, f := s.files[listed.init], s.files[listed.uri]
		if init == nil || !init.isInit || !bytes.Contains(init.data, []byte("moov")) {
			return fmt.Sprintf("the map %q of %s is none", listed.init, listed.uri)
		}
		if f.code != http.StatusOK || f.err != nil {
			continue
		}
		if inFront := len(f.reel.init) > 0; inFront != listed.discontinuity {
			return fmt.Sprintf("%s has one in front: %t, and is marked: %t", listed.uri, inFront, listed.discontinuity)
		} else if inFront && !bytes.Equal(f.reel.init, init.data) {
			return listed.uri + " has another in front than its map"
		}
		if shot := s.shots[i]; shot != nil && !bytes.Contains(init.data, shot.sps) {
			return listed.uri + " has pictures of another size than its map"
		}
	}
	return ""
}

// deltaSkips says that a delta leaves out what it may, and nothing else.
func deltaSkips(s *sighting) string {
	if s.p.skipUntil < llSkipTargets*s.p.targetDuration() {
		return fmt.Sprintf("CAN-SKIP-UNTIL is %v", s.p.skipUntil)
	}
	delta := *s.delta
	if delta.skipped > len(s.p.segments) {
		return fmt.Sprintf("%d segments are left out of %d", delta.skipped, len(s.p.segments))
	}
	left := s.p.whole()
	may := 0
	for _, listed := range s.p.segments {
		if left -= listed.duration; left < s.p.skipUntil {
			break
		}
		may++
	}
	if delta.skipped > may || may > 0 && delta.skipped == 0 && !s.p.ended {
		return fmt.Sprintf("%d segments are left out, want %d", delta.skipped, may)
	}
	delta.segments = append(s.p.segments[:delta.skipped:delta.skipped], delta.segments...)
	// A map that was said before a segment that is left out holds on.
	for i := delta.skipped; i < len(delta.segments) && i > 0 && delta.segments[i].init == ""; i++ {
		delta.segments[i].init = delta.segments[i-1].init
	}
	// Reports are of others, who went on meanwhile.
	delta.skipped, delta.reports = 0, s.p.reports
	if !reflect.DeepEqual(&delta, s.p) {
		return fmt.Sprintf("%d segments are left out, and the rest differs", s.delta.skipped)
	}
	return ""
}
