package origin

import (
	"slices"

	"github.com/grapevine-live/grapevine/stream/ingest"
)

// Stats is what a [Rendition] has seen and done so far.
type Stats struct {
	Input    ingest.Stats // of the segments
	Reloads  uint64       // of the playlist, that worked
	Retries  uint64       // of playlists and segments
	Lost     uint64       // segments that were gone from the playlist before they were fetched
	LeftOut  uint64       // segments that are missing at the origin, or no good
	Restarts uint64       // of the origin
	Silent   uint64       // segments that have not all of their sound
}

// Stats returns a copy of the figures. It may be called at any time.
func (r *Rendition) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	if r.out != nil {
		s.Input = r.out.Stats()
	}
	return s
}

// note changes the figures, and brings those of the sequence up to date.
func (r *Rendition) note(f func(*Stats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.stats)
	r.stats.Lost, r.stats.Restarts = r.seq.lost, r.seq.restarts
	if r.out != nil {
		r.stats.Silent = r.out.missing()
	}
}

// Stats returns the figures of all renditions together, and of the input those of the best.
func (o *Origin) Stats() Stats {
	var sum Stats
	all := slices.Clone(o.renditions)
	for _, s := range o.sounds {
		all = append(all, s.Rendition)
	}
	for _, c := range o.captions {
		all = append(all, c.Rendition)
	}
	for i, r := range all {
		s := r.Stats()
		if i == 0 {
			sum.Input = s.Input
			sum.Input.Bytes = 0
		}
		sum.Silent += s.Silent
		sum.Input.Bytes += s.Input.Bytes
		sum.Reloads += s.Reloads
		sum.Retries += s.Retries
		sum.Lost += s.Lost
		sum.LeftOut += s.LeftOut
		sum.Restarts += s.Restarts
	}
	for _, a := range o.asides {
		s := a.Stats()
		sum.Input.AbsentSegments += s.AbsentSegments
		sum.Input.PartBytes += s.PartBytes
		sum.Input.SkippedFrames += s.SkippedFrames
	}
	for _, c := range o.captions {
		s := c.Captions.Stats()
		sum.Input.LostCues += s.LostCues
		sum.Input.PartBytes += s.PartBytes
	}
	return sum
}
