package bench

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p/schedule"
)

var (
	run      = flag.Bool("bench", false, "run the bench")
	names    = flag.String("scenario", "", "run only these `NAMES`, separated by commas")
	asJSON   = flag.Bool("json", false, "print one JSON object per scenario and nothing else")
	seeds    = flag.Int("seeds", 3, "run each scenario with so many `SEEDS`")
	classic  = flag.Bool("classic", true, "run ordinary gossipsub messages, too, where a scenario has them")
	nodes    = flag.Int("nodes", 0, "begin with `N` nodes instead of the scenario's")
	segments = flag.Int("segments", 0, "broadcast `N` segments instead of the scenario's")
	parallel = flag.Int("parallel", runtime.NumCPU(), "run `N` at a time")
	short    = flag.Bool("short", false, "run three small scenarios, and fail on gross regressions")
	plotDir  = flag.String("plot", "", "draw SVGs into a `DIRECTORY`")
	oneJob   = flag.String("job", "", "run one `JOB` and print its result; for the bench itself")
)

// stdout is where results go; what package testing prints goes to standard error.
var stdout = os.Stdout

func TestMain(m *testing.M) {
	flag.Parse()
	os.Stdout = os.Stderr
	if *run && *oneJob == "" {
		if err := coordinate(); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if *oneJob != "" {
		go func() { // no run outlives who wants its result
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}()
	}
	os.Exit(m.Run())
}

// TestJob runs one scenario with one seed, in a process of its own.
func TestJob(t *testing.T) {
	if *oneJob == "" {
		t.Skip("not asked for")
	}
	var j job
	if err := json.Unmarshal([]byte(*oneJob), &j); err != nil {
		t.Fatal(err)
	}
	s, err := j.scenario()
	if err != nil {
		t.Fatal(err)
	}
	var res result
	if w := j.way(); w.clock {
		res = w.run(t, s, j.Seed)
	} else {
		synctest.Test(t, func(t *testing.T) { res = w.run(t, s, j.Seed) })
	}
	if err := json.NewEncoder(stdout).Encode(res); err != nil {
		t.Fatal(err)
	}
}

// TestScenariosRun checks that the bench itself works: with few nodes and bytes, whatever
// can happen in a scenario happens.
func TestScenariosRun(t *testing.T) {
	if *oneJob != "" {
		t.Skip("something else was asked for")
	}
	for _, c := range []struct {
		name  string
		run   func(t *testing.T, s scenario, seed int64) result
		nodes int
		check func(r result) bool
	}{
		{"even", runSwarm, 4, func(r result) bool {
			return r.RX >= 1 && r.RX < 1.5 && r.RXWire > r.RX && r.Source >= 1 &&
				r.Delays.Never == 0 && r.Pairs == 3*partsPerSegment && r.InTime == r.Pairs
		}},
		{"even", runClassic, 4, func(r result) bool {
			return r.RX >= 1 && r.Source >= 1 && r.Pairs == 3*partsPerSegment && r.Delays.count() > 0
		}},
		{"crowd", runSwarm, 2, func(r result) bool {
			return r.Startup.count() == 4 && r.Picture.came() == 4 && r.Pairs == partsPerSegment
		}},
		{"churn", runSwarm, 5, func(r result) bool {
			// One dies and one joins each second, and nobody plays so soon.
			return r.Startup.count() <= 1 && r.Startup.came() == 0 && r.Pairs < 4*partsPerSegment
		}},
		{"schedule100", runSchedule, 10, func(r result) bool {
			return r.RX >= 1 && r.Delays.Never == 0 && r.InTime == r.Pairs && r.Decisions.HopsMean >= 1 && r.Decisions.HopsMax < schedule.Adrift
		}},
		{"offload-cut", runSwarm, 4, func(r result) bool { return r.Counts.OriginBytes > 0 && r.Counts.PeerBytes > 0 }},
		{"liars", runSwarm, 7, func(r result) bool { return r.CutOff.count() == 1 && r.Pairs == 5*partsPerSegment }},
	} {
		t.Run(c.name, func(t *testing.T) {
			picked, _ := named(c.name)
			s := picked[0]
			s.nodes, s.segments, s.warmup, s.rate = c.nodes, 1, 1, mbit/2
			switch c.name {
			case "churn":
				s.events = churn(0.2)
			case "crowd":
				s.events = crowd(2, time.Second)
			}
			synctest.Test(t, func(t *testing.T) {
				if r := c.run(t, s, 1); !c.check(r) {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

func TestEveryScenarioIsDocumented(t *testing.T) {
	for _, file := range []string{"doc.go", "../bench.sh"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range scenarios {
			if !regexp.MustCompile(`\b` + s.name + `\b`).Match(text) {
				t.Errorf("%s does not name scenario %s", file, s.name)
			}
		}
	}
}
