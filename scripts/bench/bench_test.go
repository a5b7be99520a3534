package bench

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

var (
	run      = flag.Bool("bench", false, "run the bench")
	names    = flag.String("scenario", "", "run only these `NAMES`, separated by commas")
	asJSON   = flag.Bool("json", false, "print one JSON object per scenario and nothing else")
	seeds    = flag.Int("seeds", 3, "run each scenario with so many `SEEDS`")
	classic  = flag.Bool("classic", true, "run ordinary gossipsub messages, too, where a scenario has them")
	nodes    = flag.Int("nodes", 0, "use `N` nodes instead of the scenario's")
	segments = flag.Int("segments", 0, "broadcast `N` segments instead of the scenario's")
)

// stdout is where results go; what package testing prints goes to standard error.
var stdout = os.Stdout

func TestMain(m *testing.M) {
	flag.Parse()
	os.Stdout = os.Stderr
	os.Exit(m.Run())
}

func TestSwarm(t *testing.T) {
	var picked []scenario
	for _, s := range scenarios {
		if *names != "" && !slices.Contains(strings.Split(*names, ","), s.Name) {
			continue
		}
		if *nodes > 0 {
			s.Nodes = *nodes
		}
		if *segments > 0 {
			s.Segments = *segments
		}
		picked = append(picked, s)
	}
	if len(picked) == 0 {
		t.Fatalf("no scenario %q", *names)
	}
	out := printer{json: *asJSON}
	if !*run { // as a unit test: does the bench work at all?
		picked = []scenario{scenarios[0]}
		picked[0].Nodes, picked[0].Segments, picked[0].Warmup = 5, 1, 0
		*seeds = 1
	}
	out.header()
	for _, s := range picked {
		ways := []way{swarmWay}
		if *classic && s.Classic {
			ways = append(ways, classicWay)
		}
		for _, w := range ways {
			var runs []result
			for seed := range *seeds {
				t.Run(s.Name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { runs = append(runs, w.run(t, s, int64(seed+1))) })
				})
			}
			out.scenario(s, w, runs)
		}
	}
}
