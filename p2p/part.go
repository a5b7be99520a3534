package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

// part is the exchange of one part.
type part struct {
	id     stream.PartID
	group  []byte
	topic  string
	header *stream.SignedHeader // nil until known
	own    bool                 // published by this node
	wanted bool                 // this node wants the chunks it lacks
	late   bool                 // the header came by fetch: neighbours may never speak of it
	have   stream.Bitmap
	count  int // of have
	asks   []ask
	peers  map[peer.ID]*partPeer
	asked  asked
	born   time.Time // first heard of
	ready  time.Time // header known
	dirty  bool
	newsAt time.Time    // of the oldest chunk that neighbours were not told of; zero if none
	seen   []time.Time  // when each chunk was first known to be in the swarm; zero if not
	early  []earlyChunk // pushed before the header arrived
	sends  bool         // something may have to be sent
	opened bool         // pubsub knows that this node speaks of the group, too
}

// earlyChunk is a chunk that cannot be verified yet.
type earlyChunk struct {
	from  peer.ID
	index int
	data  []byte
}

// ask is a chunk that is wanted from a peer.
type ask struct {
	from    peer.ID // "" if from nobody
	at      time.Time
	fetch   bool // by the fetch protocol
	failed  []peer.ID
	fetches int // times it was fetched in vain
}

// partPeer is what this node and a peer told each other of a part.
type partPeer struct {
	have, want   stream.Bitmap // its
	told         stream.Bitmap // what it knows this node to have
	asked        stream.Bitmap // what is wanted from it
	toldAsked    stream.Bitmap // what it knows to be wanted from it
	sent         stream.Bitmap // sent to it, not acknowledged
	sentAt       time.Time
	sends        int  // chunks sent to it, repeats included
	owesAck      bool // it sent a chunk that was not acknowledged yet
	toldAnything bool
}

// asked is what peers were ever asked for of a part, and so may honestly send: late,
// or after they were gone for a moment. It grows by this node's wants only.
type asked map[peer.ID]stream.Bitmap

func (a asked) of(id peer.ID, i int) bool { return a[id].Get(i) }

// pastPart is what is kept of a part that is exchanged no more.
type pastPart struct {
	asked asked
	until time.Time
}

func (p *part) complete() bool { return p.header != nil && p.count == len(p.header.Chunks) }

// missing reports whether the node waits for chunks of the part.
func (p *part) missing() bool { return p.wanted && p.header != nil && !p.complete() }

func (p *part) peer(id peer.ID) *partPeer {
	pp := p.peers[id]
	if pp == nil {
		if len(p.peers) >= maxPartPeers {
			return nil
		}
		pp = &partPeer{}
		if p.header != nil {
			pp.grow(len(p.header.Chunks))
		}
		p.peers[id] = pp
	}
	return pp
}

// grow gives all bitmaps room for n bits, and cuts what a peer sent to it.
func (pp *partPeer) grow(n int) {
	for _, b := range []*stream.Bitmap{&pp.have, &pp.want, &pp.told, &pp.asked, &pp.toldAsked, &pp.sent} {
		full := stream.NewBitmap(n)
		for i := range n {
			if b.Get(i) {
				full.Set(i)
			}
		}
		*b = full
	}
}

func comparePart(a, b *part) int {
	if c := a.id.Position.Compare(b.id.Position); c != 0 {
		return c
	}
	if a.id.Rendition < b.id.Rendition {
		return -1
	} else if a.id.Rendition > b.id.Rendition {
		return 1
	}
	return 0
}

func or(a, b stream.Bitmap) stream.Bitmap {
	out := make(stream.Bitmap, max(len(a), len(b)))
	copy(out, a)
	for i := range b {
		out[i] |= b[i]
	}
	return out
}
