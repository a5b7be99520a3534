package p2p

import (
	"context"
	"errors"
	"net"
)

// Dial makes a connection, as net.Dialer does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Listener returns l with what its connections carry counted as the node's, and held to what
// its owner allows: it is not of the mesh, but travels the same uplink.
func (n *Node) Listener(l net.Listener) net.Listener {
	if n.sockets == nil {
		return l
	}
	return n.sockets.meter.Listener(l)
}

// dialAside makes a connection of which the same holds.
func (n *Node) dialAside(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil || n.sockets == nil {
		return c, err
	}
	counted, err := n.sockets.meter.Conn(c)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return counted, nil
}
