//go:build unix

package meter

import (
	"net"
	"syscall"
	"testing"
)

// readBuffer returns how many bytes the system lets wait.
func readBuffer(t *testing.T, c *net.UDPConn) int {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var size int
	var sockErr error
	if err := raw.Control(func(fd uintptr) {
		size, sockErr = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF)
	}); err != nil || sockErr != nil {
		t.Fatal(err, sockErr)
	}
	return size
}

// TestReadBufferFollowsTheLimit asks the system, which doubles what it is told.
func TestReadBufferFollowsTheLimit(t *testing.T) {
	m := New(Config{})
	c, err := m.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	read := func() int {
		if _, err := c.WriteTo([]byte{1}, c.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.ReadFrom(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		return readBuffer(t, c.(*packetConn).UDPConn)
	}
	usual := read()
	m.Limit(Config{Download: 1_000_000})
	bound := read()
	m.Limit(Config{})
	if again := read(); bound >= usual || again <= bound {
		t.Errorf("%d bytes before, %d with a bound, %d after it", usual, bound, again)
	}
}
