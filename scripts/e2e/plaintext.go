//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patternSize is the bytes of a pattern: no two media have that many in common by chance.
const patternSize = 24

// plaintext finds pieces of media wherever they are.
type plaintext struct {
	patterns map[uint64][][]byte // by their first eight bytes
	first    [1 << 16]bool       // which two bytes begin any
	count    int
}

// plaintextOf takes a pattern of each packet of MPEG-TS segments that is not stuffing.
func plaintextOf(segments ...[]byte) *plaintext {
	const packet, offset = 188, 60
	p := newPlaintext()
	for _, s := range segments {
		for ; len(s) >= packet; s = s[packet:] {
			pattern := s[offset : offset+patternSize]
			var seen [256]bool
			different := 0
			for _, c := range pattern {
				if !seen[c] {
					seen[c] = true
					different++
				}
			}
			if different < patternSize*2/3 {
				continue // headers and fillers of all streams
			}
			p.add(pattern)
		}
	}
	return p
}

func newPlaintext() *plaintext { return &plaintext{patterns: make(map[uint64][][]byte)} }

// add takes a pattern, of patternSize bytes.
func (p *plaintext) add(pattern []byte) {
	head := binary.LittleEndian.Uint64(pattern)
	p.patterns[head] = append(p.patterns[head], pattern)
	p.first[uint16(head)] = true
	p.count++
}

// in returns how many places in b hold a pattern.
func (p *plaintext) in(b []byte) (n int) {
	for i := 0; i+patternSize <= len(b); i++ {
		if !p.first[uint16(b[i])|uint16(b[i+1])<<8] {
			continue
		}
		for _, pattern := range p.patterns[binary.LittleEndian.Uint64(b[i:])] {
			if string(b[i:i+patternSize]) == string(pattern) {
				n++
			}
		}
	}
	return n
}

// inMemory searches all that a process can write to, and returns the bytes that it searched.
func (p *plaintext) inMemory(pid int) (found int, searched int64, err error) {
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, err
	}
	defer maps.Close()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return 0, 0, err
	}
	defer mem.Close()
	const step = 16 << 20
	buffer := make([]byte, step+patternSize)
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		from, to, ok := strings.Cut(fields[0], "-")
		if !ok || !strings.HasPrefix(fields[1], "rw") {
			continue
		}
		at, err1 := strconv.ParseInt(from, 16, 64)
		end, err2 := strconv.ParseInt(to, 16, 64)
		if err1 != nil || err2 != nil {
			continue // vsyscall
		}
		for ; at < end; at += step {
			n, err := mem.ReadAt(buffer[:min(int64(len(buffer)), end-at)], at)
			if err != nil && n == 0 {
				continue // it was given back meanwhile
			}
			found += p.in(buffer[:n])
			searched += int64(n)
		}
	}
	return found, searched, lines.Err()
}

// inFiles searches all files below a directory, or one file, and returns the bytes that it searched.
func (p *plaintext) inFiles(dir string) (found int, searched int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		found += p.in(raw)
		searched += int64(len(raw))
		return err
	})
	return found, searched, err
}

// capture is what passed on the loopback interface.
type capture struct {
	fd   int
	done chan struct{}

	mu      sync.Mutex // guards all following
	packets [][]byte
	bytes   int
}

// maxCapture bounds what is kept, in bytes.
const maxCapture = 256 << 20

// listenOnWire begins to keep all packets on the loopback interface.
func listenOnWire() (*capture, error) {
	const all = syscall.ETH_P_ALL>>8 | syscall.ETH_P_ALL<<8&0xff00 // in the network's order
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, all)
	if err != nil {
		return nil, fmt.Errorf("capture packets: %w", err)
	}
	err = errors.Join(
		syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: all, Ifindex: lo.Index}),
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<20),
		// So that reading ends with the capture.
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Usec: 100_000}),
	)
	if err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("capture packets: %w", err)
	}
	c := &capture{fd: fd, done: make(chan struct{})}
	return c, nil
}

// run keeps packets until ctx ends.
func (c *capture) run(ctx context.Context) {
	defer close(c.done)
	defer syscall.Close(c.fd)
	buffer := make([]byte, 1<<17)
	for ctx.Err() == nil {
		n, _, err := syscall.Recvfrom(c.fd, buffer, 0)
		if err != nil {
			continue // nothing came for a moment
		}
		c.mu.Lock()
		if c.bytes += n; c.bytes < maxCapture {
			c.packets = append(c.packets, append([]byte(nil), buffer[:n]...))
		}
		c.mu.Unlock()
	}
}

// ports returns the ports of a packet of TCP or UDP over IPv4 in an Ethernet frame.
func ports(packet []byte) (from, to int) {
	const ethernet = 14
	if len(packet) < ethernet+20 || packet[12] != 8 || packet[13] != 0 {
		return 0, 0
	}
	header := int(packet[ethernet]&15) * 4
	if len(packet) < ethernet+header+4 {
		return 0, 0
	}
	t := packet[ethernet+header:]
	return int(binary.BigEndian.Uint16(t)), int(binary.BigEndian.Uint16(t[2:]))
}

// search returns how many patterns passed in all, and how many from or to a port, with the bytes
// of those packets.
func (c *capture) search(p *plaintext, port int) (all, there int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, packet := range c.packets {
		n := p.in(packet)
		all += n
		if from, to := ports(packet); from == port || to == port {
			there += n
			bytes += int64(len(packet))
		}
	}
	return all, there, bytes
}

// freeUDP returns a UDP port of loopback that was free a moment ago.
func freeUDP() (int, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port, nil
}

// settle lets something happen for a while, or until ctx ends.
func settle(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
