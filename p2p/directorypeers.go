package p2p

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/discovery"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// directoryProtocol carries the entries that a node has to who asks: each with its
	// length before it, as a varint.
	directoryProtocol = "/grapevine/directory/1"
	// directoryTimeout bounds asking one peer, and answering one.
	directoryTimeout = 5 * time.Second
	// maxAsked bounds the peers that are asked within askedWindow: each has nearly all.
	maxAsked    = 4
	askedWindow = 5 * time.Minute
	// maxAnswered bounds the answers within answeredWindow, maxAnsweredPeer those to one
	// peer, and maxAnswerSize the bytes of one.
	maxAnswered     = 64
	maxAnsweredPeer = 6
	answeredWindow  = time.Minute
	maxAnswerSize   = 128 << 10
	// directorySearch is the pause between searches of the DHT, however often somebody looks.
	directorySearch = 5 * time.Minute
	// maxDirectoryPeers bounds those of one search that are dialled.
	maxDirectoryPeers = 4
	// directoryRound is how often to look whether to announce this node again.
	directoryRound = time.Minute
)

// askPeers asks peers that are met for what they have, until the node closes.
func (d *directory) askPeers() {
	var since time.Time
	asked := 0
	for {
		select {
		case <-d.node.ctx.Done():
			return
		case id := <-d.met:
			if time.Since(since) >= askedWindow {
				since, asked = time.Now(), 0
			}
			if asked >= maxAsked {
				continue
			}
			if err := d.ask(id); err != nil {
				d.node.log.Debug("cannot ask for the directory", "peer", id, "err", err)
				continue
			}
			asked++
		}
	}
}

// ask keeps the entries that a connected peer has.
func (d *directory) ask(id peer.ID) error {
	ctx, cancel := context.WithTimeout(network.WithNoDial(d.node.ctx, "directory"), directoryTimeout)
	defer cancel()
	s, err := d.node.host.NewStream(ctx, id, directoryProtocol)
	if err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	defer s.Reset()
	if err := s.SetDeadline(time.Now().Add(directoryTimeout)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	d.count(func(c *DirectoryStats) { c.Asked++ })
	r := bufio.NewReader(io.LimitReader(s, maxAnswerSize))
	for {
		raw, err := readEntry(r)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read entry: %w", err)
		}
		if err := d.take(raw, id, maxEntries); errors.Is(err, stream.ErrBadEntry) || errors.Is(err, stream.ErrForgedEntry) {
			_ = d.node.ps.PeerFeedback(directoryTopic, id, pubsub.PeerFeedbackInvalidMessage) // fails only when pubsub has ended
			return err
		}
	}
}

// readEntry reads one entry of an answer, and io.EOF at its end.
func readEntry(r *bufio.Reader) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	if n > stream.MaxEntrySize {
		return nil, fmt.Errorf("%w: %d bytes", stream.ErrBadEntry, n)
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return raw, nil
}

// answers bounds whom a directory answers.
type answers struct {
	mu    sync.Mutex // guards all following
	to    map[peer.ID]int
	all   int // of to
	since time.Time
}

// admit reports whether a peer is answered now.
func (a *answers) admit(id peer.ID, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.to == nil || now.Sub(a.since) >= answeredWindow {
		a.to, a.all, a.since = make(map[peer.ID]int), 0, now
	}
	if a.to[id] >= maxAnsweredPeer || a.all >= maxAnswered {
		return false
	}
	a.to[id]++
	a.all++
	return true
}

// answer tells a peer what this node has, or as much as fits, chosen at random.
func (d *directory) answer(s network.Stream) {
	defer s.Reset()
	if !d.answers.admit(s.Conn().RemotePeer(), time.Now()) || s.SetDeadline(time.Now().Add(directoryTimeout)) != nil {
		return
	}
	d.count(func(c *DirectoryStats) { c.Answered++ })
	entries := d.current()
	rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	var out []byte
	for _, e := range entries {
		if len(out)+binary.MaxVarintLen64+len(e.Bytes()) > maxAnswerSize {
			break
		}
		out = binary.AppendUvarint(out, uint64(len(e.Bytes())))
		out = append(out, e.Bytes()...)
	}
	if _, err := s.Write(out); err == nil {
		_ = s.CloseWrite() // the peer reads on until its deadline otherwise
		_, _ = io.Copy(io.Discard, io.LimitReader(s, 1))
	}
}

// findPeers finds others that take part in the directory by the DHT, when somebody looks at it
// or this node adds to it, until the node closes.
func (d *directory) findPeers() {
	var searched time.Time
	done := make(map[uint64]bool) // slots for which this node was announced
	ticker := time.NewTicker(directoryRound)
	defer ticker.Stop()
	for {
		wanted := false
		select {
		case <-d.node.ctx.Done():
			return
		case <-d.wanted:
			wanted = true
		case <-ticker.C:
		}
		provides := d.provides()
		if (wanted || provides) && time.Since(searched) >= directorySearch {
			searched = time.Now()
			d.search()
		}
		if provides {
			d.announceNode(done)
		}
	}
}

// provides reports whether others shall find this node when they look for the directory.
func (d *directory) provides() bool {
	if d.node.cfg.DHT.Server {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.own > 0
}

// search connects to some that others find when they look for the directory.
func (d *directory) search() {
	var found []peer.AddrInfo
	err := d.node.dht.Find(d.node.ctx, discovery.Directory, func(p peer.AddrInfo) bool {
		p.Addrs = shareable(p.Addrs)
		found = append(found, p)
		return len(found) < maxDirectoryPeers
	})
	d.node.log.Debug("searched the DHT for the directory", "providers", len(found), "err", err)
	var dials sync.WaitGroup
	defer dials.Wait()
	for _, p := range found {
		p.Addrs = p.Addrs[:min(len(p.Addrs), maxAddrs)]
		dials.Go(func() {
			ctx, cancel := context.WithTimeout(d.node.ctx, dialTimeout)
			defer cancel()
			if err := d.node.host.Connect(ctx, p); err != nil {
				d.node.log.Debug("cannot dial", "peer", p.ID, "err", err)
			}
		})
	}
}

// announceNode announces this node as one that others find when they look for the directory.
func (d *directory) announceNode(done map[uint64]bool) {
	for _, slot := range discovery.Slots(time.Now()) {
		if done[slot] {
			continue
		}
		if err := d.node.dht.Provide(d.node.ctx, discovery.Directory, slot); err != nil {
			d.node.log.Debug("cannot announce in the DHT", "err", err)
			return
		}
		if len(done) > 2 {
			clear(done)
		}
		done[slot] = true
	}
}
