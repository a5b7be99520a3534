package hls

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// carryFor is how long after its last request a rendition is still carried: players
// that switch down and up again, or pause, find it there.
const carryFor = time.Minute

// demand is which of a stream's renditions players fetch, and has the node carry those
// and no others. It is safe for concurrent use.
type demand struct {
	carry func(names []string) error // nil if the node carries all
	log   *slog.Logger
	tells sync.Mutex // one at a time tells the node

	mu    sync.Mutex // guards all following
	asked map[string]time.Time
	told  []string // what the node was told to carry; nil if nothing yet, or in vain
	vain  bool     // it was in vain last, which was logged
}

func newDemand(carry func([]string) error, log *slog.Logger) *demand {
	return &demand{carry: carry, log: log, asked: make(map[string]time.Time)}
}

// ask notes that a player fetches a rendition.
func (d *demand) ask(name string, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked[name] = now
}

// wanted returns the names of the renditions to be carried: those that were asked for a
// short while ago; of the main ones the one that was asked for last if none was; the best
// if none ever was, so that the first player starts at once and others are helped meanwhile.
// Those that are gone are nobody's choice, and serve only who asks for them.
func (d *demand) wanted(timelines []*stream.Timeline, gone []string, now time.Time) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	var mains []*stream.Timeline
	played, last := false, ""
	for _, t := range timelines {
		name := t.Rendition()
		at, ok := d.asked[name]
		main := kindOf(t) == stream.KindMain && !slices.Contains(gone, name)
		if main {
			mains = append(mains, t)
		}
		switch {
		case d.carry == nil, ok && now.Sub(at) < carryFor:
			names = append(names, name)
			played = played || main
		case ok && main && (last == "" || at.After(d.asked[last])):
			last = name
		}
	}
	switch {
	case played || len(mains) == 0:
		return names
	case last != "":
		return append(names, last)
	default:
		return append(names, slices.MaxFunc(mains, betterTimeline).Rendition())
	}
}

// changed reports whether the node has to be told of names.
func (d *demand) changed(names []string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.carry == nil || len(names) == 0 || slices.Equal(d.told, names) {
		return false
	}
	d.told = names
	return true
}

// tell tells the node what to carry, which may take a second.
func (d *demand) tell() {
	d.tells.Lock()
	defer d.tells.Unlock()
	d.mu.Lock()
	names := d.told
	d.mu.Unlock()
	if names == nil {
		return
	}
	err := d.carry(names)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil && !d.vain {
		d.log.Warn("renditions not changed, trying on", "renditions", names, "err", err)
	}
	if d.vain = err != nil; d.vain {
		d.told = nil // the next look tries again
	}
}

// betterTimeline compares renditions by what their newest part shows.
func betterTimeline(a, b *stream.Timeline) int { return better(describe(a), describe(b)) }

// better compares renditions by the size of the picture, then by the bits.
func better(a, b variant) int {
	return cmp.Or(
		cmp.Compare(a.media.Width*a.media.Height, b.media.Width*b.media.Height),
		cmp.Compare(a.average, b.average),
		cmp.Compare(b.rendition, a.rendition),
	)
}

// describeSegments is how many segments describe a rendition.
const describeSegments = 6

// describe says of a rendition that is not carried what the headers of its last whole
// segments say.
func describe(t *stream.Timeline) variant {
	v := variant{rendition: t.Rendition()}
	var size int64
	var d time.Duration
	for _, s := range lastWhole(t, describeSegments) {
		v.media = *s.Headers[0].Media
		v.peak = max(v.peak, bitrate(s.Size(), s.Duration()))
		size += s.Size()
		d += s.Duration()
	}
	v.average = bitrate(size, d)
	return v
}

// kindOf returns what a rendition is of, by the newest segment whose first header is known.
// It is a main one until there is one.
func kindOf(t *stream.Timeline) stream.Kind {
	for _, h := range slices.Backward(t.Recent(describeSegments)) {
		if h.Media != nil {
			return h.Media.Kind
		}
	}
	return stream.KindMain
}

// lastWhole returns the last n segments of which all headers are known, however far back
// they are: players read which renditions there are once, and headers may be late.
func lastWhole(t *stream.Timeline, n int) []stream.Segment {
	for among := n + 1; ; among *= 2 { // the newest may be growing
		recent := t.Recent(among)
		if len(recent) == 0 {
			return nil
		}
		whole := slices.DeleteFunc(t.Segments(recent[0].Position), func(s stream.Segment) bool { return !s.Complete })
		if len(whole) >= n || len(recent) >= t.Len() {
			return whole[max(0, len(whole)-n):]
		}
	}
}
