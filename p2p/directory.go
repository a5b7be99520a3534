package p2p

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// directoryTopic carries signed entries, as ordinary messages.
	directoryTopic = topicPrefix + "directory"
	// maxEntries bounds the entries that a node keeps: under 1 MB.
	maxEntries = 256
	// maxNewEntries bounds the streams that one neighbour brings for the first time within
	// newEntriesWindow: keys cost nothing.
	maxNewEntries    = 32
	newEntriesWindow = time.Minute
	// entryPause is how long after an entry the next of the same stream is taken at the
	// earliest.
	entryPause = 20 * time.Second
)

// Reasons for which a node does not keep an entry that is signed well.
var (
	errEntryKnown   = errors.New("known, or older than what is known")
	errEntryEarly   = errors.New("too soon after the one before")
	errTooManyNew   = errors.New("the neighbour brings too many streams")
	errFullOfOthers = errors.New("the directory is full")
)

// directory is what a node knows of public streams. It keeps, for each, the newest entry, until
// that has expired; one that withdraws is kept for as long as what it withdraws could be replayed.
type directory struct {
	node  *Node
	topic *pubsub.Topic
	wg    sync.WaitGroup

	// wanted is told when somebody looks at the directory, or adds to it.
	wanted chan struct{}
	// met holds peers that could be asked.
	met     chan peer.ID
	answers answers

	mu      sync.Mutex // guards all following
	entries map[stream.ID]*stream.SignedEntry
	brought map[peer.ID]int // of new streams, since window
	window  time.Time
	own     int // announcements of this node that run
	stats   DirectoryStats
}

// DirectoryStats are the figures of a node's part in the directory.
type DirectoryStats struct {
	Entries  int   // kept, withdrawn ones included
	Received int64 // entries that were new
	Refused  int64 // forged or malformed
	Ignored  int64 // of another time, too soon, or beyond a bound
	Asked    int64 // peers that were asked for all that they have
	Answered int64 // peers that were told all that this node has
}

func newDirectory(n *Node) *directory {
	return &directory{node: n, wanted: make(chan struct{}, 1), met: make(chan peer.ID, 16), entries: make(map[stream.ID]*stream.SignedEntry), brought: make(map[peer.ID]int)}
}

// start joins the directory's topic.
func (d *directory) start() error {
	ps := d.node.ps
	if err := ps.RegisterTopicValidator(directoryTopic, d.node.heeding(d.validate)); err != nil {
		return fmt.Errorf("register validator: %w", err)
	}
	topic, err := ps.Join(directoryTopic)
	if err != nil {
		return fmt.Errorf("join directory: %w", err)
	}
	d.topic = topic
	if err := topic.SetScoreParams(topicScore()); err != nil {
		return fmt.Errorf("set score of directory: %w", err)
	}
	events, err := topic.EventHandler()
	if err != nil {
		return fmt.Errorf("watch directory: %w", err)
	}
	sub, err := topic.Subscribe()
	if err != nil {
		events.Cancel()
		return fmt.Errorf("subscribe to directory: %w", err)
	}
	d.node.host.SetStreamHandler(directoryProtocol, d.answer)
	d.wg.Go(func() { d.drain(sub) })
	d.wg.Go(func() { d.follow(events) })
	d.wg.Go(d.askPeers)
	if d.node.dht != nil {
		d.wg.Go(d.findPeers)
	}
	return nil
}

// close waits for what start began, once the node's context has ended.
func (d *directory) close() {
	d.node.host.RemoveStreamHandler(directoryProtocol)
	d.wg.Wait()
}

// drain reads the subscription. What it carries was handled by the validator.
func (d *directory) drain(sub *pubsub.Subscription) {
	defer sub.Cancel()
	for {
		if _, err := sub.Next(d.node.ctx); err != nil {
			return
		}
	}
}

// follow notes peers that are part of the directory.
func (d *directory) follow(events *pubsub.TopicEventHandler) {
	defer events.Cancel()
	for {
		e, err := events.NextPeerEvent(d.node.ctx)
		if err != nil {
			return
		}
		if e.Type == pubsub.PeerJoin {
			select {
			case d.met <- e.Peer:
			default: // there are enough to ask
			}
		}
	}
}

// validate is gossipsub's validator for entries: nothing is passed on that its stream's key did
// not sign, or that this node does not keep itself.
func (d *directory) validate(_ context.Context, from peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
	if from == d.node.host.ID() {
		return pubsub.ValidationAccept // kept a moment ago, see publish
	}
	switch err := d.take(msg.Data, from, maxNewEntries); {
	case err == nil:
		return pubsub.ValidationAccept
	case errors.Is(err, stream.ErrBadEntry), errors.Is(err, stream.ErrForgedEntry):
		return pubsub.ValidationReject // which lowers the score
	}
	return pubsub.ValidationIgnore
}

// take keeps an entry that a peer brings, or says why not. limit bounds the new streams that
// one peer may bring.
func (d *directory) take(raw []byte, from peer.ID, limit int) error {
	now := time.Now()
	e, err := stream.OpenEntry(raw, now)
	if err == nil {
		err = d.heed(e)
	}
	if err == nil {
		err = d.keep(e, from, limit, now)
	}
	switch {
	case err == nil, errors.Is(err, errEntryKnown):
	case errors.Is(err, stream.ErrBadEntry), errors.Is(err, stream.ErrForgedEntry):
		d.count(func(s *DirectoryStats) { s.Refused++ })
		d.node.log.Debug("directory entry refused", "peer", from, "err", err)
		d.node.fault(from, Forged)
	default:
		d.count(func(s *DirectoryStats) { s.Ignored++ })
	}
	return err
}

// heed refuses an entry of a key that was revoked, which this node knows of streams that it takes
// part in; others' live for minutes.
func (d *directory) heed(e *stream.SignedEntry) error {
	if s := d.node.swarm(e.Stream); s != nil {
		return s.roles.Revoked(e.Delegation())
	}
	return nil
}

// keep keeps an entry that is newer than what is known of its stream.
func (d *directory) keep(e *stream.SignedEntry, from peer.ID, limit int, now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.entries[e.Stream]
	switch {
	case old != nil && !e.Issued.After(old.Issued):
		return errEntryKnown
	case old != nil && e.Life > 0 && e.Issued.Sub(old.Issued) < entryPause:
		return errEntryEarly
	case old == nil:
		if err := d.makeRoomLocked(from, limit, now); err != nil {
			return err
		}
	}
	d.entries[e.Stream] = e
	d.stats.Received++
	return nil
}

// makeRoomLocked checks the bounds for one more stream.
func (d *directory) makeRoomLocked(from peer.ID, limit int, now time.Time) error {
	if now.Sub(d.window) >= newEntriesWindow {
		clear(d.brought)
		d.window = now
	}
	d.expireLocked(now)
	switch own := from == d.node.host.ID(); {
	case own:
	case d.brought[from] >= limit:
		return errTooManyNew
	case len(d.entries) >= maxEntries:
		return errFullOfOthers
	}
	d.brought[from]++
	return nil
}

func (d *directory) expireLocked(now time.Time) {
	maps.DeleteFunc(d.entries, func(_ stream.ID, e *stream.SignedEntry) bool {
		if e.Life == 0 {
			return now.After(e.Issued.Add(stream.MaxEntryLife))
		}
		return now.After(e.Expires())
	})
}

// current returns the entries that have not expired, withdrawn ones included.
func (d *directory) current() []*stream.SignedEntry {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expireLocked(time.Now())
	return slices.Collect(maps.Values(d.entries))
}

func (d *directory) count(f func(*DirectoryStats)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.stats)
}

// publish keeps an entry of this node's own, and tells others.
func (d *directory) publish(ctx context.Context, e *stream.SignedEntry) error {
	if err := d.keep(e, d.node.host.ID(), 0, time.Now()); err != nil {
		return fmt.Errorf("add to directory: %w", err)
	}
	if err := d.topic.Publish(ctx, e.Bytes()); err != nil {
		return fmt.Errorf("publish directory entry: %w", err)
	}
	return nil
}

// want has the directory look for peers that take part in it.
func (d *directory) want() {
	select {
	case d.wanted <- struct{}{}:
	default:
	}
}

// Directory returns the public streams that are on air as far as this node knows, by title, and
// has it look for more. It is nil unless [Config.Directory] is set.
func (n *Node) Directory() []stream.Entry {
	if n.directory == nil {
		return nil
	}
	n.directory.want()
	var out []stream.Entry
	for _, e := range n.directory.current() {
		if e.Life > 0 {
			out = append(out, e.Entry)
		}
	}
	slices.SortFunc(out, func(a, b stream.Entry) int {
		return cmp.Or(cmp.Compare(a.Title, b.Title), slices.Compare(a.Stream[:], b.Stream[:]))
	})
	return out
}

// Title returns the title of a public stream that is in the directory, "" of another. Nobody is
// asked for it.
func (n *Node) Title(id stream.ID) string {
	if n.directory == nil {
		return ""
	}
	for _, e := range n.directory.current() {
		if e.Stream == id && e.Life > 0 {
			return e.Title
		}
	}
	return ""
}

// DirectoryStats returns the figures of the node's part in the directory.
func (n *Node) DirectoryStats() DirectoryStats {
	if n.directory == nil {
		return DirectoryStats{}
	}
	n.directory.mu.Lock()
	defer n.directory.mu.Unlock()
	out := n.directory.stats
	out.Entries = len(n.directory.entries)
	return out
}
