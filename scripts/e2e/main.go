//go:build linux

// Command e2e runs grapevine as its users do: real processes, a live encoder, real
// players. scripts/e2e.sh calls it. Each case starts its own nodes, is bounded in time,
// and leaves nothing running.
//
//	scripts/e2e.sh              all cases
//	scripts/e2e.sh stdin vlc    some
//	scripts/e2e.sh -list        their names
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// On loopback a viewer that is told of the relay only may hear of the broadcaster from it
// and connect; the case netns is where it cannot.

// testCase is one thing that must work.
type testCase struct {
	name  string
	what  string
	limit time.Duration
	// run returns what was measured.
	run func(context.Context, *bench) (figure string, err error)
}

var cases = []testCase{
	{"stdin", "60 s of a live encoder to a viewer that was told of the relay only", 3 * time.Minute, stdinCase},
	{"join", "watch to a playable playlist on a running stream", time.Minute, joinCase},
	{"tcp", "an encoder that connects by TCP", 90 * time.Second, tcpCase},
	{"udp", "an encoder that sends UDP", 90 * time.Second, udpCase},
	{"vlc", "VLC shows frames", 90 * time.Second, vlcCase},
	{"rewind", "who comes late plays from the start to the end", 2 * time.Minute, rewindCase},
	{"page", "the page plays in Chromium, with sound", 90 * time.Second, pageCase},
	{"restart", "the broadcaster is killed and comes back: ffmpeg and VLC go on", 2 * time.Minute, restartCase},
	{"relay", "the relay in use is killed, another is there: no frame is lost", 2 * time.Minute, relayCase},
	{"netns", "60 s over three hosts in network namespaces, the viewer can reach the relay only", 3 * time.Minute, netnsCase},
	{"mdns", "two hosts on a local network, the viewer knows the stream ID only", 90 * time.Second, mdnsCase},
	{"end", "SIGTERM ends the broadcaster within 3 s, and viewers get ENDLIST", time.Minute, endCase},
	{"demo", "go run ./cmd/grapevine demo, then the page", 3 * time.Minute, demoCase},
}

func main() {
	binary := flag.String("grapevine", "", "the `program` to test")
	modules := flag.String("node-modules", "", "the `directory` with puppeteer-core and hls-parser")
	keep := flag.String("out", "", "keep logs and screenshots in `DIR`")
	list := flag.Bool("list", false, "print the cases' names")
	flag.Parse()
	if *list {
		for _, c := range cases {
			fmt.Printf("%-8s %s\n", c.name, c.what)
		}
		return
	}
	for _, name := range flag.Args() {
		if !slices.ContainsFunc(cases, func(c testCase) bool { return c.name == name }) {
			fmt.Fprintf(os.Stderr, "e2e: there is no case %q; see -list\n", name)
			os.Exit(2)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	passed, failed := 0, 0
	for _, c := range cases {
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), c.name) {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		if runCase(ctx, c, *binary, *modules, *keep) {
			passed++
		} else {
			failed++
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 || ctx.Err() != nil {
		os.Exit(1)
	}
}

// runCase runs one case and prints its line.
func runCase(ctx context.Context, c testCase, binary, modules, keep string) bool {
	ctx, cancel := context.WithTimeoutCause(ctx, c.limit, fmt.Errorf("not done after %v", c.limit))
	defer cancel()
	dir := filepath.Join(keep, c.name)
	b := &bench{binary: binary, modules: modules, dir: dir}
	err := os.MkdirAll(dir, 0o755)
	began := time.Now()
	figure := ""
	if err == nil {
		figure, err = c.run(ctx, b)
	}
	b.cleanUp()
	took := time.Since(began).Seconds()
	if err == nil {
		fmt.Printf("pass  %-8s %s: %s (%.0f s)\n", c.name, c.what, figure, took)
		return true
	}
	if cause := context.Cause(ctx); cause != nil {
		err = fmt.Errorf("%w (%v)", err, cause)
	}
	fmt.Printf("FAIL  %-8s %s: %v (%.0f s)\n", c.name, c.what, err, took)
	b.showLogs()
	return false
}

// bench is where a case works: its processes and files.
type bench struct {
	binary, modules, dir string
	processes            []*process
	cleanups             []func()
}

// cleanUp ends everything, the last first.
func (b *bench) cleanUp() {
	for _, p := range slices.Backward(b.processes) {
		p.kill()
	}
	for _, f := range slices.Backward(b.cleanups) {
		f()
	}
}

// showLogs prints the end of what each process wrote to standard error.
func (b *bench) showLogs() {
	for _, p := range b.processes {
		raw, err := os.ReadFile(p.log)
		if err != nil || len(raw) == 0 {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
		fmt.Printf("      %s (%s):\n", p.name, p.log)
		for _, l := range lines[max(0, len(lines)-8):] {
			fmt.Printf("        %.300s\n", l)
		}
	}
}

// output runs a program to its end and returns what it wrote.
func output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}
