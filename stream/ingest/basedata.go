package ingest

import (
	"slices"

	"github.com/grapevine-live/grapevine/stream/transport"
)

const (
	// maxShared bounds the messages that wait for what is encoded, and maxSharedBytes their
	// bytes: an encoder is some seconds behind its input.
	maxShared      = 1024
	maxSharedBytes = 4 << 20
)

// sharedData is the messages of an ingest whose output is encoded again, for the ingests of
// that: encoders leave them out.
type sharedData struct {
	kinds []transport.DataKind
	queue []sharedMessage
	next  uint64 // number of the next message
	size  int    // bytes in queue
}

// sharedMessage is a message whose times are output times.
type sharedMessage struct {
	number  uint64
	stream  int // of kinds
	data    []byte
	aligned bool
	at      int64 // when it is due, which for ID3 is when it is shown
}

// leads reports whether what the ingest makes is encoded again.
func (b *Base) leads() bool { return b != nil && b.kind == leading }

// follows reports whether its input was made of what another ingest made.
func (b *Base) follows() bool { return b != nil && b.kind == encoded }

// setData says which data streams there are, for what is encoded.
func (b *Base) setData(streams []*dataStream) {
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	d := &b.line.data
	d.kinds, d.queue, d.size = nil, nil, 0
	for _, s := range streams {
		d.kinds = append(d.kinds, s.kind)
	}
}

// share hands a message to what is encoded. The oldest are let go, taken or not.
func (b *Base) share(m sharedMessage) {
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	d := &b.line.data
	m.number = d.next
	d.next++
	d.queue, d.size = append(d.queue, m), d.size+len(m.data)
	for len(d.queue) > maxShared || d.size > maxSharedBytes {
		d.size -= len(d.queue[0].data)
		d.queue = d.queue[1:]
	}
}

// shared returns the messages from a number on that are due before end, and the number of
// the first that is not.
func (b *Base) shared(from uint64, end int64) (kinds []transport.DataKind, due []sharedMessage, next uint64) {
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	d := &b.line.data
	for _, m := range d.queue {
		// Those of before output time started again are over.
		if m.number >= from && m.at >= end && m.at-end <= maxApart {
			return d.kinds, due, m.number
		}
		if m.number >= from {
			due = append(due, m)
		}
	}
	return d.kinds, due, d.next
}

// missed returns how many of the messages from a number on, before another, are not in due.
func missed(from, next uint64, due []sharedMessage) uint64 { return next - from - uint64(len(due)) }

// takeShared takes the messages of the ingest that has what this one's input was made of.
func (c *cutter) takeShared(end int64) {
	kinds, due, next := c.base.shared(c.data.shared, end)
	if c.data.joined {
		c.stats.LeftOutMessages += missed(c.data.shared, next, due)
	} else {
		c.data.joined, c.data.from = true, c.segStart
	}
	c.data.shared = next
	if !slices.EqualFunc(kinds, c.data.streams, func(k transport.DataKind, s *dataStream) bool { return k == s.kind }) {
		var streams []*dataStream
		for _, k := range kinds {
			streams = append(streams, &dataStream{kind: k})
		}
		c.setData(streams)
	}
	for _, m := range due {
		s := c.data.streams[m.stream]
		switch {
		case abs(m.at-end) > maxApart:
			c.stats.LeftOutMessages++
		case s.kind == transport.TimedID3 && m.at < c.data.from:
			// It is of what was before. A cue may be of what comes.
		default:
			c.message(dataMessage{stream: s, data: m.data, pts: m.at - c.offset, aligned: m.aligned})
		}
	}
}
