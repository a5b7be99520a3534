package transcode

import (
	"time"

	"github.com/grapevine-live/grapevine/stream/ingest"
)

// Stats is what a [Ladder] has seen and done so far.
type Stats struct {
	Input      ingest.Stats
	Renditions []RenditionStats // none before the input's picture is known

	// Restarts counts ffmpegs that died, Lost is how much of the input was meanwhile left
	// out, at least: what ffmpeg took with it is not known.
	Restarts uint64
	Lost     time.Duration

	// Waiting is how much of the input ffmpeg has not taken yet, Speed how many seconds
	// of it ffmpeg took a second of late, 0 if that is not known yet.
	Waiting time.Duration
	Speed   float64
	// Behind says that ffmpeg is too slow for the input now, BehindTimes how often it
	// became so.
	Behind      bool
	BehindTimes uint64
}

// RenditionStats is one rendition of a ladder.
type RenditionStats struct {
	Rendition
	Ingest ingest.Stats
}

// Stats returns a copy of the figures. It may be called at any time.
func (l *Ladder) Stats() Stats {
	s := Stats{Input: l.input.Stats()}
	l.mu.Lock()
	s.Restarts, s.Lost = l.restarts, l.lost
	for _, r := range l.renditions {
		s.Renditions = append(s.Renditions, RenditionStats{r.Rendition, r.ingest.Stats()})
	}
	l.mu.Unlock()
	q := l.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	s.Waiting, s.Speed, s.Behind, s.BehindTimes = q.waiting, q.speed, q.behind, q.times
	return s
}

// restart counts an ffmpeg that died.
func (l *Ladder) restart() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.restarts++
}

// lose counts what is left out of the input.
func (l *Ladder) lose(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost += d
}
