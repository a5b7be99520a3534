package p2p

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/schedule"
)

// tree is some nodes' stripes, whose messages a test carries.
type tree struct {
	t     *testing.T
	now   time.Time
	nodes map[peer.ID]*stripes
	links map[peer.ID][]peer.ID
}

func newTree(t *testing.T, source peer.ID, links map[peer.ID][]peer.ID) *tree {
	tr := &tree{t: t, now: time.Unix(1e9, 0), nodes: map[peer.ID]*stripes{}, links: links}
	for id := range links {
		tr.nodes[id] = newStripes(id == source)
	}
	return tr
}

var anyGrant = schedule.GrantLimits{PerStripe: maxChildren, PerPeer: schedule.Stripes, Total: maxChildren * schedule.Stripes}

// round lets every node choose and tell its neighbours, and reports whether anybody
// had anything to say.
func (tr *tree) round() (said bool) {
	tr.now = tr.now.Add(50 * time.Millisecond)
	for id, st := range tr.nodes {
		st.choose(tr.links[id], tr.now)
		for _, to := range tr.links[id] {
			if tr.nodes[to] == nil || !st.dirty(to) {
				continue
			}
			said = true
			var m metadata
			st.tell(to, &m, tr.now)
			m, err := parseMetadata(m.marshal())
			if err != nil {
				tr.t.Fatal(err)
			}
			other := tr.nodes[to]
			if m.depths != nil {
				other.onDepths(id, *m.depths, tr.now)
			}
			if m.hasGrants {
				other.onGrants(id, m.grants, tr.now)
			}
			if m.hasStanding {
				other.onWants(id, m.standing, anyGrant, tr.now)
			}
		}
	}
	return said
}

// settle runs rounds until nobody has anything to say.
func (tr *tree) settle(limit int) {
	tr.t.Helper()
	for range limit {
		if !tr.round() {
			return
		}
	}
	tr.t.Errorf("still changing after %d rounds", limit)
}

// check fails unless every node is fed every stripe, by a parent that knows it, along
// a path that leads to the source.
func (tr *tree) check(source peer.ID) {
	tr.t.Helper()
	for id := range tr.nodes {
		for s := range schedule.Stripes {
			at := id
			for hops := 0; at != source; hops++ {
				parent := tr.nodes[at].parent[s]
				if parent == "" || tr.nodes[parent] == nil {
					tr.t.Errorf("%s is not fed stripe %d: its way ends at %s", id, s, at)
					break
				}
				if !tr.nodes[parent].peer(at).grant.has(s) {
					tr.t.Errorf("%s takes stripe %d from %s, which does not know", at, s, parent)
				}
				if hops > len(tr.nodes) {
					tr.t.Errorf("%s is fed stripe %d by a loop", id, s)
					break
				}
				at = parent
			}
		}
	}
}

func ring(n int) map[peer.ID][]peer.ID {
	links := map[peer.ID][]peer.ID{}
	for i := range n {
		links[name(i)] = []peer.ID{name((i + n - 1) % n), name((i + 1) % n)}
	}
	return links
}

func name(i int) peer.ID { return peer.ID(rune('a' + i)) }

func TestEveryNodeIsFedEveryStripe(t *testing.T) {
	for what, links := range map[string]map[peer.ID][]peer.ID{
		"a line":    {"a": {"b"}, "b": {"a", "c"}, "c": {"b", "d"}, "d": {"c"}},
		"a ring":    ring(10),
		"all knots": {"a": {"b", "c", "d"}, "b": {"a", "c", "d"}, "c": {"a", "b", "d"}, "d": {"a", "b", "c"}},
	} {
		t.Run(what, func(t *testing.T) {
			tr := newTree(t, "a", links)
			tr.settle(200)
			tr.check("a")
		})
	}
}

func TestTreesGrowAnewWhenANodeDies(t *testing.T) {
	tr := newTree(t, "a", ring(10))
	tr.settle(200)
	for id, st := range tr.nodes {
		if id != "b" {
			st.onGone("b")
		}
	}
	delete(tr.nodes, "b")
	tr.links["a"], tr.links["c"] = []peer.ID{"j"}, []peer.ID{"d"}
	began := tr.now
	for tr.now.Sub(began) < 10*time.Second {
		tr.round() // refusals rest, so silence is not the end
	}
	tr.check("a")
}

func TestParentThatIsLateIsGivenUp(t *testing.T) {
	tr := newTree(t, "a", map[peer.ID][]peer.ID{"a": {"b"}, "b": {"a"}})
	tr.settle(100)
	st := tr.nodes["b"]
	for range maxLate - 1 {
		st.delivered(0, "somebody", tr.now)
	}
	st.delivered(0, "a", tr.now)
	for range maxLate - 1 {
		st.delivered(0, "somebody", tr.now)
	}
	if !st.fed(0) {
		t.Fatal("a parent was given up that was late now and then")
	}
	st.delivered(0, "somebody", tr.now)
	if st.fed(0) {
		t.Error("a parent is kept that others outrun")
	}
	if !st.fed(1) {
		t.Error("another stripe's parent was given up")
	}
}

func TestNeighbourThatDoesNotAnswerIsNotWaitedFor(t *testing.T) {
	st := newStripes(false)
	now := time.Unix(1e9, 0)
	st.onDepths("mute", depths{}, now)
	st.choose([]peer.ID{"mute"}, now)
	if st.wanted("mute") == 0 {
		t.Fatal("nothing is wanted of the only neighbour")
	}
	now = now.Add(answerTimeout + time.Millisecond)
	st.choose([]peer.ID{"mute"}, now)
	first := st.wanted("mute")
	now = now.Add(answerTimeout + time.Millisecond)
	st.choose([]peer.ID{"mute"}, now)
	if second := st.wanted("mute"); first&second != 0 {
		t.Errorf("stripes %b are wanted again of who did not answer", first&second)
	}
}

func TestPeerThatPushesWhatIsNotWantedIsToldAgain(t *testing.T) {
	tr := newTree(t, "a", map[peer.ID][]peer.ID{"a": {"b"}, "b": {"a"}})
	tr.settle(100)
	child := tr.nodes["b"]
	// The child lost the connection for a moment, the parent did not notice.
	child.onGone("a")
	if !child.mayPush("a", 3) {
		t.Error("a chunk under way is taken for unsolicited")
	}
	child.pushed("a", 3)
	if !child.dirty("a") {
		t.Error("the parent is not told what is wanted now")
	}
	child.onGone("a")
	child.expire(tr.now.Add(lateTTL + time.Second))
	if child.mayPush("a", 3) {
		t.Error("a peer that is long gone may still push")
	}
}

func TestNobodyPromisesWhatItDoesNotGet(t *testing.T) {
	st := newStripes(false)
	now := time.Unix(1e9, 0)
	st.onWants("child", 0xffff, anyGrant, now)
	if st.peer("child").grant != 0 {
		t.Error("a node that is not fed promises stripes")
	}
	if !st.dirty("child") {
		t.Error("the refusal is not told")
	}
}
