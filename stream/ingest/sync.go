package ingest

import (
	"bytes"
	"fmt"
	"io"

	"github.com/grapevine-live/grapevine/stream/transport"
)

const (
	packetSize = transport.PacketSize
	syncByte   = transport.SyncByte

	// A sync byte occurs once in 256 bytes of anything: five at the right distance
	// are no accident. Within a stream that is known to be one, three are enough.
	firstLock = 5
	relock    = 3

	// notTSAfter is how much may precede the first packet.
	notTSAfter = 256 << 10
)

// syncer finds packets in bytes. While it is locked it waits for nothing but the end
// of each packet.
type syncer struct {
	buf     []byte // what is left of earlier writes, less than firstLock packets
	locked  bool
	seen    bool // was locked before
	garbage uint64
}

// write hands each packet in what was written so far to yield. The slice is valid
// during the call. At the end of the input, final accepts fewer packets as proof.
func (s *syncer) write(b []byte, final bool, yield func([]byte) error) error {
	s.buf = append(s.buf, b...)
	rest := s.buf
	for {
		if !s.locked {
			var skipped int
			skipped, s.locked = s.lock(rest, final)
			s.garbage += uint64(skipped)
			rest = rest[skipped:]
			if !s.seen && s.garbage > notTSAfter {
				return fmt.Errorf("%w: none of its first %d bytes are", ErrNotMPEGTS, s.garbage)
			}
			if !s.locked {
				break
			}
			s.seen = true
		}
		if len(rest) == 0 {
			break
		}
		if rest[0] != syncByte {
			s.locked = false
			continue
		}
		if len(rest) < packetSize {
			break
		}
		pkt := rest[:packetSize]
		rest = rest[packetSize:]
		if err := yield(pkt); err != nil {
			return err
		}
	}
	s.buf = append(s.buf[:0], rest...)
	if final {
		s.garbage += uint64(len(s.buf))
		s.buf, s.locked = s.buf[:0], false
	}
	return nil
}

// lock returns how many bytes lie before the first packet, and whether that packet is
// certain; if not, the bytes after those are still needed.
func (s *syncer) lock(b []byte, final bool) (skipped int, ok bool) {
	need := firstLock
	if s.seen {
		need = relock
	}
	for at := 0; ; at++ {
		i := bytes.IndexByte(b[at:], syncByte)
		if i < 0 {
			return len(b), false
		}
		at += i
		n := 0
		for n < need && at+n*packetSize < len(b) && b[at+n*packetSize] == syncByte {
			n++
		}
		switch short := at+n*packetSize >= len(b); {
		case n == need:
			return at, true
		case short && !final:
			return at, false
		case short && len(b)-at >= packetSize:
			return at, true
		}
	}
}

// IsMPEGTS reports whether an ingest would find packets in what r delivers. It reads 256 KB
// at most, and fails when reading does.
func IsMPEGTS(r io.Reader) (bool, error) {
	var s syncer
	buf := make([]byte, 16<<10)
	for read := 0; !s.seen && read < notTSAfter; {
		n, err := r.Read(buf)
		read += n
		if err != nil && err != io.EOF {
			return false, fmt.Errorf("read: %w", err)
		}
		if s.write(buf[:n], err == io.EOF, func([]byte) error { return nil }) != nil || err == io.EOF {
			break
		}
	}
	return s.seen, nil
}
