package meter

import (
	"fmt"
	"net"

	manet "github.com/multiformats/go-multiaddr/net"
)

// Conn returns c with its bytes counted and bounded. Errors are about connections that are not of
// the internet's protocols; c is open then.
func (m *Meter) Conn(c net.Conn) (net.Conn, error) {
	wrapped, err := manet.WrapNetConn(c)
	if err != nil {
		return nil, fmt.Errorf("meter connection: %w", err)
	}
	return m.newConn(wrapped), nil
}

// Listener returns l with the bytes of the connections that it accepts counted and bounded.
func (m *Meter) Listener(l net.Listener) net.Listener { return &netListener{l, m} }

// netListener accepts connections that are counted.
type netListener struct {
	net.Listener
	meter *Meter
}

// Accept implements net.Listener.
func (l *netListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	counted, err := l.meter.Conn(c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, c.Close())
	}
	return counted, nil
}
