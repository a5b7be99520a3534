package ingest

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/asticode/go-astits"

	"github.com/grapevine-live/grapevine/stream/transport"
)

const (
	// maxDataStreams bounds the streams of data that are published.
	maxDataStreams = 4
	// maxMessages and maxMessageBytes bound the messages that wait for the frames that they
	// belong to. Encoders send metadata with those, and cues some seconds before.
	maxMessages     = 256
	maxMessageBytes = 1 << 20
	// maxMessage bounds one: the 16-bit length of a PES packet allows no more.
	maxMessage = 65000
	// maxApart is how far a message's time may be from that of the frames around it before
	// it belongs to another time line.
	maxApart = 10 * second
)

// dataStream is an elementary stream of timed metadata or cues.
type dataStream struct {
	pid  uint16 // in the input
	kind transport.DataKind
	out  uint16 // PID in the output

	messages uint64 // published
}

// dataMessage is an ID3 tag, or a part of one, or a splice_info_section.
type dataMessage struct {
	stream  *dataStream
	data    []byte
	pts     int64 // of ID3: 33 bits, input time
	aligned bool  // a tag begins here
}

// dataStreams returns the streams of a PMT that carry data, and what was left out.
func dataStreams(pmt *astits.PMTData) (streams []*dataStream, ignored []string) {
	for _, es := range pmt.ElementaryStreams {
		switch kind := transport.DataOf(pmt, es); {
		case kind == transport.NoData:
		case len(streams) == maxDataStreams:
			ignored = append(ignored, "another "+kind.String())
		default:
			streams = append(streams, &dataStream{pid: es.ElementaryPID, kind: kind})
		}
	}
	return streams, ignored
}

// dataMessages are the data streams and what of them waits to be written.
type dataMessages struct {
	streams []*dataStream
	queue   []dataMessage
	size    int    // bytes in queue
	shared  uint64 // number of the next message of the base
	joined  bool   // the base was asked for some
	from    int64  // where the first segment begins, output time
}

// setData begins a new set of data streams, in the segment that is open, too.
func (c *cutter) setData(streams []*dataStream) {
	same := slices.EqualFunc(streams, c.data.streams, func(a, b *dataStream) bool { return a.kind == b.kind })
	for i, s := range streams {
		if same {
			s.messages = c.data.streams[i].messages
		}
	}
	for i := range c.data.queue { // what waits goes on in the stream that takes its place
		old := slices.Index(c.data.streams, c.data.queue[i].stream)
		if same && old >= 0 {
			c.data.queue[i].stream = streams[old]
		}
	}
	c.data.streams = streams
	if !same {
		c.dropMessages()
		c.log.Info("input data", "published", len(streams))
	}
	if c.base.leads() {
		if !same {
			c.base.setData(streams)
		}
		return
	}
	c.mux.setData(streams, !same)
	c.needTables = c.needTables || c.open && !same
}

// message takes one message. It is written with the leader's next frame, or with the one
// that is shown when the message is.
func (c *cutter) message(m dataMessage) {
	if len(m.data) > maxMessage || len(c.data.queue) == maxMessages || c.data.size+len(m.data) > maxMessageBytes {
		c.stats.LeftOutMessages++
		return
	}
	m.data = bytes.Clone(m.data)
	c.data.queue = append(c.data.queue, m)
	c.data.size += len(m.data)
}

// writeMessages writes the messages whose time is before end, in output time, and all that
// have none. Frames that were written reach to end.
func (c *cutter) writeMessages(end int64) error {
	if c.base.follows() {
		c.takeShared(end)
	}
	return c.flushMessages(end)
}

// flushMessages does so with what waits.
func (c *cutter) flushMessages(end int64) error {
	if len(c.data.queue) == 0 || !c.open {
		return nil
	}
	ref := min(end, max(c.ended, c.partStart)) - c.offset
	waiting := c.data.queue[:0]
	c.data.size = 0
	for _, m := range c.data.queue {
		at := unwrap(ref, m.pts)
		timed := m.stream.kind == transport.TimedID3
		room := len(c.buf)+len(m.data)+len(m.data)/16+8*packetSize <= maxPart
		switch {
		case timed && abs(at-ref) > maxApart:
			c.stats.LeftOutMessages++
		case timed && at+c.offset >= end, !room:
			waiting = append(waiting, m)
			c.data.size += len(m.data)
		default:
			if err := c.writeMessage(m, at+c.offset); err != nil {
				return err
			}
		}
	}
	clear(c.data.queue[len(waiting):])
	c.data.queue = waiting
	return nil
}

func (c *cutter) writeMessage(m dataMessage, pts int64) error {
	m.stream.messages++
	if m.stream.kind == transport.Splices {
		transport.ShiftSplice(m.data, c.offset)
	}
	if c.base.leads() {
		if m.stream.kind == transport.Splices {
			pts = c.leader.last + c.lead
		}
		c.base.share(sharedMessage{stream: slices.Index(c.data.streams, m.stream), data: m.data, aligned: m.aligned, at: pts})
		return nil
	}
	if err := c.writeTables(); err != nil {
		return err
	}
	if m.stream.kind == transport.Splices {
		c.buf = c.mux.section(c.buf, m.stream.out, m.data)
		return nil
	}
	var err error
	if c.buf, err = c.mux.metadata(c.buf, m, pts); err != nil {
		return fmt.Errorf("write metadata: %w", err)
	}
	return nil
}

// endMessages writes what waits: no frame follows on this time line.
func (c *cutter) endMessages() error { return c.flushMessages(math.MaxInt64) }

// dropMessages leaves out what waits: its time line is over.
func (c *cutter) dropMessages() {
	c.stats.LeftOutMessages += uint64(len(c.data.queue))
	c.data.queue, c.data.size = nil, 0
}
