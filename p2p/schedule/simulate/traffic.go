package simulate

import (
	"math"
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	metaSize   = 60   // of a metadata message with all around it
	stateSize  = 44   // of a state therein
	chunkExtra = 50   // of a chunk's message
	packetCost = 1.05 // QUIC, UDP and IP
	packetSize = 1200
	ackDelay   = 25 * time.Millisecond // beyond a round trip until a lost packet is repeated
)

type message struct {
	from   int
	action schedule.Action
	header bool
	pos    stream.Position
}

// bucket is the token bucket of a known uplink.
type bucket struct {
	rate    float64
	tokens  float64
	at      time.Time
	spent   float64 // control, bytes, decaying over ten seconds
	spentAt time.Time
}

func (b *bucket) Spend(n int, now time.Time) {
	b.tokens -= float64(n)
	b.spent *= math.Exp(-now.Sub(b.spentAt).Seconds() / 10)
	b.spentAt = now
	b.spent += float64(n)
}

func (b *bucket) Rate() int { return int((b.rate - b.spent/10) * 8) }

func (b *bucket) Take(n int, now time.Time) time.Duration {
	b.tokens = min(b.rate*0.005, b.tokens+b.rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.tokens < 0 {
		return time.Duration(-b.tokens/b.rate*float64(time.Second)) + time.Microsecond
	}
	b.tokens -= float64(n)
	return 0
}

func (w *World) time() time.Time { return w.base.Add(w.now) }

// wake has a node decide as soon as all that arrives at this moment is there.
func (w *World) wake(i int) {
	n := w.nodes[i]
	if n.due && n.stepAt == w.now {
		return
	}
	n.due, n.stepAt = true, w.now
	w.push(event{at: w.now, to: int32(i), kind: timer})
}

func (w *World) step(i int) {
	n := w.nodes[i]
	n.due = false
	if n.liar {
		return
	}
	for _, s := range n.x.Suspects() {
		j := int(s.Peer)
		if o := w.nodes[j]; s.Of == schedule.Fails || s.Of == schedule.Deaf && !o.dead {
			if !o.dead {
				n.x.Hears(s.Peer, w.time()) // all that live do
			}
			continue
		}
		if o := w.nodes[j]; o.liar || o.forger {
			w.res.CutOff = append(w.res.CutOff, w.now)
		} else if !o.dead { // to cut the dead off does no harm
			w.res.Slandered++
		}
		w.Disconnect(i, j)
		w.dial(i, 1)
	}
	actions, wait := n.x.Step(w.time())
	for _, a := range actions {
		size := 0
		if a.Meta != nil {
			n.b.Spend(metaSize, w.time())
			size += metaSize
			if a.Meta.State != nil {
				size += stateSize
			}
		}
		p := w.sizes[a.Part]
		for _, c := range a.Chunks {
			size += chunkExtra + min(p.ChunkSize, p.Size-c.Index*p.ChunkSize)
		}
		a.Chunks = slices.Clone(a.Chunks)
		w.transmit(i, int(a.To), size, message{from: i, action: a})
	}
	n.stepAt = w.now + max(wait, time.Millisecond/10)
	if n.timerAt == n.stepAt && n.timerAt > w.now {
		return
	}
	n.timerAt = n.stepAt
	w.push(event{at: n.stepAt, to: int32(i), kind: timer})
}

// transmit sends a message over a node's uplink.
func (w *World) transmit(from, to, size int, m message) {
	n := w.nodes[from]
	n.out += float64(size)
	n.free = max(n.free, w.now) + time.Duration(float64(size)*8*packetCost/n.up*float64(time.Second))
	w.nodes[to].in += float64(size)
	repeat := time.Duration(0)
	if w.cfg.Loss > 0 {
		for range (size + packetSize - 1) / packetSize {
			if w.rng.Float64() < w.cfg.Loss {
				repeat = n.latency + w.nodes[to].latency + ackDelay
			}
		}
	}
	var k int32
	if last := len(w.unused) - 1; last >= 0 {
		k, w.unused = w.unused[last], w.unused[:last]
		w.messages[k] = m
	} else {
		k = int32(len(w.messages))
		w.messages = append(w.messages, m)
	}
	w.push(event{at: n.free + repeat + (n.latency+w.nodes[to].latency)/2, to: int32(to), kind: arrival, msg: k})
}

func (w *World) publish(pos stream.Position) {
	src := w.nodes[0]
	p := w.sizes[pos]
	if w.measuring {
		w.published[pos] = w.now
		w.got[pos] = make([]int, len(w.nodes)+1000)
	}
	p.Own = true
	src.known[pos] = true
	src.x.Header(p, w.time())
	w.flood(0, -1, pos)
	w.wake(0)
}

// flood passes a header on.
func (w *World) flood(i, from int, pos stream.Position) {
	size := 170 + 16*w.sizes[pos].Chunks
	for _, j := range w.nodes[i].peers {
		if j != from && slices.Contains(w.nodes[i].mesh, j) {
			w.nodes[i].b.Spend(size, w.time())
			w.transmit(i, j, size, message{from: i, header: true, pos: pos})
		}
	}
}

func (w *World) deliver(i int, m message) {
	n := w.nodes[i]
	if n.dead || !slices.Contains(n.peers, m.from) {
		return
	}
	if n.liar {
		w.lie(i, m)
		return
	}
	if m.header {
		w.header(i, m.from, m.pos, false)
		return
	}
	if pos := m.action.Part; !n.known[pos] && !n.heard[pos] && w.publishedAt(pos) >= n.since {
		// gossipsub's IHAVE and IWANT bring what the mesh did not.
		n.heard[pos] = true
		at := w.now + heartbeat + n.latency + w.nodes[m.from].latency
		w.push(event{at: at, to: int32(i), kind: header, msg: int32(int(pos.Segment)*partsPerSegment + int(pos.Part))})
	}
	if m.action.Meta != nil {
		n.x.Metadata(schedule.Peer(m.from), m.action.Part, *m.action.Meta, w.time())
	}
	w.take(i, m)
	w.wake(i)
}

// lie has a liar claim a part when it hears of it, and promise what it is asked for. It
// passes headers on.
func (w *World) lie(i int, m message) {
	n := w.nodes[i]
	say := func(to int, meta schedule.Metadata, pos stream.Position) {
		w.transmit(i, to, metaSize+stateSize, message{from: i, action: schedule.Action{To: schedule.Peer(to), Part: pos, Meta: &meta}})
	}
	if m.header {
		if n.known[m.pos] {
			return
		}
		n.known[m.pos] = true
		w.flood(i, m.from, m.pos)
		have := stream.NewBitmap(w.sizes[m.pos].Chunks)
		for k := range w.sizes[m.pos].Chunks {
			have.Set(k)
		}
		state := schedule.State{Slots: 255, Free: 255, Room: 1<<schedule.Stripes - 1}
		for s := range state.Hops {
			state.Hops[s], state.Delays[s] = 1, 10
		}
		for _, j := range n.peers {
			say(j, schedule.Metadata{Have: have, State: &state}, m.pos)
		}
		return
	}
	if meta := m.action.Meta; meta != nil && meta.Standing != nil {
		say(m.from, schedule.Metadata{Have: meta.Have, Grants: meta.Standing}, m.action.Part)
	}
}

// header gives a node a header, late if it was fetched.
func (w *World) header(i, from int, pos stream.Position, late bool) {
	n := w.nodes[i]
	if n.dead || n.known[pos] {
		return
	}
	n.known[pos] = true
	p := w.sizes[pos]
	p.Wanted, p.Late = true, late
	n.x.Header(p, w.time())
	for _, e := range n.early[pos] {
		if slices.Contains(n.peers, e.from) {
			w.take(i, e)
		}
	}
	delete(n.early, pos)
	if !late {
		w.flood(i, from, pos)
	}
	w.wake(i)
}

func (w *World) take(i int, m message) {
	n := w.nodes[i]
	pos := m.action.Part
	for _, c := range m.action.Chunks {
		switch n.x.Admit(schedule.Peer(m.from), pos, c.Index, false, w.time()) {
		case schedule.Accept:
			if w.nodes[m.from].forger {
				n.x.Forged(schedule.Peer(m.from), pos, c.Index, w.time())
				n.x.Blame(schedule.Peer(m.from), pos, c.Index, w.time())
				continue
			}
			n.x.Got(schedule.Peer(m.from), pos, c.Index, c.Age, false, w.time())
			if n.since > 0 && !n.started && n.x.Missing(pos) == 0 {
				n.started = true
				w.res.Startup = append(w.res.Startup, w.now-n.since)
			}
			if at, ok := w.published[pos]; ok && n.since == 0 && !n.forger {
				d := w.now - at
				w.res.Delays = append(w.res.Delays, d)
				if d <= w.cfg.Deadline {
					w.got[pos][i]++
				}
			}
		case schedule.Early:
			one := m
			one.action.Meta = nil
			one.action.Chunks = []schedule.SendChunk{c}
			n.early[pos] = append(n.early[pos], one)
		case schedule.Duplicate:
			w.res.Duplicates++
		case schedule.Unsolicited:
			panic("unsolicited chunk")
		}
	}
}
