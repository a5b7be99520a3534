package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

type inputKind int

const (
	inputStdin inputKind = iota
	inputFile
	inputTCP
	inputUDP
	inputRTMP
	inputSRT
	inputWHIP
	inputSample
)

const (
	// udpBuffer is what the kernel is asked to hold while a part is published: a second
	// at 32 Mbit/s.
	udpBuffer = 4 << 20
	// udpSilence is after how long without datagrams another sender may take over.
	udpSilence = 5 * time.Second
	// maxDatagram is the largest there is.
	maxDatagram = 64 << 10
)

// input is where to read from.
type input struct {
	kind inputKind
	addr string // to listen on
	path string // of a file, or that RTMP and WHIP publishers name
	srt  srtInput
}

// reconnects reports whether an encoder that breaks off can come back.
func (in input) reconnects() bool {
	return in.kind == inputTCP || in.kind == inputRTMP || in.kind == inputSRT || in.kind == inputWHIP
}

// Reconnects reports whether an Input listens for encoders that may break off and come
// back, as Config.Reconnect says.
func Reconnects(s string) bool {
	in, err := parseInput(s)
	return err == nil && in.reconnects()
}

func parseInput(s string) (input, error) {
	scheme, _, hasScheme := strings.Cut(s, ":")
	switch {
	case s == "":
		return input{}, errors.New("no input")
	case s == "-":
		return input{kind: inputStdin}, nil
	case s == "sample:":
		return input{kind: inputSample}, nil
	case hasScheme && (scheme == "tcp" || scheme == "udp"):
		u, err := url.Parse(strings.Replace(s, "//@", "//", 1)) // as VLC writes it
		if err != nil {
			return input{}, fmt.Errorf("input %q: %w", s, err)
		}
		// FFmpeg's URLs carry options in the query, which are of no use here.
		if u.Path != "" || u.Port() == "" || u.User != nil {
			return input{}, fmt.Errorf("input %q is not %s://host:port", s, scheme)
		}
		if scheme == "udp" {
			return input{kind: inputUDP, addr: u.Host}, nil
		}
		return input{kind: inputTCP, addr: u.Host}, nil
	case hasScheme && scheme == "rtmp":
		return parseRTMP(s)
	case hasScheme && scheme == "srt":
		return parseSRT(s)
	case hasScheme && scheme == "whip":
		return parseWHIP(s)
	case strings.Contains(s, "://"):
		return input{}, fmt.Errorf("input %q: no such protocol, only tcp://, udp://, rtmp://, srt:// and whip://", s)
	}
	return input{kind: inputFile, path: s}, nil
}

// source is an open input.
type source struct {
	io.Reader
	paced  bool
	rewind func() error // to the start, if it can loop
	waits  bool         // Read returns after close
	close  func() error // once

	reception *reception // nil unless encoders come and go
}

func noClose() error { return nil }

// open opens, or listens and waits for an encoder. When ctx is done it returns at once.
func (in input) open(ctx context.Context, i *Ingest) (*source, error) {
	switch in.kind {
	case inputStdin:
		return &source{Reader: i.cfg.Stdin, close: noClose}, nil
	case inputSample:
		r := bytes.NewReader(sample)
		return &source{Reader: r, paced: true, waits: true, close: noClose, rewind: func() error {
			_, err := r.Seek(0, io.SeekStart)
			return err
		}}, nil
	case inputTCP:
		return receive(ctx, "tcp", in.addr, i, greetTCP)
	case inputRTMP:
		return receive(ctx, "rtmp", in.addr, i, rtmpGreeter{path: in.path, key: i.cfg.StreamKey}.greet)
	case inputSRT:
		return in.srt.open(ctx, i)
	case inputWHIP:
		return openWHIP(ctx, in, i)
	case inputUDP:
		return openUDP(ctx, in.addr, i)
	}
	return openFile(in.path, i.cfg.Loop)
}

func openFile(path string, loop bool) (*source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open input: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("open input: %s is a directory", path)
	}
	if !info.Mode().IsRegular() {
		if loop {
			return nil, fmt.Errorf("open input: %s cannot loop: it is not a regular file", path)
		}
		// A pipe or device delivers in its own time, and opening it may wait for who
		// writes to it.
		return &source{Reader: &lazyFile{path: path}, close: noClose}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open input: %w", err)
	}
	s := &source{Reader: f, paced: true, waits: true, close: f.Close}
	if loop {
		s.rewind = func() error {
			_, err := f.Seek(0, io.SeekStart)
			return err
		}
	}
	return s, nil
}

// lazyFile opens a file when it is first read, and closes it at its end.
type lazyFile struct {
	path string
	f    *os.File
}

func (l *lazyFile) Read(b []byte) (int, error) {
	if l.f == nil {
		f, err := os.Open(l.path)
		if err != nil {
			return 0, err
		}
		l.f = f
	}
	n, err := l.f.Read(b)
	if err != nil {
		l.f.Close()
	}
	return n, err
}

func openUDP(ctx context.Context, addr string, i *Ingest) (*source, error) {
	var conn *net.UDPConn
	if a, err := net.ResolveUDPAddr("udp", addr); err == nil && a.IP.IsMulticast() {
		if conn, err = net.ListenMulticastUDP("udp", nil, a); err != nil {
			return nil, fmt.Errorf("listen for the encoder: %w", err)
		}
	} else {
		var lc net.ListenConfig
		pc, err := lc.ListenPacket(ctx, "udp", addr)
		if err != nil {
			return nil, fmt.Errorf("listen for the encoder: %w", err)
		}
		conn = pc.(*net.UDPConn)
	}
	if err := conn.SetReadBuffer(udpBuffer); err != nil {
		i.log.Warn("small receive buffer", "err", err)
	}
	i.connection(func(s *Stats) { s.Listen = conn.LocalAddr().String() })
	i.log.Info("waiting for the encoder", "listen", "udp://"+conn.LocalAddr().String())
	return &source{Reader: &udpReader{conn: conn, i: i}, waits: true, close: conn.Close}, nil
}

// udpReader reads the datagrams of one sender.
type udpReader struct {
	conn *net.UDPConn
	i    *Ingest
	from netip.AddrPort
	at   time.Time // of its last datagram
}

func (u *udpReader) Read(b []byte) (int, error) {
	for {
		n, from, err := u.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return 0, err
		}
		now := time.Now()
		if from != u.from {
			if u.from.IsValid() && now.Sub(u.at) < udpSilence {
				u.i.connection(func(s *Stats) { s.Strangers++ })
				continue
			}
			u.from = from
			u.i.connection(func(s *Stats) { s.From = from.String() })
			u.i.log.Info("encoder sends", "from", from.String())
		}
		u.at = now
		if n > 0 {
			return n, nil
		}
	}
}
