package ingest

import "time"

// maxSilence is the longest pause in sound that is none: frames' durations are rounded.
const maxSilence = second / 5

// listener is who has a [Sound], from the past to the future. It belongs to one goroutine.
type listener struct {
	sound *Sound

	next    uint64 // number of the frame to look at; guarded by sound.mu
	located bool   // a frame was taken
	era     int    // the last one's
	until   int64  // asked for last
	asked   bool   // until is set; guarded by sound.mu
	jumped  bool   // time jumped since the last frame that was taken
}

// heardFrame is a frame whose times are relative to what was asked for.
type heardFrame struct {
	audioFrame
	format *soundFormat
}

// listen returns a listener, which must be closed.
func (s *Sound) listen() *listener {
	l := &listener{sound: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners[l] = true
	return l
}

func (l *listener) close() {
	l.sound.mu.Lock()
	defer l.sound.mu.Unlock()
	delete(l.sound.listeners, l)
	l.sound.tell()
}

// hear returns the frames that begin from one time of the pictures' to another, in 33 bits,
// and waits for them if they may come yet.
func (l *listener) hear(from, to int64) (out []heardFrame) {
	s := l.sound
	s.mu.Lock()
	defer s.mu.Unlock()
	if step := unwrap(0, from-l.until); l.asked && (step < -maxStepBack || step > maxHole) {
		l.jumped = l.located
	}
	l.until, l.asked = to, true
	defer s.tell() // there is room
	if s.arrived.IsZero() {
		s.arrived = time.Now()
		close(s.wanted)
	}
	for !l.scan(from, to, &out) && !isFull(out, to-from) && !s.ended {
		if l.await() {
			continue
		}
		if !l.jumped {
			break
		}
		l.jumped = false // the sound did not jump
	}
	return out
}

// isFull reports whether frames last so many ticks from 0 on.
func isFull(frames []heardFrame, lasts int64) bool {
	return len(frames) > 0 && frames[len(frames)-1].end >= lasts-slack
}

// formatAt returns what the first frame is that is heard from a time on, and waits for it;
// nil if there is none.
func (l *listener) formatAt(from, to int64) *soundFormat {
	before := *l
	frames := l.hear(from, to)
	l.restore(before)
	if len(frames) == 0 {
		return nil
	}
	return frames[0].format
}

// restore goes back to what l was.
func (l *listener) restore(before listener) {
	l.sound.mu.Lock()
	defer l.sound.mu.Unlock()
	*l = before
}

// await waits for news as long as there may be some, and reports whether there are. The
// sound is locked.
func (l *listener) await() bool {
	s := l.sound
	left := time.Until(s.arrived.Add(s.cfg.Patience))
	if left <= 0 {
		return false
	}
	news := s.news
	s.mu.Unlock()
	defer s.mu.Lock()
	late := time.NewTimer(left)
	defer late.Stop()
	select {
	case <-news:
		return true
	case <-late.C:
		return false
	}
}

// scan takes the frames from a time to another that are there, and reports whether nothing
// else of then can come. The sound is locked.
func (l *listener) scan(from, to int64, out *[]heardFrame) (done bool) {
	s := l.sound
	l.next = max(l.next, s.first)
	for ; l.next < s.first+uint64(len(s.frames)); l.next++ {
		f := s.frames[l.next-s.first]
		switch l.judge(f, from, to) {
		case stop:
			return true
		case hold:
			return false
		case keep:
			at := unwrap(0, f.pts-from)
			*out = append(*out, heardFrame{audioFrame{at, at + f.end - f.pts, f.data}, f.format})
			l.located, l.jumped, l.era = true, false, f.era
		}
	}
	return false
}

type judgement int

const (
	skip judgement = iota // a frame is past
	keep                  // it is now
	stop                  // it is of later
	hold                  // that depends on what follows
)

// judge decides on a frame. Sound and pictures may jump to another time line, one before the
// other.
func (l *listener) judge(f soundFrame, from, to int64) judgement {
	d := unwrap(0, f.pts-from)
	near, later := abs(d) <= maxHole, l.located && f.era != l.era
	switch {
	case l.jumped && !later && l.sound.era > f.era:
		return skip
	case l.jumped && !later && near:
		return hold
	case l.jumped && !near:
		return skip
	case later && !l.jumped && (!near || d < 0):
		if !l.caughtUp(to) {
			return stop // until the pictures jump, too
		}
		return skip
	case !near && d > 0:
		return stop
	case !near, f.end-f.pts+d <= 0, d < -maxSilence:
		return skip
	case d >= unwrap(0, to-from):
		return stop
	}
	return keep
}

// caughtUp reports whether the newest sound has reached a time.
func (l *listener) caughtUp(to int64) bool {
	d := unwrap(0, l.sound.frames[len(l.sound.frames)-1].pts-to)
	return d >= 0 && d <= maxHole
}
