package fmp4

import (
	"bytes"
	"encoding/binary"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
)

// Kinds of parameter sets.
const (
	vps = iota
	sps
	pps
	paramKinds
	noParam = paramKinds
)

// params are the parameter sets that an init holds: the first of each kind at a
// segment's start.
type params [paramKinds][]byte

func (p *params) codec(hevc bool) codecs.Codec {
	switch {
	case p[sps] == nil || p[pps] == nil || hevc && p[vps] == nil:
		return nil
	case hevc:
		return &codecs.H265{VPS: p[vps], SPS: p[sps], PPS: p[pps]}
	}
	return &codecs.H264{SPS: p[sps], PPS: p[pps]}
}

func nalType(unit []byte, hevc bool) int {
	if hevc {
		return int(unit[0] >> 1 & 0x3f)
	}
	return int(unit[0] & 0x1f)
}

func paramKind(unit []byte, hevc bool) int {
	switch t := nalType(unit, hevc); {
	case !hevc && t == int(h264.NALUTypeSPS), hevc && t == int(h265.NALUType_SPS_NUT):
		return sps
	case !hevc && t == int(h264.NALUTypePPS), hevc && t == int(h265.NALUType_PPS_NUT):
		return pps
	case hevc && t == int(h265.NALUType_VPS_NUT):
		return vps
	}
	return noParam
}

func isDelimiter(unit []byte, hevc bool) bool {
	if hevc {
		return nalType(unit, hevc) == int(h265.NALUType_AUD_NUT)
	}
	return nalType(unit, hevc) == int(h264.NALUTypeAccessUnitDelimiter)
}

// isRandomAccess reports whether a NAL unit is a slice of a picture where decoding can
// start: IDR, and for HEVC also CRA and BLA (ITU-T H.265, table 7-1).
func isRandomAccess(unit []byte, hevc bool) bool {
	t := nalType(unit, hevc)
	if hevc {
		return t >= 16 && t <= int(h265.NALUType_CRA_NUT)
	}
	return t == int(h264.NALUTypeIDR)
}

// nalUnits calls yield with each NAL unit of an Annex B byte stream.
func nalUnits(b []byte, yield func(unit []byte)) {
	startCode := []byte{0, 0, 1}
	at := bytes.Index(b, startCode)
	for at >= 0 {
		b = b[at+len(startCode):]
		at = bytes.Index(b, startCode)
		unit := b
		if at >= 0 {
			unit = b[:at]
		}
		// A fourth byte of the start code, or trailing zeros: no NAL unit ends in one
		// (ITU-T H.264, 7.4.1).
		if unit = bytes.TrimRight(unit, "\x00"); len(unit) > 0 {
			yield(unit)
		}
	}
}

// appendPicture appends an access unit to arena as length and NAL unit in turn, and
// reports whether decoding can start there. Parameter sets stay in, although the init
// holds them: ffmpeg takes no second init, and after a discontinuity would decode with
// those of the first.
func appendPicture(arena, annexB []byte, hevc bool) (out []byte, key bool) {
	nalUnits(annexB, func(unit []byte) {
		if isDelimiter(unit, hevc) {
			return
		}
		key = key || isRandomAccess(unit, hevc)
		arena = binary.BigEndian.AppendUint32(arena, uint32(len(unit)))
		arena = append(arena, unit...)
	})
	return arena, key
}

// paramsOf returns the first parameter set of each kind in an access unit.
func paramsOf(annexB []byte, hevc bool) (p params) {
	nalUnits(annexB, func(unit []byte) {
		if k := paramKind(unit, hevc); k != noParam && p[k] == nil {
			p[k] = bytes.Clone(unit)
		}
	})
	return p
}
