package schedule

import (
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// part is the exchange of one part.
type part struct {
	pos       stream.Position
	opener    Peer    // who spoke of it first; None if this node did
	known     bool    // the header is; all following but peers, asked and born is unset until then
	n         int     // chunks
	size      int     // bytes
	chunkSize int     // bytes
	rate      float64 // bits per second; 0 if it was not measured by
	own       bool    // published by this node
	wanted    bool    // this node wants the chunks it lacks
	late      bool    // the header came late: neighbours may never speak of it
	have      stream.Bitmap
	count     int             // of have
	at        []time.Time     // when each chunk was there
	age       []time.Duration // of each chunk, then
	seen      []time.Time     // when each chunk was first known to be in the swarm; zero if not
	stuck     []time.Time     // when each chunk first found no room on its way to a neighbour; zero if it always did
	asks      []ask
	asked     map[Peer]stream.Bitmap // what each peer was ever asked for, and so may honestly send
	disputed  bool                   // see Disputed
	peers     map[Peer]*partPeer
	born      time.Time // first heard of
	ready     time.Time // header known
	lookAt    time.Time // when to look for what should be wanted explicitly
	hungry    bool      // nobody is known to have something that should be wanted
	dirty     bool      // somebody may have to be told something
	showAt    time.Time // when to look whether the broadcaster shows more of it
	newsAt    time.Time // of the oldest chunk that neighbours were not told of; zero if none
}

// ask is a chunk that is wanted from a peer.
type ask struct {
	from     Peer
	at       time.Time
	patience time.Duration
	fetch    bool // by the fetch protocol
	failed   []Peer
	fetches  int // times it was fetched in vain
	diverts  int // times it was diverted in vain
	diverted time.Time
}

// partPeer is what this node and a peer told each other of a part.
type partPeer struct {
	have, want   stream.Bitmap // its
	beyond       stream.Bitmap // what it has if the part has more chunks than its header says; see Replace
	told         stream.Bitmap // what it knows this node to have
	asked        stream.Bitmap // what is wanted from it
	toldAsked    stream.Bitmap // what it knows to be wanted from it
	sent         stream.Bitmap // sent to it, not acknowledged
	queued       stream.Bitmap // promised to it, and waits
	queuedAsked  stream.Bitmap // asked for by it, and waits
	sending      int           // of sent
	sentAt       time.Time
	sends        int  // chunks sent to it, repeats included
	owesAck      bool // it sent a chunk that was not acknowledged yet
	toldAnything bool
}

// missing reports whether the node waits for chunks of the part.
func (p *part) missing() bool { return p.known && p.wanted && p.count < p.n }

// chunkLen returns the bytes of chunk i.
func (p *part) chunkLen(i int) int {
	if i == p.n-1 {
		return p.size - i*p.chunkSize
	}
	return p.chunkSize
}

// peer returns what a peer and this node told each other, nil if too many speak.
func (p *part) peer(id Peer) *partPeer {
	pp := p.peers[id]
	if pp == nil {
		if len(p.peers) >= maxPartPeers {
			return nil
		}
		pp = &partPeer{}
		if p.known {
			pp.grow(p.n)
		}
		p.peers[id] = pp
	}
	return pp
}

// says notes what a peer said that it has, of a part of n chunks.
func (pp *partPeer) says(have stream.Bitmap, n int) {
	if hasFrom(have, n) {
		pp.beyond = or(pp.beyond, have)
	}
}

// hasFrom reports whether a bitmap has bits from n on.
func hasFrom(b stream.Bitmap, n int) bool {
	for i := n; i < 8*len(b); i++ {
		if b.Get(i) {
			return true
		}
	}
	return false
}

// grow gives all bitmaps room for n bits, and cuts what a peer sent to it.
func (pp *partPeer) grow(n int) {
	size := (n + 7) / 8
	pp.says(pp.have, n)
	if pp.beyond != nil {
		pp.have = or(pp.have, pp.beyond)
	}
	all := []*stream.Bitmap{&pp.have, &pp.want, &pp.told, &pp.asked, &pp.toldAsked, &pp.sent, &pp.queued, &pp.queuedAsked}
	room := make(stream.Bitmap, len(all)*size)
	for k, b := range all {
		full := room[k*size : (k+1)*size : (k+1)*size]
		copy(full, *b)
		if n%8 != 0 {
			full[size-1] &= 1<<(n%8) - 1
		}
		*b = full
	}
}

// waits returns which of what waits for the peer an item is one of.
func (pp *partPeer) waits(asked bool) stream.Bitmap {
	if asked {
		return pp.queuedAsked
	}
	return pp.queued
}

func or(a, b stream.Bitmap) stream.Bitmap {
	out := make(stream.Bitmap, max(len(a), len(b)))
	copy(out, a)
	for i := range b {
		out[i] |= b[i]
	}
	return out
}
