package hls

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
)

// reel is what a file's pictures say, see film.
type reel struct {
	segment    string // that they are of
	first, n   int    // number of the first one in it, and how many there are
	start, end int64  // decoding times, in ticks: of the first, and after the last
	key        bool   // begins with an IDR picture with its parameter sets
	sps        []byte // of the first
	init       []byte // ftyp and moov in front
}

var errNoPictures = errors.New("no pictures")

// readTS reads the reel of an MPEG-TS segment.
func readTS(data []byte) (r reel, err error) {
	var times []int64
	reader := &mpegts.Reader{R: bytes.NewReader(data)}
	if err := reader.Initialize(); err != nil {
		return r, err
	}
	for _, t := range reader.Tracks() {
		if _, ok := t.Codec.(*codecs.H264); ok {
			reader.OnDataH264(t, func(_, dts int64, au [][]byte) error {
				times = append(times, dts)
				return r.picture(au)
			})
		}
	}
	for err == nil {
		err = reader.Read()
	}
	if !errors.Is(err, io.EOF) {
		return r, err
	}
	if len(times) < 2 {
		return r, errNoPictures
	}
	r.start = times[0]
	r.end = 2*times[len(times)-1] - times[len(times)-2]
	for i := range times[1:] {
		if d := (times[i+1] - times[i]) & (1<<33 - 1); d == 0 || d > 90000 {
			return r, fmt.Errorf("picture %d is %d ticks after the one before it", i+1, d)
		}
	}
	return r, nil
}

// readMP4 reads the reel of fragments, with or without an init in front.
func readMP4(data []byte) (r reel, err error) {
	from := bytes.Index(data, []byte("moof")) - 4
	if from < 0 {
		return r, errNoPictures
	}
	r.init = withoutEvents(data[:from])
	var fragments fmp4.Parts
	if err := fragments.Unmarshal(data[from:]); err != nil {
		return r, err
	}
	for i, f := range fragments {
		track := f.Tracks[0]
		if i > 0 && int64(track.BaseTime) != r.end {
			return r, fmt.Errorf("fragment %d begins at %d, and what is before it ends at %d", i, track.BaseTime, r.end)
		}
		if i == 0 {
			r.start, r.end = int64(track.BaseTime), int64(track.BaseTime)
		}
		for _, s := range track.Samples {
			au, err := units(s.Payload)
			if err != nil {
				return r, err
			}
			if key := !s.IsNonSyncSample; r.n == 0 && key != startsWithIDR(au) {
				return r, fmt.Errorf("the first sample is said to be a sync sample: %t", key)
			}
			r.end += int64(s.Duration)
			if err := r.picture(au); err != nil {
				return r, err
			}
		}
	}
	if r.n == 0 {
		return r, errNoPictures
	}
	return r, nil
}

// withoutEvents returns what is before the first event, in boxes before a fragment.
func withoutEvents(boxes []byte) []byte {
	for at := 0; at+8 <= len(boxes); {
		if string(boxes[at+4:at+8]) == "emsg" {
			return boxes[:at]
		}
		at += max(8, int(binary.BigEndian.Uint32(boxes[at:])))
	}
	return boxes
}

// units takes a sample apart (ISO 14496-15, 5.3.3.1).
func units(sample []byte) (au [][]byte, err error) {
	for len(sample) > 4 {
		n := int(sample[0])<<24 | int(sample[1])<<16 | int(sample[2])<<8 | int(sample[3])
		if n > len(sample)-4 {
			break
		}
		au, sample = append(au, sample[4:4+n]), sample[4+n:]
	}
	if len(sample) > 0 {
		return nil, errors.New("a sample is cut short")
	}
	return au, nil
}

// Types of NAL units (ISO 14496-10, 7.4.1).
const (
	unitSlice = 1
	unitIDR   = 5
	unitSPS   = 7
)

func startsWithIDR(au [][]byte) bool {
	for _, unit := range au {
		if kind := unit[0] & 0x1f; kind == unitSlice || kind == unitIDR {
			return kind == unitIDR
		}
	}
	return false
}

// picture notes the next picture, which says which one it is.
func (r *reel) picture(au [][]byte) error {
	for _, unit := range au {
		switch unit[0] & 0x1f {
		case unitSPS:
			if r.n == 0 {
				r.sps = bytes.Clone(unit)
			}
		case unitSlice, unitIDR:
			name, rest, _ := bytes.Cut(unit[1:], []byte("#"))
			number, _, _ := bytes.Cut(rest, []byte("."))
			n, err := strconv.Atoi(string(number))
			if err != nil {
				return fmt.Errorf("a picture that is not of the film: %q", unit)
			}
			if r.n == 0 {
				r.segment, r.first = string(name), n
				r.key = startsWithIDR(au) && r.sps != nil
			}
			if string(name) != r.segment || n != r.first+r.n {
				return fmt.Errorf("picture %s#%d follows picture %s#%d", name, n, r.segment, r.first+r.n-1)
			}
			r.n++
		}
	}
	return nil
}
