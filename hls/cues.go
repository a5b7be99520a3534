package hls

import (
	"log/slog"

	"github.com/grapevine-live/grapevine/hls/cue"
	"github.com/grapevine-live/grapevine/stream"
)

// cues is what one playlist's follower reads of the stream's cues, in the parts that it has.
type cues struct {
	ranges  *cue.Ranges // all renditions' and playlists'
	scanner cue.Scanner
	log     *slog.Logger
	lost    int // sections, logged
	dropped int // ranges, logged
}

func newCues(log *slog.Logger) cues { return cues{ranges: &cue.Ranges{}, log: log} }

// part reads a part, in order.
func (c *cues) part(h *stream.SignedHeader, chunks [][]byte) {
	c.ranges.Add(c.scanner.Scan(cue.Part{
		Chunks:        chunks,
		Epoch:         h.Epoch,
		StartsSegment: h.Part == 0,
		ProgramTime:   h.ProgramTime,
	}))
	if n := c.scanner.Lost(); n > c.lost {
		c.log.Debug("cues that cannot be read", "count", n-c.lost)
		c.lost = n
	}
	if n := c.ranges.Dropped(); n > c.dropped {
		c.log.Debug("more cues than are kept, the oldest are let go", "count", n-c.dropped)
		c.dropped = n
	}
}

// segment reads a segment that is whole.
func (c *cues) segment(headers []*stream.SignedHeader, parts [][][]byte) {
	for i, h := range headers {
		c.part(h, parts[i])
	}
}

// past reads a segment that is not the next: of what is rewound to.
func (c *cues) past(headers []*stream.SignedHeader, parts [][][]byte) {
	once := cues{ranges: c.ranges, log: c.log}
	once.segment(headers, parts)
}

// since returns the date ranges of a playlist: those that are not over before all of it.
func (c *cues) since(entries []*entry) []cue.Range {
	if len(entries) == 0 {
		return nil
	}
	from := entries[0].programTime
	for _, e := range entries {
		if e.programTime.Before(from) { // the broadcaster's clock was set back
			from = e.programTime
		}
	}
	return c.ranges.Since(from)
}
