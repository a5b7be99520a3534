package p2p

import (
	"sync"
	"time"
)

const (
	// maxInbox is how much may wait for peers' messages to be taken: 32 MiB of chunks.
	maxInbox = 1024
	// maxNotes bounds the inbox when the loop hangs.
	maxNotes = 64 * maxInbox
)

// inbox holds what a swarm's loop is to do, in the order in which it came about: a
// message of a peer that left is from before it left.
type inbox struct {
	ready chan struct{} // has room for one, and holds it when there is something to do

	mu    sync.Mutex // guards all following
	queue []func(now time.Time)
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

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
	return queue
}
