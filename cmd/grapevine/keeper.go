package main

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/policy"
)

const (
	// keepEvery is how often a node is held to its policy.
	keepEvery = 250 * time.Millisecond
	// recordEvery is how often what was used is written down and that of the home's other nodes
	// is read.
	recordEvery = 5 * time.Second
	// With a budget nothing passes but what was written down before. leastClaim is how much that
	// is at least, claimTime how much time's worth if that is more: what a crash costs.
	leastClaim = 2 << 20
	claimTime  = 5 * time.Second
)

// keptNode is the node as its keeper sees it.
type keptNode interface {
	Stats() p2p.Stats
	Bound(sent, all int64)
	Pause()
	Resume()
}

// keeper holds a node to its owner's policy, and keeps what it used.
type keeper struct {
	ledger *ledger
	log    *slog.Logger
	tell   func(policy.Decision) // each time that it changes
	node   keptNode              // nil until it is started

	seen     policy.Usage // of the node's totals
	rate     float64      // bytes per second that the budget counts, lately
	at       time.Time    // of the last step
	claimed  int64        // of what the budget counts of the node's totals, at most
	recorded time.Time
	failed   bool // the last record was not written

	mu       sync.Mutex // guards all following
	policy   policy.Policy
	next     *policy.Policy // to be held to from the next step on, if not nil
	month    policy.Month
	others   policy.Usage // of the home's other nodes, this month
	own      policy.Usage // this month
	decision policy.Decision
}

// newKeeper reads what was used. It decides at once, so that a node may begin closed.
func newKeeper(p policy.Policy, l *ledger, log *slog.Logger, now time.Time) (*keeper, error) {
	k := &keeper{policy: p, ledger: l, log: log, tell: func(policy.Decision) {}, at: now, recorded: now}
	k.month = policy.MonthOf(now)
	k.own = l.own[k.month]
	var err error
	if k.others, err = l.others(k.month); err != nil && p.Budget.Bytes > 0 {
		return nil, err
	}
	k.decision = p.Decide(now, k.own.Plus(k.others))
	return k, nil
}

// setPolicy has the keeper hold the node to another policy from its next step on.
func (k *keeper) setPolicy(p policy.Policy) error {
	if p.Budget.Bytes > 0 && k.ledger.name == "" {
		return errNoLedger
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next = &p
	return nil
}

// owner returns the policy.
func (k *keeper) owner() policy.Policy {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.policy
}

// adopt begins with a policy that was set. What an old budget let pass before it was used is void.
func (k *keeper) adopt() {
	k.mu.Lock()
	next := k.next
	if k.next = nil; next == nil {
		k.mu.Unlock()
		return
	}
	before := k.policy.Budget
	k.policy = *next
	k.mu.Unlock()
	switch b := next.Budget; {
	case b == before:
	case b.Bytes == 0:
		k.claimed = 0
		k.node.Bound(math.MaxInt64, math.MaxInt64)
	default:
		k.claimed = b.Used(k.seen)
		k.bound(b)
	}
}

// used returns what the home's nodes used this month.
func (k *keeper) used() policy.Usage {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.own.Plus(k.others)
}

// state returns the month, what was used of it, and whether the node takes part.
func (k *keeper) state() (policy.Month, policy.Usage, policy.Decision) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.month, k.own.Plus(k.others), k.decision
}

// now returns whether the node takes part.
func (k *keeper) now() policy.Decision {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.decision
}

// closed reports whether it does not.
func (k *keeper) closed() bool { return k.now().Closed != "" }

// begin gives it the node, of which nothing may have passed yet if there is a budget.
func (k *keeper) begin(node keptNode, now time.Time) {
	k.node = node
	k.claim(now)
}

// run keeps the node until ctx is over, and then writes down what it used.
func (k *keeper) run(ctx context.Context) error {
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			k.step(time.Now())
		}
	}
}

// end writes down what a node used that has ended.
func (k *keeper) end(now time.Time) error {
	if k.node == nil {
		return nil
	}
	k.count(now)
	return k.ledger.write(k.month, 0)
}

// step counts, decides, and does what was decided.
func (k *keeper) step(now time.Time) {
	k.count(now)
	k.adopt()
	k.mu.Lock()
	before := k.decision
	k.decision = k.policy.Decide(now, k.own.Plus(k.others))
	after := k.decision
	k.mu.Unlock()
	switch {
	case after.Closed != "" && before.Closed == "":
		k.node.Pause()
		k.record(now)
	case after.Closed == "" && before.Closed != "":
		k.record(now)
		k.claim(now)
		k.node.Resume()
	}
	if after.Closed != before.Closed {
		k.tell(after)
	}
	if now.Sub(k.recorded) >= recordEvery {
		k.record(now)
	}
	k.claim(now)
}

// count adds what passed since the last time to the month that it is now.
func (k *keeper) count(now time.Time) {
	st := k.node.Stats()
	passed := policy.Usage{Sent: st.WireOut - k.seen.Sent, Received: st.WireIn - k.seen.Received}
	k.seen = policy.Usage{Sent: st.WireOut, Received: st.WireIn}
	month, budget := policy.MonthOf(now), k.owner().Budget
	k.ledger.own[month] = k.ledger.own[month].Plus(passed)
	if since := now.Sub(k.at).Seconds(); since > 0 {
		k.rate += (float64(budget.Used(passed))/since - k.rate) * min(1, since)
	}
	k.at = now
	k.mu.Lock()
	defer k.mu.Unlock()
	if month != k.month {
		k.month, k.others = month, policy.Usage{} // which is read anew with the next record
		k.recorded = time.Time{}
	}
	k.own = k.ledger.own[month]
}

// record writes down what was used, and reads what the home's other nodes used.
func (k *keeper) record(now time.Time) {
	k.recorded = now
	k.write(max(0, k.claimed-k.owner().Budget.Used(k.seen)))
	others, err := k.ledger.others(k.month)
	if err != nil {
		k.log.Error("cannot read what other nodes of this home used", "err", err)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.others = others
}

// claim lets pass what is written down, a few seconds' worth, before it does.
func (k *keeper) claim(now time.Time) {
	b := k.owner().Budget
	if b.Bytes == 0 {
		return
	}
	used := b.Used(k.seen)
	want := max(leastClaim, int64(k.rate*claimTime.Seconds()))
	if k.claimed-used >= want/2 {
		return
	}
	claim := min(want, b.Left(k.used()))
	if used+claim == k.claimed || !k.write(claim) {
		return
	}
	k.claimed, k.recorded = used+claim, now
	k.bound(b)
}

// bound lets pass what was claimed.
func (k *keeper) bound(b policy.Budget) {
	if b.SentOnly {
		k.node.Bound(k.claimed, math.MaxInt64)
	} else {
		k.node.Bound(math.MaxInt64, k.claimed)
	}
}

// write writes down what was used and claimed, and reports whether it could.
func (k *keeper) write(claim int64) bool {
	err := k.ledger.write(k.month, claim)
	if err != nil && !k.failed {
		k.log.Error("cannot write down what this node sends and receives", "err", err)
	}
	k.failed = err != nil
	return err == nil
}
