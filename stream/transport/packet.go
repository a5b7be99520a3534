package transport

const (
	// PacketSize is in bytes.
	PacketSize = 188
	// SyncByte begins each packet.
	SyncByte = 0x47
)

// Packet is the header of a transport packet (ISO 13818-1, 2.4.3.2).
type Packet struct {
	PID           uint16
	CC            uint8
	Start         bool // payload_unit_start_indicator
	Broken        bool // transport_error_indicator, or not a valid packet
	Scrambled     bool
	Discontinuity bool // discontinuity_indicator
	Payload       []byte
}

// ParsePacket reads the header of a packet of [PacketSize] bytes. A broken one has no payload
// to be trusted.
func ParsePacket(b []byte) Packet {
	p := Packet{
		PID:       uint16(b[1]&0x1f)<<8 | uint16(b[2]),
		CC:        b[3] & 0x0f,
		Start:     b[1]&0x40 != 0,
		Broken:    b[1]&0x80 != 0,
		Scrambled: b[3]&0xc0 != 0,
	}
	at := 4
	if b[3]&0x20 != 0 {
		n := int(b[4])
		at += 1 + n
		if at > PacketSize {
			p.Broken = true
			return p
		}
		p.Discontinuity = n > 0 && b[5]&0x80 != 0
	}
	if b[3]&0x10 != 0 {
		p.Payload = b[at:PacketSize]
	}
	return p
}
