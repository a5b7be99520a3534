package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

const (
	// maxCheckUpload bounds what a node sends to have its uplink measured, and is sent to
	// one that agreed to measure: half a second of 32 Mbit/s.
	maxCheckUpload = 2 << 20
	// checkFor bounds a measurement, and checkTimeout all that belongs to it.
	checkFor     = 5 * time.Second
	checkTimeout = 3 * checkFor
	// checkEvery is how often one peer gets a measurement, and checkPause how often anybody
	// does: 2 MiB every 10 s are 1.7 Mbit/s of the downlink at most.
	checkEvery = time.Minute
	checkPause = 10 * time.Second
	// maxChecks bounds the questions answered at a time.
	maxChecks = 16
	// maxChecked bounds the peers remembered for checkEvery.
	maxChecked = 256
)

// checker answers the check protocol. Only relays, which were set up to help others, agree to
// measure an uplink.
type checker struct {
	n *Node

	mu      sync.Mutex // guards all following
	asked   int        // at this time
	last    time.Time  // measurement of any peer
	checked map[peer.ID]time.Time
}

func newChecker(n *Node) *checker { return &checker{n: n, checked: make(map[peer.ID]time.Time)} }

func (c *checker) handle(s network.Stream) {
	if !c.enter() {
		_ = s.ResetWithError(network.StreamRateLimited)
		return
	}
	defer c.leave()
	if err := c.answer(s); err != nil {
		c.n.log.Debug("check failed", "peer", s.Conn().RemotePeer(), "err", err)
		s.Reset()
		return
	}
	s.Close()
}

func (c *checker) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked >= maxChecks {
		return false
	}
	c.asked++
	return true
}

func (c *checker) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked--
}

func (c *checker) answer(s network.Stream) error {
	if err := s.SetDeadline(time.Now().Add(checkTimeout)); err != nil {
		return err
	}
	r, w := bufio.NewReader(s), bufio.NewWriter(s)
	raw, err := readFrame(r, maxCheckMessage)
	if err != nil {
		return fmt.Errorf("read check: %w", err)
	}
	upload, err := parseCheck(raw)
	if err != nil {
		return err
	}
	if upload > 0 && !c.agree(s, time.Now()) {
		upload = 0
	}
	answer := checked{seen: s.Conn().RemoteMultiaddr().Bytes(), clock: time.Now(), upload: upload}
	if err := send(w, answer.marshal()); err != nil || upload == 0 {
		return err
	}
	bytes, took, err := measure(s, r, upload)
	if err != nil {
		return fmt.Errorf("measure: %w", err)
	}
	return send(w, marshalReceived(bytes, took))
}

// agree reports whether a peer may have its uplink measured now.
func (c *checker) agree(s network.Stream, now time.Time) bool {
	if c.n.cfg.Relay == nil || relayed(s.Conn()) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, at := range c.checked {
		if now.Sub(at) >= checkEvery {
			delete(c.checked, id)
		}
	}
	id := s.Conn().RemotePeer()
	if _, lately := c.checked[id]; lately || len(c.checked) >= maxChecked || now.Sub(c.last) < checkPause {
		return false
	}
	c.checked[id], c.last = now, now
	return true
}

// measure reads n bytes of a stream, or as many as come in time, and returns how many of them
// came in how long once the sender had found its rate. That takes it some round trips, and is
// over after half of the bytes or half of the time.
func measure(s network.Stream, r io.Reader, n int) (bytes int64, took time.Duration, err error) {
	buf := make([]byte, 16<<10)
	var began, steady time.Time
	for left := n; left > 0; {
		k, err := r.Read(buf[:min(left, len(buf))])
		now := time.Now()
		if timedOut(err) && !began.IsZero() {
			break // the sender may have ended a little before
		} else if err != nil {
			return 0, 0, err
		}
		left -= k
		switch {
		case began.IsZero():
			began = now // what came first tells of no time
			if err := s.SetReadDeadline(began.Add(checkFor)); err != nil {
				return 0, 0, err
			}
		case !steady.IsZero():
			bytes, took = bytes+int64(k), now.Sub(steady)
		case left <= n/2 || now.Sub(began) >= checkFor/2:
			steady = now
		}
	}
	return bytes, took, nil
}

func timedOut(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

func send(w *bufio.Writer, b []byte) error {
	if err := writeFrame(w, b); err != nil {
		return err
	}
	return w.Flush()
}

// Check is what a peer told a node of it.
type Check struct {
	Peer peer.ID
	Addr string        // at which the peer was reached
	Seen string        // multiaddr at which it sees this node
	RTT  time.Duration // of the question
	Skew time.Duration // the peer's clock less this node's, right to half of RTT
	// Uplink is in bits per second, 0 if the peer did not agree to measure it: only relays
	// do, each peer once a minute.
	Uplink float64
}

// Check connects to a peer, at one of the given addresses only, and asks it about this node.
func (n *Node) Check(ctx context.Context, info peer.AddrInfo, uplink bool) (Check, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	out := Check{Peer: info.ID}
	if err := n.host.Connect(ctx, info); err != nil {
		return out, err
	}
	s, err := n.host.NewStream(network.WithNoDial(ctx, "check"), info.ID, checkProtocol)
	if err != nil {
		return out, fmt.Errorf("ask: %w", err)
	}
	defer s.Reset()
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	out.Addr = s.Conn().RemoteMultiaddr().String()
	upload := 0
	if uplink {
		upload = maxCheckUpload
	}
	return out, out.ask(s, upload)
}

func (c *Check) ask(s network.Stream, upload int) error {
	r, w := bufio.NewReader(s), bufio.NewWriter(s)
	began := time.Now()
	if err := send(w, marshalCheck(upload)); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	raw, err := readFrame(r, maxCheckMessage)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	now := time.Now()
	answer, err := parseChecked(raw)
	if err != nil {
		return err
	}
	seen, err := multiaddr.NewMultiaddrBytes(answer.seen)
	if err != nil {
		return fmt.Errorf("%w: checked: %w", errWire, err)
	}
	c.RTT = now.Sub(began)
	c.Skew = answer.clock.Sub(began.Add(c.RTT / 2))
	c.Seen = seen.String()
	if answer.upload == 0 {
		return nil
	}
	if err := fill(s, answer.upload); err != nil {
		return fmt.Errorf("measure uplink: %w", err)
	}
	raw, err = readFrame(r, maxCheckMessage)
	if err != nil {
		return fmt.Errorf("read measurement: %w", err)
	}
	bytes, took, err := parseReceived(raw)
	if err == nil && took > 0 {
		c.Uplink = 8 * float64(bytes) / took.Seconds()
	}
	return err
}

// fill sends n bytes, or as many as the other end reads in time.
func fill(s network.Stream, n int) error {
	if err := s.SetWriteDeadline(time.Now().Add(checkFor)); err != nil {
		return err
	}
	buf := make([]byte, 16<<10)
	for n > 0 {
		k, err := s.Write(buf[:min(n, len(buf))])
		n -= k
		if timedOut(err) {
			break // the uplink is slower than that, which the other end has measured
		} else if err != nil {
			return err
		}
	}
	return nil
}
