package hls

import (
	"math"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// windowBefore segments, and after them windowAhead seconds, or startSegments if that
	// is more, are what a live playlist lists unless told otherwise; the package
	// documentation says why.
	windowBefore = 2
	windowAhead  = 4
	// MinWindow and MaxWindow bound it. Below three a player that starts three
	// segments back has none to start with, and VLC never starts in a window of one.
	MinWindow, MaxWindow = 3, 64

	// minTargets is how many target durations stay in the playlist when a segment
	// is removed (RFC 8216, section 6.2.2).
	minTargets = 3
	// maxStretch bounds how many times its size a window may reach to keep
	// minTargets: enough for one long segment among short ones.
	maxStretch = 4
	// targetHeadroom is how much longer than the longest segment known at the first
	// listing a later one may be, before rounding adds its own half second.
	targetHeadroom = 1.1
)

// key names a segment of a rendition.
type key struct{ epoch, number uint64 }

func (k key) less(o key) bool {
	return k.epoch < o.epoch || k.epoch == o.epoch && k.number < o.number
}

// entry is a segment in a playlist.
type entry struct {
	key
	sequence      uint64 // media sequence number
	discontinuity bool   // marked before it
	duration      time.Duration
	programTime   time.Time
	media         stream.Media
	body          *body

	// In a low-latency playlist.
	name  string
	init  piece
	parts []llPart

	// In a playlist that rewinds, which has no bodies.
	headers []*stream.SignedHeader
	size    int64 // bytes
}

// window is what a media playlist lists. It decides nothing about what comes next;
// edge does.
type window struct {
	size          int    // segments, when they are all equally long
	target        int    // EXT-X-TARGETDURATION, seconds; 0 before start
	sequence      uint64 // of the next segment
	discontinuity uint64 // EXT-X-DISCONTINUITY-SEQUENCE
	entries       []*entry
	longest       time.Duration // the longest the playlist has been
	ended         bool
	left          bool   // ended though the stream goes on, see leave
	listed        uint64 // segments since the start
	raised        int    // times that target had to be raised
	peak          int    // bits per second of the densest segment so far
}

// epoch0 is where media sequence numbers count from. Seconds since then fit players'
// 31 bits until 2088.
var epoch0 = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// windowFor returns how many segments a live playlist of a target duration, in seconds,
// lists unless told otherwise.
func windowFor(target int) int {
	return windowBefore + max(startSegments, (windowAhead+target-1)/target)
}

// start numbers the first segment and fixes the target duration for segments of at
// most longest, or as others', of renditions of the same stream; 0 for none.
func (w *window) start(longest time.Duration, others int, now time.Time) {
	w.sequence = uint64(max(0, now.Sub(epoch0)/time.Second))
	w.target = targetFor(longest)
	if others > 0 {
		w.target = others
	}
}

// targetFor returns the target duration, in seconds, for segments of at most longest.
func targetFor(longest time.Duration) int {
	return max(1, rounded(time.Duration(float64(longest)*targetHeadroom)))
}

// rounded is d in seconds, to the nearest (RFC 8216, section 4.3.3.1).
func rounded(d time.Duration) int { return int(math.Round(d.Seconds())) }

// add lists e as the newest segment and returns those that slid out.
func (w *window) add(e *entry) (removed []*entry) {
	w.ended, w.left = false, false
	if len(w.entries) == 0 {
		e.discontinuity = false // nothing is before it
	}
	if r := rounded(e.duration); r > w.target {
		w.target = r
		w.raised++
	}
	e.sequence = w.sequence
	w.sequence++
	w.listed++
	w.entries = append(w.entries, e)
	w.peak = max(w.peak, bitrate(e.body.size, e.duration))

	n := 0
	total := w.duration()
	for len(w.entries)-n > w.size {
		first := w.entries[n]
		short := total-first.duration < minTargets*w.targetDuration()
		if short && len(w.entries)-n <= w.size*maxStretch {
			break
		}
		if first.discontinuity {
			w.discontinuity++
		}
		total -= first.duration
		n++
	}
	w.longest = max(w.longest, total)
	removed = w.entries[:n:n]
	// A new array: views hold the old one.
	w.entries = append([]*entry(nil), w.entries[n:]...)
	return removed
}

// leave ends what is listed while the stream goes on without, or takes that back, and reports
// whether that is news.
func (w *window) leave(over bool) (changed bool) {
	switch {
	case over && !w.ended && len(w.entries) > 0:
		w.ended, w.left = true, true
	case !over && w.left:
		w.ended, w.left = false, false
	default:
		return false
	}
	return true
}

// discontinuityAt returns the discontinuity sequence number of a segment that is listed,
// or else of the next one that is, or else of the last.
func (w *window) discontinuityAt(k key) (n uint64, ok bool) {
	n = w.discontinuity
	for _, e := range w.entries {
		if e.discontinuity {
			n++
		}
		if !e.less(k) {
			break
		}
	}
	return n, len(w.entries) > 0
}

// discontinuityBefore returns the discontinuity sequence number of what precedes a segment.
func (w *window) discontinuityBefore(k key) uint64 {
	if k.number > 0 && len(w.entries) > 0 {
		if before := (key{k.epoch, k.number - 1}); !before.less(w.entries[0].key) {
			n, _ := w.discontinuityAt(before)
			return n
		}
	}
	n := w.discontinuity
	for _, e := range w.entries {
		if e.less(k) && e.discontinuity {
			n++
		}
	}
	return n
}

// marks is the discontinuity sequence number of the last segment.
func (w *window) marks() uint64 {
	n := w.discontinuity
	for _, e := range w.entries {
		if e.discontinuity {
			n++
		}
	}
	return n
}

// duration is how much is listed.
func (w *window) duration() time.Duration {
	var d time.Duration
	for _, e := range w.entries {
		d += e.duration
	}
	return d
}

func (w *window) targetDuration() time.Duration { return time.Duration(w.target) * time.Second }

// average is the bits per second of what is listed.
func (w *window) average() int {
	var size int64
	for _, e := range w.entries {
		size += e.body.size
	}
	return bitrate(size, w.duration())
}

// bitrate returns bits per second, rounded up.
func bitrate(size int64, d time.Duration) int {
	if d <= 0 {
		return 0
	}
	return int(math.Ceil(float64(size) * 8 / d.Seconds()))
}
