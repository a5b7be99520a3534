package hls

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// rule is a rule that playlists keep, see the package documentation.
type rule struct {
	number int
	name   string
	source string                 // sections without a name are draft-pantos-hls-rfc8216bis's
	files  string                 // the playlists that it is of; "" for all
	always bool                   // it looks at answers without a playlist, too
	check  func(*sighting) string // what is wrong; "" for nothing
}

func (r *rule) applies(file string) bool {
	return r.files == "" || strings.Contains(r.files, file)
}

const (
	onlyLL   = "ll.m3u8"
	onlyDVR  = "dvr.m3u8"
	liveOnly = "index.m3u8 ll.m3u8"
)

// rules is all of them but those of several renditions, which are variantRules. The
// numbers are the package documentation's; 22 and 23 are of requests, see dvr_test.go.
var rules = []rule{
	{1, "durations within the target", "4.4.3.1", "", false, durationsWithinTarget},
	{1, "a target that stays", "6.2.1; the package documentation says when it rises", "", false, targetStays},
	{2, "numbers keep their segments", "4.4.3.2, 6.2.2", "", false, numbersKeepSegments},
	{2, "numbers never fall", "6.2.2", "", false, numbersNeverFall},
	{2, "names are used once", "6.2.1", "", false, namesUsedOnce},
	{2, "segments in order", "6.2.1", "", false, segmentsInOrder},
	{3, "marks that slid out are counted", "4.4.3.3, 6.2.2", "", false, slidMarksCounted},
	{4, "breaks are marked", "4.4.4.3, 6.2.1", "", false, breaksMarked},
	{4, "programme times", "4.4.4.6, 6.2.1", "", false, programTimes},
	{5, "three segments at first", "6.3.3", "", false, threeAtFirst},
	{5, "three target durations stay", "6.2.2", "", false, threeTargetsStay},
	{6, "what is whole is listed", "6.2.1: within 1.5 target durations, parts within a part target", "", false, wholeIsListed},
	{6, "no long wait", "the package documentation", "index.m3u8 dvr.m3u8", false, noLongWait},
	{6, "only what is whole is listed", "6.2.1", "", false, onlyWholeIsListed},
	{7, "what is listed can be fetched", "6.2.1", "", false, listedCanBeFetched},
	{7, "bytes are what was published", "6.2.1", "", false, bytesArePublished},
	{7, "bytes stay", "6.2.1", "", false, bytesStay},
	{7, "what left can be fetched", "6.2.2", liveOnly, false, leftCanBeFetched},
	{8, "no type", "4.4.3.5, 6.2.2", "", false, flawless(8)},
	{9, "the end", "4.4.3.4, 6.2.1", "", false, endComes},
	{9, "nothing after the end", "4.4.3.4", "", false, flawless(9)},
	{10, "version", "4.4.1.2, 8", "", false, version},
	{10, "header tags", "4.1", "", false, flawless(10)},
	{11, "parts within their target", "4.4.3.7, 4.4.4.9", onlyLL, false, partsWithinTarget},
	{12, "hold-back", "4.4.3.8", onlyLL, false, holdBack},
	{13, "parts stay", "6.2.1", onlyLL, false, partsStay},
	{13, "parts near the end only", "4.4.4.9, 6.2.2", onlyLL, false, partsNearTheEnd},
	{13, "a segment is its parts", "4.4.4.9", onlyLL, false, segmentIsParts},
	{14, "the hint is of what comes", "4.4.5.3", onlyLL, false, hintIsNext},
	{14, "hints are answered when it is whole", "6.2.6", onlyLL, false, hintsAnswered},
	{14, "reloads block", "6.2.5.2", onlyLL, true, reloadsBlock},
	{15, "pictures without a gap", "4.4.4.9", onlyLL, false, picturesFollow},
	{16, "inits", "4.4.4.5", onlyLL, false, initsFit},
	{17, "deltas", "4.4.3.8, 4.4.5.2, 6.2.5.1", onlyLL, false, deltaSkips},
	{18, "nothing is put before the beginning", "6.2.1", onlyDVR, false, nothingPrepended},
	{20, "numbers from the first segment's time", "the package documentation", onlyDVR, false, numbersFromTime},
	{25, "headers of answers", "4, 6.2.1; RFC 9111, 5.2.2; Fetch, 3.2", "", true, answersHeaders},
	{26, "segments start with keyframes", "4.4.2.1", "", false, startsWithKeyframe},
	{27, "timestamps go on", "4.4.4.3, 6.2.1", "", false, timestampsGoOn},
	{27, "durations are those of the pictures", "4.4.4.1", "", false, durationsArePictures},
	{31, "date ranges stay as they are", "4.4.5.1, 6.2.1", "", false, rangesStay},
	{32, "date ranges are of cues", "4.4.5.1.1", "", false, rangesAreOfCues},
	{33, "cues are listed", "4.4.5.1.1", liveOnly, false, cuesAreListed},
	{34, "date ranges leave when they are over", "6.2.1", "", false, rangesLeave},
}

// flawless says that a playlist must not have flaws that its reader found.
func flawless(number int) func(*sighting) string {
	return func(s *sighting) string {
		for _, f := range s.flaws {
			if f.rule == number {
				return f.what
			}
		}
		return ""
	}
}

func durationsWithinTarget(s *sighting) string {
	for _, listed := range s.p.segments {
		if rounded(listed.duration) > int(s.p.target) {
			return fmt.Sprintf("%s lasts %v, the target is %d s", listed.uri, listed.duration, s.p.target)
		}
	}
	return ""
}

func targetStays(s *sighting) string {
	switch {
	case s.last == nil || s.away || s.p.target == s.last.target:
		return ""
	case s.p.target < s.last.target:
		return "it fell"
	}
	for i, listed := range s.p.segments {
		// Its number may have been another's, before the node was restarted.
		if s.uris[s.p.sequence+uint64(i)].uri != listed.uri && rounded(listed.duration) == int(s.p.target) {
			return ""
		}
	}
	return "it rose, and no new segment needs that"
}

func numbersKeepSegments(s *sighting) string {
	if s.restarted && s.rewinds() {
		return "" // they begin at the first segment's time again, see rule 20
	}
	for i, listed := range s.p.segments {
		n := s.p.sequence + uint64(i)
		if old, known := s.uris[n]; known && old != listed {
			return fmt.Sprintf("%d was %v and is %v", n, old, listed)
		}
	}
	return ""
}

func numbersNeverFall(s *sighting) string {
	switch {
	case s.last == nil, s.restarted && s.rewinds():
	case s.p.sequence < s.last.sequence:
		return fmt.Sprintf("from %d to %d", s.last.sequence, s.p.sequence)
	case s.p.next() < s.last.next():
		return fmt.Sprintf("the newest segment was %d and is %d", s.last.next()-1, s.p.next()-1)
	case s.p.sequence > s.last.next() && !s.away && s.p.sequence-s.last.next() > s.between():
		return fmt.Sprintf("%d follows %d", s.p.sequence, s.last.next()-1)
	}
	return ""
}

// between is how many segments were published after the last that was listed, and before
// the first that is. They may come all at once, more than a playlist lists.
func (s *sighting) between() uint64 {
	if s.lastShot == nil || len(s.shots) == 0 || s.shots[0] == nil {
		return 0
	}
	return uint64(max(0, s.shots[0].index-s.lastShot.index-1))
}

func namesUsedOnce(s *sighting) string {
	now := make(map[string]uint64, len(s.p.segments))
	for i, listed := range s.p.segments {
		n := s.p.sequence + uint64(i)
		old, known := s.numbers[listed.uri]
		if again, twice := now[listed.uri]; twice {
			old, known = again, true
		}
		// Of MPEG-TS, names are the stream's. Who was away finds them under new numbers.
		if known && old != n && (s.low() || s.last != nil && old >= s.last.sequence && !s.away) {
			return fmt.Sprintf("%s was %d and is %d", listed.uri, old, n)
		}
		now[listed.uri] = n
	}
	return ""
}

func segmentsInOrder(s *sighting) string {
	for i, shot := range s.shots {
		switch {
		case shot == nil:
			if f := s.files[s.p.segments[i].uri]; f != nil && f.err == nil && f.code == http.StatusOK {
				return s.p.segments[i].uri + " was never published"
			}
		case i > 0 && s.shots[i-1] != nil && shot.index <= s.shots[i-1].index:
			return fmt.Sprintf("%s is before %s", shot.name, s.shots[i-1].name)
		}
	}
	return ""
}

func slidMarksCounted(s *sighting) string {
	if s.last == nil {
		return ""
	}
	if s.away || s.p.sequence > s.last.next() {
		if s.p.discontinuity < s.last.discontinuity && !s.restarted {
			return fmt.Sprintf("it fell from %d to %d", s.last.discontinuity, s.p.discontinuity)
		}
		return ""
	}
	want := s.last.discontinuity
	for i, listed := range s.last.segments {
		if listed.discontinuity && s.last.sequence+uint64(i) < s.p.sequence {
			want++
		}
	}
	if s.p.discontinuity != want {
		return fmt.Sprintf("%d after %d, want %d", s.p.discontinuity, s.last.discontinuity, want)
	}
	return ""
}

func breaksMarked(s *sighting) string {
	for i := range s.p.segments {
		if i == 0 {
			continue // what is before it, is known of earlier
		}
		a, b := s.shots[i-1], s.shots[i]
		if a == nil || b == nil {
			continue
		}
		before, listed := s.p.segments[i-1], s.p.segments[i]
		follows := a.epoch == b.epoch && a.number+1 == b.number && !b.discontinuity && !s.cut[i-1] && before.init == listed.init
		if follows == listed.discontinuity {
			return fmt.Sprintf("%s after %s is marked: %t", b.name, a.name, listed.discontinuity)
		}
	}
	return ""
}

// programTimes are the broadcaster's. They are ambiguous only where its clock was set
// back, which is at a mark.
func programTimes(s *sighting) string {
	for i, listed := range s.p.segments {
		shot := s.shots[i]
		if shot == nil {
			continue
		}
		if !listed.programTime.Equal(shot.programTime.Truncate(time.Millisecond)) {
			return fmt.Sprintf("%s begins at %v, and is said to at %v", shot.name, shot.programTime, listed.programTime)
		}
		if i == 0 || listed.discontinuity && s.jumped(s.shots[i-1], shot) {
			continue
		}
		before := s.p.segments[i-1]
		if overlap := before.programTime.Add(before.duration).Sub(listed.programTime); overlap > time.Millisecond {
			return fmt.Sprintf("%s begins %v before the end of what is before it", shot.name, overlap)
		}
	}
	return ""
}

// jumped reports whether the broadcaster's clock was set back after a and before b, whether
// what is between them is listed or not.
func (s *sighting) jumped(a, b *testShot) bool {
	for i := b.index; a != nil && i > a.index; i-- {
		if s.order[i].jump {
			return true
		}
	}
	return a == nil
}

func threeAtFirst(s *sighting) string {
	if s.last == nil && len(s.p.segments) < startSegments && !s.p.ended {
		return fmt.Sprintf("%d segments", len(s.p.segments))
	}
	return ""
}

func threeTargetsStay(s *sighting) string {
	if s.last != nil && !s.away && s.p.sequence > s.last.sequence && !s.p.ended && s.p.whole() < minTargets*s.p.targetDuration() {
		return fmt.Sprintf("%v of %d s", s.p.whole(), s.p.target)
	}
	return ""
}

// lastListed returns what the newest that is listed is of, and how many of its parts are.
func (s *sighting) lastListed() (shot *testShot, parts int) {
	if open := s.p.parts[s.p.next()]; len(open) > 0 {
		if f := s.files[open[0].uri]; f != nil && s.sent[f.reel.segment] != nil {
			return s.sent[f.reel.segment], len(open)
		}
	}
	if n := len(s.shots); n > 0 && s.shots[n-1] != nil {
		return s.shots[n-1], len(s.shots[n-1].here)
	}
	return nil, 0
}

// wholeIsListed allows a delay only where something before it is missing, or where a new
// epoch begins. So what the broadcaster makes in time is listed in time.
func wholeIsListed(s *sighting) string {
	shot, n := s.lastListed()
	if shot == nil {
		return ""
	}
	target := s.p.targetDuration()
	if s.low() && n < len(shot.here) && !shot.here[n].IsZero() {
		return fmt.Sprintf("part %d of %s is here and not listed", n, shot.name)
	}
	for _, later := range s.order[shot.index+1:] {
		whole := later.whole()
		if s.low() && later.index == shot.index+1 && n == len(shot.here) && later.epoch == shot.epoch {
			whole = later.here[0]
		}
		if whole.IsZero() || later.garbage && s.low() {
			continue
		}
		var patience time.Duration
		if later.index != shot.index+1 || n < len(shot.here) {
			patience = skipTargets * target
		}
		if s.away {
			patience += skipTargets * target // a rendition that is carried anew waits for newer ones before it begins
		}
		if later.epoch != shot.epoch {
			patience += (tailTargets + refillTargets) * target
		}
		if since := maxTime(whole, s.changedAt); s.at.Sub(since) > patience {
			return fmt.Sprintf("%s is here for %v and not listed after %s", later.name, s.at.Sub(whole), shot.name)
		}
		break
	}
	return ""
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// noLongWait of who has a playlist already: for what is due, no longer than a while before
// it and a while after.
func noLongWait(s *sighting) string {
	if waited := s.request.to.Sub(s.request.from); s.last != nil && !s.away && waited > 2*maxAwait {
		return fmt.Sprintf("the answer came after %v", waited)
	}
	return ""
}

func onlyWholeIsListed(s *sighting) string {
	if s.low() {
		for n, parts := range s.p.parts {
			if f := s.files[parts[len(parts)-1].uri]; f != nil {
				if shot := s.sent[f.reel.segment]; shot != nil && len(parts) <= len(shot.here) && shot.here[len(parts)-1].IsZero() {
					return fmt.Sprintf("part %d of %d is not whole", len(parts)-1, n)
				}
			}
		}
		return ""
	}
	for i := len(s.shots) - 1; i >= 0 && !s.rewinds(); i-- {
		if shot := s.shots[i]; shot != nil && shot.whole().IsZero() {
			return shot.name + " is not whole"
		}
	}
	return ""
}

func listedCanBeFetched(s *sighting) string {
	check := func(uri string) string {
		if f := s.files[uri]; f != nil && (f.code != http.StatusOK || f.took > 0) {
			return fmt.Sprintf("%s: %d after %v", uri, f.code, f.took)
		}
		return ""
	}
	for _, listed := range s.p.segments {
		for _, uri := range []string{listed.uri, listed.init} {
			if what := check(uri); what != "" {
				return what
			}
		}
	}
	for _, parts := range s.p.parts {
		for _, part := range parts {
			if what := check(part.uri); what != "" {
				return what
			}
		}
	}
	listed := make(map[string]bool)
	for _, segment := range s.p.segments {
		listed[segment.uri] = true
	}
	for _, f := range s.refetch {
		if listed[f.uri] && f.lastCode != http.StatusOK {
			return fmt.Sprintf("%s, again: %d", f.uri, f.lastCode)
		}
	}
	return ""
}

func bytesArePublished(s *sighting) string {
	for i, listed := range s.p.segments {
		f := s.files[listed.uri]
		switch {
		case f == nil || f.code != http.StatusOK:
		case f.err != nil && (s.shots[i] == nil || !s.shots[i].garbage):
			return fmt.Sprintf("%s cannot be read: %v", listed.uri, f.err)
		case !s.low() && s.shots[i] != nil && f.sum != s.shots[i].sum:
			return listed.uri + " has other bytes"
		case s.low() && f.reel.first != 0:
			return fmt.Sprintf("%s begins with picture %d", listed.uri, f.reel.first)
		}
	}
	return ""
}

func bytesStay(s *sighting) string {
	for _, f := range s.refetch {
		if f.changed {
			return f.uri + " was answered with other bytes before"
		}
	}
	return ""
}

func leftCanBeFetched(s *sighting) string {
	listed := make(map[string]bool)
	for _, segment := range s.p.segments {
		listed[segment.uri] = true
	}
	for _, f := range s.refetch {
		if !listed[f.uri] && f.lastCode != http.StatusOK {
			return fmt.Sprintf("%s: %d", f.uri, f.lastCode)
		}
	}
	return ""
}

// endComes some time after the end of an epoch of which all is listed, and goes when the
// broadcaster comes back with the next.
func endComes(s *sighting) string {
	shot, _ := s.lastListed()
	if shot == nil {
		return ""
	}
	target := s.p.targetDuration()
	ended, over := s.ended[shot.epoch]
	again := s.last != nil && !s.away && s.last.ended
	grown := s.last != nil && (s.p.next() != s.last.next() || len(s.p.parts[s.p.next()]) > 0)
	switch {
	case s.p.ended && !over:
		return "it is said, and did not come"
	case s.p.ended && s.at.Sub(ended) < endTargets*target:
		return fmt.Sprintf("it is said %v after it came", s.at.Sub(ended))
	case s.p.ended && again && grown:
		return "it was said, and the playlist goes on"
	case !s.p.ended && again && !grown:
		return "it was said, and is not any more"
	case !s.p.ended && over && !s.away && shot.epoch == s.newestEpoch() && s.at.Sub(maxTime(ended, s.changedAt)) > (endTargets+skipTargets)*target:
		return fmt.Sprintf("it came %v ago, and is not said", s.at.Sub(ended))
	}
	return ""
}

// newestEpoch is the newest of which anything is known.
func (b *broadcast) newestEpoch() uint64 {
	for _, shot := range slices.Backward(b.order) {
		if !shot.known.IsZero() {
			return shot.epoch
		}
	}
	return 0
}

func version(s *sighting) string {
	want := uint64(3)
	if s.low() {
		want = 9
	}
	if s.p.version != want {
		return fmt.Sprintf("%d, want %d", s.p.version, want)
	}
	return ""
}

func nothingPrepended(s *sighting) string {
	if s.last == nil || len(s.last.segments) == 0 || s.away {
		return ""
	}
	first := s.last.segments[0]
	for i, listed := range s.p.segments {
		if listed.uri == first.uri {
			if i > 0 {
				return fmt.Sprintf("%s is before %s, which came first", s.p.segments[0].uri, first.uri)
			}
			return ""
		}
	}
	return ""
}

// numbersFromTime allows the seconds by which the broadcaster's clock is ahead.
func numbersFromTime(s *sighting) string {
	if s.last != nil {
		return ""
	}
	at := s.p.segments[0].programTime
	want := uint64(at.Sub(epoch0) / time.Second)
	if at.Before(s.at) && s.p.sequence != want {
		return fmt.Sprintf("%d, want %d", s.p.sequence, want)
	}
	return ""
}

func answersHeaders(s *sighting) string {
	if s.request.w.Code == http.StatusOK {
		if what := headersAre(s.request.w.Header(), playlistType, cacheNever); what != "" {
			return s.file + ": " + what
		}
	} else if what := headersAre(s.request.w.Header(), "text/plain; charset=utf-8", "no-store"); what != "" {
		return s.file + ": " + what
	}
	if s.p == nil {
		return ""
	}
	for _, f := range s.fresh {
		kind := segmentType
		if s.low() {
			kind = fragmentType
		}
		if f.code != http.StatusOK {
			continue
		}
		if what := headersAre(f.header, kind, cacheForever); what != "" {
			return f.uri + ": " + what
		}
	}
	return ""
}

func headersAre(h http.Header, kind, cache string) string {
	for name, want := range map[string]string{"Content-Type": kind, "Cache-Control": cache, "Access-Control-Allow-Origin": "*"} {
		if got := h.Get(name); got != want {
			return fmt.Sprintf("%s is %q, want %q", name, got, want)
		}
	}
	return ""
}

func startsWithKeyframe(s *sighting) string {
	if !s.p.independent {
		return "EXT-X-INDEPENDENT-SEGMENTS is missing"
	}
	if s.film == nil {
		return ""
	}
	for i, listed := range s.p.segments {
		if f := s.files[listed.uri]; f != nil && f.err == nil && f.code == http.StatusOK && !f.reel.key {
			return s.p.segments[i].uri + " does not"
		}
	}
	for _, parts := range s.p.parts {
		for _, part := range parts {
			if f := s.files[part.uri]; f != nil && f.code == http.StatusOK && part.independent != f.reel.key {
				return fmt.Sprintf("%s is independent: %t, and says %t", part.uri, f.reel.key, part.independent)
			}
		}
	}
	return ""
}

// timestampsGoOn from one segment to the next unless a mark is between them. In MPEG-TS
// they have 33 bits (ISO 13818-1, 2.4.3.6).
func timestampsGoOn(s *sighting) string {
	for i, listed := range s.p.segments {
		if i == 0 || listed.discontinuity && !s.low() {
			continue
		}
		a, b := s.files[s.p.segments[i-1].uri], s.files[listed.uri]
		if a == nil || b == nil || a.err != nil || b.err != nil || s.film == nil {
			continue
		}
		if d := (b.reel.start - a.reel.end) & (1<<33 - 1); d != 0 {
			return fmt.Sprintf("%s begins at %d, and %s ends at %d", listed.uri, b.reel.start, a.uri, a.reel.end)
		}
	}
	return ""
}

func durationsArePictures(s *sighting) string {
	if s.film == nil {
		return ""
	}
	for _, listed := range s.p.segments {
		f := s.files[listed.uri]
		if f == nil || f.err != nil || f.code != http.StatusOK {
			continue
		}
		ticks := (f.reel.end - f.reel.start) & (1<<33 - 1)
		if d := time.Duration(ticks) * time.Second / 90000; (d - listed.duration).Abs() > time.Millisecond {
			return fmt.Sprintf("%s lasts %v, and is said to last %v", listed.uri, d, listed.duration)
		}
	}
	return ""
}
