package p2p_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/wire"
)

// request sends a fetch request for all chunks of some parts.
func request(t *testing.T, h host.Host, to peer.ID, id stream.ID, parts ...stream.Position) network.Stream {
	t.Helper()
	raw := wire.AppendBytes(nil, 1, id[:])
	for _, p := range parts {
		part := wire.AppendBytes(nil, 1, []byte("main"))
		part = wire.AppendBytes(part, 2, group(p))
		raw = wire.AppendBytes(raw, 3, wire.AppendBytes(part, 3, []byte{0xff, 0xff, 0xff, 0xff}))
	}
	s, err := h.NewStream(context.Background(), to, protocol.ID("/grapevine/fetch/1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(raw))), raw...)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPeerThatFetchesTheSameAgainAndAgainIsRefused(t *testing.T) {
	besieged(t, func(net *p2ptest.Network, a *attacker, victim *p2p.Swarm) {
		h := a.first(t)
		var got int64
		for range 100 {
			s := request(t, a.host, net.Host(1).ID(), victim.ID(), h.Position)
			n, _ := io.Copy(io.Discard, s)
			got += n
			s.Reset()
		}
		if most := int64(4*h.Size) * 11 / 10; got > most || got < int64(h.Size) {
			t.Errorf("a part of %d bytes was sent in %d bytes, want at most %d", h.Size, got, most)
		}
		if st := net.Node(1).Stats(); st.FetchesAgain < 90 || st.BytesFetched == 0 || st.BytesFetched > got {
			t.Errorf("%d requests were refused as repeats, %d bytes sent", st.FetchesAgain, st.BytesFetched)
		}
	})
}

func TestLiveChunksGoBeforeFetchedOnesWithinTheUplink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const joiners, known = 4, 2_000_000
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		net := p2ptest.New(t, latency)
		net.AddNodeWith(p2ptest.Link{}, p2p.Config{MaxUpload: known})
		net.AddNode(p2ptest.Link{})
		for range joiners {
			net.AddHost(p2ptest.Link{})
		}
		net.Start()
		defer net.Close()
		id, from := src.Key.ID(), net.Host(0).ID()
		join(t, net, 1, net.Link(id, 0))
		time.Sleep(2 * time.Second)
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 20, false) }()
		time.Sleep(30 * time.Second)

		var past []stream.Position
		for i := range 60 {
			past = append(past, stream.Position{Epoch: 1, Segment: uint64(i / 4), Part: uint32(i % 4)})
		}
		_, before := net.Bytes(0)
		start := time.Now()
		var mu sync.Mutex
		var silence time.Duration
		refused, got := 0, int64(0)
		var wg sync.WaitGroup
		for i := range joiners {
			net.Connect(2+i, 0)
			for k := range 2 { // requests at a time
				wg.Go(func() {
					s := request(t, net.Host(2+i), from, id, past[30*k:30*k+30]...)
					defer s.Reset()
					for last := start; ; last = time.Now() {
						n, err := io.CopyN(io.Discard, s, 4<<10)
						mu.Lock()
						got += n
						silence = max(silence, time.Since(last))
						if err != nil && !errors.Is(err, io.EOF) {
							refused++
						}
						mu.Unlock()
						if err != nil || time.Since(start) > 8*time.Second {
							return
						}
					}
				})
			}
		}
		wg.Wait()
		took := time.Since(start)
		_, after := net.Bytes(0)
		rate := 8 * float64(after-before) / took.Seconds()
		st := net.Node(0).Stats()
		t.Logf("%.2f Mbit/s for %v, of which %.2f fetched; %d requests refused, others silent for %v at most", rate/1e6, took, 8*float64(got)/took.Seconds()/1e6, refused, silence)
		if rate > known || rate < 0.85*known {
			t.Errorf("sent %.2f Mbit/s, want what the uplink has and no more", rate/1e6)
		}
		if silence > 2*time.Second {
			t.Error("who fetches gives up after 2s")
		}
		if refused == 0 || st.FetchesRefused != int64(refused) {
			t.Errorf("%d requests counted as refused", st.FetchesRefused)
		}
		time.Sleep(time.Second)
		viewer := net.Node(1).Swarms()[0].Stats()
		if viewer.ChunksFetched > 0 {
			t.Errorf("the viewer had to fetch %d of %d chunks itself", viewer.ChunksFetched, viewer.ChunksReceived)
		}
		sent := <-done
		time.Sleep(2 * time.Second)
		if missing := p2ptest.Missing(net.Node(1), id, sent); len(missing) > 0 {
			t.Errorf("the viewer lacks %d of %d parts: %v", len(missing), len(sent), missing)
		}
	})
}
