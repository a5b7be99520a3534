package p2p

import (
	"iter"
	"maps"
	"slices"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p-pubsub/partialmessages"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

// sending is what is under way to a peer.
type sending struct {
	bytes   int       // sent, not acknowledged
	blocked bool      // something waits for the window
	rest    time.Time // its queue was full: nothing goes out before
}

func (x *exchange) sendingTo(id peer.ID) *sending {
	out := x.sending[id]
	if out == nil {
		out = &sending{}
		x.sending[id] = out
	}
	return out
}

// acknowledged frees window of a peer.
func (x *exchange) acknowledged(from peer.ID, n int) {
	s := x.sending[from]
	if s == nil {
		return
	}
	s.bytes = max(0, s.bytes-n)
	if s.blocked && s.bytes < sendWindow {
		s.blocked = false
		for _, p := range x.order {
			if p.peers[from] != nil {
				p.dirty = true
			}
		}
	}
}

// action is a message to a peer.
type action struct {
	to   peer.ID
	meta []byte
	data []byte
}

// flush tells neighbours what they should know of a part, and lets pump look for what
// they want of it. It returns how long to wait until the rest is due, 0 if there is none.
func (x *exchange) flush(p *part, newest bool, neighbours []peer.ID, now time.Time) time.Duration {
	for _, id := range neighbours {
		p.peer(id)
	}
	var wait time.Duration
	newsDue := !p.newsAt.IsZero() && (p.complete() || now.Sub(p.newsAt) >= haveDelay)
	if !p.newsAt.IsZero() && !newsDue {
		wait = haveDelay - now.Sub(p.newsAt)
	}
	var actions []action
	for id, pp := range p.peers {
		if out := x.sending[id]; out != nil && now.Before(out.rest) {
			if rest := out.rest.Sub(now); wait == 0 || rest < wait {
				wait = rest
			}
			continue
		}
		visible := x.visible(p, id, neighbours, now)
		stripes := newest && x.stripesOf(p.id).dirty(id)
		if stripes || x.due(p, pp, visible, newsDue) {
			m := metadata{have: visible, want: pp.asked}
			if stripes {
				x.stripesOf(p.id).tell(id, &m, now)
			}
			actions = append(actions, action{to: id, meta: m.marshal()})
			pp.told, pp.toldAsked = visible, pp.asked.Clone()
			pp.owesAck, pp.toldAnything = false, true
		}
	}
	p.sends = true
	if newsDue {
		p.newsAt = time.Time{}
	}
	if len(actions) > 0 || !p.opened {
		p.opened = true
		x.publish(p, actions)
	}
	return wait
}

// visible returns the chunks that this node shows to a peer: all that it has, unless
// it is the broadcaster.
func (x *exchange) visible(p *part, id peer.ID, neighbours []peer.ID, now time.Time) stream.Bitmap {
	if !p.own {
		return p.have.Clone()
	}
	st := x.stripesOf(p.id)
	pos := slices.Index(neighbours, id)
	out := stream.NewBitmap(len(p.header.Chunks))
	for i := range p.header.Chunks {
		turn := i + int(p.id.Part)*3 + int(p.id.Segment%(1<<20))*7
		if st.children(stripeOf(p.id, i)) > 0 {
			// Its child gets it unasked: two others are shown it a Widen later, and one more
			// each Widen from the third on.
			if now.Sub(p.born) > schedule.Widen && pos >= 0 && schedule.Reveal(turn, pos, len(neighbours), now.Sub(p.born)-2*schedule.Widen) {
				out.Set(i)
			}
			continue
		}
		if pos < 0 && now.Sub(p.born) > time.Second || pos >= 0 && schedule.Reveal(turn, pos, len(neighbours), now.Sub(p.born)) {
			out.Set(i)
		}
	}
	return out
}

// due reports whether a peer should get a message about the part now: wants at once,
// news when they have gathered.
func (x *exchange) due(p *part, pp *partPeer, visible stream.Bitmap, newsDue bool) bool {
	if !pp.asked.Equal(pp.toldAsked) {
		return true
	}
	if p.own {
		newsDue = true // all chunks of a part are there at once
	}
	if !newsDue && pp.toldAnything {
		return false
	}
	if pp.owesAck {
		return true
	}
	for i := range p.header.Chunks {
		if visible.Get(i) && !pp.told.Get(i) && !pp.have.Get(i) {
			return true
		}
	}
	return false
}

// pump sends the chunks that are wanted, as far as the uplink and the peers' windows
// allow: of the oldest part first, and each chunk once before any goes out twice, so
// that others can pass it on meanwhile. It returns when to go on, 0 if nothing waits
// for the uplink.
func (x *exchange) pump(now time.Time) time.Duration {
	for _, p := range x.order {
		if !p.sends || p.header == nil || p.count == 0 {
			continue
		}
		actions, wait := x.pumpPart(p, now)
		if len(actions) > 0 {
			x.publish(p, actions)
		}
		if wait > 0 {
			return wait
		}
		p.sends = false
	}
	return 0
}

func (x *exchange) pumpPart(p *part, now time.Time) (actions []action, wait time.Duration) {
	st := x.stripesOf(p.id)
	ids := slices.Sorted(maps.Keys(p.peers))
	takers := make([][]peer.ID, len(p.header.Chunks))
	for k := range ids {
		id := ids[(k+int(p.id.Part)*5+int(p.id.Segment%64)*3)%len(ids)]
		pp := p.peers[id]
		for i := range takers {
			if p.have.Get(i) && !pp.have.Get(i) && !pp.sent.Get(i) && (pp.want.Get(i) || st.pushes(id, p, i)) {
				takers[i] = append(takers[i], id)
			}
		}
	}
	for more := true; more; {
		more = false
		for i := range takers {
			for len(takers[i]) > 0 {
				id := takers[i][0]
				takers[i] = takers[i][1:]
				a, ok, w := x.sendChunk(p, id, i, now)
				if w > 0 {
					return actions, w
				}
				if ok {
					actions = append(actions, a)
					more = true
					break
				}
			}
		}
	}
	return actions, 0
}

// sendChunk makes the message with chunk i for a peer, unless its window is full or,
// for wait, the uplink is.
func (x *exchange) sendChunk(p *part, id peer.ID, i int, now time.Time) (a action, ok bool, wait time.Duration) {
	pp := p.peers[id]
	out := x.sendingTo(id)
	if now.Before(out.rest) {
		p.dirty = true // so that flush looks again afterwards
		return a, false, 0
	}
	if pp.sends >= maxRepeats*len(p.header.Chunks) {
		x.s.count(func(c *counters) { c.unknown++ })
		return a, false, 0
	}
	n := p.header.ChunkLen(i)
	if out.bytes+n > sendWindow {
		out.blocked = true
		return a, false, 0
	}
	data := x.s.node.store.Chunk(p.id, i)
	if data == nil { // the store let go of it
		p.have.Clear(i)
		p.count--
		x.giveUp(p)
		return a, false, 0
	}
	if wait = x.s.node.uplink.take(n, now); wait > 0 {
		return a, false, wait
	}
	pp.sent.Set(i)
	pp.sentAt = now
	pp.sends++
	out.bytes += n
	x.s.count(func(c *counters) {
		c.stats.ChunksSent++
		c.stats.BytesSent += int64(n)
		c.peer(id).BytesOut += int64(n)
	})
	return action{to: id, data: marshalChunk(i, data)}, true, 0
}

// publish hands messages to pubsub.
func (x *exchange) publish(p *part, actions []action) {
	err := pubsub.PublishPartial(x.s.node.ps, p.topic, p.group,
		func(map[peer.ID]peerState, func(peer.ID) bool) iter.Seq2[peer.ID, partialmessages.PublishAction] {
			return func(yield func(peer.ID, partialmessages.PublishAction) bool) {
				for _, a := range actions {
					if !yield(a.to, partialmessages.PublishAction{EncodedPartialMessage: a.data, EncodedPartsMetadata: a.meta}) {
						return
					}
				}
			}
		})
	if err != nil && x.s.ctx.Err() == nil {
		x.s.log.Warn("cannot publish", "part", p.id.Position, "err", err)
	}
}

// idle reports whether every own part was taken by whoever wants it.
func (x *exchange) idle() bool {
	for _, p := range x.order {
		for _, pp := range p.peers {
			if p.header == nil {
				continue
			}
			if pp.sent.Count() > 0 {
				return false
			}
			for i := range p.header.Chunks {
				if pp.want.Get(i) && p.have.Get(i) && !pp.have.Get(i) {
					return false
				}
			}
		}
	}
	return true
}
