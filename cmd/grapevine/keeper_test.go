package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/policy"
)

// busyNode sends and receives as much as it may, at a rate.
type busyNode struct {
	rate            float64 // bytes per second, half of them sent
	in, out         int64
	sent, all       int64 // ceilings
	paused          bool
	pauses, resumes int
}

func (n *busyNode) Stats() p2p.Stats      { return p2p.Stats{WireIn: n.in, WireOut: n.out} }
func (n *busyNode) Bound(sent, all int64) { n.sent, n.all = sent, all }
func (n *busyNode) Pause()                { n.paused = true; n.pauses++ }
func (n *busyNode) Resume()               { n.paused = false; n.resumes++ }

// pass lets time pass in which the node is busy.
func (n *busyNode) pass(d time.Duration) {
	time.Sleep(d)
	more := int64(n.rate * d.Seconds() / 2)
	if n.paused || n.out+more > n.sent || n.out+n.in+2*more > n.all {
		return
	}
	n.in, n.out = n.in+more, n.out+more
}

func newBusyNode(rate float64) *busyNode {
	return &busyNode{rate: rate, sent: math.MaxInt64, all: math.MaxInt64}
}

// startKeeper starts a keeper as a process does.
func startKeeper(t *testing.T, h *home, p policy.Policy, n *busyNode) *keeper {
	t.Helper()
	l, err := openLedger(h, &identity{file: h.path("node.key")})
	if err != nil {
		t.Fatal(err)
	}
	k, err := newKeeper(p, l, slog.New(slog.DiscardHandler), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	n.paused = k.closed()
	k.begin(n, time.Now())
	return k
}

// keep runs a node and its keeper for a while.
func keep(k *keeper, n *busyNode, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		n.pass(keepEvery)
		k.step(time.Now())
	}
}

// TestBudgetHoldsThroughCrashes kills a node every 20 s until the budget is spent, and once more.
func TestBudgetHoldsThroughCrashes(t *testing.T) {
	for _, sentOnly := range []bool{false, true} {
		h := testHome(t)
		synctest.Test(t, func(t *testing.T) {
			budget := policy.Budget{Bytes: 100e6, SentOnly: sentOnly}
			var passed policy.Usage
			runs := 0
			for range 20 {
				n := newBusyNode(2e6)
				k := startKeeper(t, h, policy.Policy{Budget: budget}, n)
				keep(k, n, 20*time.Second)
				passed = passed.Plus(policy.Usage{Sent: n.out, Received: n.in})
				if recorded := k.ledger.own[k.month]; budget.Used(passed) > budget.Used(recorded)+1 {
					t.Fatalf("%d bytes passed, %d are known", budget.Used(passed), budget.Used(recorded))
				}
				if n.out > 0 {
					runs++
				}
			}
			used := budget.Used(passed)
			// Each crash may cost what was claimed, which is of ten seconds at most.
			if used > budget.Bytes || used < budget.Bytes/2 || runs > 10 {
				t.Errorf("%d bytes of %d passed in %d runs", used, budget.Bytes, runs)
			}
		})
	}
}

// TestBudgetOfTheNextMonth comes back when the month ends, in the zone of the machine.
func TestBudgetOfTheNextMonth(t *testing.T) {
	h := testHome(t)
	synctest.Test(t, func(t *testing.T) {
		end := policy.NextMonth(time.Now())
		time.Sleep(time.Until(end) - time.Minute)
		n := newBusyNode(2e6)
		k := startKeeper(t, h, policy.Policy{Budget: policy.Budget{Bytes: 20e6}}, n)
		var told []policy.Decision
		k.tell = func(d policy.Decision) { told = append(told, d) }
		keep(k, n, 50*time.Second)
		if !n.paused || k.now().Closed != policy.ByBudget || !k.now().Until.Equal(end) {
			t.Fatalf("before the month's end: %+v", k.now())
		}
		before := n.out
		keep(k, n, 14*time.Second)
		if n.paused || n.out == before || n.pauses < 1 || n.resumes != n.pauses && n.resumes != n.pauses-1 {
			t.Fatalf("after the month's end: %+v, %+v", k.now(), n)
		}
		if len(told) < 2 || told[0].Closed != policy.ByBudget || told[1].Closed != "" {
			t.Errorf("told %+v", told)
		}
	})
}

func TestScheduleOpensAndCloses(t *testing.T) {
	h := testHome(t)
	synctest.Test(t, func(t *testing.T) {
		r, err := policy.ParseRange("22:00-07:00")
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		time.Sleep(time.Until(time.Date(now.Year(), now.Month(), now.Day()+1, 21, 59, 0, 0, now.Location())))
		n := newBusyNode(1e6)
		k := startKeeper(t, h, policy.Policy{Schedule: policy.Schedule{r}}, n)
		if !n.paused {
			t.Fatal("begins open by day")
		}
		keep(k, n, 59*time.Second)
		if n.out != 0 {
			t.Fatalf("%d bytes passed by day", n.out)
		}
		keep(k, n, 2*time.Second)
		if n.paused || n.resumes != 1 {
			t.Fatal("closed at night")
		}
		time.Sleep(time.Until(k.now().Until)) // a machine that slept
		k.step(time.Now())
		if !n.paused || n.pauses != 1 {
			t.Error("open by day")
		}
	})
}

// TestPolicyChanges gives a node a schedule, a budget of another kind, and nothing of it.
func TestPolicyChanges(t *testing.T) {
	h := testHome(t)
	synctest.Test(t, func(t *testing.T) {
		n := newBusyNode(2e6)
		k := startKeeper(t, h, policy.Policy{}, n)
		keep(k, n, 5*time.Second)
		set := func(p policy.Policy) {
			t.Helper()
			if err := k.setPolicy(p); err != nil {
				t.Fatal(err)
			}
			k.step(time.Now())
		}
		used := n.out
		set(policy.Policy{Budget: policy.Budget{Bytes: 2*used + 10e6}})
		keep(k, n, time.Minute)
		if !n.paused || n.in+n.out > 2*used+10e6 || n.in+n.out < 2*used+5e6 || k.now().Closed != policy.ByBudget {
			t.Errorf("10 MB more were allowed: %d bytes before, %d after, %+v", 2*used, n.in+n.out, k.now())
		}
		before := n.out
		set(policy.Policy{Budget: policy.Budget{Bytes: n.out + 20e6, SentOnly: true}})
		keep(k, n, time.Minute)
		if sent := n.out - before; !n.paused || sent > 20e6 || sent < 10e6 {
			t.Errorf("20 MB more were allowed to be sent: %d were", sent)
		}
		day := time.Now().Weekday().String()[:3]
		r, err := policy.ParseRange(day + " 00:00-24:00")
		if err != nil {
			t.Fatal(err)
		}
		set(policy.Policy{})
		keep(k, n, 20*time.Second)
		if n.paused || n.out-before < 30e6 || n.sent != math.MaxInt64 || n.all != math.MaxInt64 {
			t.Errorf("without a budget: %+v", n)
		}
		time.Sleep(24 * time.Hour)
		set(policy.Policy{Schedule: policy.Schedule{r}})
		if !n.paused || k.now().Closed != policy.BySchedule || k.owner().Schedule.String() != r.String() {
			t.Errorf("the day after its schedule: %+v", k.now())
		}
	})
	l, err := openLedger(h, &identity{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := newKeeper(policy.Policy{}, l, slog.New(slog.DiscardHandler), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := k.setPolicy(policy.Policy{Budget: policy.Budget{Bytes: 1e9}}); !errors.Is(err, errNoLedger) {
		t.Errorf("a node without a file to keep what it uses gets a budget: %v", err)
	}
}

// TestNodesOfAHomeShareItsBudget has one node use up what the other one would.
func TestNodesOfAHomeShareItsBudget(t *testing.T) {
	h := testHome(t)
	synctest.Test(t, func(t *testing.T) {
		budget := policy.Policy{Budget: policy.Budget{Bytes: 50e6}}
		first, second := newBusyNode(2e6), newBusyNode(0)
		k := startKeeper(t, h, budget, first)
		l, err := openLedger(h, &identity{file: h.path("node-2.key")})
		if err != nil {
			t.Fatal(err)
		}
		other, err := newKeeper(budget, l, slog.New(slog.DiscardHandler), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		other.begin(second, time.Now())
		keep(k, first, time.Minute)
		keep(other, second, 2*recordEvery)
		if !first.paused || !second.paused {
			t.Errorf("paused %t and %t", first.paused, second.paused)
		}
	})
}

// TestNothingPassesThatCannotBeWrittenDown takes away the directory.
func TestNothingPassesThatCannotBeWrittenDown(t *testing.T) {
	h := testHome(t)
	synctest.Test(t, func(t *testing.T) {
		n := newBusyNode(1e6)
		k := startKeeper(t, h, policy.Policy{Budget: policy.Budget{Bytes: 1e9}}, n)
		if err := os.RemoveAll(h.dir); err != nil {
			t.Fatal(err)
		}
		keep(k, n, time.Minute)
		if n.in+n.out > leastClaim || !k.failed {
			t.Errorf("%d bytes passed, failed is %t", n.in+n.out, k.failed)
		}
	})
}

func TestRecordsOfUse(t *testing.T) {
	h := testHome(t)
	l, err := openLedger(h, &identity{file: h.path("node.key")})
	if err != nil {
		t.Fatal(err)
	}
	l.own["2030-01"] = policy.Usage{Sent: 5, Received: 7}
	if err := l.write("2030-01", 100); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(h.path("node.usage")); err != nil || info.Mode().Perm() != fileMode {
		t.Errorf("%v, %v", info, err)
	}
	again, err := openLedger(h, &identity{file: h.path("node.key")})
	if err != nil || again.own["2030-01"] != (policy.Usage{Sent: 105, Received: 7}) {
		t.Errorf("%+v, %v", again, err)
	}
	if sum, err := (&ledger{home: h, name: "node-2.usage"}).others("2030-01"); err != nil || sum != again.own["2030-01"] {
		t.Errorf("%+v, %v", sum, err)
	}
	for _, text := range []string{"", "{", `{"version":2}`, `{"version":1,"months":{"2030-01":{"sent":-1,"received":0}}}`} {
		if err := os.WriteFile(h.path("node.usage"), []byte(text), fileMode); err != nil {
			t.Fatal(err)
		}
		var damaged *ledgerError
		if _, err := openLedger(h, &identity{file: h.path("node.key")}); !errors.As(err, &damaged) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
