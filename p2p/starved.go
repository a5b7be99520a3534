package p2p

import "time"

// starvedMost is how long this node may hear nothing new until it seeks peers as seldom as
// before: the broadcaster may be gone for good, and nobody has more.
const starvedMost = 10 * time.Minute

// stepStarved tells the dialer whether nothing new comes.
func (r *repair) stepStarved(now time.Time) {
	if r.began.IsZero() {
		r.began = now
	}
	starved := r.starved(now)
	if was := r.s.starved.Swap(starved); starved && !was {
		r.s.dialer.wake()
	}
}

// starved reports whether there should have been news for a while, and was none, nor for too long
// to seek peers for it.
func (r *repair) starved(now time.Time) bool {
	quiet, overdue := r.quiet(now)
	return overdue && quiet < starvedMost
}

// silent reports whether there should have been news, and was none.
func (r *repair) silent(now time.Time) bool {
	_, overdue := r.quiet(now)
	return overdue
}

// quiet returns for how long there has been no news, and whether that is too long.
func (r *repair) quiet(now time.Time) (quiet time.Duration, overdue bool) {
	if r.s.publishing() {
		return 0, false
	}
	since, part, ended := r.began, time.Duration(0), false
	for _, t := range r.s.Timelines() {
		if newest := t.Newest(); newest != nil {
			since, part, ended = r.lastHeader, max(part, newest.Duration), ended || newest.End
		}
	}
	quiet = now.Sub(since)
	return quiet, !ended && quiet > stallAfter+part
}

// revived notes that something of the stream comes. After a silence, in which timelines were asked for
// in vain and more and more rarely, there are headers to be had again: without those of what was
// missed, chunks can neither be verified nor acknowledged. As anybody can send chunks that cannot
// be verified, they do so once in a silence.
func (r *repair) revived(now time.Time) {
	if soon := now.Add(timelineEvery); r.silent(now) && !r.roused && soon.Before(r.nextTimeline) {
		r.interval, r.nextTimeline, r.roused = timelineEvery, soon, true
	}
}
