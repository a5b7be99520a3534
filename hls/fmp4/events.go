package fmp4

import (
	"bytes"
	"fmt"
	"math"

	"github.com/abema/go-mp4"
	"github.com/asticode/go-astits"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"

	"github.com/grapevine-live/grapevine/stream/transport"
)

const (
	// schemeID3 names events that are ID3 tags (AOM, "Carriage of ID3 Timed Metadata in the
	// Common Media Application Format").
	schemeID3 = "https://aomedia.org/emsg/ID3"
	// unknownDuration is event_duration where nothing tells (ISO 23009-1, 5.10.3.3.4).
	unknownDuration = math.MaxUint32
	// maxEvents bounds what waits for a part with frames.
	maxEvents = 256
)

// events are the timed ID3 tags of the parts.
type events struct {
	sources []eventSource
	waiting []event
	last    uint32 // id of the last that was written
}

type eventSource struct {
	pid uint16
	in  collector
}

type event struct {
	pts int64 // 33 bits
	tag []byte
}

// follow reads which streams of a PMT are timed ID3.
func (e *events) follow(pmt *astits.PMTData) {
	e.sources = nil
	for _, es := range pmt.ElementaryStreams {
		if transport.DataOf(pmt, es) == transport.TimedID3 {
			e.sources = append(e.sources, eventSource{pid: es.ElementaryPID})
		}
	}
}

func (e *events) reset() {
	for i := range e.sources {
		e.sources[i].in.reset()
	}
}

// add takes a packet of the part.
func (e *events) add(p transport.Packet) {
	for i := range e.sources {
		if e.sources[i].pid == p.PID {
			e.sources[i].in.add(p)
		}
	}
}

// gather takes the part's tags, and returns how many were no good. A tag that is too long
// for one PES packet goes on in the next.
func (e *events) gather() (bad int) {
	for i := range e.sources {
		packets, damaged := e.sources[i].in.packets()
		bad += damaged
		begun := false
		for _, p := range packets {
			switch n := len(e.waiting); {
			case bytes.HasPrefix(p.data, []byte("ID3")) && n < maxEvents:
				e.waiting, begun = append(e.waiting, event{p.pts, bytes.Clone(p.data)}), true
			case begun && !bytes.HasPrefix(p.data, []byte("ID3")):
				e.waiting[n-1].tag = append(e.waiting[n-1].tag, p.data...)
			default:
				bad++
			}
		}
	}
	return bad
}

// drop forgets what waits, and returns how many that were.
func (e *events) drop() int {
	n := len(e.waiting)
	e.waiting = nil
	return n
}

// writeEvents returns what waits as emsg boxes of version 1, whose times are those of the
// movie (ISO 23009-1, 5.10.3.3).
func (r *Remuxer) writeEvents() ([]byte, error) {
	if len(r.events.waiting) == 0 {
		return nil, nil
	}
	scale := r.tracks[0].scale
	var buf seekablebuffer.Buffer
	w := mp4.NewWriter(&buf)
	for _, e := range r.events.waiting {
		at := max(0, unwrap(r.ref, e.pts)+r.offset)
		r.events.last++
		box := &mp4.Emsg{
			FullBox:          mp4.FullBox{Version: 1},
			SchemeIdUri:      schemeID3,
			Timescale:        uint32(scale),
			PresentationTime: uint64((at*scale + second/2) / second),
			EventDuration:    unknownDuration,
			Id:               r.events.last,
			MessageData:      e.tag,
		}
		if _, err := w.StartBox(&mp4.BoxInfo{Type: mp4.BoxTypeEmsg()}); err != nil {
			return nil, fmt.Errorf("write event: %w", err)
		}
		if _, err := mp4.Marshal(w, box, mp4.Context{}); err != nil {
			return nil, fmt.Errorf("write event: %w", err)
		}
		if _, err := w.EndBox(); err != nil {
			return nil, fmt.Errorf("write event: %w", err)
		}
	}
	r.events.drop()
	return buf.Bytes(), nil
}
