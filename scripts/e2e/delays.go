//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// settleFor is how long a player plays before its delay counts.
	settleFor = 8 * time.Second
	// delayFor is how long it then counts.
	delayFor = 3 * time.Second
	// delayStarts is how often a player begins, at moments spread evenly over a segment:
	// how far behind most stay is decided by the newest segment's age when they begin.
	delayStarts = 3
	// delayLimit bounds the measurement of one player.
	delayLimit = time.Minute
	// firstTries is how many viewers begin, one after the other.
	firstTries = 3
)

// delayPlayers can be measured: the node's page, hls.js as it comes, and others. The page
// catches up with live, hls.js by itself stays where it began. wantedDelays are, by a
// segment's seconds, how old their pictures may be; 0 for as they are.
var (
	delayPlayers = []string{"page", "hls.js", "mpv", "ffplay", "vlc"}
	wantedDelays = map[int][]time.Duration{
		1: {2500 * time.Millisecond, 0, 5 * time.Second, 5 * time.Second, 5500 * time.Millisecond},
		2: {0, 0, 0, 0, 7500 * time.Millisecond},
	}
)

// measured is a delay that is measured from a picture's taking to its showing.
type measured struct {
	what   string
	wanted time.Duration // at most; 0 for any
	ages   []time.Duration
}

func (m measured) String() string {
	slices.Sort(m.ages)
	n := len(m.ages)
	line := fmt.Sprintf("%-52s %5.2f s  (%.2f to %.2f)", m.what, m.ages[n/2].Seconds(), m.ages[0].Seconds(), m.ages[n-1].Seconds())
	switch {
	case m.wanted == 0:
		return line
	case m.ages[n/2] > m.wanted:
		return fmt.Sprintf("%s, more than %.1f s", line, m.wanted.Seconds())
	}
	return fmt.Sprintf("%s, at most %.1f s as wanted", line, m.wanted.Seconds())
}

// delays prints how long pictures take from the camera to players' screens, over
//
//	broadcaster 10.78.1.1 ── relay ── relay ── viewer 10.78.3.2
//
// in network namespaces, where nobody reaches more than the next. It reports whether all
// could be measured.
func (t tools) delays(ctx context.Context, with string) (bool, error) {
	names, err := choose("player", with, delayPlayers)
	if err != nil {
		return false, err
	}
	ok := true
	for _, segment := range []int{1, 2} {
		b, err := t.bench(fmt.Sprintf("delays-%d", segment))
		if err != nil {
			return false, err
		}
		err = b.delays(ctx, segment, names)
		b.cleanUp()
		if err != nil {
			fmt.Println("FAIL", err)
			fmt.Print(b.logs())
			ok = false
		}
	}
	return ok, nil
}

// wantedDelay returns how old a player's pictures may be with segments of so many seconds.
func wantedDelay(name string, segment int) time.Duration {
	for i, n := range delayPlayers {
		if n == name {
			return wantedDelays[segment][i]
		}
	}
	return 0
}

func (b *bench) delays(ctx context.Context, segment int, names []string) error {
	in, relay, err := b.threeHops(ctx, segment)
	if err != nil {
		return err
	}
	fmt.Printf("\nkeyframes every %d s, three hops\n", segment)
	var screen, page []time.Duration
	var viewer *node
	for i := range firstTries {
		if viewer != nil {
			viewer.kill()
		}
		began, first, next, err := b.firstPictures(ctx, in("v"), fmt.Sprintf("viewer-%d", i), relay)
		if err != nil {
			return fmt.Errorf("the first picture: %w", err)
		}
		page, screen, viewer = append(page, first), append(screen, next), began
	}
	fmt.Println(measured{"watch to the first picture on the page, browser open", 2 * time.Second, page})
	fmt.Println(measured{"watch to the first picture in mpv", 2 * time.Second, screen})
	for _, name := range names {
		var ages []time.Duration
		for i := range delayStarts {
			if err := awaitPhase(ctx, time.Duration(segment)*time.Second, i); err != nil {
				return err
			}
			some, err := b.delay(ctx, in("v"), name, viewer)
			if err != nil {
				return fmt.Errorf("delay of %s: %w", name, err)
			}
			ages = append(ages, some...)
		}
		fmt.Println(measured{"camera to screen, " + name, wantedDelay(name, segment), ages})
	}
	return nil
}

// awaitPhase waits for the moment within a period at which the i-th start is due.
func awaitPhase(ctx context.Context, period time.Duration, i int) error {
	due := time.Duration(i) * period / delayStarts
	now := time.Duration(time.Now().UnixNano()) % period
	select {
	case <-time.After((due - now + period) % period):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// threeHops starts all but the viewer, and returns what it needs to know.
func (b *bench) threeHops(ctx context.Context, segment int) (in func(string) inNamespace, link string, err error) {
	var commands []string
	hosts := []string{"b", "r", "s", "v"}
	for i := 1; i < len(hosts); i++ {
		left, right := hosts[i-1], hosts[i]
		commands = append(commands,
			fmt.Sprintf("link add name right netns @%s type veth peer name left netns @%s", left, right),
			fmt.Sprintf("-n @%s addr add 10.78.%d.1/24 dev right", left, i),
			fmt.Sprintf("-n @%s addr add 10.78.%d.2/24 dev left", right, i),
			fmt.Sprintf("-n @%s link set right up", left),
			fmt.Sprintf("-n @%s link set left up", right),
			fmt.Sprintf("netns exec @%s sysctl -q -w net.ipv4.ip_forward=0", right))
	}
	if in, err = b.lan(ctx, hosts, commands...); err != nil {
		return nil, "", err
	}
	n, err := b.filming(ctx, in("b"), segment*frameRate, "--segment", fmt.Sprintf("%ds", segment))
	if err != nil {
		return nil, "", err
	}
	for _, host := range []string{"r", "s"} {
		if n, err = b.grapevine(ctx, in(host), "relay-"+host, nil, "relay", n.Link); err != nil {
			return nil, "", err
		}
	}
	return in, n.Link, nil
}

// firstPictures starts a viewer, and measures from that moment to the first picture in
// the page, in a browser that is open already, and in mpv, which begins when the viewer is
// ready.
func (b *bench) firstPictures(ctx context.Context, ns inNamespace, name, link string) (viewer *node, page, mpv time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, delayLimit, fmt.Errorf("no picture within %v", delayLimit))
	defer cancel()
	browser, err := b.openBrowser(ctx, ns)
	if err != nil {
		return nil, 0, 0, err
	}
	defer browser.kill()
	x, err := b.screen(ctx)
	if err != nil {
		return nil, 0, 0, err
	}
	defer x.kill()
	began := time.Now()
	if viewer, err = b.grapevine(ctx, ns, name, nil, "watch", link); err != nil {
		return nil, 0, 0, err
	}
	shown := make(chan error, 1)
	go func() {
		err := browser.watch(ctx, viewer.Page, func(time.Duration) bool { return true })
		page = time.Since(began)
		shown <- err
	}()
	p, err := b.onScreen(ns, "mpv", x, viewer.HLS)
	if err == nil {
		defer p.kill()
		err = x.watch(ctx, p, func(time.Duration) bool { return true })
		mpv = time.Since(began)
	}
	return viewer, page, mpv, errors.Join(<-shown, err)
}

// delay has a player play, and returns its pictures' ages.
func (b *bench) delay(ctx context.Context, ns inNamespace, name string, viewer *node) (ages []time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, delayLimit, fmt.Errorf("not done after %v", delayLimit))
	defer cancel()
	var first time.Time
	see := func(age time.Duration) bool {
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		if now.Sub(first) > settleFor {
			ages = append(ages, age)
		}
		return now.Sub(first) > settleFor+delayFor
	}
	if name == "page" || name == "hls.js" {
		url := viewer.Page
		if name == "hls.js" {
			url = lowLatency(viewer.HLS)
		}
		browser, err := b.openBrowser(ctx, ns)
		if err != nil {
			return nil, err
		}
		defer browser.kill()
		return ages, browser.watch(ctx, url, see)
	}
	x, err := b.screen(ctx)
	if err != nil {
		return nil, err
	}
	defer x.kill()
	p, err := b.onScreen(ns, name, x, viewer.HLS)
	if err != nil {
		return nil, err
	}
	defer p.kill()
	return ages, x.watch(ctx, p, see)
}

// onScreen starts a player on a screen.
func (b *bench) onScreen(ns inNamespace, name string, x *screen, hls string) (*process, error) {
	size := fmt.Sprintf("%dx%d+0+0", pictureWidth, pictureHeight)
	var cmd *exec.Cmd
	switch name {
	case "vlc":
		p, err := b.vlc(ns, hls, "--vout", "xcb_x11", "--x11-display", x.display, "--no-video-title-show", "--no-osd", "--fullscreen")
		if err != nil {
			return nil, err
		}
		return p.process, nil
	case "mpv":
		cmd = ns.command("mpv", "--no-config", "--really-quiet", "--vo=x11", "--ao=null", "--no-osc", "--osd-level=0", "--no-border", "--geometry="+size, hls)
	case "ffplay":
		cmd = ns.command("ffplay", "-hide_banner", "-v", "error", "-left", "0", "-top", "0", "-noborder", hls)
	default:
		return nil, fmt.Errorf("no player %q has a screen", name)
	}
	cmd.Env = append(os.Environ(), "DISPLAY="+x.display, "SDL_AUDIODRIVER=dummy", "SDL_VIDEODRIVER=x11")
	p, err := b.start(name, cmd)
	if err != nil {
		return nil, err
	}
	go p.reap()
	return p, nil
}

func lowLatency(hls string) string { return strings.TrimSuffix(hls, "index.m3u8") + "ll.m3u8" }

func rewindable(hls string) string { return strings.TrimSuffix(hls, "index.m3u8") + "dvr.m3u8" }

// browser is Chromium with the page that tells pictures' ages.
type browser struct {
	*process
	url   io.WriteCloser
	lines chan []byte
}

// openBrowser starts one and waits until the page is there.
func (b *bench) openBrowser(ctx context.Context, ns inNamespace) (*browser, error) {
	br, err := b.startBrowser(ns, "ages")
	if err != nil {
		return nil, err
	}
	_, err = br.line(ctx)
	return br, err
}

// startBrowser starts hlsjs.mjs, which says what it does with what it is told to play.
func (b *bench) startBrowser(ns inNamespace, what string) (*browser, error) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return nil, err
	}
	cmd := ns.command("node", filepath.Join("scripts", "e2e", "hlsjs.mjs"), what, chromium)
	cmd.Env = append(os.Environ(), "NODE_PATH="+b.modules)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := b.start("hls.js", cmd)
	if err != nil {
		return nil, err
	}
	br := &browser{p, in, make(chan []byte, 1024)}
	go func() {
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			select {
			case br.lines <- slices.Clone(lines.Bytes()):
			default: // nobody looks
			}
		}
		p.reap()
	}()
	return br, nil
}

func (br *browser) line(ctx context.Context) ([]byte, error) {
	select {
	case l := <-br.lines:
		return l, nil
	case <-br.done:
		return nil, fmt.Errorf("the browser ended: %v", br.err)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// watch opens a stream, and hands the ages of pictures to see until see is content.
func (br *browser) watch(ctx context.Context, url string, see func(age time.Duration) (content bool)) error {
	if _, err := io.WriteString(br.url, url+"\n"); err != nil {
		return err
	}
	for {
		line, err := br.line(ctx)
		if err != nil {
			return err
		}
		var now struct{ Ages []int }
		if err := json.Unmarshal(line, &now); err != nil {
			return fmt.Errorf("the browser says %s: %w", strconv.Quote(string(line)), err)
		}
		for _, ms := range now.Ages {
			if see(time.Duration(ms) * time.Millisecond) {
				return nil
			}
		}
	}
}
