//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// sighting is how many pictures a player had shown at a time.
type sighting struct {
	at     time.Time
	frames int
}

const (
	// enoughFrames is the share of the stream's pictures that a player must show.
	enoughFrames = 0.8
	// gapSlack is how much longer than usual a player may go without a new
	// picture: they are asked every 250 ms, and share two cores.
	gapSlack = 750 * time.Millisecond
)

// verdict is how a player did.
type verdict struct {
	ok     bool
	usual  time.Duration // the longest time without a new picture that is nothing odd
	stall  time.Duration // and the longest that there was
	shown  int           // pictures, in all that time
	text   string
	every  int    // the pictures, if none is missing between the first and the last
	cannot string // why it was to show nothing, if it was
	mute   string // why it was to play no sound, if it was
	why    error  // what the player said if it is not ok
}

// judge looks at what was seen of a player that was calm from a time until the fault. It
// is ok if it has shown pictures for the last [goesOn] as it did before.
func judge(seen []sighting, calm, fault, now time.Time) verdict {
	usual, _ := longestGap(seen, calm, fault)
	return judgeSince(seen, usual, frameRate, fault, now)
}

// judgeSince looks at what was seen of a player since a time. It is ok if it has shown
// pictures for the last [goesOn], of which the stream has rate a second, and none came
// later than usual.
func judgeSince(seen []sighting, usual time.Duration, rate float64, from, now time.Time) verdict {
	v := verdict{usual: usual}
	v.stall, v.shown = longestGap(seen, from, now)
	gap, frames := longestGap(seen, now.Add(-goesOn), now)
	// What comes in bursts may have been seen just before, and be due just after.
	want := int((goesOn - usual).Seconds() * rate * enoughFrames)
	switch {
	case v.shown == 0:
		v.text = "no new picture"
	case frames == 0:
		v.text = fmt.Sprintf("it stopped after %d pictures", v.shown)
	case gap > v.usual+gapSlack:
		v.text = fmt.Sprintf("it still stalls, %.1f s in the last %.0f s", gap.Seconds(), goesOn.Seconds())
	case frames < want:
		v.text = fmt.Sprintf("only %d pictures in the last %.0f s, want %d", frames, goesOn.Seconds(), want)
	default:
		v.ok = true
	}
	return v
}

// judged judges a player that has played for a while.
func (p *player) judged(stream pictures, from, now time.Time) verdict {
	if p.cannot != "" {
		return p.judgedSilent()
	}
	v := judgeSince(p.seen, max(p.usual, stream.pause), stream.rate, from, now)
	v.mute = p.mute
	if p.heard != nil && v.ok {
		switch sounds := p.heard.Load() > 0; {
		case !sounds && p.mute == "":
			v.ok, v.text = false, "it plays no sound"
		case sounds && p.mute != "":
			v.ok, v.text = false, "it plays sound, and was not to: "+p.mute
		}
	}
	if !v.ok {
		v.why = errors.Join(errors.New(v.text), p.trouble())
	}
	return v
}

// judgedSilent judges a player that cannot play what it was given: it must show nothing,
// and say so.
func (p *player) judgedSilent() verdict {
	v := verdict{cannot: p.cannot}
	refusal := p.refusal()
	switch n := len(p.seen); {
	case n > 0 && p.seen[n-1].frames > 0:
		v.text = fmt.Sprintf("it has shown %d pictures, and was to show none: %s", p.seen[n-1].frames, p.cannot)
	case refusal == "":
		v.text = fmt.Sprintf("it shows nothing, as it must, but does not say so: %s", p.cannot)
	default:
		v.ok, v.text = true, refusal
	}
	return v
}

// longestGap returns the longest time within which no new picture was seen, and how many
// pictures there were in all.
func longestGap(seen []sighting, from, to time.Time) (gap time.Duration, frames int) {
	var last *sighting
	moved := from
	for i := range seen {
		s := &seen[i]
		if s.at.Before(from) || s.at.After(to) {
			continue
		}
		if last != nil && s.frames != last.frames {
			frames += s.frames - last.frames
			gap = max(gap, s.at.Sub(moved))
			moved = s.at
		}
		last = s
	}
	return max(gap, to.Sub(moved)), frames
}

// stalled reports whether it could be seen.
func (v verdict) stalled() bool { return v.stall > v.usual+gapSlack }

func (v verdict) short() string {
	switch {
	case !v.ok:
		return "FAILED"
	case v.cannot != "":
		return v.cannot
	case v.every > 0:
		return fmt.Sprintf("all %d", v.every)
	}
	cell := "ok"
	if v.stalled() {
		cell += fmt.Sprintf(" %.1f s", v.stall.Seconds())
	}
	if v.mute != "" {
		cell += ", no sound"
	}
	return cell
}

func (v verdict) String() string {
	gaps := fmt.Sprintf("(%d pictures, longest time without a new one %.1f s, usual %.1f s)", v.shown, v.stall.Seconds(), v.usual.Seconds())
	switch {
	case !v.ok && v.why != nil:
		return "FAILED: " + strings.ReplaceAll(v.why.Error(), "\n", "; ")
	case !v.ok:
		return "FAILED: " + v.text
	case v.cannot != "":
		return fmt.Sprintf("shows nothing, as it must: %s (%s)", v.cannot, v.text)
	case v.every > 0:
		return fmt.Sprintf("ok, all %d pictures from its first to its last, %s", v.every, v.text)
	}
	text := "ok, no stall "
	if v.stalled() {
		text = fmt.Sprintf("ok, stalled for %.1f s ", v.stall.Seconds())
	}
	if text += gaps; v.mute != "" {
		text += ", without sound, as it must: " + v.mute
	}
	return text
}

// writeSeen writes what was seen of a player, in seconds since the fault and pictures.
func writeSeen(file string, seen []sighting, fault time.Time) error {
	var b strings.Builder
	for _, s := range seen {
		fmt.Fprintf(&b, "%.2f %d\n", s.at.Sub(fault).Seconds(), s.frames)
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}
