package ingest

import (
	"net"
	"time"
)

// greetTCP lets in who connects: what it sends is MPEG-TS.
func greetTCP(r *reception, c *net.TCPConn) error {
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	return r.enter(&encoder{ReadCloser: c, from: c.RemoteAddr().String()})
}
