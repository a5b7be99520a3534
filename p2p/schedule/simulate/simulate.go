// Package simulate runs thousands of exchanges on a network of events: the same
// decisions as the node's, without its cryptography, QUIC and goroutines. Links have a
// latency and an uplink that sends one message after the other; headers are flooded.
// It is deterministic.
package simulate

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

// Config is a swarm and what it carries.
type Config struct {
	Nodes    int
	Dials    int                                     // by each node, to others drawn at random
	Uplink   func(i int, r *rand.Rand) int           // bits per second; node 0 is the broadcaster
	Latency  func(i int, r *rand.Rand) time.Duration // one way, half of it on each side
	Rate     int                                     // of the stream, bits per second
	Part     time.Duration                           // each part's duration
	Chunk    int                                     // bytes
	Warmup   int                                     // parts before it is measured
	Parts    int                                     // parts measured
	Deadline time.Duration                           // of playout, after publication
	Loss     float64                                 // share of packets that have to be repeated
	Liars    float64                                 // share of the viewers that claim and promise everything, and send nothing
	Forgers  float64                                 // share of the viewers that pass on other bytes
	Seed     uint64
	// Every is called at each part's publication, to let nodes die and join.
	Every func(w *World, part int)
}

// Result is what was measured, of the nodes that were there from the beginning to the end
// and are honest.
type Result struct {
	Rx, Src, UploadMax float64                 // a viewer's download, the broadcaster's and the busiest node's upload, over the stream's bytes
	Delays             []time.Duration         // of each chunk, from its publication, sorted
	Pairs, InTime      int                     // of a node and a part, and those of them that were complete by the deadline
	Startup            []time.Duration         // of each that joined, until it had a whole part, sorted
	Hops               [schedule.Unfed + 1]int // how many nodes' stripes are so many hops from the broadcaster
	Stats              schedule.Stats          // summed up over all nodes
	Duplicates, Events int
	CutOff             []time.Duration // when each neighbour of a liar or forger cut it off
	Slandered          int             // times that an honest node was taken for a liar
	Rings              int             // nodes' stripes found, when a part was published, fed by themselves in the end
}

// Continuity returns the share of pairs of a node and a part that were complete in time.
func (r *Result) Continuity() float64 { return float64(r.InTime) / float64(max(1, r.Pairs)) }

// Delay returns the delay that a share of all chunks kept to.
func (r *Result) Delay(share float64) time.Duration {
	if len(r.Delays) == 0 {
		return 0
	}
	return r.Delays[int(float64(len(r.Delays)-1)*share)]
}

const (
	metaSize   = 60   // of a metadata message with all around it
	stateSize  = 44   // of a state therein
	chunkExtra = 50   // of a chunk's message
	packetCost = 1.05 // QUIC, UDP and IP
	packetSize = 1200
	ackDelay   = 25 * time.Millisecond // beyond a round trip until a lost packet is repeated
)

// node is one node.
type node struct {
	x           *schedule.Exchange
	up          float64 // bits per second
	latency     time.Duration
	free        time.Duration // when the uplink has sent what it was given
	peers, mesh []int
	b           *bucket
	banned      map[int]bool
	known       map[stream.Position]bool
	heard       map[stream.Position]bool // of parts whose header is not there
	early       map[stream.Position][]message
	stepAt      time.Duration // of the timer that counts
	timerAt     time.Duration // of the timer pushed last
	due         bool
	dead        bool
	liar        bool
	forger      bool
	started     bool // it has a whole part
	since       time.Duration
	in, out     float64
	in0, out0   float64
}

type message struct {
	from   int
	action schedule.Action
	header bool
	pos    stream.Position
}

type event struct {
	at   time.Duration
	seq  int32
	to   int32
	kind what
	msg  int32 // index of messages
}

type what uint8

const (
	arrival what = iota
	timer
	publication
	header // fetched
	closed // the connection to a dead node, of which msg is the number
)

// events is a heap of four children each.
type events []event

func (e events) less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}

func (e *events) push(v event) {
	*e = append(*e, v)
	q := *e
	for i := len(q) - 1; i > 0; {
		up := (i - 1) / 4
		if !q.less(i, up) {
			return
		}
		q[i], q[up] = q[up], q[i]
		i = up
	}
}

func (e *events) pop() event {
	q := *e
	first := q[0]
	last := len(q) - 1
	q[0] = q[last]
	q = q[:last]
	*e = q
	for i := 0; ; {
		least := i
		for c := 4*i + 1; c <= 4*i+4 && c < last; c++ {
			if q.less(c, least) {
				least = c
			}
		}
		if least == i {
			return first
		}
		q[i], q[least] = q[least], q[i]
		i = least
	}
}

// World is a running simulation.
type World struct {
	cfg       Config
	rng       *rand.Rand
	nodes     []*node
	events    events
	messages  []message // under way
	unused    []int32   // of messages
	seq       int32
	count     int // parts published
	now       time.Duration
	base      time.Time
	sizes     map[stream.Position]schedule.Part
	published map[stream.Position]time.Duration
	got       map[stream.Position][]int // chunks in time, by node
	res       Result
	measuring bool
}

const partsPerSegment = 4

func position(i int) stream.Position {
	return stream.Position{Epoch: 1, Segment: uint64(i / partsPerSegment), Part: uint32(i % partsPerSegment)}
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

// Run simulates.
func Run(cfg Config) Result {
	w := &World{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 1)), base: time.Unix(1e9, 0),
		sizes: make(map[stream.Position]schedule.Part), published: make(map[stream.Position]time.Duration), got: make(map[stream.Position][]int)}
	for range cfg.Nodes {
		w.Add()
	}
	for i, n := range w.nodes {
		switch x := float64(i-1) / float64(cfg.Nodes-1); {
		case i == 0:
		case x < cfg.Liars:
			n.liar = true
		case x < cfg.Liars+cfg.Forgers:
			n.forger = true
		}
		w.dial(i, cfg.Dials)
	}
	size := cfg.Rate / 8 * int(cfg.Part/time.Millisecond) / 1000
	total := cfg.Warmup + cfg.Parts
	for i := range total {
		w.push(event{at: time.Duration(i+1) * cfg.Part, kind: publication, msg: int32(i)})
		n := (size + cfg.Chunk - 1) / cfg.Chunk
		w.sizes[position(i)] = schedule.Part{Position: position(i), Size: size, ChunkSize: cfg.Chunk, Chunks: n, Duration: cfg.Part}
	}
	end := time.Duration(total)*cfg.Part + cfg.Deadline + time.Second
	for len(w.events) > 0 {
		e := w.events.pop()
		if e.at > end {
			break
		}
		w.now = e.at
		switch e.kind {
		case arrival:
			m := w.messages[e.msg]
			w.messages[e.msg] = message{}
			w.unused = append(w.unused, e.msg)
			w.deliver(int(e.to), m)
		case timer:
			if n := w.nodes[e.to]; n.stepAt == e.at && !n.dead {
				w.step(int(e.to))
			}
		case header:
			pos := position(int(e.msg))
			w.header(int(e.to), -1, pos, !w.nodes[e.to].heard[pos])
		case closed:
			if n := w.nodes[e.to]; !n.dead {
				n.x.Gone(schedule.Peer(e.msg), w.time())
				n.peers = slices.DeleteFunc(n.peers, func(j int) bool { return j == int(e.msg) })
				n.mesh = slices.DeleteFunc(n.mesh, func(j int) bool { return j == int(e.msg) })
				w.wake(int(e.to))
				for len(n.peers) < w.cfg.Dials {
					w.dial(int(e.to), 1)
				}
			}
		case publication:
			if w.count == cfg.Warmup {
				w.measuring = true
				for _, n := range w.nodes {
					n.in0, n.out0 = n.in, n.out
				}
			}
			if cfg.Every != nil {
				cfg.Every(w, w.count)
			}
			w.res.Rings += w.rings()
			w.count++
			w.publish(position(int(e.msg)))
		}
		w.res.Events++
	}
	bytes := float64(cfg.Parts * size)
	viewers := 0.0
	for i, n := range w.nodes {
		out := (n.out - n.out0) / bytes
		w.res.UploadMax = max(w.res.UploadMax, out)
		if i > 0 && !n.dead {
			for _, h := range n.x.Hops() {
				w.res.Hops[h]++
			}
		}
		s := n.x.Stats()
		w.res.Stats.Expired += s.Expired
		w.res.Stats.Overdue += s.Overdue
		w.res.Stats.Revoked += s.Revoked
		w.res.Stats.Changed += s.Changed
		w.res.Stats.LateFeeds += s.LateFeeds
		w.res.Stats.Unsolved += s.Unsolved
		w.res.Stats.ChunksSent += s.ChunksSent
		w.res.Stats.Fed += s.Fed
		w.res.Stats.Feeding += s.Feeding
		w.res.Stats.Slots += s.Slots
		if i == 0 {
			w.res.Src = out
		} else if !n.dead && n.since == 0 && !n.liar && !n.forger {
			w.res.Rx += (n.in - n.in0) / bytes
			viewers++
		}
	}
	w.res.Rx /= viewers
	for pos := range w.published {
		for i, n := range w.nodes {
			if i == 0 || n.dead || n.since > 0 || n.liar || n.forger {
				continue
			}
			w.res.Pairs++
			if w.got[pos][i] == w.sizes[pos].Chunks {
				w.res.InTime++
			}
		}
	}
	slices.Sort(w.res.Delays)
	slices.Sort(w.res.Startup)
	slices.Sort(w.res.CutOff)
	return w.res
}

// rings counts the nodes that feed each other in a ring, in each stripe.
func (w *World) rings() (count int) {
	parents := make([][schedule.Stripes]schedule.Peer, len(w.nodes))
	for i, n := range w.nodes {
		parents[i] = n.x.Parents()
	}
	for i := range w.nodes {
		for s := range schedule.Stripes {
			at := int(parents[i][s])
			for range w.nodes {
				if at < 0 || at == i || w.nodes[at].dead || w.nodes[at].liar {
					break
				}
				at = int(parents[at][s])
			}
			if at == i && !w.nodes[i].dead && !w.nodes[i].liar {
				count++
			}
		}
	}
	return count
}

// Add adds a node without connections, and returns it.
func (w *World) Add() int {
	i := len(w.nodes)
	up := w.cfg.Uplink(i, w.rng)
	b := &bucket{rate: float64(up) / 8 * 0.93}
	n := &node{b: b,
		x:  schedule.New(schedule.Config{Source: i == 0, Uplink: b, Seed: w.cfg.Seed<<32 + uint64(i), TTL: 15 * time.Second}),
		up: float64(up), latency: w.cfg.Latency(i, w.rng),
		known: make(map[stream.Position]bool), heard: make(map[stream.Position]bool), early: make(map[stream.Position][]message), since: w.now,
	}
	w.nodes = append(w.nodes, n)
	return i
}

// dial connects a node with n others drawn at random, three of which it passes headers on to.
func (w *World) dial(i, n int) {
	for k := range n {
		j := w.rng.IntN(len(w.nodes))
		for w.nodes[j].dead {
			j = w.rng.IntN(len(w.nodes))
		}
		w.Connect(i, j)
		if k < meshDials {
			w.Mesh(i, j)
		}
	}
}

const meshDials = 3

// Join adds a node, connected with n others drawn at random, which gets the headers of the
// last parts at once.
func (w *World) Join(n int) {
	i := w.Add()
	w.dial(i, n)
	at := w.now + 3*w.nodes[i].latency // a round trip and the answer
	for k := max(0, w.count-joinParts); k < w.count; k++ {
		w.push(event{at: at, to: int32(i), kind: header, msg: int32(k)})
	}
}

// publishedAt returns when a part is published.
func (w *World) publishedAt(pos stream.Position) time.Duration {
	return time.Duration(int(pos.Segment)*partsPerSegment+int(pos.Part)+1) * w.cfg.Part
}

// heartbeat is gossipsub's.
const heartbeat = time.Second

// joinParts are the parts that who joins fetches the headers of.
const joinParts = 4

// Connect connects two nodes.
func (w *World) Connect(i, j int) {
	if i == j || w.nodes[i].banned[j] || w.nodes[j].banned[i] || slices.Contains(w.nodes[i].peers, j) || w.nodes[i].dead || w.nodes[j].dead {
		return
	}
	a, b := w.nodes[i], w.nodes[j]
	a.peers, b.peers = append(a.peers, j), append(b.peers, i)
	rtt := a.latency + b.latency
	a.x.Neighbour(schedule.Peer(j), true, rtt)
	b.x.Neighbour(schedule.Peer(i), true, rtt)
	w.wake(i)
	w.wake(j)
}

// Mesh has two nodes pass headers to each other.
func (w *World) Mesh(i, j int) {
	if slices.Contains(w.nodes[i].peers, j) {
		w.nodes[i].mesh = append(w.nodes[i].mesh, j)
		w.nodes[j].mesh = append(w.nodes[j].mesh, i)
	}
}

// Kill has a node fall silent; its neighbours are not told.
func (w *World) Kill(i int) {
	w.nodes[i].dead = true
	for _, j := range w.nodes[i].peers {
		after := closeAfter + time.Duration(w.rng.Int64N(int64(closeVaries)))
		w.push(event{at: w.now + after, to: int32(j), kind: closed, msg: int32(i)})
	}
}

// Disconnect closes a connection for good.
func (w *World) Disconnect(i, j int) {
	for _, e := range [2][2]int{{i, j}, {j, i}} {
		n, k := w.nodes[e[0]], e[1]
		n.x.Gone(schedule.Peer(k), w.time())
		n.peers = slices.DeleteFunc(n.peers, func(o int) bool { return o == k })
		n.mesh = slices.DeleteFunc(n.mesh, func(o int) bool { return o == k })
	}
	n := w.nodes[i]
	if n.banned == nil {
		n.banned = make(map[int]bool)
	}
	n.banned[j] = true
}

// closeAfter is after how long at least a connection to a dead node is closed, and
// closeVaries how much longer it may take; see [schedule.Silences].
const (
	closeAfter  = 5 * time.Second
	closeVaries = 2 * time.Second
)

// Alive returns the viewers that are alive.
func (w *World) Alive() (out []int) {
	for i := 1; i < len(w.nodes); i++ {
		if !w.nodes[i].dead {
			out = append(out, i)
		}
	}
	return out
}

// Rand returns the simulation's randomness.
func (w *World) Rand() *rand.Rand { return w.rng }

func (w *World) time() time.Time { return w.base.Add(w.now) }

func (w *World) push(e event) {
	w.seq++
	e.seq = w.seq
	w.events.push(e)
}

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
		j := int(s)
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
