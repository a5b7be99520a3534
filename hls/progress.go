package hls

import (
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// goneTargets is by how many target durations of pictures a rendition may be behind the
	// others before it is taken to be gone, and endedTargets the same once it has said that it
	// ends: a broadcaster that ends says so of each rendition, one after the other.
	goneTargets  = endTargets
	endedTargets = 1
	// settleFor is how long a rendition that is new here may seem to be behind: what a node
	// joins comes in any order.
	settleFor = 2 * time.Second
)

// progress is how far a stream's renditions have come, each compared with the pictures. It
// counts what came while this node was there, as clocks jump and nodes sleep.
type progress struct {
	pictures time.Duration // that came so far, in no less time than they last
	room     time.Duration // how many more may have come by now
	looked   time.Time
	of       map[string]reached
}

// reached is how far a rendition is.
type reached struct {
	stream.Position
	at    time.Time
	first bool          // it was there when the node first looked
	late  time.Duration // then, by programme times
	begun time.Duration // how many pictures had come when it got there
	ended bool
}

// look notes what is new.
func (p *progress) look(timelines []*stream.Timeline, now time.Time) {
	var step time.Duration
	var moved []*stream.Timeline
	for _, t := range timelines {
		newest := t.Newest()
		if newest == nil {
			continue
		}
		old, known := p.of[t.Rendition()]
		if known && newest.Position.Compare(old.Position) <= 0 {
			continue
		}
		moved = append(moved, t)
		if known && kindOf(t) == stream.KindMain {
			step = max(step, since(t, old.Position))
		}
	}
	if !p.looked.IsZero() && step > 0 {
		// What a node catches up with comes at once, one rendition before the other; what is
		// live does too, but no more than a segment.
		p.room = min(p.room+now.Sub(p.looked), targetOf(timelines))
		step = min(step, p.room)
		p.pictures, p.room = p.pictures+step, p.room-step
		p.looked = now
	} else if p.looked.IsZero() {
		p.looked = now
	}
	if p.of == nil {
		p.of = make(map[string]reached)
	}
	for _, t := range moved {
		newest := t.Newest()
		_, known := p.of[t.Rendition()]
		r := reached{Position: newest.Position, at: now, first: !known, begun: p.pictures, ended: newest.End}
		if r.first {
			r.late = latestPicture(timelines).Sub(newest.ProgramTime.Add(newest.Duration))
		}
		p.of[t.Rendition()] = r
	}
}

// since returns how much a timeline has after a position.
func since(t *stream.Timeline, at stream.Position) (d time.Duration) {
	for _, h := range t.From(at) {
		if h.Position != at {
			d += h.Duration
		}
	}
	return d
}

// latestPicture returns the programme time up to which there are pictures.
func latestPicture(timelines []*stream.Timeline) (latest time.Time) {
	for _, t := range timelines {
		if h := t.Newest(); h != nil && kindOf(t) == stream.KindMain {
			if end := h.ProgramTime.Add(h.Duration); end.After(latest) {
				latest = end
			}
		}
	}
	return latest
}

// gone returns which renditions have ended or vanished while the pictures of others go on.
func (p *progress) gone(timelines []*stream.Timeline, now time.Time) (names []string) {
	var target time.Duration // of what is listed, or would be; 0 until it is needed
	for _, t := range timelines {
		r, known := p.of[t.Rendition()]
		behind := p.pictures - r.begun
		if r.first && now.Sub(r.at) >= settleFor {
			behind += max(0, r.late)
		}
		if !known || behind <= 0 {
			continue
		}
		if target == 0 {
			target = targetOf(timelines)
		}
		if behind > goneTargets*target || r.ended && behind > endedTargets*target {
			names = append(names, t.Rendition())
		}
	}
	return names
}

// targetOf returns the target duration of a stream's newest segments.
func targetOf(timelines []*stream.Timeline) time.Duration {
	var d time.Duration
	for _, t := range timelines {
		if recent := t.Recent(describeSegments); len(recent) > 0 {
			d = max(d, longest(t.Segments(recent[0].Position)))
		}
	}
	return time.Duration(targetFor(d)) * time.Second
}

// leave has a rendition's playlists end, or go on, as it is gone or not, and reports whether
// that is news. The pictures' do not end unless the broadcaster says so: their encoder may be
// awaited, and players that have nothing else wait with them. Sound and subtitles do, as
// players that show several wait for the last of them.
func (r *rendition) leave(gone bool) (changed bool) {
	over := gone && (r.timeline.Ended() || kindOf(r.timeline) != stream.KindMain)
	if r.over.Swap(over) != over {
		signal(r.nudge)
		signal(r.ll.nudge)
	}
	return r.gone.Swap(gone) != gone
}
