package chaos

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seeds    = flag.Int("seeds", 0, "run with so many `SEEDS`; as a test, two short ones")
	minutes  = flag.Float64("minutes", 10, "virtual `MINUTES` of each")
	first    = flag.Int64("first", 1, "the first `SEED`")
	parallel = flag.Int("parallel", runtime.NumCPU(), "run `N` at a time")
	asJSON   = flag.Bool("json", false, "one JSON object and nothing else")
	oneJob   = flag.String("job", "", "run one `JOB` and print its result; for the bench itself")
)

// stdout is where results go; what package testing prints goes to standard error.
var stdout = os.Stdout

func TestMain(m *testing.M) {
	flag.Parse()
	if *seeds > 0 || *oneJob != "" {
		os.Stdout = os.Stderr
	}
	if *seeds > 0 {
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

// job is one run. Without Base, nothing goes wrong, and it measures that.
type job struct {
	Seed    int64     `json:"seed"`
	Minutes float64   `json:"minutes"`
	Base    *holdings `json:"base"`
}

func (j job) length() time.Duration { return time.Duration(j.Minutes * float64(time.Minute)) }

func (j job) faults() []fault {
	if j.Base == nil {
		return nil
	}
	return draw(j.Seed, j.length())
}

func (j job) run(t *testing.T) (res result) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, j.Seed, j.faults())
		defer w.net.Close()
		res = w.run(j.length(), j.Base)
	})
	res.Minutes = j.Minutes
	return res
}

// TestJob runs one seed, in a process of its own.
func TestJob(t *testing.T) {
	if *oneJob == "" {
		t.Skip("not asked for")
	}
	var j job
	if err := json.Unmarshal([]byte(*oneJob), &j); err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(stdout).Encode(j.run(t)); err != nil {
		t.Fatal(err)
	}
}

// TestInvariantsHold is the short form.
func TestInvariantsHold(t *testing.T) {
	if *oneJob != "" {
		t.Skip("something else was asked for")
	}
	const minutes = 0.75
	base := job{Minutes: minutes}.run(t)
	if len(base.Broken) > 0 || base.Segments == 0 || base.Parts == 0 {
		t.Fatalf("without faults: %+v", base)
	}
	res := job{1, minutes, base.Base}.run(t)
	for _, b := range res.Broken {
		t.Error(b)
	}
	if len(res.Faults) == 0 || len(res.Resumes)+len(res.Spoiled) == 0 {
		t.Errorf("nothing went wrong: %+v", res)
	}
}

// child runs the job in a process of its own, which keeps one core busy and no more.
func (j job) child() (res result, err error) {
	raw, err := json.Marshal(j)
	if err != nil {
		return res, err
	}
	cmd := exec.Command(os.Args[0], "-job", string(raw), "-test.run", "^TestJob$", "-test.timeout", "0")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=400")
	var out, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failure
	alive, err := cmd.StdinPipe() // closed when this process ends, however it does
	if err != nil {
		return res, err
	}
	defer alive.Close()
	if err := cmd.Run(); err != nil {
		os.Stderr.Write(failure.Bytes())
		return res, fmt.Errorf("seed %d: %w", j.Seed, err)
	}
	if err := json.Unmarshal(out.Bytes(), &res); err != nil {
		return res, fmt.Errorf("seed %d: read result: %w", j.Seed, err)
	}
	return res, nil
}

// coordinate runs what was asked for, several runs at a time, and prints what they measured.
func coordinate() error {
	none, err := job{Minutes: *minutes}.child()
	if err != nil {
		return fmt.Errorf("without faults: %w", err)
	}
	if len(none.Broken) > 0 {
		return fmt.Errorf("without faults: %v", none.Broken)
	}
	fmt.Fprintf(os.Stderr, "without faults: heap %.1f MB, %d goroutines\n", float64(none.Base.Heap)/1e6, none.Base.Goroutines)
	var (
		mu     sync.Mutex
		all    result
		failed error
		wg     sync.WaitGroup
	)
	slots := make(chan struct{}, max(1, *parallel))
	for i := range int64(*seeds) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			j := job{*first + i, *minutes, none.Base}
			began := time.Now()
			res, err := j.child()
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(os.Stderr, "seed %d: %v, broken %d\n", j.Seed, time.Since(began).Round(time.Second), len(res.Broken))
			if err != nil {
				failed = err
				return
			}
			all.add(res)
			if len(res.Broken) > 0 {
				j.explain(res)
			}
		})
	}
	wg.Wait()
	if *asJSON {
		if err := json.NewEncoder(stdout).Encode(all); err != nil {
			return err
		}
	} else {
		all.print(stdout)
	}
	if failed == nil && len(all.Broken) > 0 {
		failed = fmt.Errorf("invariants were broken")
	}
	return failed
}

// explain shows what was broken, and all that went wrong with the seed.
func (j job) explain(res result) {
	for _, b := range res.Broken {
		fmt.Fprintln(os.Stderr, b)
	}
	fmt.Fprintf(os.Stderr, "what goes wrong with seed %d (again: --first %d --seeds 1 --minutes %v):\n", j.Seed, j.Seed, j.Minutes)
	for _, f := range j.faults() {
		fmt.Fprintln(os.Stderr, " ", f)
	}
}
