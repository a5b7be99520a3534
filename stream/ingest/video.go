package ingest

import (
	"bytes"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
)

// maxHead bounds the search for a frame's first slice: parameter sets and SEI messages
// of more than this are not waited for.
const maxHead = 256 << 10

// maxHeadUnits bounds how many NAL units are taken apart before the first slice.
const maxHeadUnits = 64

// head is what precedes the first slice of an access unit.
type head struct {
	units [][]byte // NAL units before the first slice, without start codes
	slice int      // where the first slice's NAL unit starts in the frame
	key   bool     // decoding can start here
}

// headScanner finds the first slice in a frame that is still arriving.
type headScanner struct {
	from   int      // where to look on
	starts [][2]int // where start codes begin and end
	done   bool
	found  bool
	slice  int
}

// scan looks at what is there of the frame's Annex B byte stream, and returns true once
// it knows where the first slice starts. all says that nothing will follow.
func (s *headScanner) scan(b []byte, hevc, all bool) bool {
	for !s.done {
		i := bytes.Index(b[s.from:], []byte{0, 0, 1})
		if i < 0 {
			s.from = max(s.from, len(b)-2) // a start code may be cut in two
			s.done = all || s.from > maxHead
			return false
		}
		begin, end := s.from+i, s.from+i+3
		if end+1 >= len(b) { // the header of a NAL unit has up to two bytes
			s.done = all
			return false
		}
		s.from = end
		s.starts = append(s.starts, [2]int{begin, end})
		if isSlice(b[end], hevc) {
			s.done, s.found, s.slice = true, true, end
		} else if len(s.starts) == maxHeadUnits {
			s.done = true
		}
	}
	return s.found
}

// head returns what was found.
func (s *headScanner) head(b []byte, hevc bool) head {
	h := head{slice: s.slice}
	recovery, params := false, false
	for i, at := range s.starts {
		if at[1] == s.slice {
			break
		}
		unit := bytes.TrimRight(b[at[1]:s.starts[i+1][0]], "\x00")
		if len(unit) < 2 {
			continue
		}
		h.units = append(h.units, unit)
		if !hevc {
			params = params || nalType(unit[0], hevc) == int(h264.NALUTypeSPS)
			recovery = recovery || isExactRecoveryPoint(unit)
		}
	}
	// Broadcasters' open GOPs have no IDR pictures; they repeat the parameter sets and
	// mark where a decoder may start with an SEI message.
	h.key = isKeySlice(b[s.slice], hevc) || !hevc && recovery && params
	return h
}

func nalType(b byte, hevc bool) int {
	if hevc {
		return int(b >> 1 & 0x3f)
	}
	return int(b & 0x1f)
}

func isSlice(b byte, hevc bool) bool {
	if hevc {
		return nalType(b, hevc) < 32
	}
	t := nalType(b, hevc)
	return t >= int(h264.NALUTypeNonIDR) && t <= int(h264.NALUTypeIDR)
}

// isKeySlice reports whether a slice's picture is one at which decoding can start.
func isKeySlice(b byte, hevc bool) bool {
	t := nalType(b, hevc)
	if hevc {
		// Random access pictures: IDR, CRA and BLA (ITU-T H.265, table 7-1).
		return t >= 16 && t <= int(h265.NALUType_CRA_NUT)
	}
	return t == int(h264.NALUTypeIDR)
}

// isExactRecoveryPoint reports whether an H.264 NAL unit is an SEI message that says
// that pictures are right from here on (ITU-T H.264, D.1.8: recovery_frame_cnt is 0).
func isExactRecoveryPoint(unit []byte) bool {
	if nalType(unit[0], false) != int(h264.NALUTypeSEI) {
		return false
	}
	b := h264.EmulationPreventionRemove(unit[1:])
	varint := func() (n int) {
		for len(b) > 0 && b[0] == 0xff {
			n, b = n+255, b[1:]
		}
		if len(b) > 0 {
			n, b = n+int(b[0]), b[1:]
		}
		return n
	}
	for len(b) > 2 {
		kind := varint()
		size := varint()
		if size > len(b) {
			return false
		}
		if kind == 6 && size > 0 {
			return b[0]&0x80 != 0 // ue(v) of 0
		}
		b = b[size:]
	}
	return false
}

// Kinds of parameter sets, in the order in which they precede a slice.
const (
	vpsUnit = iota
	spsUnit
	ppsUnit
	paramKinds
	noParam = paramKinds
)

func paramKind(b byte, hevc bool) int {
	switch t := nalType(b, hevc); {
	case !hevc && t == int(h264.NALUTypeSPS), hevc && t == int(h265.NALUType_SPS_NUT):
		return spsUnit
	case !hevc && t == int(h264.NALUTypePPS), hevc && t == int(h265.NALUType_PPS_NUT):
		return ppsUnit
	case hevc && t == int(h265.NALUType_VPS_NUT):
		return vpsUnit
	}
	return noParam
}

// paramSets keeps the last parameter sets, for keyframes that come without.
type paramSets [paramKinds][][]byte

// note keeps copies of the parameter sets in units.
func (p *paramSets) note(units [][]byte, hevc bool) {
	var fresh paramSets
	for _, u := range units {
		if k := paramKind(u[0], hevc); k != noParam {
			fresh[k] = append(fresh[k], u)
		}
	}
	for k, sets := range fresh {
		if len(sets) == 0 || slices.EqualFunc(sets, p[k], bytes.Equal) {
			continue
		}
		p[k] = nil
		for _, u := range sets {
			p[k] = append(p[k], bytes.Clone(u))
		}
	}
}

// sps returns the sequence parameter set, nil if there was none.
func (p *paramSets) sps() []byte {
	if len(p[spsUnit]) == 0 {
		return nil
	}
	return p[spsUnit][0]
}

// complete returns units with the parameter sets that are missing put in, after the
// access unit delimiter, so that decoding can start at each segment.
func (p *paramSets) complete(units [][]byte, hevc bool) [][]byte {
	have := [paramKinds + 1]bool{}
	for _, u := range units {
		have[paramKind(u[0], hevc)] = true
	}
	var missing [][]byte
	for k, sets := range p {
		if !have[k] {
			missing = append(missing, sets...)
		}
	}
	if len(missing) == 0 {
		return units
	}
	at := 0
	if len(units) > 0 && isDelimiter(units[0], hevc) {
		at = 1
	}
	return slices.Concat(units[:at], missing, units[at:])
}

func isDelimiter(u []byte, hevc bool) bool {
	if hevc {
		return nalType(u[0], hevc) == int(h265.NALUType_AUD_NUT)
	}
	return nalType(u[0], hevc) == int(h264.NALUTypeAccessUnitDelimiter)
}
