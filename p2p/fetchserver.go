package p2p

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// fetchRequestTimeout is how long a peer may take to send its request.
	fetchRequestTimeout = 5 * time.Second
	// fetchStallTimeout is how long a peer may take to read one message.
	fetchStallTimeout = 5 * time.Second
	// fetchServeTimeout bounds an answer: no honest peer waits longer than fetchTimeout
	// for one, and who reads slowly keeps others from being served.
	fetchServeTimeout = fetchTimeout + time.Second
	// maxServing and maxServingPeer bound the requests answered at a time, of all peers
	// and of one. Others are reset, and ask somebody else.
	maxServing     = 64
	maxServingPeer = 8
)

// fetchServer answers the fetch protocol from the store and the timelines.
type fetchServer struct {
	node *Node

	mu      sync.Mutex // guards all following
	serving map[peer.ID]int
	total   int
	refused int64
}

func newFetchServer(n *Node) *fetchServer {
	return &fetchServer{node: n, serving: make(map[peer.ID]int)}
}

func (f *fetchServer) enter(id peer.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.total >= maxServing || f.serving[id] >= maxServingPeer {
		f.refused++
		return false
	}
	f.total++
	f.serving[id]++
	return true
}

func (f *fetchServer) leave(id peer.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total--
	if f.serving[id]--; f.serving[id] == 0 {
		delete(f.serving, id)
	}
}

// handle answers one request.
func (f *fetchServer) handle(s network.Stream) {
	id := s.Conn().RemotePeer()
	if !f.enter(id) {
		s.Reset()
		return
	}
	defer f.leave(id)
	if err := f.answer(s, id); err != nil {
		f.node.log.Debug("fetch request failed", "peer", id, "err", err)
		s.Reset()
		return
	}
	s.Close()
}

func (f *fetchServer) answer(s network.Stream, id peer.ID) error {
	if err := s.SetReadDeadline(time.Now().Add(fetchRequestTimeout)); err != nil {
		return err
	}
	raw, err := readFrame(bufio.NewReader(s), maxRequestSize)
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	req, err := parseFetchRequest(raw)
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	swarm := f.node.swarm(req.stream)
	if swarm == nil {
		return nil // nothing of it here: an empty answer
	}
	w := bufio.NewWriterSize(s, maxResponseSize)
	end := time.Now().Add(fetchServeTimeout)
	send := func(r fetchResponse) error {
		deadline := time.Now().Add(fetchStallTimeout)
		if deadline.After(end) {
			deadline = end
		}
		if err := s.SetWriteDeadline(deadline); err != nil {
			return err
		}
		return writeFrame(w, r.marshal())
	}
	if req.timeline != nil {
		if err := sendTimeline(swarm, req.timeline, send); err != nil {
			return err
		}
		for _, record := range f.peerRecords(swarm, id) {
			if err := send(fetchResponse{peerRecord: record}); err != nil {
				return err
			}
		}
	}
	for i, p := range req.parts {
		if err := f.sendPart(swarm, id, i, p, send); err != nil {
			return err
		}
	}
	return w.Flush()
}

func sendTimeline(swarm *Swarm, req *timelineRequest, send func(fetchResponse) error) error {
	for _, t := range swarm.Timelines() {
		if req.rendition != "" && req.rendition != t.Rendition() {
			continue
		}
		headers := t.From(req.from)
		if req.segments > 0 {
			headers = t.Recent(req.segments)
		}
		for _, h := range headers {
			if err := send(fetchResponse{header: h.Bytes()}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fetchServer) sendPart(swarm *Swarm, to peer.ID, i int, p partRequest, send func(fetchResponse) error) error {
	id := stream.PartID{Stream: swarm.id, Rendition: p.rendition, Position: p.position}
	for c := range 8 * len(p.want) {
		if !p.want.Get(c) {
			continue
		}
		data := f.node.store.Chunk(id, c)
		if data == nil {
			continue
		}
		if err := send(fetchResponse{chunk: &fetchedChunk{i, c, data}}); err != nil {
			return err
		}
		swarm.count(func(n *counters) {
			n.stats.ChunksSent++
			n.stats.BytesSent += int64(len(data))
			n.peer(to).BytesOut += int64(len(data))
		})
	}
	return nil
}

// peerRecords returns signed records of some peers that hold the stream, so that who
// knows only this node learns of others.
func (f *fetchServer) peerRecords(swarm *Swarm, except peer.ID) [][]byte {
	peers := swarm.holders()
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	var out [][]byte
	for _, id := range peers {
		if id == except || len(out) == maxPeersReply {
			continue
		}
		if raw := f.node.peerRecord(id); raw != nil {
			out = append(out, raw)
		}
	}
	return out
}
