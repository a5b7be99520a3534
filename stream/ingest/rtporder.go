package ingest

import (
	"time"

	"github.com/pion/rtp"
)

const (
	// videoPatience and audioPatience are for how long a packet is waited for once a later
	// one is here. Video's are asked for each 100 ms, and take a round trip to come; sound
	// is not sent again, but may be overtaken on its way.
	videoPatience = 500 * time.Millisecond
	audioPatience = 60 * time.Millisecond
	// maxHeldPackets bounds what is held meanwhile: 12 Mbit/s of full packets.
	maxHeldPackets = 512
	// maxDisorder is how far sequence numbers may be from the next one before they count
	// as a sender that began anew (RFC 3550, appendix A.1, has 100 and 3000).
	maxDisorder = 3000
)

// reorderer puts a track's RTP packets in order. It holds nothing back but what came
// before its turn. pion's jitter buffer knows no time, and keeps what came too late.
type reorderer struct {
	patience time.Duration
	started  bool
	next     uint16 // sequence number
	held     map[uint16]heldPacket
}

type heldPacket struct {
	*rtp.Packet
	at time.Time // it came
}

// push takes a packet that came at at. Duplicates, and those whose time has passed, have
// no effect.
func (o *reorderer) push(p *rtp.Packet, at time.Time) {
	ahead := int16(p.SequenceNumber - o.next)
	if !o.started || ahead > maxDisorder || ahead < -maxDisorder {
		o.started, o.next, o.held = true, p.SequenceNumber, make(map[uint16]heldPacket)
		ahead = 0
	}
	if _, twice := o.held[p.SequenceNumber]; ahead >= 0 && !twice {
		o.held[p.SequenceNumber] = heldPacket{p, at}
	}
}

// pop returns the next packet, and how many before it are lost, or nil if that is waited
// for.
func (o *reorderer) pop(now time.Time) (p *rtp.Packet, lost int) {
	if len(o.held) == 0 {
		return nil, 0
	}
	h, ok := o.held[o.next]
	if !ok {
		if late, _ := o.deadline(); now.Before(late) && len(o.held) < maxHeldPackets {
			return nil, 0
		}
		for ; !ok; lost++ {
			o.next++
			h, ok = o.held[o.next]
		}
	}
	delete(o.held, o.next)
	o.next++
	return h.Packet, lost
}

// deadline returns until when the next packet is waited for, if it is.
func (o *reorderer) deadline() (time.Time, bool) {
	var first time.Time
	for _, h := range o.held {
		if first.IsZero() || h.at.Before(first) {
			first = h.at
		}
	}
	return first.Add(o.patience), !first.IsZero()
}
