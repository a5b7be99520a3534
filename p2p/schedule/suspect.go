package schedule

import "time"

const (
	// maxVain and maxBroken are how often a peer may fail to send what it said it has,
	// and what it promised, without sending anything meanwhile, until it is a suspect.
	maxVain   = 6
	maxBroken = 4
	// suspectAfter is how long it must have delivered nothing at all for that: behind a
	// slow link, what was sent may be seconds late.
	suspectAfter = 4 * time.Second
	// suspectFor is for how long what a peer failed, and that it heard, is held against it, if it fails
	// nothing else.
	suspectFor = 3 * suspectAfter
	// maxForged is how many forged chunks make a suspect: no honest peer sends one.
	maxForged = 2
	// untakenAfter is for how long a peer may take not a single chunk of what it is sent, some of
	// which is taken as lost by then, until it is a suspect.
	untakenAfter = 8 * time.Second
)

// Suspicion is what a peer is suspected of.
type Suspicion int

const (
	// Fails is no more than a reason to find out whether a peer hears, as it does not do what it said,
	// for the first time: see [Exchange.Hears]. Of what it was not found to hear it is never blamed.
	Fails Suspicion = iota
	// Deaf is who claims and promises, and does not deliver, though nothing shows that it
	// heard any of what it was asked for: it may be cut off in one direction.
	Deaf
	// Withholds is who claims and promises, and does not deliver, all the while after it was
	// found to hear.
	Withholds
	// Forges is who delivers what the broadcaster did not publish.
	Forges
	// Untaken is who asks for chunks and takes none.
	Untaken
)

// Suspect is a peer that does not do what it said, and of what it is suspected.
type Suspect struct {
	Peer Peer
	Of   Suspicion
}

// Suspects returns the peers that became suspects since it was last called.
func (x *Exchange) Suspects() []Suspect {
	s := x.suspects
	x.suspects = nil
	return s
}

// Hears notes that a peer hears, as it answered something. Unless it delivers, what it is asked for
// from now on counts against it, and nothing from before.
func (x *Exchange) Hears(id Peer, now time.Time) {
	if n := x.peers[id]; n != nil && n.failing {
		n.vain, n.broken, n.failedAt, n.hears = 0, 0, now, now
	}
}

// failed notes that a peer failed to do what it said, of which count is how often, and what it was
// asked for, or owed, since a time.
func (x *Exchange) failed(n *neighbour, count *int, limit int, since, now time.Time) {
	if n.failing && now.Sub(n.failedLast) > suspectFor {
		n.does() // for all that is known
	}
	n.fails, n.failedLast = n.fails+1, now
	if since.Before(n.hears) {
		return // it may have heard too late
	}
	if !n.failing {
		n.failing, n.failedAt = true, now
		x.suspects = append(x.suspects, Suspect{n.id, Fails})
	}
	if *count++; *count < limit || now.Sub(n.failedAt) < suspectAfter {
		return
	}
	of := Withholds
	if n.hears.IsZero() {
		of = Deaf
	}
	x.suspect(n, of, now)
}

// does notes that a peer does what it said.
func (n *neighbour) does() {
	n.vain, n.broken, n.fails, n.failing, n.hears = 0, 0, 0, false, time.Time{}
}

// suspect has the node look into a peer, and seeks another in its place.
func (x *Exchange) suspect(n *neighbour, of Suspicion, now time.Time) {
	n.vain, n.broken, n.failedAt = 0, 0, now
	x.suspects = append(x.suspects, Suspect{n.id, of})
	x.leave(n, now)
}

// untaken finds the neighbours that go on to ask for more, and take nothing at all.
func (x *Exchange) untaken(now time.Time) {
	for _, n := range x.ids {
		if n.lost && n.inflight > 0 && now.Sub(n.took) >= untakenAfter && !x.quiet(n, now) {
			n.take(now)
			x.suspects = append(x.suspects, Suspect{n.id, Untaken})
		}
	}
}
