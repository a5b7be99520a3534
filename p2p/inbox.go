package p2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxInbox is how much may wait for peers' messages to be taken: 32 MiB of chunks.
	maxInbox = 1024
	// maxInboxPeer is how much of that may be of one peer.
	maxInboxPeer = maxInbox / 4
	// maxNotes bounds the inbox when the loop hangs.
	maxNotes = 64 * maxInbox
)

// inbox holds what a swarm's loop is to do, in the order in which it came about: a
// message of a peer that left is from before it left.
type inbox struct {
	ready chan struct{} // has room for one, and holds it when there is something to do

	mu    sync.Mutex // guards all following
	queue []func(now time.Time)
	of    map[peer.ID]int // messages of peers
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1), of: make(map[peer.ID]int)} }

// putOf is put for a peer's message, of which the inbox holds so many that others' find room.
func (b *inbox) putOf(id peer.ID, f func(now time.Time)) bool {
	b.mu.Lock()
	if b.of[id] >= maxInboxPeer {
		b.mu.Unlock()
		return false
	}
	b.of[id]++
	b.mu.Unlock()
	return b.put(f, maxInbox)
}

// put adds f unless the inbox holds limit already, and reports whether it did.
func (b *inbox) put(f func(now time.Time), limit int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) >= limit {
		return false
	}
	b.queue = append(b.queue, f)
	select {
	case b.ready <- struct{}{}:
	default:
	}
	return true
}

// take empties the inbox.
func (b *inbox) take() []func(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	queue := b.queue
	b.queue = nil
	clear(b.of)
	return queue
}
