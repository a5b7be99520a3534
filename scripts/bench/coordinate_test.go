package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// job is one run: a scenario, changed or not, with one seed.
type job struct {
	Scenario string `json:"scenario"`
	Way      string `json:"way"`
	Seed     int64  `json:"seed"`
	Nodes    int    `json:"nodes"`    // instead of the scenario's, if not 0
	Segments int    `json:"segments"` // the same
	Warmup   int    `json:"warmup"`   // the same
}

func (j job) scenario() (scenario, error) {
	i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == j.Scenario })
	if i < 0 {
		return scenario{}, fmt.Errorf("no scenario %q", j.Scenario)
	}
	s := scenarios[i]
	if j.Nodes > 0 {
		s.nodes = j.Nodes
	}
	if j.Segments > 0 {
		s.segments = j.Segments
	}
	if j.Warmup > 0 {
		s.warmup = j.Warmup
	}
	return s, nil
}

func (j job) way() way {
	return ways[slices.IndexFunc(ways, func(w way) bool { return w.name == j.Way })]
}

// child runs the job in a process of its own. A run keeps one core busy and no more, as
// its goroutines hand packets to each other, so several go side by side.
func (j job) child() (res result, err error) {
	raw, err := json.Marshal(j)
	if err != nil {
		return res, err
	}
	cmd := exec.Command(os.Args[0], "-bench", "-job", string(raw), "-test.run", "^TestJob$", "-test.timeout", "0")
	s, err := j.scenario()
	if err != nil {
		return res, err
	}
	// A node holds 10 to 15 MB. Where memory allows, garbage is collected less often.
	collect := "400"
	if s.nodes > 60 {
		collect = "100"
	}
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC="+collect)
	var out, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failure
	// Closed when this process ends, however it does.
	alive, err := cmd.StdinPipe()
	if err != nil {
		return res, err
	}
	defer alive.Close()
	if err := cmd.Run(); err != nil {
		os.Stderr.Write(failure.Bytes()) // at once, as there may be hours to come
		return res, fmt.Errorf("%s %s with seed %d: %w", j.Scenario, j.Way, j.Seed, err)
	}
	if err := json.Unmarshal(out.Bytes(), &res); err != nil {
		return res, fmt.Errorf("%s %s with seed %d: read result: %w", j.Scenario, j.Way, j.Seed, err)
	}
	return res, nil
}

// row is a scenario moved one way, with all its seeds.
type row struct {
	scenario scenario
	way      way
	jobs     []job
}

// runs returns with how many seeds a scenario is run one way.
func (s *scenario) runs(w way) int {
	n := *seeds
	if *short {
		n = 1
	}
	if s.seeds > 0 {
		n = min(n, s.seeds)
	}
	switch {
	case s.only != "":
		if w.name != s.only {
			return 0
		}
	case w.name == "classic":
		if !*classic || *short {
			return 0
		}
		n = min(n, s.classic)
	case w.name != "grapevine":
		return 0
	}
	return n
}

// rows are what was asked for on the command line.
func rows() ([]row, error) {
	picked := slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool { return s.attack != "" })
	if *short {
		*names = "even,uneven,churn"
	}
	if *names != "" {
		var unknown string
		if picked, unknown = named(*names); unknown != "" {
			var all []string
			for _, s := range scenarios {
				all = append(all, s.name)
			}
			return nil, fmt.Errorf("no scenario %q; there are %s", unknown, strings.Join(all, ", "))
		}
	}
	var out []row
	for _, s := range picked {
		for _, w := range ways {
			n := s.runs(w)
			if n == 0 {
				continue
			}
			r := row{way: w}
			for seed := range n {
				j := job{Scenario: s.name, Way: w.name, Seed: int64(seed + 1), Nodes: *nodes, Segments: *segments}
				if *short {
					j.Nodes, j.Segments, j.Warmup = shortNodes, shortSegments, shortWarmup
				}
				r.jobs = append(r.jobs, j)
			}
			var err error
			if r.scenario, err = r.jobs[0].scenario(); err != nil {
				return nil, err
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// The short form: what CI can wait for.
const (
	shortNodes    = 16
	shortSegments = 4
	shortWarmup   = 2
)

// regressed says what is so bad in a short run that it cannot be chance.
func regressed(s summary) error {
	var errs []error
	continuity := 0.99
	if s.Scenario == "uneven" {
		continuity = 0.85 // a few nodes, some of them weak, from a cold start
	}
	if s.Continuity < continuity {
		errs = append(errs, fmt.Errorf("%s: continuity is %.2f%%, want %.0f%% at least", s.Scenario, 100*s.Continuity, 100*continuity))
	}
	if s.RX > 1.3 {
		errs = append(errs, fmt.Errorf("%s: %.2f bytes are received for each byte, want 1.3 at most", s.Scenario, s.RX))
	}
	if s.Source > 2 {
		errs = append(errs, fmt.Errorf("%s: the broadcaster sends %.2f bytes for each byte, want 2 at most", s.Scenario, s.Source))
	}
	return errors.Join(errs...)
}

// coordinate runs what was asked for, several runs at a time, and prints each row when
// it is there.
func coordinate() error {
	if *plotDir != "" {
		return drawAll(*plotDir)
	}
	rows, err := rows()
	if err != nil {
		return err
	}
	out := printer{json: *asJSON}
	out.header()
	var errs []error
	measure(rows, func(r row, runs []result, err error) {
		if err != nil {
			errs = append(errs, err)
			return
		}
		s := summarise(r, runs)
		out.print(s)
		if *short {
			errs = append(errs, regressed(s))
		}
	})
	out.legend()
	return errors.Join(errs...)
}

// measure runs all rows' jobs, and tells of each row in turn.
func measure(rows []row, done func(r row, runs []result, err error)) {
	type outcome struct {
		result
		error
	}
	outcomes := make([][]chan outcome, len(rows))
	for i, r := range rows {
		for range r.jobs {
			outcomes[i] = append(outcomes[i], make(chan outcome, 1))
		}
	}
	go func() {
		slots := make(chan struct{}, max(1, *parallel))
		for i, r := range rows {
			for k, j := range r.jobs {
				slots <- struct{}{}
				go func() {
					began := time.Now()
					res, err := j.child()
					fmt.Fprintf(os.Stderr, "%s %s, seed %d: %v\n", j.Scenario, j.Way, j.Seed, time.Since(began).Round(time.Second))
					outcomes[i][k] <- outcome{res, err}
					<-slots
				}()
			}
		}
	}()
	for i, r := range rows {
		var runs []result
		var errs []error
		for k := range r.jobs {
			o := <-outcomes[i][k]
			runs = append(runs, o.result)
			errs = append(errs, o.error)
		}
		done(r, runs, errors.Join(errs...))
	}
}
