package discovery

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// fixedHost is a host of which the store asks only this.
type fixedHost struct {
	host.Host
	id    peer.ID
	addrs []multiaddr.Multiaddr
}

func (h fixedHost) ID() peer.ID                  { return h.id }
func (h fixedHost) Addrs() []multiaddr.Multiaddr { return h.addrs }

func add(t *testing.T, s *store, key, provider string) {
	t.Helper()
	if err := s.AddProvider(t.Context(), []byte(key), peer.AddrInfo{ID: peer.ID(provider), Addrs: addrs(1)}); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s *store, key string) (ids []string) {
	t.Helper()
	providers, err := s.GetProviders(t.Context(), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range providers {
		ids = append(ids, string(p.ID))
	}
	slices.Sort(ids)
	return ids
}

func addrs(n int) (out []multiaddr.Multiaddr) {
	for i := range n {
		out = append(out, multiaddr.StringCast(fmt.Sprintf("/ip4/192.0.2.1/udp/%d/quic-v1", i+1)))
	}
	return out
}

func TestProvidersExpireUnlessTheyAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(fixedHost{}, time.Hour)
		add(t, s, "key", "once")
		add(t, s, "key", "again")
		time.Sleep(50 * time.Minute)
		add(t, s, "key", "again")
		if got := get(t, s, "key"); !slices.Equal(got, []string{"again", "once"}) {
			t.Errorf("providers %v", got)
		}
		time.Sleep(20 * time.Minute)
		if got := get(t, s, "key"); !slices.Equal(got, []string{"again"}) {
			t.Errorf("providers %v, want the renewed one", got)
		}
		time.Sleep(time.Hour)
		if got := get(t, s, "key"); got != nil || s.order.Len() > 0 || len(s.keys) > 0 {
			t.Errorf("providers %v, %d records, %d keys; want none", got, s.order.Len(), len(s.keys))
		}
	})
}

func TestProvidersAreBounded(t *testing.T) {
	s := newStore(fixedHost{}, time.Hour)
	for i := range 3 * maxRecordsOfKey {
		add(t, s, "flooded", fmt.Sprint("flood-", i))
	}
	if n := len(s.keys["flooded"]); n != maxRecordsOfKey {
		t.Errorf("a key has %d providers, want %d", n, maxRecordsOfKey)
	}
	if n := len(get(t, s, "flooded")); n != maxAnswer {
		t.Errorf("an answer has %d providers, want %d", n, maxAnswer)
	}
	for i := range 2 * maxRecords {
		add(t, s, fmt.Sprint("key-", i), "provider")
	}
	if s.order.Len() != maxRecords || len(s.keys) != maxRecords {
		t.Errorf("%d records of %d keys, want %d", s.order.Len(), len(s.keys), maxRecords)
	}
	if got := get(t, s, fmt.Sprint("key-", 2*maxRecords-1)); !slices.Equal(got, []string{"provider"}) {
		t.Errorf("the newest key has providers %v", got)
	}
	if got := get(t, s, "flooded"); got != nil {
		t.Errorf("the oldest key has providers %v", got)
	}
	if err := s.AddProvider(t.Context(), []byte("key"), peer.AddrInfo{ID: "many", Addrs: addrs(100)}); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.GetProviders(t.Context(), []byte("key")); len(got) != 1 || len(got[0].Addrs) != maxRecordAddrs {
		t.Errorf("%v, want %d addresses", got, maxRecordAddrs)
	}
}

func TestServerTellsWhereItIsItselfNow(t *testing.T) {
	s := newStore(fixedHost{id: "self", addrs: addrs(2)}, time.Hour)
	if err := s.AddProvider(t.Context(), []byte("key"), peer.AddrInfo{ID: "self"}); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.GetProviders(t.Context(), []byte("key")); len(got) != 1 || len(got[0].Addrs) != 2 {
		t.Errorf("%v, want the host's addresses", got)
	}
}

func TestValuesAreBounded(t *testing.T) {
	d := newValues()
	ctx := context.Background()
	for round := range 2 {
		for i := range 2 * maxValues {
			if err := d.Put(ctx, datastore.NewKey(fmt.Sprint(i)), []byte{byte(round)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	held := 0
	for i := range 2 * maxValues {
		if ok, err := d.Has(ctx, datastore.NewKey(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		} else if ok {
			held++
		}
	}
	if held != maxValues {
		t.Errorf("%d values, want %d", held, maxValues)
	}
	if v, err := d.Get(ctx, datastore.NewKey(fmt.Sprint(2*maxValues-1))); err != nil || v[0] != 1 {
		t.Errorf("the newest value is %v, %v", v, err)
	}
}
