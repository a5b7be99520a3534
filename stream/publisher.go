package stream

import (
	"errors"
	"fmt"
	"time"
)

// Publisher numbers, splits, hashes and signs the parts of one rendition for one
// epoch. It is not safe for concurrent use.
type Publisher struct {
	key       Key
	rendition string
	next      Position
	inSegment bool
	ended     bool
	clock     time.Time // programme time of the next part, zero before the first
	sealer    *Sealer   // nil to publish plain parts
}

// NewPublisher returns a publisher whose first part is segment 0, part 0. The epoch
// must be larger than that of every earlier run with this key.
func NewPublisher(key Key, rendition string, epoch uint64) (*Publisher, error) {
	if !ValidRendition(rendition) {
		return nil, fmt.Errorf("rendition %q: want 1 to %d of a-z, 0-9 and -", rendition, MaxRenditionName)
	}
	return &Publisher{key: key, rendition: rendition, next: Position{Epoch: epoch}}, nil
}

// Seal has all further parts sealed, and their headers without names of tracks.
func (p *Publisher) Seal(s *Sealer) { p.sealer = s }

var errEnded = errors.New("the stream has ended")

// Publish signs the next part. Its chunks share part.Data, unless they are sealed. A segment that is open may be
// given up for the next, which then is a discontinuity: it stays without its last part, and
// so is never listed.
func (p *Publisher) Publish(part Part) (*SignedHeader, []Chunk, error) {
	switch {
	case p.ended:
		return nil, nil, errEnded
	case part.StartsSegment == p.inSegment && !(part.StartsSegment && part.Discontinuity):
		return nil, nil, fmt.Errorf("part after %v: starts a segment: %t, inside one: %t", p.next, part.StartsSegment, p.inSegment)
	}
	position := p.next
	if part.StartsSegment && p.inSegment {
		position.Segment, position.Part = position.Segment+1, 0
	}
	if part.StartsSegment {
		position.Segment += part.Absent
	}
	clock := p.clock
	if !part.ProgramTime.IsZero() {
		clock = part.ProgramTime
	} else if clock.IsZero() {
		clock = time.Now().Add(-part.Duration)
	}
	data, period := part.Data, uint64(0)
	if p.sealer != nil {
		var err error
		if data, period, err = p.sealer.seal(p.rendition, position, data); err != nil {
			return nil, nil, err
		}
	}
	chunkSize := ChunkSizeFor(len(data))
	chunks, hashes := split(data, chunkSize)
	h := Header{
		Rendition:     p.rendition,
		Position:      position,
		Independent:   part.Independent,
		Last:          part.EndsSegment,
		Discontinuity: part.Discontinuity,
		Duration:      part.Duration.Truncate(time.Microsecond),
		ProgramTime:   clock.Truncate(time.Microsecond),
		Size:          len(data),
		ChunkSize:     chunkSize,
		Chunks:        hashes,
		Period:        period,
	}
	if part.StartsSegment {
		media := part.Media
		if p.sealer != nil {
			media.Name = "" // often a title of the encoder's or a file's: headers are plain to all
		}
		h.Media = &media
	}
	signed, err := p.key.sign(h)
	if err != nil {
		return nil, nil, fmt.Errorf("sign part %v: %w", position, err)
	}
	out := make([]Chunk, len(chunks))
	for i, data := range chunks {
		out[i] = Chunk{signed, i, data}
	}
	p.clock, p.next = clock.Add(part.Duration), position
	if p.inSegment = !part.EndsSegment; p.inSegment {
		p.next.Part++
	} else {
		p.next.Segment, p.next.Part = p.next.Segment+1, 0
	}
	return signed, out, nil
}

// End signs the header that says that nothing follows in this epoch. A segment
// that was cut short stays without its last part, and so is never listed.
func (p *Publisher) End() (*SignedHeader, error) {
	if p.ended {
		return nil, errEnded
	}
	p.ended = true
	if p.inSegment {
		p.next.Segment, p.next.Part = p.next.Segment+1, 0
	}
	if p.clock.IsZero() {
		p.clock = time.Now() // ended before it began
	}
	return p.key.sign(Header{
		Rendition:   p.rendition,
		Position:    p.next,
		End:         true,
		ProgramTime: p.clock.Truncate(time.Microsecond),
	})
}
