package hls

import (
	"fmt"
	"time"

	"github.com/Comcast/scte35-go/pkg/scte35"

	"github.com/grapevine-live/grapevine/stream/transport/transporttest"
)

// The film has a break so often, for so long, announced so long before: some are in every
// playlist, and some are open where one begins.
const (
	cueEvery = 14 * time.Second
	cueAhead = 3 * time.Second
	cueBreak = 6 * time.Second
)

// testCue is the truth about one cue.
type testCue struct {
	out     bool
	event   uint32
	at      time.Time // when it takes place
	section []byte
	first   []byte // what announced it first, perhaps by other timestamps: a tag does not change
}

// cueSheet makes a film's cues: a break now and then, each announced twice, its end, a
// heartbeat between, and a tag each second.
type cueSheet struct {
	started time.Time // of the schedule
	rounds  int       // of schedules before
	done    int       // steps of it
	second  int64     // of the last tag
	made    []testCue // since they were taken
	last    testCue
}

// step is one cue of a round, announced after the round's beginning.
type step struct {
	after time.Duration
	out   bool
	at    time.Duration
}

var cueSteps = []step{
	{0, true, cueAhead},
	{time.Second, true, cueAhead}, // again
	{cueAhead + cueBreak - 2*time.Second, false, cueAhead + cueBreak},
	{cueEvery - time.Second, false, -1}, // a heartbeat
}

// before returns the notes before the picture of a presentation time that is live at now.
func (c *cueSheet) before(now time.Time, pts int64) (notes []transporttest.Note) {
	if c.started.IsZero() || now.Before(c.started) {
		*c = cueSheet{started: now.Truncate(cueEvery), rounds: c.rounds + c.done/len(cueSteps) + 1, made: c.made}
	}
	if s := now.Unix(); s != c.second {
		c.second = s
		notes = append(notes, transporttest.Note{PTS: pts, Tag: transporttest.Tag(fmt.Sprint("second ", s))})
	}
	for {
		round := c.started.Add(time.Duration(c.done/len(cueSteps)) * cueEvery)
		s := cueSteps[c.done%len(cueSteps)]
		due := round.Add(s.after)
		if now.Before(due) {
			return notes
		}
		c.done++
		if now.Sub(due) > time.Second {
			continue // the broadcaster's clock was set forward
		}
		if s.at < 0 {
			notes = append(notes, transporttest.Note{Section: transporttest.Section(&scte35.SpliceNull{})})
			continue
		}
		at := round.Add(s.at)
		cue := testCue{out: s.out, event: uint32(c.rounds + (c.done-1)/len(cueSteps)), at: at}
		planned := uint64(0)
		if s.out {
			planned = uint64(cueBreak/time.Second) * 90000
		}
		cue.section = transporttest.Splice(cue.event, s.out, (pts+(int64(at.Sub(now))*9+5e4)/1e5)&(1<<33-1), planned)
		cue.first = cue.section
		if c.last.event == cue.event && c.last.out == cue.out && c.last.at.Equal(cue.at) {
			cue.first = c.last.first
		}
		c.last = cue
		c.made = append(c.made, cue)
		notes = append(notes, transporttest.Note{Section: cue.section})
	}
}

// take returns the cues made since the last call.
func (c *cueSheet) take() []testCue {
	made := c.made
	c.made = nil
	return made
}
