package schedule

// Stripes is how many ways a rendition's chunks are dealt out, so that a node can take
// each share from another neighbour. It fits a bitmap of 16 bits.
const Stripes = 16

// Unfed is the depth of a node that no parent feeds.
const Unfed = 15

// Stripe returns the stripe of a chunk. Neighbouring chunks, and the same chunk of
// neighbouring parts, are of different stripes, so that short parts use them all.
func Stripe(segment uint64, part uint32, chunk int) int {
	return int((segment*7 + uint64(part)*5 + uint64(chunk)) % Stripes)
}

// GrantLimits bound the standing wants that a node serves.
type GrantLimits struct {
	PerStripe int // children of one stripe
	PerPeer   int // stripes of one child
	Total     int // over all stripes: what the uplink carries
}

// Grant reports whether a node takes on another child for a stripe of which it feeds
// children already, who gets peer stripes from it, of total that it feeds.
func Grant(children, peer, total int, l GrantLimits) bool {
	return children < l.PerStripe && peer < l.PerPeer && total < l.Total
}

// Parent is a neighbour that may feed a stripe.
type Parent struct {
	Depth int // hops from the broadcaster, or Unfed
	Load  int // stripes that are wanted from it already
}

// Better returns which neighbour should feed a stripe to a node that now has depth
// own: the one nearest to the broadcaster, and of equals the one that feeds least to
// this node; turn breaks what ties are left. None, unless it is nearer than own by a
// hop at least: thus no two nodes wait for each other.
func Better(own int, candidates []Parent, turn int) int {
	best := None
	for k := range candidates {
		i := (k + turn) % len(candidates)
		c := candidates[i]
		if c.Depth >= Unfed-1 || c.Depth+1 >= own {
			continue
		}
		if best == None || c.Depth < candidates[best].Depth || c.Depth == candidates[best].Depth && c.Load < candidates[best].Load {
			best = i
		}
	}
	return best
}
