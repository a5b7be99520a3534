package hls

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// llPosition is a part in a low-latency playlist: a media sequence number and an index.
type llPosition struct {
	sequence uint64
	part     int
}

// llView is what the low-latency playlist of a rendition serves at one moment. It is
// immutable.
type llView struct {
	full, delta []byte // without rendition reports; nil until there are segments enough
	window      window
	session     string
	target      time.Duration
	partTarget  time.Duration
	next        llPosition     // the part that is hinted at
	counts      map[uint64]int // parts of the listed segments that are whole
	ended       bool
	pieces      map[string]*body // by name
}

func (v *llView) playable() bool { return v.full != nil }

// last returns the last part that is listed.
func (v *llView) last() llPosition {
	if v.next.part > 0 {
		return llPosition{v.next.sequence, v.next.part - 1}
	}
	return llPosition{v.next.sequence - 1, v.counts[v.next.sequence-1] - 1}
}

// judge says of a blocking reload whether the playlist has what it asks for. A negative
// part means the whole segment. (draft-pantos-hls-rfc8216bis, section 6.2.5.2)
func (v *llView) judge(at llPosition) verdict {
	if n, whole := v.counts[at.sequence]; whole && at.part >= n {
		// "If the Client requests a Part Index greater than that of the final Partial
		// Segment of the Parent Segment, the Server MUST treat the request as one for
		// Part Index 0 of the following Parent Segment."
		at = llPosition{at.sequence + 1, 0}
	}
	switch {
	case v.ended || at.sequence < v.next.sequence:
		return found // nothing more will come, or an old number: the playlist as it is
	case at.sequence > v.next.sequence+1:
		return invalid // the last segment that is whole, plus two, is next.sequence+1
	case at.part < 0:
		return pending
	case at.sequence == v.next.sequence && at.part < v.next.part:
		return found
	}
	ahead := at.part
	if at.sequence == v.next.sequence {
		ahead -= v.next.part - 1
	}
	if ahead > advancePartLimit(v.partTarget) {
		return invalid
	}
	return pending
}

// advancePartLimit is how many parts past the last one a request may name
// (draft-pantos-hls-rfc8216bis, section 6.2.5.2).
func advancePartLimit(partTarget time.Duration) int {
	if partTarget <= 0 || partTarget >= time.Second {
		return 3
	}
	return int(math.Ceil(3 / partTarget.Seconds()))
}

// judgeName says of a piece that is not there whether it is on its way.
func (v *llView) judgeName(name string) verdict {
	at, ok := parseLLName(name, v.session)
	if !ok || v.ended || !v.playable() || at.sequence < v.next.sequence || v.judge(at) != pending {
		return unknown
	}
	return pending
}

// partName and llSegmentName are file names. They end in .m4s because ffmpeg refuses
// others.
func partName(session string, sequence uint64, part int) string {
	return fmt.Sprintf("%s-%d.%d.m4s", session, sequence, part)
}

func llSegmentName(session string, sequence uint64) string {
	return fmt.Sprintf("%s-%d.m4s", session, sequence)
}

// parseLLName reads what partName and llSegmentName write in a session, and nothing
// else. The part of a segment's name is -1.
func parseLLName(name, session string) (at llPosition, ok bool) {
	stem, ok := strings.CutPrefix(strings.TrimSuffix(name, ".m4s"), session+"-")
	if !ok {
		return at, false
	}
	sequence, part, isPart := strings.Cut(stem, ".")
	var err1, err2 error
	at.sequence, err1 = strconv.ParseUint(sequence, 10, 64)
	at.part = -1
	if isPart {
		at.part, err2 = strconv.Atoi(part)
	}
	if err1 != nil || err2 != nil {
		return at, false
	}
	if isPart {
		return at, partName(session, at.sequence, at.part) == name
	}
	return at, llSegmentName(session, at.sequence) == name
}
