//go:build unix

// Command seal measures what it costs to seal a stream: a broadcaster and a viewer in one
// process, on real sockets, with the same parts published plain and sealed in turns.
// scripts/bench.sh seal calls it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

func main() {
	rate := flag.Int("rate", 8_000_000, "of the stream, in bits per second")
	runs := flag.Int("runs", 3, "of each kind, in turns")
	interval := flag.Duration("interval", 20*time.Second, "of each run")
	asJSON := flag.Bool("json", false, "print one JSON object")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, *rate, *runs, *interval, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "seal:", err)
		os.Exit(1)
	}
}

// figures are what the runs of one kind took: the medians of what each did.
type figures struct {
	CPU   float64 `json:"cpu"`    // of a core, broadcaster and viewer together
	P50   float64 `json:"p50_ms"` // from a part's publication until the viewer can read it
	P99   float64 `json:"p99_ms"`
	Least float64 `json:"least_p50_ms"` // of all runs
	Parts int     `json:"parts"`
}

type result struct {
	Rate   int     `json:"rate"`
	Plain  figures `json:"plain"`
	Sealed figures `json:"sealed"`
}

// summary takes the medians over the runs.
func summary(runs []measured) (f figures) {
	var cpu, p50, p99 []float64
	for _, r := range runs {
		slices.Sort(r.delays)
		n := len(r.delays)
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		cpu, p50, p99 = append(cpu, r.cpu), append(p50, ms(r.delays[n/2])), append(p99, ms(r.delays[n*99/100]))
		f.Parts += n
	}
	for _, list := range [][]float64{cpu, p50, p99} {
		slices.Sort(list)
	}
	f.CPU, f.P50, f.P99, f.Least = cpu[len(cpu)/2], p50[len(p50)/2], p99[len(p99)/2], p50[0]
	return f
}

func bench(ctx context.Context, rate, runs int, interval time.Duration, asJSON bool) error {
	var plain, sealed []measured
	for range runs {
		for _, kind := range []*[]measured{&plain, &sealed} {
			r, err := run(ctx, rate, interval, kind == &sealed)
			if err != nil {
				return err
			}
			*kind = append(*kind, r)
		}
	}
	res := result{rate, summary(plain), summary(sealed)}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(res)
	}
	fmt.Printf("%.1f Mbit/s, %d runs of %v each, in turns\n\n", float64(rate)/1e6, runs, interval)
	fmt.Println("          CPU of a core   delay p50   best run        p99")
	for _, row := range []struct {
		name string
		f    figures
	}{{"plain", res.Plain}, {"sealed", res.Sealed}} {
		fmt.Printf("%-8s %12.1f%%  %7.1f ms %7.1f ms %7.1f ms   (%d parts)\n", row.name, 100*row.f.CPU, row.f.P50, row.f.Least, row.f.P99, row.f.Parts)
	}
	fmt.Printf("%-8s %+12.1f%%  %+7.1f ms %+7.1f ms\n", "more", 100*(res.Sealed.CPU-res.Plain.CPU), res.Sealed.P50-res.Plain.P50, res.Sealed.Least-res.Plain.Least)
	fmt.Println("\nCPU is that of both nodes, of which a broadcaster seals and a viewer opens. A delay is from\nthe publication of a part until its plain bytes are at the viewer.")
	return nil
}
