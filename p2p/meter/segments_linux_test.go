package meter

import (
	"encoding/binary"
	"net"
	"syscall"
	"testing"
	"unsafe"
)

// TestCountsWhatTheSystemCuts sends ten packets in one call, as quic-go does.
func TestCountsWhatTheSystemCuts(t *testing.T) {
	oob := make([]byte, syscall.CmsgSpace(2))
	h := (*syscall.Cmsghdr)(unsafe.Pointer(&oob[0]))
	h.Level, h.Type = syscall.IPPROTO_UDP, udpSegment
	h.SetLen(syscall.CmsgLen(2))
	binary.NativeEndian.PutUint16(oob[syscall.CmsgLen(0):], 1000)
	m := New(Config{})
	c, err := m.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, _, err := c.(*packetConn).WriteMsgUDP(make([]byte, 9500), oob, c.LocalAddr().(*net.UDPAddr)); err != nil {
		t.Skipf("the system cuts nothing: %v", err)
	}
	if got, want := m.Totals().Sent, int64(9500+10*28); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
}
