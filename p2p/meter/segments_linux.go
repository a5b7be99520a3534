package meter

import (
	"encoding/binary"
	"syscall"
)

// udpSegment is UDP_SEGMENT of linux/udp.h: the system cuts what is sent into packets of a size.
const udpSegment = 103

// segmentSize returns the size of packets into which the system cuts what is sent with oob, 0 if
// it does not.
func segmentSize(oob []byte) int {
	if len(oob) == 0 {
		return 0
	}
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return 0 // the system refuses it, too
	}
	for _, m := range messages {
		if m.Header.Level == syscall.IPPROTO_UDP && m.Header.Type == udpSegment && len(m.Data) >= 2 {
			return int(binary.NativeEndian.Uint16(m.Data))
		}
	}
	return 0
}
