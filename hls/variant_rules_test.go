package hls

import (
	"fmt"
	"time"
)

// variantRule is a rule about several renditions.
type variantRule struct {
	rule
	survey func(*survey) string // what is wrong; "" for nothing
}

// variantRules is all of them.
var variantRules = []variantRule{
	{rule{number: 28, name: "each rendition once", source: "6.2.4"}, eachRenditionOnce},
	{rule{number: 28, name: "renditions as described", source: "4.4.6.2"}, asDescribed},
	{rule{number: 28, name: "the multivariant playlist", source: "4.1, 4.4.2.1"}, multivariantFlawless},
	{rule{number: 29, name: "renditions count the same marks", source: "6.2.4", files: liveOnly}, sameMarks},
	{rule{number: 29, name: "renditions have the same target", source: "6.2.4", files: liveOnly}, sameTarget},
	{rule{number: 29, name: "renditions have the same control", source: "6.2.4", files: onlyLL}, sameControl},
	{rule{number: 30, name: "reports", source: "4.4.5.4", files: onlyLL}, reportsAreTrue},
}

func eachRenditionOnce(s *survey) string {
	count := make(map[string]int)
	for _, v := range s.variants {
		count[v.uri]++
	}
	for _, b := range s.renditions {
		uri := b.rendition + "/" + s.file
		want := 1
		if b.rendition == s.hidden {
			want = 0
		}
		if n := count[uri]; n != want && !s.unsure() {
			return fmt.Sprintf("%s is listed %d times, want %d", uri, n, want)
		}
		delete(count, uri)
	}
	for uri := range count {
		return uri + " is listed, and there is none"
	}
	return ""
}

// unsure reports whether a rendition came or went so short a time ago that it may be listed
// or not: a new one is once a segment is whole.
func (s *survey) unsure() bool { return time.Since(s.changedAt) < 10*time.Second }

func asDescribed(s *survey) string {
	for i, p := range s.players {
		if !s.looks(i) || p.last.ended || len(p.last.segments) == 0 {
			continue
		}
		for _, v := range s.variants {
			if v.uri != p.rendition+"/"+s.file {
				continue
			}
			// Of what is not carried any more, headers of so many segments tell.
			for _, listed := range p.last.segments[max(0, len(p.last.segments)-describeSegments):] {
				if shot := p.shotOf(listed); shot == nil || shot.index+describeSegments <= p.newestKnown() {
					continue
				}
				if f := p.files[listed.uri]; f != nil && uint64(bitrate(int64(f.size), listed.duration)) > v.bandwidth {
					return fmt.Sprintf("%s has %d bytes for %v, more than %d bits per second", listed.uri, f.size, listed.duration, v.bandwidth)
				}
			}
			m := p.media
			if v.codecs != m.Codecs || v.resolution != fmt.Sprintf("%dx%d", m.Width, m.Height) {
				return fmt.Sprintf("%s is said to have %s %s", v.uri, v.codecs, v.resolution)
			}
			if v.average > v.bandwidth || v.average == 0 {
				return fmt.Sprintf("%s is said to have %d on average, and %d at most", v.uri, v.average, v.bandwidth)
			}
		}
	}
	return ""
}

func multivariantFlawless(s *survey) string {
	for _, f := range s.flaws {
		return f.what
	}
	return headersAre(s.answer.w.Header(), playlistType, cacheNever)
}

// looks reports whether a player looked at its playlist not long ago.
func (s *survey) looks(i int) bool {
	p := s.players[i]
	return p.last != nil && time.Since(p.lookedAt) < 2*time.Second && !p.away
}

// pair returns the playlists of two renditions that were looked at not long ago.
func (s *survey) pair() (a, b *player) {
	if len(s.players) < 2 || !s.looks(0) || !s.looks(1) {
		return nil, nil
	}
	return s.players[0], s.players[1]
}

// marksBefore returns each segment's discontinuity sequence number, by what it is of.
func (p *player) marksBefore() map[key]uint64 {
	marks := make(map[key]uint64)
	n := p.last.discontinuity
	for _, listed := range p.last.segments {
		if listed.discontinuity {
			n++
		}
		if shot := p.shotOf(listed); shot != nil {
			marks[shot.key] = n
		}
	}
	return marks
}

// shotOf returns what was published as a segment that was listed, nil if that is not known.
func (p *player) shotOf(listed listedSegment) *testShot {
	name := listed.uri
	if f := p.files[name]; p.low() && f != nil {
		name = f.reel.segment
	}
	return p.sent[name]
}

// newestKnown is the index of the newest segment of which anything is known.
func (p *player) newestKnown() int {
	n := len(p.order) - 1
	for n > 0 && p.order[n].known.IsZero() {
		n--
	}
	return n
}

// sameMarks is of renditions of which all came: a hole is marked where it is.
func sameMarks(s *survey) string {
	a, b := s.pair()
	if a == nil || s.lossy {
		return ""
	}
	marks := a.marksBefore()
	others := b.marksBefore()
	for k, n := range marks {
		if m, ok := others[k]; ok && m != n {
			return fmt.Sprintf("segment %v has %d in one, %d in the other", k, n, m)
		}
	}
	return ""
}

func sameTarget(s *survey) string {
	if a, b := s.pair(); a != nil && a.last.target != b.last.target {
		return fmt.Sprintf("%d and %d s", a.last.target, b.last.target)
	}
	return ""
}

func sameControl(s *survey) string {
	if a, b := s.pair(); a != nil && (a.last.holdBack != b.last.holdBack || a.last.skipUntil != b.last.skipUntil) {
		return fmt.Sprintf("PART-HOLD-BACK %v and %v, CAN-SKIP-UNTIL %v and %v", a.last.holdBack, b.last.holdBack, a.last.skipUntil, b.last.skipUntil)
	}
	return ""
}

// reportsAreTrue asks for both playlists at the same time.
func reportsAreTrue(s *survey) string {
	a, b := s.pair()
	if a == nil {
		return ""
	}
	now, _ := readPlaylist(a.get(a.path(s.file)).Body.String())
	other, _ := readPlaylist(b.get(b.path(s.file)).Body.String())
	if now.ended {
		return ""
	}
	n, part := other.next(), len(other.parts[other.next()])-1
	if part < 0 {
		n--
		part = len(other.parts[n]) - 1
	}
	want := fmt.Sprintf(`URI="../%s/ll.m3u8",LAST-MSN=%d,LAST-PART=%d`, b.rendition, n, part)
	if len(now.reports) != 1 || now.reports[0] != want {
		return fmt.Sprintf("%q, want %q", now.reports, want)
	}
	return ""
}
