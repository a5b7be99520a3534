package meter

import (
	"net"
	"testing"

	manet "github.com/multiformats/go-multiaddr/net"
)

// tcpPair returns the two ends of a connection on loopback.
func tcpPair(t *testing.T) (near, far manet.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if near, err = manet.WrapNetConn(dialled); err != nil {
		t.Fatal(err)
	}
	if far, err = manet.WrapNetConn(accepted); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}
