//go:build linux

// Command hls measures what one core serves of HLS, beside nginx, which serves the same
// segments and playlists from a directory in memory. scripts/bench.sh hls calls it.
//
// Each server has a core of its own, the same one, and the clients have the others. Both
// servers are there all the time; the clients ask one for an interval, then the other, and
// so on, so that what else the machine does hits both alike.
//
//	server: hls.Server, a store filled  <--+
//	   |                                   +-- clients: n times, each over one connection:
//	   | playlists, segments, once         |   the media playlist, then its next segment
//	   v                                   |
//	directory in memory <-- nginx      <---+
//
// The stream stands still, so that both serve the same; a client goes through the listed
// segments again and again. What is compared are bytes of answers' bodies per second of
// the server process's CPU time, user and system, so that it matters little whether the
// clients are the ones that end it.
package main

import (
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

// atMost bounds the whole run.
const atMost = 3 * time.Minute

func main() {
	var o options
	role := flag.String("role", "", "what this process is; for the program's own use")
	flag.IntVar(&o.clients, "clients", 64, "serve `N` clients")
	flag.IntVar(&o.rate, "rate", 4_000_000, "of a stream of `BITS` per second")
	flag.IntVar(&o.runs, "runs", 5, "repeat the measurement `N` times and take the median")
	flag.DurationVar(&o.interval, "interval", 3*time.Second, "measure each server for so long each time")
	flag.StringVar(&o.profile, "profile", "", "write the server's CPU profile of all its intervals to `FILE`")
	flag.StringVar(&o.url, "url", "", "the media playlist; for the program's own use")
	asJSON := flag.Bool("json", false, "print one JSON object and nothing else")
	flag.Parse()
	var err error
	switch {
	case flag.NArg() > 0:
		err = fmt.Errorf("unknown argument %q", flag.Arg(0))
	case *role == "server":
		err = serve(o)
	case *role == "clients":
		err = play(o)
	case *role != "":
		err = fmt.Errorf("no role %q", *role)
	default:
		err = bench(o, *asJSON)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

type options struct {
	clients, rate, runs int
	interval            time.Duration
	profile             string
	url                 string
	cores               cores.Division
}

func bench(o options, asJSON bool) error {
	if o.clients <= 0 || o.rate <= 0 || o.runs <= 0 || o.interval <= 0 {
		return errors.New("the clients, the rate, the runs and the interval must be positive")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, atMost, fmt.Errorf("it took longer than %v", atMost))
	defer cancel()
	o.cores = cores.Divide()
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
