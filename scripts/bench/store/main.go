//go:build linux

// Command store measures what keeps streams on a disk: the files of package disk, beside an
// embedded database with the same parts in it. scripts/bench.sh store calls it.
//
// Parts of half a second of some streams come one after the other, as fast as they are taken,
// until the bound has been filled twice; the oldest go as the bound demands. After every fourth a part
// is read that was drawn from those that should be held, and verified. Then a new process
// opens the same directory, as after a crash: nothing was closed.
//
//	files   package disk: synced at the end of each volume
//	bbolt   go.etcd.io/bbolt: a transaction for eight parts, synced as it ends; what is
//	        behind it would be lost whole if it were not
//	none    nobody keeps them: what the bench itself takes, subtracted from the others
//
//	written   bytes that went to the disk per byte of chunks, as the kernel counts them
//	room      bytes that files take per byte of chunks that they hold
//	cpu       core seconds per GB of chunks, those of none subtracted
//	rate      MB of chunks a second; it depends on the disk
//	memory    most that was resident beyond none's, in MB
//	append    the longest that a part took to be written with those before it, in ms
//	read      a part that was drawn, verified, in ms: median and 99th percentile
//	open      a new process: until the store can be asked, in ms, and its memory
//
// Every process runs once; the ratios at the end are of files to bbolt.
//
// pebble was measured once, as its dependencies are many: 2.2 bytes written per byte, 1.4 of
// room, 2.8 times the CPU time of files and 250 MB of memory.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

// atMost bounds one process.
const atMost = 10 * time.Minute

type options struct {
	streams int
	rate    int     // bits per second of each
	size    int64   // bound in bytes
	fill    float64 // how often that is written
	dir     string
}

func main() {
	o := options{fill: 2}
	role := flag.String("role", "", "what this process does; for the program's own use")
	flag.IntVar(&o.streams, "streams", 4, "keep so many `STREAMS`")
	flag.IntVar(&o.rate, "rate", 8_000_000, "each of so many `BITS` per second")
	flag.Int64Var(&o.size, "size", 1<<30, "bound in `BYTES`; twice as much is written")
	flag.StringVar(&o.dir, "dir", "", "keep it in `DIR`, which is to be on the disk that is measured (default: for temporary files)")
	asJSON := flag.Bool("json", false, "print one JSON object and nothing else")
	flag.Parse()
	time.AfterFunc(atMost, func() {
		fmt.Fprintln(os.Stderr, "error: it took longer than", atMost)
		os.Exit(1)
	})
	if err := run(*role, o, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(role string, o options, asJSON bool) error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	case o.streams <= 0 || o.rate < 100_000 || o.size < 64<<20:
		return errors.New("there must be a stream of 100000 bits per second, and a bound of 64 MiB")
	case role != "":
		return child(role, o)
	}
	res, err := measureAll(o)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(res)
	}
	res.print(os.Stdout)
	return nil
}
