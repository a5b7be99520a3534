package discovery

import (
	"container/list"
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxRecords bounds the providers that a server keeps for others, of all keys: some 10 MB.
	maxRecords = 16384
	// maxRecordsOfKey bounds those of one key.
	maxRecordsOfKey = 1024
	// maxAnswer bounds those in one answer. A swarm is entered by any of them.
	maxAnswer = 64
	// maxRecordAddrs bounds the addresses of one.
	maxRecordAddrs = 16
)

// store keeps the providers that other nodes announce to a server. Unlike kad-dht's own
// it is bounded: when it is full, the oldest make room, and of a key with too many an
// arbitrary one. An answer is a random choice, so that whoever announces thousands gets a
// share of it rather than all.
type store struct {
	host     host.Host
	validity time.Duration

	mu    sync.Mutex // guards all following
	keys  map[string]map[peer.ID]*list.Element
	order *list.List // of *record, the newest at the back
}

type record struct {
	key      string
	provider peer.AddrInfo
	added    time.Time
}

var _ records.ProviderStore = (*store)(nil)

func newStore(h host.Host, validity time.Duration) *store {
	return &store{host: h, validity: validity, keys: make(map[string]map[peer.ID]*list.Element), order: list.New()}
}

// AddProvider implements records.ProviderStore.
func (s *store) AddProvider(_ context.Context, key []byte, provider peer.AddrInfo) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.expire(now)
	known := s.keys[string(key)]
	if old := known[provider.ID]; old != nil {
		s.remove(old)
		known = s.keys[string(key)] // gone if it was the only one
	}
	switch {
	case len(known) >= maxRecordsOfKey:
		for _, e := range known {
			s.remove(e)
			break
		}
	case s.order.Len() >= maxRecords:
		s.remove(s.order.Front())
		known = s.keys[string(key)]
	}
	if known == nil {
		known = make(map[peer.ID]*list.Element)
		s.keys[string(key)] = known
	}
	provider.Addrs = provider.Addrs[:min(len(provider.Addrs), maxRecordAddrs)]
	known[provider.ID] = s.order.PushBack(&record{string(key), provider, now})
	return nil
}

// GetProviders implements records.ProviderStore.
func (s *store) GetProviders(_ context.Context, key []byte) ([]peer.AddrInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(time.Now())
	var all []peer.AddrInfo
	for _, e := range s.keys[string(key)] {
		p := e.Value.(*record).provider
		if p.ID == s.host.ID() {
			p.Addrs = s.host.Addrs() // where it is now
		}
		all = append(all, p)
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(len(all), maxAnswer)], nil
}

// Close implements records.ProviderStore.
func (s *store) Close() error { return nil }

func (s *store) expire(now time.Time) {
	for e := s.order.Front(); e != nil && now.Sub(e.Value.(*record).added) > s.validity; e = s.order.Front() {
		s.remove(e)
	}
}

func (s *store) remove(e *list.Element) {
	r := s.order.Remove(e).(*record)
	delete(s.keys[r.key], r.provider.ID)
	if len(s.keys[r.key]) == 0 {
		delete(s.keys, r.key)
	}
}
