package ingest

import (
	"encoding/binary"
	"fmt"
)

// maxFragment bounds a box of a segment: a segment is no larger either.
const maxFragment = 128 << 20

// nextBox returns the type of the box that b starts with, and its bytes with the header, 0
// if not all of that is there or the box has no end (ISO 14496-12, 4.2).
func nextBox(b []byte) (kind string, size uint64) {
	if len(b) < 8 {
		return "", 0
	}
	kind, size = string(b[4:8]), uint64(binary.BigEndian.Uint32(b))
	if size == 1 {
		if len(b) < 16 {
			return kind, 0
		}
		size = binary.BigEndian.Uint64(b[8:])
	}
	return kind, size
}

// wholeFragment returns how many bytes there are up to the end of the first fragment, 0 if
// it is not whole yet.
func wholeFragment(b []byte) (int, error) {
	at := uint64(0)
	for {
		kind, size := nextBox(b[at:])
		if kind != "" && !isBoxType(kind) || size != 0 && size < 8 || size > maxFragment {
			return 0, fmt.Errorf("%w: a box %q of %d bytes", ErrNotMP4, kind, size)
		}
		if size == 0 || size > uint64(len(b))-at {
			return 0, nil
		}
		at += size
		if kind == "mdat" {
			return int(at), nil
		}
	}
}

func isBoxType(kind string) bool {
	for _, c := range []byte(kind) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// movieTrack is what an initialisation section says of a track that fmp4.Init has no
// place for.
type movieTrack struct {
	duration uint32 // of a sample, unless its fragment says more
	start    int64  // of the edit list, in the track's time units
	delay    int64  // before it, in the movie's
	movie    int64  // time units of the movie, a second
}

// shift returns how much earlier a track is presented than its samples say.
func (m movieTrack) shift(scale int64) int64 {
	if m.movie == 0 {
		return m.start
	}
	return m.start - m.delay*scale/m.movie
}

// readMovie returns what fmp4.Init leaves out, by track.
func readMovie(b []byte) map[int]movieTrack {
	tracks := make(map[int]movieTrack)
	var movie int64
	each(b, func(kind string, moov []byte) {
		if kind != "moov" {
			return
		}
		each(moov, func(kind string, box []byte) {
			switch kind {
			case "mvhd":
				movie = int64(field(box, versioned(box, 12, 20), 4))
			case "trak":
				id, start, delay := readTrack(box)
				t := tracks[id]
				t.start, t.delay = start, delay
				tracks[id] = t
			case "mvex":
				each(box, func(kind string, trex []byte) {
					if kind == "trex" {
						id := int(field(trex, 4, 4))
						t := tracks[id]
						t.duration = uint32(field(trex, 12, 4))
						tracks[id] = t
					}
				})
			}
		})
	})
	for id, t := range tracks {
		t.movie = movie
		tracks[id] = t
	}
	return tracks
}

// readTrack reads a track's ID and its edit list (ISO 14496-12, 8.6.6): a pause, if there
// is one, and where it starts.
func readTrack(trak []byte) (id int, start, delay int64) {
	each(trak, func(kind string, box []byte) {
		switch kind {
		case "tkhd":
			id = int(field(box, versioned(box, 12, 20), 4))
		case "edts":
			each(box, func(kind string, elst []byte) {
				if kind == "elst" {
					start, delay = readEdits(elst)
				}
			})
		}
	})
	return id, start, delay
}

// readEdits reads the entries up to the first that shows something.
func readEdits(elst []byte) (start, delay int64) {
	width := versioned(elst, 4, 8)
	for n := range min(int(field(elst, 4, 4)), 4) {
		at := 8 + n*(2*width+4)
		lasts, from := int64(field(elst, at, width)), field(elst, at+width, width)
		if width == 4 && from == 1<<32-1 || width == 8 && from == 1<<64-1 {
			delay += lasts
			continue
		}
		return int64(from & (1<<62 - 1)), delay & (1<<40 - 1)
	}
	return 0, delay & (1<<40 - 1)
}

// each calls f for each box in b with what it contains.
func each(b []byte, f func(kind string, content []byte)) {
	for len(b) >= 8 {
		kind, size := nextBox(b)
		header := uint64(8)
		if binary.BigEndian.Uint32(b) == 1 {
			header = 16
		}
		if size < header || size > uint64(len(b)) {
			return
		}
		f(kind, b[header:size])
		b = b[size:]
	}
}

// versioned returns what holds for a full box of version 0, or else of version 1.
func versioned(box []byte, zero, one int) int {
	if len(box) > 0 && box[0] == 1 {
		return one
	}
	return zero
}

// field returns a big-endian field, 0 if it is not there.
func field(box []byte, at, width int) uint64 {
	if at < 0 || at+width > len(box) {
		return 0
	}
	if width == 8 {
		return binary.BigEndian.Uint64(box[at:])
	}
	return uint64(binary.BigEndian.Uint32(box[at:]))
}
