//go:build linux

// Command relay measures what one core of a relay carries on real sockets.
// scripts/bench.sh relay calls it.
//
// Three processes talk over loopback with real encryption: a broadcaster feeds the
// relay, a production node held to one core, and the relay feeds as many production
// nodes as it can; these know nobody else. Beside it, in the same run, a bare libp2p
// host copies the same bytes, received once over one QUIC stream, to as many peers over a
// QUIC stream each: at the same rate in chunks of the relay's size and in those of
// io.Copy, which suit QUIC better, and in the latter as fast as it can.
//
//	relay: node  ------------+               bare: host  ------------+
//	  ^ 1 x, QUIC            | n x             ^ 1 x, QUIC           | n x
//	  |                      v                 |                     v
//	source: node   sinks: n nodes            feeder: host   drains: n hosts
//
// What is compared are bytes delivered per second of the one process's CPU time, so
// that it matters little whether the sinks, which have the other cores, are the ones
// that end it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/grapevine-live/grapevine/scripts/bench/cores"
)

const (
	partDuration = 500 * time.Millisecond
	segmentParts = 4
	// deadline is how long after its publication a part must be complete at a sink.
	deadline = 3 * time.Second
	// atMost bounds the whole run.
	atMost = 3 * time.Minute
)

func main() {
	var o options
	role := flag.String("role", "", "what this process is; for the program's own use")
	flag.IntVar(&o.rate, "rate", 4_000_000, "broadcast at `BITS` per second")
	flag.IntVar(&o.neighbours, "neighbours", 0, "feed `N` nodes; 0 looks for the most that one core feeds")
	flag.IntVar(&o.runs, "runs", 3, "repeat the measurement `N` times and take the median")
	flag.DurationVar(&o.interval, "interval", 3*time.Second, "measure for so long each time")
	flag.Int64Var(&o.cache, "cache", 256<<20, "fill the relay's cache of `BYTES` before; 0 leaves it empty")
	flag.IntVar(&o.upload, "max-upload", 10_000_000_000, "tell the relay and the broadcaster that their uplinks carry `BITS` per second, so that the core is what ends it; 0 has them measure")
	flag.Int64Var(&o.memory, "memory", 0, "bound the relay's memory beside the cache to `BYTES`; 0 leaves it to the collector's pace, as the program does")
	flag.StringVar(&o.profile, "profile", "", "write profiles of the last run: CPU to `FILE`, memory to FILE.heap; of the bare copy to FILE.bare and FILE.bare.heap")
	asJSON := flag.Bool("json", false, "print one JSON object and nothing else")
	flag.Parse()
	var err error
	switch {
	case flag.NArg() > 0:
		err = fmt.Errorf("unknown argument %q", flag.Arg(0))
	case *role != "":
		err = play(*role)
	default:
		err = bench(o, *asJSON)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func bench(o options, asJSON bool) error {
	if o.rate <= 0 || o.runs <= 0 || o.interval < partDuration {
		return errors.New("the rate and the runs must be positive, and the interval a part at least")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, atMost, fmt.Errorf("it took longer than %v", atMost))
	defer cancel()
	o.interval = o.interval.Truncate(partDuration)
	o.cores = cores.Divide()
	o.say = func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	res, err := measure(ctx, o)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(res)
	}
	res.print(os.Stdout)
	return nil
}

// actor is what a process of the bench is.
type actor interface {
	// do carries out a command. Its answer is encoded as JSON.
	do(c command) (any, error)
	close()
}

var actors = map[string]func() (actor, error){
	"relay":  newRelay,
	"source": newSource,
	"sinks":  newSinks,
	"copier": newCopier,
	"feeder": newFeeder,
	"drains": newDrains,
}

// errCommand is what a process answers to a command that it does not know.
var errCommand = errors.New("unknown command")

// play is a process's life: it answers commands until its standard input ends, be it
// because the bench did.
func play(role string) error {
	signal.Ignore(os.Interrupt) // the bench says when
	start := actors[role]
	if start == nil {
		return fmt.Errorf("no role %q", role)
	}
	a, err := start()
	if err != nil {
		return fmt.Errorf("start %s: %w", role, err)
	}
	defer a.close()
	answers := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return err
		}
		var out answer
		data, err := a.do(c)
		if err == nil {
			out.Data, err = json.Marshal(data)
		}
		if err != nil {
			out.Error = err.Error()
		}
		if err := answers.Encode(out); err != nil {
			return err
		}
	}
	return lines.Err()
}
