package fmp4

import "github.com/grapevine-live/grapevine/stream/transport"

// pes is a PES packet: a picture, or audio frames.
type pes struct {
	pts, dts int64 // 33 bits
	data     []byte
}

// collector puts one track's PES packets together. Its memory is used again for each part.
type collector struct {
	buf    []byte
	starts []int // where each PES packet begins in buf
}

func (c *collector) reset() { c.buf, c.starts = c.buf[:0], c.starts[:0] }

func (c *collector) add(p transport.Packet) {
	if p.Start {
		c.starts = append(c.starts, len(c.buf))
	}
	if len(c.starts) > 0 { // else the end of a frame whose beginning is missing
		c.buf = append(c.buf, p.Payload...)
	}
}

// packets returns what was collected, and how many PES packets were no good.
func (c *collector) packets() (out []pes, bad int) {
	for i, start := range c.starts {
		end := len(c.buf)
		if i+1 < len(c.starts) {
			end = c.starts[i+1]
		}
		if p, ok := parsePES(c.buf[start:end]); ok {
			out = append(out, p)
		} else {
			bad++
		}
	}
	return out, bad
}

// parsePES reads a whole PES packet. One without timestamps is no good: ingest writes
// them with each.
func parsePES(b []byte) (p pes, ok bool) {
	h, ok, _ := transport.ParsePESHeader(b)
	if !ok || !h.Timed {
		return p, false
	}
	end := len(b)
	if h.Total > 0 {
		end = h.Total
	}
	if end > len(b) || h.Size >= end {
		return p, false
	}
	return pes{h.PTS, h.DTS, b[h.Size:end]}, true
}
