package ingest

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
)

// maxRTPUnit bounds an access unit: what mediacommon takes.
const maxRTPUnit = h264.MaxAccessUnitSize

// rtpUnit is an access unit of H.264 as far as it came.
type rtpUnit struct {
	ts      uint32
	data    []byte // NAL units with their lengths in front
	damaged bool   // some of it is missing
}

// rtpUnits puts access units together out of packets in order.
type rtpUnits struct {
	open         *rtpUnit
	begun        bool // a packet came: it may not have been the first that was sent
	size         int  // of its packets
	depacketizer codecs.H264Packet
}

// add takes a packet, and how many before it are lost. It returns the access units that
// are complete, or as complete as they will be: at most two.
func (u *rtpUnits) add(p *rtp.Packet, lost int) (units []*rtpUnit) {
	if u.open != nil && lost > 0 {
		u.open.damaged = true
	}
	if u.open != nil && u.open.ts != p.Timestamp {
		units = append(units, u.end())
	}
	if u.open == nil && len(p.Payload) == 0 {
		return units // padding, which has the timestamp of what came before
	}
	if u.open == nil {
		u.open = &rtpUnit{ts: p.Timestamp, damaged: (lost > 0 || !u.begun) && !startsUnit(p.Payload)}
		u.begun = true
		u.size, u.depacketizer = 0, codecs.H264Packet{IsAVC: true}
	}
	if len(p.Payload) > 0 {
		u.append(p.Payload)
	}
	if p.Marker {
		units = append(units, u.end())
	}
	return units
}

func (u *rtpUnits) append(payload []byte) {
	u.size += len(payload)
	if u.size > maxRTPUnit {
		u.open.damaged = true
	}
	if u.open.damaged {
		return
	}
	data, err := u.depacketizer.Unmarshal(payload)
	if err != nil {
		u.open.damaged = true
		return
	}
	u.open.data = append(u.open.data, data...)
}

func (u *rtpUnits) end() *rtpUnit {
	unit := u.open
	u.open = nil
	return unit
}

// startsUnit reports whether a payload is certain to be the first of its access unit:
// parameter sets and delimiters come before all else (H.264, 7.4.1.2.3).
func startsUnit(payload []byte) bool {
	const stapA = 24 // RFC 6184, 5.7.1: a header, then a length in front of each NAL unit
	if len(payload) > 3 && payload[0]&0x1f == stapA {
		payload = payload[3:]
	}
	if len(payload) == 0 {
		return false
	}
	switch h264.NALUType(payload[0] & 0x1f) {
	case h264.NALUTypeSPS, h264.NALUTypeAccessUnitDelimiter:
		return true
	}
	return false
}
