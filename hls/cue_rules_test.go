package hls

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// noteRanges joins what tags say of each date range.
func noteRanges(known map[string]map[string]string, tags []map[string]string) {
	for _, tag := range tags {
		if known[tag["ID"]] == nil {
			known[tag["ID"]] = make(map[string]string)
		}
		maps.Copy(known[tag["ID"]], tag)
	}
}

// rangesOf are a playlist's date ranges by ID, each with all that its tags say.
func rangesOf(p *parsed) map[string]map[string]string {
	ranges := make(map[string]map[string]string)
	noteRanges(ranges, p.ranges)
	return ranges
}

// rangesStay: each has an ID and a date, and tags of the same one never differ in what they
// say both, now or at an earlier reload.
func rangesStay(s *sighting) string {
	now := make(map[string]map[string]string)
	for _, tag := range s.p.ranges {
		id := tag["ID"]
		if _, err := time.Parse(time.RFC3339, tag["START-DATE"]); id == "" || err != nil {
			return fmt.Sprintf("one has ID %q and START-DATE %q", id, tag["START-DATE"])
		}
		for name, value := range tag {
			for _, known := range []string{now[id][name], s.ranges[id][name]} {
				if known != "" && known != value {
					return fmt.Sprintf("%s has %s %s, and had %s", id, name, value, known)
				}
			}
		}
		noteRanges(now, []map[string]string{tag})
	}
	return ""
}

// cueSlack is by how much dates are off: cues count in ticks, and playlists in milliseconds.
const cueSlack = 2 * time.Millisecond

func near(a, b time.Time) bool { return a.Sub(b).Abs() <= cueSlack }

// date reads a date of a range, zero if there is none.
func date(r map[string]string, name string) time.Time {
	at, _ := time.Parse(time.RFC3339, r[name])
	return at
}

// eventOf returns the event that a range's ID names.
func eventOf(id string) uint32 {
	rest, _ := strings.CutPrefix(id, "splice-")
	number, _, _ := strings.Cut(rest, "-")
	n, _ := strconv.ParseUint(number, 10, 32)
	return uint32(n)
}

// rangesAreOfCues: what is listed was published, and takes place then.
func rangesAreOfCues(s *sighting) string {
	for id, r := range rangesOf(s.p) {
		if !s.published(eventOf(id), r["SCTE35-OUT"] != "", date(r, "START-DATE")) {
			return fmt.Sprintf("%s is at %s", id, r["START-DATE"])
		}
	}
	return ""
}

func (b *broadcast) published(event uint32, out bool, at time.Time) bool {
	for _, shot := range b.order {
		for _, c := range shot.cues {
			if c.event == event && c.out == out && near(c.at, at) {
				return true
			}
		}
	}
	return false
}

// cuesAreListed: each one that came in a segment that is listed is, too, with its bytes.
func cuesAreListed(s *sighting) string {
	ranges := rangesOf(s.p)
	begun := make(map[uint32]time.Time)
	for i, shot := range s.shots {
		if shot == nil || s.cut[i] || shot.garbage {
			continue
		}
		for _, c := range shot.cues {
			if c.out {
				begun[c.event] = c.at
			}
			if !isListed(ranges, c, begun[c.event]) {
				return fmt.Sprintf("event %d at %v of %s, out: %t", c.event, c.at.UTC(), shot.name, c.out)
			}
		}
	}
	return ""
}

// isListed reports whether a cue is listed, an in point with the time since the out point
// if that is known.
func isListed(ranges map[string]map[string]string, c testCue, begun time.Time) bool {
	for id, r := range ranges {
		start := date(r, "START-DATE")
		switch {
		case eventOf(id) != c.event:
		case c.out && near(start, c.at) && slices.Contains([]string{fmt.Sprintf("0x%X", c.section), fmt.Sprintf("0x%X", c.first)}, r["SCTE35-OUT"]):
			return true
		case !c.out && r["SCTE35-IN"] == fmt.Sprintf("0x%X", c.section):
			return begun.IsZero() || near(rangeEnd(r), c.at)
		}
	}
	return false
}

// rangeEnd returns when a range ends, zero if it is open.
func rangeEnd(r map[string]string) time.Time {
	if r["END-DATE"] != "" {
		return date(r, "END-DATE")
	}
	if d, err := inSeconds(r["DURATION"]); err == nil {
		return date(r, "START-DATE").Add(d)
	}
	return time.Time{}
}

// rangesLeave: what is over before the first segment is not listed, and all else that was
// listed before is, unless so many came since that it is let go.
func rangesLeave(s *sighting) string {
	if len(s.p.segments) == 0 {
		return ""
	}
	from := s.p.segments[0].programTime
	for _, listed := range s.p.segments {
		from = minTime(from, listed.programTime) // where the broadcaster's clock was set back
	}
	now := rangesOf(s.p)
	for id, r := range now {
		if end := rangeEnd(r); !end.IsZero() && end.Before(from.Add(-cueSlack)) {
			return fmt.Sprintf("%s ended at %v", id, end.UTC())
		}
	}
	if s.last == nil || s.away || s.restarted {
		return ""
	}
	for id, r := range rangesOf(s.last) {
		end := rangeEnd(r)
		over := !end.IsZero() && !end.After(from.Add(cueSlack))
		if now[id] == nil && !over && (end.IsZero() || s.eventsSince(eventOf(id)) < manyEvents) {
			return id + " was listed, and is not over"
		}
	}
	return ""
}

// manyEvents is how many events there must have been for the end of a break to be let go:
// 256 ranges are kept, of which an event has two if its end was seen first.
const manyEvents = 128

// eventsSince counts the events that were published after one.
func (b *broadcast) eventsSince(event uint32) int {
	later := make(map[uint32]bool)
	for _, shot := range b.order {
		for _, c := range shot.cues {
			if c.event > event {
				later[c.event] = true
			}
		}
	}
	return len(later)
}
