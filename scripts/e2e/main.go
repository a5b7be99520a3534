//go:build linux

// Command e2e runs grapevine as its users do: real processes, a live encoder, real
// players. scripts/e2e.sh calls it. Each case starts its own nodes, is bounded in time,
// and leaves nothing running.
//
//	scripts/e2e.sh              all cases but for the few that are much like others
//	scripts/e2e.sh stdin vlc    some
//	scripts/e2e.sh -at-once 2   all cases, two at a time
//	scripts/e2e.sh -list        their names
//
// Beside the cases there are a matrix of players and faults, which all players go through
// together, on one stream for each fault, and one of players and encoders:
//
//	scripts/e2e.sh --players                       all faults, about eight minutes
//	scripts/e2e.sh --players --faults late,epoch   some; --with vlc,mpv likewise
//	scripts/e2e.sh --encoders                      all encoders, about ten minutes
//	scripts/e2e.sh --encoders --from rtmp,srt      some; --with likewise
//
//	scripts/e2e.sh --delays     how old pictures are on players' screens, three hops away
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

// onlyByName are cases that hold little more than others do: all together should not take
// much longer than a quarter of an hour. The last wants the machine for itself.
var onlyByName = []string{"tcpback", "srtback", "install", "siege"}

var cases = []testCase{
	{"stdin", "60 s of a live encoder to a viewer that was told of the relay only", 3 * time.Minute, stdinCase},
	{"join", "watch to a playable playlist on a running stream", time.Minute, joinCase},
	{"tcp", "an encoder that connects by TCP", 90 * time.Second, tcpCase},
	{"udp", "an encoder that sends UDP", 90 * time.Second, udpCase},
	{"rtmp", "an encoder that publishes by RTMP: every frame that it sent is played", 90 * time.Second, rtmpCase},
	{"srt", "an encoder that calls by SRT", 90 * time.Second, srtCase},
	{"whip", "Chromium publishes its camera by the page of a WHIP input: ffmpeg, VLC and the page play", 3 * time.Minute, whipCase},
	{"gst", "GStreamer publishes by RTMP and SRT", 2 * time.Minute, gstreamerCase},
	{"tcpback", "an encoder by TCP is killed and another comes: ffmpeg and VLC go on", 2 * time.Minute, tcpBackCase},
	{"rtmpback", "the same by RTMP", 2 * time.Minute, rtmpBackCase},
	{"srtback", "the same by SRT", 2 * time.Minute, srtBackCase},
	{"slate", "an encoder by RTMP is killed, viewers see a slate until another comes: ffmpeg and VLC go on", 90 * time.Second, slateCase},
	{"file", "an MP4 and a Matroska file with other codecs, again and again", 90 * time.Second, fileCase},
	{"origin", "an HLS stream that ffmpeg packages, MPEG-TS and fragmented MP4, published again", 2 * time.Minute, originCase},
	{"originav", "an HLS stream of ffmpeg's with two variants, and two languages in playlists of their own, published again", 90 * time.Second, originSoundCase},
	{"origints", "the same in MPEG-TS, one language as packed audio", 90 * time.Second, originPackedCase},
	{"data", "timed ID3 and SCTE-35 of an encoder: hls.js has the tags and the breaks of both playlists, ffprobe names the streams", 2 * time.Minute, dataCase},
	{"vlc", "VLC shows frames", 90 * time.Second, vlcCase},
	{"rewind", "who comes late plays from the start to the end", 2 * time.Minute, rewindCase},
	{"page", "the page plays in Chromium, with sound", 90 * time.Second, pageCase},
	{"controls", "the page's controls by keyboard and mouse, on all screens, in a frame of another site, and after a stall", 3 * time.Minute, controlsCase},
	{"door", "pages of other sites, another's name and a missing token are refused; the page keeps to its policy; 1,000 slow clients take no frame from a player", 3 * time.Minute, doorCase},
	{"levels", "the page's choice of quality, language and subtitles, and its archive", 3 * time.Minute, levelsCase},
	{"ladder", "--encode makes renditions whose frames and segments are the same; the page changes between them, VLC plays", 3 * time.Minute, ladderCase},
	{"inputs", "two renditions from one encoder by TCP: frames and segments are the same", 90 * time.Second, inputsCase},
	{"audio", "an encoder sends three languages by SRT: each sounds as it was sent, with its pictures; the page changes between them", 2 * time.Minute, audioCase},
	{"leaves", "an encoder of three languages is replaced by one of the first: players of all go on", 2 * time.Minute, leavesCase},
	{"subtitles", "a Matroska file with two languages of sound and of subtitles: cues are with their pictures, and on the page", 2 * time.Minute, subtitlesCase},
	{"encodedtext", "the same with --encode to two renditions", 2 * time.Minute, encodedSubtitlesCase},
	{"audience", "VLC and ffmpeg play behind a relay at a viewer that agreed to report, and ffmpeg at one that did not: the broadcaster's API has the first two", 90 * time.Second, audienceCase},
	{"streams", "the page of a relay of two streams", 90 * time.Second, streamsCase},
	{"restart", "the broadcaster is killed and comes back: ffmpeg and VLC go on", 2 * time.Minute, restartCase},
	{"relay", "the relay in use is killed, another is there: no frame is lost", 2 * time.Minute, relayCase},
	{"netns", "60 s over three hosts in network namespaces, the viewer can reach the relay only", 3 * time.Minute, netnsCase},
	{"gateway", "ffmpeg and VLC play by HTTPS from a relay's gateway; a viewer too many is refused", 90 * time.Second, gatewayCase},
	{"private", "two viewers play a private stream by way of a trusted relay, which has nothing plain; one's invite is taken back", 3 * time.Minute, privateCase},
	{"siege", "10,000 connections, 1,000 slow HTTP clients and 50,000 forged headers a second against a relay, whose viewer plays on, and whose memory is bounded", 4 * time.Minute, siegeCase},
	{"roles", "machines broadcast to which the stream's key delegated, offline: one's is revoked, the next goes on, and both players play on", 3 * time.Minute, rolesCase},
	{"origin-hybrid", "the only peer is killed while ffmpeg and mpv play, and later another comes: the origin bridges the time", 3 * time.Minute, hybridCase},
	{"origin-rewind", "who comes late and has no peers plays from the start, by way of an origin", 2 * time.Minute, originRewindCase},
	{"nat", "two hosts behind routers that let in only whom they sent to, and a public relay: connected directly, and media flow directly", 3 * time.Minute, natCase},
	{"symmetric", "two hosts behind routers that no hole leads through: they play by way of a relay that carries media, and say so", 3 * time.Minute, symmetricCase},
	{"doctor", "doctor tells an open network, a router that lets in whom it sent to, a symmetric one, blocked UDP, and the uplink's rate", 3 * time.Minute, doctorCase},
	{"roaming", "the viewer's machine changes its address, and then the broadcaster's: playback goes on", 2 * time.Minute, roamingCase},
	{"caps", "--max-upload by QUIC and TCP, and --max-download, under demand for more, on the wire", 6 * time.Minute, capsCase},
	{"budget", "a month's budget is spent, over a SIGKILL and a start; a schedule is closed", 3 * time.Minute, budgetCase},
	{"reload", "SIGHUP changes a relay's rate and adds a stream, and a file with a mistake changes nothing: ffmpeg plays on", 2 * time.Minute, reloadCase},
	{"install", "a release's archive and its service, in a fresh Debian: relaying within a minute of unpacking", 15 * time.Minute, installCase},
	{"mdns", "two hosts on a local network, the viewer knows the stream ID only", 90 * time.Second, mdnsCase},
	{"discovery", "nodes know a bootstrap node of a DHT and the stream ID only; its page lists what is on air; ffmpeg plays on when it is killed", 90 * time.Second, discoveryCase},
	{"record", "a broadcaster that records is killed and comes back; a viewer records both, and export cuts over the break", 2 * time.Minute, recordCase},
	{"cachedir", "a relay with --cache-dir is killed while it writes, its disk is full, and what is on it is changed: who comes when all others have gone rewinds", 2 * time.Minute, cacheDirCase},
	{"end", "SIGTERM ends the broadcaster within 3 s, and viewers get ENDLIST", time.Minute, endCase},
	{"demo", "go run ./cmd/grapevine demo, then the page", 3 * time.Minute, demoCase},
}

func main() {
	var t tools
	flag.StringVar(&t.binary, "grapevine", "", "the `program` to test")
	flag.StringVar(&t.modules, "node-modules", "", "the `directory` with puppeteer-core, hls-parser and axe-core")
	flag.StringVar(&t.keep, "out", "", "keep logs and screenshots in `DIR`")
	flag.IntVar(&t.atOnce, "at-once", 1, "how `many` cases run at the same time")
	list := flag.Bool("list", false, "print the names of cases, faults and encoders")
	players := flag.Bool("players", false, "go through faults with all players instead of the cases")
	encoders := flag.Bool("encoders", false, "have all players play what each encoder sends instead")
	delays := flag.Bool("delays", false, "measure delays from the camera to players' screens instead")
	chosen := flag.String("faults", "", "only the faults of these `NAMES`, separated by commas")
	from := flag.String("from", "", "only the encoders of these `NAMES`, separated by commas")
	with := flag.String("with", "", "only the players of these `NAMES`, separated by commas")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var ok bool
	var err error
	switch {
	case *list:
		printNames()
		return
	case *players:
		ok, err = t.faultMatrix(ctx, *chosen, *with)
	case *encoders:
		ok, err = t.encoderMatrix(ctx, *from, *with)
	case *delays:
		ok, err = t.delays(ctx, *with)
	default:
		ok, err = t.cases(ctx, flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// tools is what all tests work with.
type tools struct {
	binary, modules, keep string
	atOnce                int // cases that run at the same time
}

// bench returns a place for a test to work in.
func (t tools) bench(name string) (*bench, error) {
	b := &bench{binary: t.binary, modules: t.modules, dir: filepath.Join(t.keep, name)}
	return b, os.MkdirAll(b.dir, 0o755)
}

func printNames() {
	for _, c := range cases {
		fmt.Printf("%-8s %s\n", c.name, c.what)
	}
	fmt.Println("\nfaults, with --players:")
	for _, f := range faults {
		fmt.Printf("%-8s %s\n", f.name, f.what)
	}
	fmt.Println("\nencoders, with --encoders:")
	for _, s := range sources {
		fmt.Printf("%-10s %s\n", s.name, s.what)
	}
}

func namesOf[T any](list []T, name func(T) string) (names []string) {
	for _, one := range list {
		names = append(names, name(one))
	}
	return names
}

// choose reads names that are separated by commas; none means all there are.
func choose(what, names string, all []string) ([]string, error) {
	if names == "" {
		return all, nil
	}
	list := strings.Split(names, ",")
	for _, name := range list {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("there is no %s %q, only %s", what, name, strings.Join(all, ", "))
		}
	}
	return list, nil
}

// cases runs those of the names, or all that need not be named, and reports whether all
// passed.
func (t tools) cases(ctx context.Context, names []string) (bool, error) {
	for _, name := range names {
		if !slices.ContainsFunc(cases, func(c testCase) bool { return c.name == name }) {
			return false, fmt.Errorf("there is no case %q; see -list", name)
		}
	}
	var chosen []testCase
	for _, c := range cases {
		if len(names) > 0 && slices.Contains(names, c.name) || len(names) == 0 && !slices.Contains(onlyByName, c.name) {
			chosen = append(chosen, c)
		}
	}
	if t.atOnce > 1 { // none that takes long is to be waited for alone at the end
		slices.SortStableFunc(chosen, func(a, b testCase) int { return cmp.Compare(b.limit, a.limit) })
	}
	passed, failed := 0, 0
	for o := range t.outcomes(ctx, chosen) {
		fmt.Print(o.report)
		if o.passed {
			passed++
		} else {
			failed++
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	return failed == 0 && ctx.Err() == nil, nil
}

// outcome is how a case ended.
type outcome struct {
	passed bool
	report string
}

// outcomes runs cases, some at a time, and sends how each ended. It closes the channel when
// all have, or once ctx is over.
func (t tools) outcomes(ctx context.Context, chosen []testCase) <-chan outcome {
	next, out := make(chan testCase), make(chan outcome)
	var runners sync.WaitGroup
	for range max(t.atOnce, 1) {
		runners.Go(func() {
			for c := range next {
				if ctx.Err() == nil {
					out <- t.runCase(ctx, c)
				}
			}
		})
	}
	go func() {
		for _, c := range chosen {
			next <- c
		}
		close(next)
		runners.Wait()
		close(out)
	}()
	return out
}

// runCase runs one case and reports on it.
func (t tools) runCase(ctx context.Context, c testCase) outcome {
	ctx, cancel := context.WithTimeoutCause(ctx, c.limit, fmt.Errorf("not done after %v", c.limit))
	defer cancel()
	b, err := t.bench(c.name)
	began := time.Now()
	figure := ""
	if err == nil {
		figure, err = c.run(ctx, b)
	}
	b.cleanUp()
	took := time.Since(began).Seconds()
	if err == nil {
		return outcome{passed: true, report: fmt.Sprintf("pass  %-8s %s: %s (%.0f s)\n", c.name, c.what, figure, took)}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = fmt.Errorf("%w (%v)", err, cause)
	}
	return outcome{report: fmt.Sprintf("FAIL  %-8s %s: %v (%.0f s)\n%s", c.name, c.what, err, took, b.logs())}
}

// bench is where a case works: its processes and files.
type bench struct {
	binary, modules, dir string
	processes            []*process
	cleanups             []func()

	closed bool   // nodes let no pages of other sites in
	http   string // where nodes serve; "" for a free port of 127.0.0.1
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

// logs returns the end of what each process wrote to standard error.
func (b *bench) logs() string {
	var out strings.Builder
	for _, p := range b.processes {
		raw, err := os.ReadFile(p.log)
		if err != nil || len(raw) == 0 {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
		fmt.Fprintf(&out, "      %s (%s):\n", p.name, p.log)
		for _, l := range lines[max(0, len(lines)-8):] {
			fmt.Fprintf(&out, "        %.300s\n", l)
		}
	}
	return out.String()
}

// output runs a program to its end and returns what it wrote.
func output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}
