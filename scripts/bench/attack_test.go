package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// attack is what a node does that attacks: by itself, or as a liar.
type attack struct {
	role role // of a liar; honest for none
	of   func(key stream.Key) p2ptest.Attack
}

// keyless is an attack for which nobody has to have the stream's key.
func keyless(a p2ptest.Attack) func(stream.Key) p2ptest.Attack {
	return func(stream.Key) p2ptest.Attack { return a }
}

// sequence is one attack on every other peer, and another on the rest.
func sequence(a, b p2ptest.Attack) p2ptest.Attack {
	var n atomic.Int32
	return func(ctx context.Context, v *p2ptest.Victim) {
		if n.Add(1)%2 == 0 {
			a(ctx, v)
		} else {
			b(ctx, v)
		}
	}
}

// attacked is even, with a fifth of the nodes attacking from when the measured time begins.
func attacked(name, what string, attacks ...attack) scenario {
	return base("attack-"+name, what, 50, 20*mbit, even(20*mbit)).with(func(s *scenario) {
		s.attack, s.attacks, s.events = name, attacks, assault
	})
}

// attackResult is what became of an attack.
type attackResult struct {
	ForgedBytes int64 `json:"forged_bytes"` // held, served or passed on by honest nodes that the key did not sign
	CutOff      times `json:"cut_off"`      // of pairs of an attacker and a node that it attacked
	Spared      times `json:"spared"`       // of those that were connected at the end: for how long it had been attacked
	Back        int   `json:"back"`         // times that an attacker was let in again
	Identities  int   `json:"identities"`   // of all attackers
	HeapBefore  int64 `json:"heap_before"`  // live beside what stores hold, of all nodes and attackers together
	HeapMost    int64 `json:"heap_most"`
	HeapAfter   int64 `json:"heap_after"`
	Conns       int   `json:"conns_most"` // at the node that was attacked most
	Opened      int   `json:"opened"`     // connections by strangers
	Refused     int   `json:"refused"`    // of these
}

// addAttacker adds an attacker at the next host.
func (r *swarmRun) addAttacker(l p2ptest.Link, a attack, sybil bool) *p2ptest.Attacker {
	add := r.net.AddAttacker
	if sybil {
		add = r.net.AddSybil
	}
	out := add(l, r.key.ID(), a.of(r.key))
	out.Record(r.recorded...)
	out.OnHeard(r.hear)
	r.attackers = append(r.attackers, out)
	return out
}

// record signs headers of the epoch before.
func (r *swarmRun) record() {
	p, err := stream.NewPublisher(r.key, "main", 0)
	if err != nil {
		r.Fatal(err)
	}
	for range 50 {
		h, _, err := p.Publish(stream.Part{StartsSegment: true, EndsSegment: true, Duration: partDuration, ProgramTime: time.Now().Add(-time.Minute), Data: []byte("old")})
		if err != nil {
			r.Fatal(err)
		}
		r.recorded = append(r.recorded, h.Bytes())
	}
}

// hear checks what an honest node sent an attacker.
func (r *swarmRun) hear(b []byte, chunk bool, pos stream.Position) {
	if !chunk {
		if _, err := stream.OpenHeader(r.key.ID(), b); err != nil {
			r.forged.Add(int64(len(b)))
		}
		return
	}
	for len(b) > 0 { // as package p2p writes partial messages
		var n [3]uint64
		for k := range n {
			v, size := binary.Uvarint(b)
			if size <= 0 {
				r.forged.Add(int64(len(b)))
				return
			}
			n[k], b = v, b[size:]
		}
		data := b[:min(n[2], uint64(len(b)))]
		b = b[len(data):]
		r.compare(pos, int(n[0]), data)
	}
}

// compare counts a chunk that is not the broadcaster's.
func (r *swarmRun) compare(pos stream.Position, i int, data []byte) {
	id := stream.PartID{Stream: r.key.ID(), Rendition: "main", Position: pos}
	if !bytes.Equal(r.net.Node(0).Store().Chunk(id, i), data) {
		r.forged.Add(int64(len(data)))
	}
}

// audit compares all that honest nodes hold, and so serve, with what was broadcast.
func (r *swarmRun) audit() {
	source := r.net.Node(0).Swarms()[0].Timelines()[0]
	for i := 1; i < r.nodes; i++ {
		if r.roles[i] != honest {
			continue
		}
		node := r.net.Node(i)
		for _, t := range node.Swarms()[0].Timelines() {
			for _, h := range t.From(stream.Position{}) {
				_, err := stream.OpenHeader(r.key.ID(), h.Bytes())
				if own := source.Header(h.Position); own == nil || !bytes.Equal(own.Bytes(), h.Bytes()) {
					if err != nil || !r.keyed {
						r.forged.Add(int64(len(h.Bytes())))
					}
					continue // who has the key signed it, too
				}
				for c := range h.Chunks {
					if data := node.Store().Chunk(h.ID(), c); data != nil {
						r.compare(h.Position, c, data)
					}
				}
			}
		}
	}
}

// watchHeap notes the live heap beside what stores hold, at first, at most, and at last.
func (r *swarmRun) watchHeap(ctx context.Context) {
	for first := true; ; first = false {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		heap, conns := int64(m.HeapAlloc), 0
		for i := range r.nodes {
			if n := r.net.Node(i); n != nil {
				heap -= n.Store().Stats().Bytes
				conns = max(conns, len(r.net.Host(i).Network().Conns()))
			}
		}
		r.mu.Lock()
		a := &r.res.Attack
		if first {
			a.HeapBefore = heap
		}
		a.HeapMost, a.HeapAfter = max(a.HeapMost, heap), heap
		a.Conns = max(a.Conns, conns)
		r.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Second):
		}
	}
}

// settleAttack adds up what became of the attackers.
func (r *swarmRun) settleAttack() {
	r.audit()
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &r.res.Attack
	a.ForgedBytes = r.forged.Load()
	for _, o := range r.attackers {
		st := o.Stats()
		for _, d := range st.CutOff {
			a.CutOff.add(d)
		}
		for _, d := range st.Spared {
			a.Spared.add(d)
		}
		a.Back += st.Back
		a.Identities += st.Identities
	}
}

// assault has all attackers begin.
func assault(ctx context.Context, r *swarmRun) {
	for _, a := range r.attackers {
		a.Attack()
	}
	r.joiners.wg.Go(func() { r.watchHeap(ctx) })
	if len(r.liars) > 0 {
		lie(ctx, r)
	}
	<-ctx.Done()
	r.joiners.wg.Wait()
	r.settleAttack()
}

// flood has ten sybils send the broadcaster 5,000 headers a second each.
func flood(ctx context.Context, r *swarmRun) {
	for range 10 {
		a := r.addAttacker(r.link(100*mbit, r.chance), attack{of: keyless(p2ptest.ForgeHeaders(5000))}, true)
		a.Attack()
		r.net.Connect(r.net.Len()-1, 0)
	}
	assault(ctx, r)
}

// knock opens 500 connections a second to the broadcaster.
func knock(ctx context.Context, r *swarmRun) {
	strangers := r.net.NewStrangers(1000)
	defer strangers.Close()
	r.joiners.wg.Go(func() {
		k := strangers.Knock(ctx, 0, 10_000, 500)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.res.Attack.Opened, r.res.Attack.Refused = k.Opened, k.Refused
	})
	assault(ctx, r)
}

// eclipse has viewers join of whose known peers four of five are liars, who lie to nobody else.
func eclipse(ctx context.Context, r *swarmRun) {
	var hostile, others []int
	for i := 1; i < r.nodes; i++ {
		if r.roles[i] == honest {
			others = append(others, i)
		} else {
			hostile = append(hostile, i)
		}
	}
	for _, l := range r.liars {
		l.LieToNewcomers(r.liars)
	}
	for range 10 {
		r.join(ctx, append(append([]int(nil), hostile...), r.some(others, len(hostile)/4)...))
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	r.joiners.wg.Go(func() { r.watchHeap(ctx) })
	<-ctx.Done()
	r.joiners.wg.Wait()
	r.settleAttack()
}
