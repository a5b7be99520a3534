//go:build linux

// Command ingest measures what a broadcast of many hours costs the broadcaster's ingest:
// memory after each hour, and CPU time. scripts/bench.sh ingest calls it.
//
// An encoder, a process of its own, writes MPEG-TS to a pipe as fast as it is read:
//
//	encoder: H.264, AAC  --pipe-->  ingest.Run  -->  parts, counted and dropped
//
// Time is the stream's. Its timestamps begin so that they pass 33 bits (ISO 13818-1,
// 2.4.3.6) half-way through, and do so in the same run. Each picture is as large as the
// others, and there is a keyframe every 2 s. What ingest takes for damaged, or for a
// discontinuity, fails the run.
//
//	heap        bytes of live objects, after a collection
//	resident    of the process, the collector's garbage included
//	goroutines  of the process
//	bytes       read since the beginning
//	core        CPU time of the process, user and system, over that of the stream
//
// heap does not depend on the machine, resident does: garbage is left until it is as much
// as what lives.
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
const atMost = time.Hour

type options struct {
	hours, rate int
	every       time.Duration // of the stream, between two looks; the hours are so many of them
}

func main() {
	o := options{every: time.Hour}
	role := flag.String("role", "", "what this process is; for the program's own use")
	flag.IntVar(&o.hours, "hours", 6, "of so many `HOURS`")
	flag.IntVar(&o.rate, "rate", 20_000_000, "of a stream of `BITS` per second")
	asJSON := flag.Bool("json", false, "print one JSON object and nothing else")
	flag.Parse()
	var err error
	switch {
	case flag.NArg() > 0:
		err = fmt.Errorf("unknown argument %q", flag.Arg(0))
	case o.hours <= 0 || o.rate < minRate:
		err = fmt.Errorf("the hours must be positive, and the rate at least %d bits per second", minRate)
	case *role == "encoder":
		err = encode(os.Stdout, o)
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

func bench(o options, asJSON bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, atMost, fmt.Errorf("it took longer than %v", atMost))
	defer cancel()
	in, ended, err := startEncoder(ctx, o)
	if err != nil {
		return err
	}
	var seen func(hour)
	if !asJSON {
		printHead(os.Stdout)
		seen = func(h hour) { h.print(os.Stdout) }
	}
	res, err := measure(ctx, in, o, seen)
	in.Close() // the encoder ends if it has not
	err = errors.Join(err, ended())
	if ctx.Err() != nil { // which ends the encoder, too
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(res)
	}
	res.print(os.Stdout)
	return nil
}
