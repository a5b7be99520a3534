package p2p

import (
	"bufio"
	"context"
	"errors"
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
	// maxFetchRepeats bounds how often within fetchRepeatsFor a peer gets as many chunks as
	// this node has of a part: who lost its answer asks again, who asks without end takes
	// the uplink from others.
	maxFetchRepeats = 4
	fetchRepeatsFor = time.Minute
	// maxServed bounds the parts that are remembered for that, of all peers: some 1.5 MB.
	maxServed = 8192
)

var (
	errFetchBusy    = errors.New("too many answers under way for the uplink")
	errFetchRepeats = errors.New("the same chunks again and again")
)

// fetchServer answers the fetch protocol from the store and the timelines.
type fetchServer struct {
	node  *Node
	asked *allowances // requests
	told  *allowances // bytes of timelines

	mu       sync.Mutex // guards all following
	requests underWay
	answers  underWay // of those, with chunks
	served   map[servedPart]*servings
	oldest   []servedPart // of served, in the order in which they came
	stats    fetchStats
}

// fetchStats are counts since the start.
type fetchStats struct {
	bytes   int64 // payload of chunks sent
	refused int64 // requests that a bound left no room for
	repeats int64 // requests for what the peer had too often
}

// servedPart is a part as a peer fetched it.
type servedPart struct {
	to   peer.ID
	part stream.PartID
}

// servings are the chunks of a part that a peer got since a time.
type servings struct {
	chunks int
	since  time.Time
}

// underWay counts what peers have under way.
type underWay struct {
	total int
	of    map[peer.ID]int
}

// enter notes one more of a peer, if that stays within both bounds.
func (u *underWay) enter(id peer.ID, most, mostPeer int) bool {
	if u.total >= most || u.of[id] >= mostPeer {
		return false
	}
	u.total++
	u.of[id]++
	return true
}

func (u *underWay) leave(id peer.ID) {
	u.total--
	if u.of[id]--; u.of[id] == 0 {
		delete(u.of, id)
	}
}

func newFetchServer(n *Node) *fetchServer {
	return &fetchServer{
		node:     n,
		asked:    newAllowances(),
		told:     newAllowances(),
		requests: underWay{of: make(map[peer.ID]int)},
		answers:  underWay{of: make(map[peer.ID]int)},
		served:   make(map[servedPart]*servings),
	}
}

func (f *fetchServer) enter(id peer.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.requests.enter(id, maxServing, maxServingPeer) {
		f.stats.refused++
		return false
	}
	return true
}

func (f *fetchServer) leave(id peer.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests.leave(id)
}

// enterChunks is enter for an answer with chunks, of which there may be only so many
// that none falls silent while others have their turns. No peer gets them all.
func (f *fetchServer) enterChunks(id peer.ID) bool {
	most := f.node.uplink.answers()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.answers.enter(id, most, max(1, most/2))
}

func (f *fetchServer) leaveChunks(id peer.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers.leave(id)
}

// again notes that a peer gets a chunk of a part of which this node has some, and
// reports whether it had too many of them already.
func (f *fetchServer) again(id peer.ID, part stream.PartID, have int, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := servedPart{id, part}
	s := f.served[key]
	if s == nil {
		if len(f.oldest) == maxServed {
			delete(f.served, f.oldest[0])
			f.oldest = f.oldest[1:]
		}
		s = &servings{since: now}
		f.served[key] = s
		f.oldest = append(f.oldest, key)
	}
	if now.Sub(s.since) > fetchRepeatsFor {
		*s = servings{since: now}
	}
	if s.chunks >= maxFetchRepeats*have {
		return true
	}
	s.chunks++
	return false
}

func (f *fetchServer) count(count func(*fetchStats)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	count(&f.stats)
}

// handle answers one request.
func (f *fetchServer) handle(s network.Stream) {
	id := s.Conn().RemotePeer()
	may, floods := f.asked.take(id, 1, fetchRate, fetchBurst, time.Now())
	if floods {
		f.node.cutOff(id, Flood)
	}
	if !may || !f.enter(id) {
		// Who asked looks elsewhere, or comes back soon.
		_ = s.ResetWithError(network.StreamRateLimited)
		return
	}
	defer f.leave(id)
	if err := f.answer(s, id); err != nil {
		switch {
		case errors.Is(err, errFetchRepeats):
			f.count(func(c *fetchStats) { c.repeats++ })
		case errors.Is(err, errFetchBusy):
			f.count(func(c *fetchStats) { c.refused++ })
		case errors.Is(err, errWire):
			f.node.fault(id, Malformed)
		}
		f.node.log.Debug("fetch request failed", "peer", id, "err", err)
		if errors.Is(err, errFetchBusy) {
			_ = s.ResetWithError(network.StreamRateLimited)
		} else {
			s.Reset()
		}
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
	if s.Conn().Stat().Limited && !req.light() {
		return errLimitedPath
	}
	swarm := f.node.swarm(req.stream)
	if swarm == nil {
		return nil // nothing of it here: an empty answer
	}
	end := time.Now().Add(fetchServeTimeout)
	w := bufio.NewWriterSize(&answerWriter{f.node, s, end}, maxResponseSize)
	f.node.readers.enter(id, time.Now())
	defer f.node.readers.leave(id)
	send := func(r fetchResponse) error { return writeFrame(w, r.marshal()) }
	if err := f.exchangeRevocations(swarm, id, req, send); err != nil {
		return err
	}
	if req.timeline != nil {
		if err := f.sendTimeline(swarm, id, req.timeline, send); err != nil {
			return err
		}
		for _, record := range f.peerRecords(swarm, id) {
			if err := send(fetchResponse{peerRecord: record}); err != nil {
				return err
			}
		}
	}
	if req.past != nil {
		if err := sendSpans(swarm, req.past.rendition, send); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(req.parts) == 0 && (req.past == nil || req.past.headers == 0) {
		return nil
	}
	if !f.enterChunks(id) {
		return errFetchBusy
	}
	defer f.leaveChunks(id)
	ctx, cancel := context.WithDeadline(f.node.ctx, end)
	defer cancel()
	flushed := func(r fetchResponse) error {
		if err := send(r); err != nil {
			return err
		}
		return w.Flush() // the next one may have to wait
	}
	if req.past != nil {
		if err := f.sendPast(ctx, swarm, id, *req.past, flushed); err != nil {
			return err
		}
	}
	for i, p := range req.parts {
		if err := f.sendPart(ctx, swarm, id, i, p, flushed); err != nil {
			return err
		}
	}
	return nil
}

// exchangeRevocations takes what who asks knows of revocations, and sends what this node knows.
func (f *fetchServer) exchangeRevocations(swarm *Swarm, id peer.ID, req fetchRequest, send func(fetchResponse) error) error {
	if len(req.revocations) > 0 {
		news, err := swarm.takeRevocations(req.revocations)
		if err != nil {
			swarm.refuseFetched(id, err)
			return err
		}
		if news {
			swarm.spreadRevocations(req.revocations)
		}
	}
	l := swarm.roles.Revocations()
	if l == nil || req.timeline == nil && len(req.revocations) == 0 {
		return nil
	}
	return send(fetchResponse{header: l.Bytes()})
}

func (f *fetchServer) sendTimeline(swarm *Swarm, to peer.ID, req *timelineRequest, send func(fetchResponse) error) error {
	for _, t := range swarm.Timelines() {
		if req.rendition != "" && req.rendition != t.Rendition() {
			continue
		}
		headers := t.From(req.from)
		if req.segments > 0 {
			headers = t.Recent(req.segments)
		}
		// What is older has to wait for the uplink: see sendPast.
		headers = headers[max(0, len(headers)-stream.MaxTimeline):]
		for _, h := range headers {
			if ok, _ := f.told.take(to, len(h.Bytes()), timelineRate, timelineBurst, time.Now()); !ok {
				return errFetchRepeats
			}
			if err := send(fetchResponse{header: h.Bytes()}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fetchServer) sendPart(ctx context.Context, swarm *Swarm, to peer.ID, i int, p partRequest, send func(fetchResponse) error) error {
	id := stream.PartID{Stream: swarm.id, Rendition: p.rendition, Position: p.position}
	have := f.node.store.Have(id).Count()
	past := swarm.isPast(id)
	for c := range 8 * len(p.want) {
		if !p.want.Get(c) {
			continue
		}
		data := f.node.store.Chunk(id, c)
		if data == nil {
			continue
		}
		if f.again(to, id, have, time.Now()) {
			return errFetchRepeats
		}
		if err := f.turn(ctx, len(data), past); err != nil {
			return err
		}
		if err := send(fetchResponse{chunk: &fetchedChunk{i, c, data}}); err != nil {
			return err
		}
		f.count(func(s *fetchStats) { s.bytes += int64(len(data)) })
		swarm.count(func(n *counters) {
			n.stats.ChunksSent++
			n.stats.BytesSent += int64(len(data))
			n.peer(to).BytesOut += int64(len(data))
		})
	}
	return nil
}

// turn waits until the uplink has room for a chunk of n bytes, which who needs one of the
// last segments has first.
func (f *fetchServer) turn(ctx context.Context, n int, past bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, fetchPatience, errFetchBusy)
	defer cancel()
	return f.node.uplink.wait(ctx, n, past)
}

// peerRecords returns signed records of some peers that hold the stream, so that who
// knows only this node learns of others.
func (f *fetchServer) peerRecords(swarm *Swarm, except peer.ID) [][]byte {
	if swarm.trusted != nil {
		return nil // viewers are told of the relays by their link
	}
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
