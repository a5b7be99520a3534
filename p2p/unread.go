package p2p

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/quic-go/quic-go"
)

// Who asks for much and takes nothing of it holds answers, memory and turns on the uplink that others
// wait for. Slow is not dishonest: a slow link takes a little all the time, and over one that failed
// nothing is heard. So whoever takes nothing is asked whether it hears, twice; if it does, all the
// while, its reading is withheld. What its transport acknowledges shows that as well as an answer,
// for which unread bytes may leave no room. The first time its connections are closed, and it may
// come again; who then does it again is cut off.

const (
	// takeAfter is how long nothing of the answers to a peer may be taken until it is asked whether
	// it hears, and askAgain until it is asked once more. A live one takes what comes at once, and
	// honest ones give up an answer that is silent for as long.
	takeAfter = fetchSilence
	askAgain  = time.Second
	// takeEvery is how often to look whether something was taken.
	takeEvery = 500 * time.Millisecond
	// takeSize is how many bytes show at least that something is taken.
	takeSize = 4 << 10
	// maxUnread is how often in a row it must hear, and have taken nothing.
	maxUnread = 2
	// leastPathRate is what a path carries, in bytes per second, over which something would be taken
	// within takeAfter, whatever was lost before.
	leastPathRate = 256 << 10
)

var errUnread = errors.New("the peer takes nothing of what it asked for")

// readers are the peers that are or were answered. The zero value is ready for use.
type readers struct {
	mu     sync.Mutex            // guards all following
	peers  map[peer.ID]*reader   // maxFaulty at most
	closed map[peer.ID]time.Time // whose connections were closed for it, likewise
}

// reader is a peer that is or was answered.
type reader struct {
	answers int       // under way
	took    time.Time // when it last took something, or its first answer began
	asked   time.Time // when it was last asked whether it hears
	asking  bool
	heard   int // times in a row that it did
}

func (r *readers) enter(id peer.ID, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.peers == nil {
		r.peers = make(map[peer.ID]*reader)
	}
	o := r.peers[id]
	if o == nil {
		makeRoom(r.peers, maxFaulty, now, func(o *reader) time.Time { return o.took })
		o = &reader{}
		r.peers[id] = o
	}
	if o.answers == 0 {
		o.took, o.heard = now, 0
	}
	o.answers++
}

func (r *readers) leave(id peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := r.peers[id]; o != nil && o.answers > 0 {
		o.answers--
	}
}

// took notes that a peer took something.
func (r *readers) took(id peer.ID, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := r.peers[id]; o != nil {
		o.took, o.heard = now, 0
	}
}

// ask reports whether it is time to ask a peer whether it hears: then answered has to be called.
func (r *readers) ask(id peer.ID, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.peers[id]
	if o == nil || o.asking || now.Sub(o.took) < takeAfter || now.Sub(o.asked) < askAgain {
		return false
	}
	o.asking, o.asked = true, now
	return true
}

// answered notes whether it does, and reports whether it was once too often.
func (r *readers) answered(id peer.ID, hears bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.peers[id]
	if o == nil {
		return false
	}
	o.asking = false
	switch {
	case !hears:
		o.heard = 0
	case !o.took.After(o.asked):
		o.heard++
	}
	return o.heard >= maxUnread
}

// again notes that a peer's connections are closed for it, and reports whether they were before.
func (r *readers) again(id peer.ID, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed == nil {
		r.closed = make(map[peer.ID]time.Time)
	}
	last, before := r.closed[id]
	makeRoom(r.closed, maxFaulty, now, func(at time.Time) time.Time { return at })
	r.closed[id] = now
	return before && now.Sub(last) < faultWindow
}

// answerWriter writes an answer, and watches that it is read. Where nothing of it is taken for
// fetchStallTimeout it fails, and so it does at its end.
type answerWriter struct {
	node *Node
	s    network.Stream
	end  time.Time
}

func (w *answerWriter) Write(p []byte) (n int, err error) {
	id, began := w.s.Conn().RemotePeer(), time.Now()
	stall := began.Add(fetchStallTimeout)
	if stall.After(w.end) {
		stall = w.end
	}
	for n < len(p) {
		now := time.Now()
		until := now.Add(takeEvery)
		if until.After(stall) {
			until = stall
		}
		if err := w.s.SetWriteDeadline(until); err != nil {
			return n, err
		}
		k, err := w.s.Write(p[n:min(len(p), n+takeSize)])
		n += k
		now = time.Now()
		if k > 0 {
			w.node.readers.took(id, now)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if w.node.readers.ask(id, now) && w.node.readers.answered(id, w.node.hears(id)) {
			w.node.unread(id)
			return n, errUnread
		}
		if !now.Before(stall) {
			return n, err
		}
	}
	return n, nil
}

// hears reports whether a peer hears what is sent to it, over a path that carries something: it
// answers, whatever it says, or its end of a connection acknowledges what was sent just now, which
// shows in the measured round trip (RFC 9002, section 5.1), and neither takes long. Where a slow link
// has a long queue, both do; where it has a short one, or packets are lost, little may be under way at
// a time (RFC 9002, section 7), and that is no proof either.
func (n *Node) hears(id peer.ID) bool {
	patience, narrow := challengeTimeout, false
	before := make(map[*quic.Conn]quic.ConnectionStats)
	for _, c := range n.host.Network().ConnsToPeer(id) {
		if q, ok := quicConn(c); ok {
			st := q.ConnectionStats()
			before[q] = st
			patience = max(patience, challengeTrips*st.MinRTT)
			// It fails only if there are none, or it is closed. Not all are as long, as the time that
			// they take shall differ.
			_ = q.SendDatagram(make([]byte, probeSize+rand.IntN(probeMore)))
		}
	}
	heard, err := n.answers(n.ctx, id, patience)
	if err != nil {
		return false
	}
	for q, was := range before {
		st := q.ConnectionStats()
		measured := st.LatestRTT != was.LatestRTT || st.SmoothedRTT != was.SmoothedRTT || st.MeanDeviation != was.MeanDeviation
		heard = heard || measured && st.LatestRTT <= patience
		narrow = narrow || float64(st.CongestionWindow) < leastPathRate*st.LatestRTT.Seconds()
	}
	return heard && !narrow && n.ctx.Err() == nil && n.host.Network().Connectedness(id) != network.NotConnected
}

// unread has done with a peer that hears and reads nothing: its connections are closed, and the
// second time it is cut off.
func (n *Node) unread(id peer.ID) {
	now := time.Now()
	if n.readers.again(id, now) {
		n.cutOff(id, Unread)
		return
	}
	n.letGo(id, "it hears, and takes nothing of what it asks for")
}

// letGo closes the connections to a peer that takes nothing. It may come again, and is listened
// to after a moment, which is twice as long each time.
func (n *Node) letGo(id peer.ID, why string) {
	if n.gate.bans.add(id, netip.Addr{}, deafFor, false, time.Now()) == 0 {
		return
	}
	n.log.Info("connection closed: "+why, "peer", id)
	n.closeDeaf(id)
}

// onUntaken lets go of a neighbour that asks for chunks, hears, and takes none. It is never cut off for
// that alone: chunks take turns with answers on its link.
func (n *Node) onUntaken(id peer.ID) {
	n.wg.Go(func() {
		if n.hears(id) {
			n.letGo(id, "it hears, and takes no chunk that it asks for")
		}
	})
}
