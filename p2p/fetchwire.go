package p2p

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/wire"
)

// fetchProtocol is the request and response protocol for what gossip is not made
// for. A stream carries one request and its responses, each with its length as a
// varint before it, and ends.
//
//	message Request {
//	  bytes    stream    = 1;  // 32 bytes
//	  Timeline timeline  = 2;  // headers and peers wanted
//	  repeated Part parts = 3; // chunks wanted
//	  Past     past      = 4;  // what is held, and older headers, wanted
//	  bytes revocations  = 5;  // SignedRevocations, the newest that who asks knows
//	}
//	message Timeline {
//	  string rendition = 1;  // empty for all
//	  uint32 segments  = 2;  // the last so many; or, if 0, all from
//	  bytes  from      = 3;  // this position on: epoch, segment and part as varints
//	}
//	message Part {
//	  string rendition = 1;
//	  bytes  position  = 2;
//	  bytes  want      = 3;  // bitmap
//	}
//	message Past {
//	  string rendition = 1;
//	  bytes  from      = 2;  // the oldest header wanted, as a position
//	  bytes  before    = 3;  // headers before this position
//	  uint32 headers   = 4;  // at most so many, the newest first; 1024 at most, and of 1 MiB
//	}
//	message Response {         // one of
//	  bytes header      = 1;   // a SignedHeader; first SignedRevocations, where there are any and a timeline
//	                           // is wanted or revocations are told
//	  Chunk chunk       = 2;
//	  bytes peer_record = 3;   // a signed envelope with a peer that holds the stream (libp2p RFC 0003)
//	  Span  span        = 4;   // segments that are held whole; before the headers of the past, 16 at most
//	}
//	message Span {
//	  uint64 epoch = 1;
//	  uint64 first = 2;  // segment numbers
//	  uint64 last  = 3;
//	}
//	message Chunk {
//	  uint32 part  = 1;  // place in the request
//	  uint32 index = 2;
//	  bytes  data  = 3;
//	}
const fetchProtocol = "/grapevine/fetch/1"

// Bounds of the fetch protocol.
const (
	maxFetchParts    = 64
	maxRequestSize   = 32 << 10
	maxResponseSize  = stream.MaxChunkSize + 1024
	maxPeerRecord    = 4 << 10
	maxTimelineReply = 2 * stream.MaxTimeline // headers
	maxPeersReply    = 8
)

type fetchRequest struct {
	stream   stream.ID
	timeline *timelineRequest
	past     *pastRequest
	parts    []partRequest

	revocations []byte // nil for none
}

type timelineRequest struct {
	rendition string
	segments  int
	from      stream.Position
}

type partRequest struct {
	rendition string
	position  stream.Position
	want      stream.Bitmap
}

func (r fetchRequest) marshal() []byte {
	b := wire.AppendBytes(nil, 1, r.stream[:])
	if t := r.timeline; t != nil {
		m := wire.AppendBytes(nil, 1, []byte(t.rendition))
		m = wire.AppendUint(m, 2, uint64(t.segments))
		m = wire.AppendBytes(m, 3, marshalPosition(t.from))
		b = wire.AppendMessage(b, 2, m)
	}
	for _, p := range r.parts {
		m := wire.AppendBytes(nil, 1, []byte(p.rendition))
		m = wire.AppendBytes(m, 2, marshalPosition(p.position))
		m = wire.AppendBytes(m, 3, p.want)
		b = wire.AppendMessage(b, 3, m)
	}
	if r.past != nil {
		b = wire.AppendMessage(b, 4, r.past.marshal())
	}
	return wire.AppendBytes(b, 5, r.revocations)
}

func parseFetchRequest(b []byte) (r fetchRequest, err error) {
	var inner error
	var id []byte
	err = wire.Fields(b, func(field int, _ uint64, raw []byte) {
		if inner != nil {
			return
		}
		switch field {
		case 1:
			id = raw
		case 2:
			r.timeline, inner = parseTimelineRequest(raw)
		case 3:
			if len(r.parts) == maxFetchParts {
				inner = fmt.Errorf("%w: more than %d parts", errWire, maxFetchParts)
				return
			}
			var p partRequest
			p, inner = parsePartRequest(raw)
			r.parts = append(r.parts, p)
		case 4:
			r.past, inner = parsePastRequest(raw)
		case 5:
			r.revocations = raw
		}
	})
	switch {
	case err != nil:
		return r, fmt.Errorf("%w: %w", errWire, err)
	case inner != nil:
		return r, inner
	case len(id) != len(r.stream):
		return r, fmt.Errorf("%w: stream ID of %d bytes", errWire, len(id))
	case len(r.revocations) > stream.MaxRevocationsSize:
		return r, fmt.Errorf("%w: revocations of %d bytes", errWire, len(r.revocations))
	}
	copy(r.stream[:], id)
	return r, nil
}

func parseTimelineRequest(b []byte) (*timelineRequest, error) {
	t := &timelineRequest{}
	var from []byte
	err := wire.Fields(b, func(field int, v uint64, raw []byte) {
		switch field {
		case 1:
			t.rendition = string(raw)
		case 2:
			t.segments = int(min(v, stream.MaxTimeline))
		case 3:
			from = raw
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWire, err)
	}
	if t.rendition != "" && !stream.ValidRendition(t.rendition) {
		return nil, fmt.Errorf("%w: rendition", errWire)
	}
	if len(from) > 0 {
		t.from, err = parsePosition(from)
	}
	return t, err
}

func parsePartRequest(b []byte) (p partRequest, err error) {
	var position []byte
	err = wire.Fields(b, func(field int, _ uint64, raw []byte) {
		switch field {
		case 1:
			p.rendition = string(raw)
		case 2:
			position = raw
		case 3:
			p.want = raw
		}
	})
	if err != nil {
		return p, fmt.Errorf("%w: %w", errWire, err)
	}
	if !stream.ValidRendition(p.rendition) || len(p.want) > maxBitmap {
		return p, fmt.Errorf("%w: part", errWire)
	}
	p.position, err = parsePosition(position)
	return p, err
}

// fetchResponse is one of its fields.
type fetchResponse struct {
	header     []byte
	chunk      *fetchedChunk
	peerRecord []byte
	span       *stream.Span
}

type fetchedChunk struct {
	part, index int
	data        []byte
}

func (r fetchResponse) marshal() []byte {
	switch {
	case r.header != nil:
		return wire.AppendBytes(nil, 1, r.header)
	case r.chunk != nil:
		m := make([]byte, 0, len(r.chunk.data)+16)
		m = wire.AppendUint(m, 1, uint64(r.chunk.part))
		m = wire.AppendUint(m, 2, uint64(r.chunk.index))
		m = wire.AppendBytes(m, 3, r.chunk.data)
		return wire.AppendMessage(make([]byte, 0, len(m)+8), 2, m)
	case r.span != nil:
		return wire.AppendMessage(nil, 4, r.span.Bytes())
	default:
		return wire.AppendBytes(nil, 3, r.peerRecord)
	}
}

func parseFetchResponse(b []byte) (r fetchResponse, err error) {
	var inner error
	fields := 0
	err = wire.Fields(b, func(field int, _ uint64, raw []byte) {
		if field <= 4 {
			fields++
		}
		switch field {
		case 1:
			r.header = raw
		case 2:
			r.chunk, inner = parseFetchedChunk(raw)
		case 3:
			r.peerRecord = raw
		case 4:
			if r.span, inner = parseSpan(raw); inner != nil {
				return
			}
		}
	})
	switch {
	case err != nil:
		return r, fmt.Errorf("%w: %w", errWire, err)
	case inner != nil:
		return r, inner
	case len(r.peerRecord) > maxPeerRecord:
		return r, fmt.Errorf("%w: peer record of %d bytes", errWire, len(r.peerRecord))
	case fields > 1:
		return r, fmt.Errorf("%w: more than one response in a message", errWire)
	}
	return r, nil
}

func parseFetchedChunk(b []byte) (*fetchedChunk, error) {
	c := &fetchedChunk{}
	err := wire.Fields(b, func(field int, v uint64, raw []byte) {
		switch field {
		case 1:
			c.part = int(min(v, maxFetchParts))
		case 2:
			c.index = int(min(v, stream.MaxChunks))
		case 3:
			c.data = raw
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWire, err)
	}
	if c.part >= maxFetchParts || c.index >= stream.MaxChunks || len(c.data) > stream.MaxChunkSize {
		return nil, fmt.Errorf("%w: chunk", errWire)
	}
	return c, nil
}

// writeFrame writes a message with its length before it.
func writeFrame(w *bufio.Writer, b []byte) error {
	if _, err := w.Write(binary.AppendUvarint(nil, uint64(len(b)))); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

// readFrame reads what writeFrame wrote, of at most limit bytes. It returns io.EOF
// at the end between two messages.
func readFrame(r *bufio.Reader, limit int) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	if n > uint64(limit) {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", errWire, n, limit)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); errors.Is(err, io.EOF) && n > 0 {
		return nil, fmt.Errorf("read message: %w", io.ErrUnexpectedEOF) // cut off, not ended
	} else if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	return b, nil
}
