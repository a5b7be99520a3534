// Command discovery measures how long a viewer takes from the bare stream ID to a playable
// playlist, in a DHT of its own. scripts/bench.sh discovery calls it.
//
// All nodes are real processes on loopback: what people wait for begins with the process, and
// ends with its HTTP server. They know a bootstrap node and nothing else, with mDNS off:
//
//	bootstrap node
//	broadcaster, of the built-in test card
//	viewers, one after the other, each of which stays and passes the stream on
//
// so that the last viewer joins a swarm of all the others. The first waits until the stream has the
// three segments that a player begins with; it is not counted. At the end some more
// viewers join by the whole link of the broadcaster, for comparison.
//
//	ready     from the start of the process to its ready event: the playlist is playable
//	found by  what told of a viewer's peers first
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
)

// atMost bounds the whole run.
const atMost = 10 * time.Minute

type options struct {
	binary string
	nodes  int           // bootstrap node, broadcaster and viewers that know the ID
	linked int           // viewers that know the link
	most   time.Duration // that the median may be
}

func main() {
	var o options
	flag.StringVar(&o.binary, "grapevine", "", "the `program` to measure")
	flag.IntVar(&o.nodes, "nodes", 30, "so many `nodes`, the bootstrap node and the broadcaster among them")
	flag.IntVar(&o.linked, "linked", 5, "so many `viewers` more, by the link")
	flag.DurationVar(&o.most, "most", 2*time.Second, "fail if the median is longer than `DURATION`")
	asJSON := flag.Bool("json", false, "print one JSON object and nothing else")
	flag.Parse()
	if err := bench(o, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func bench(o options, asJSON bool) error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	case o.binary == "" || o.nodes < 4:
		return errors.New("name the program, and at least four nodes")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, atMost, fmt.Errorf("it took longer than %v", atMost))
	defer cancel()
	res, err := measure(ctx, o)
	if err != nil {
		return err
	}
	if asJSON {
		err = json.NewEncoder(os.Stdout).Encode(res)
	} else {
		res.print(os.Stdout)
	}
	if median := res.ByID.Median; err == nil && median > o.most.Seconds() {
		err = fmt.Errorf("the median is %.2f s, want %v at most", median, o.most)
	}
	return err
}
