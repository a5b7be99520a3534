//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	capRate = 2_000_000 // bits per second
	// capSlack is by how much more than the cap the wire may carry in any capWindow.
	capSlack = 1.05
	// downSlack is the same for what comes: others send it, and slow down only once they have
	// learned that packets were dropped. On average it may not be more than the cap.
	downSlack = 1.25
	capWindow = 5 * time.Second
	capFor    = 60 * time.Second
	capSample = 100 * time.Millisecond
	// capUsed is what part of the cap is to be of use: demand is several times as much.
	capUsed = 0.8
	// silentBytes is what hosts may say in a link's silence by themselves: ARP, and those that
	// knock at a door that is closed.
	silentBytes = 100_000
)

// capsHosts puts a broadcaster and viewers on either side of a relay:
//
//	broadcaster 10.78.1.1 ── 10.78.1.2 relay 10.78.2.2 ── 10.78.2.3 viewers
//
// All that the relay sends and receives crosses two links, whose counters the kernel keeps.
func (b *bench) capsHosts(ctx context.Context) (func(string) inNamespace, error) {
	return b.lan(ctx, []string{"b", "r", "v"},
		"link add name toR netns @b type veth peer name toB netns @r",
		"link add name toR netns @v type veth peer name toV netns @r",
		"-n @b addr add 10.78.1.1/24 dev toR",
		"-n @r addr add 10.78.1.2/24 dev toB",
		"-n @r addr add 10.78.2.2/24 dev toV",
		"-n @v addr add 10.78.2.3/24 dev toR",
		"-n @b link set toR up",
		"-n @r link set toB up",
		"-n @r link set toV up",
		"-n @v link set toR up",
		"netns exec @r sysctl -q -w net.ipv4.ip_forward=0",
	)
}

// onWire returns what a host's interfaces but its loopback sent and received since they are there,
// Ethernet's headers included.
func onWire(pid int) (sent, received int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid))
	if err != nil {
		return 0, 0, err
	}
	found := false
	for line := range strings.Lines(string(text)) {
		name, figures, ok := strings.Cut(strings.TrimSpace(line), ":")
		f := strings.Fields(figures)
		if !ok || name == "lo" || len(f) < 9 {
			continue
		}
		in, errIn := strconv.ParseInt(f[0], 10, 64)
		out, errOut := strconv.ParseInt(f[8], 10, 64)
		if err := errors.Join(errIn, errOut); err != nil {
			return 0, 0, err
		}
		received, sent, found = received+in, sent+out, true
	}
	if !found {
		return 0, 0, fmt.Errorf("process %d has no interface but its loopback", pid)
	}
	return sent, received, nil
}

// wireSample is what a host had sent and received at a time.
type wireSample struct {
	at             time.Time
	sent, received int64
}

// watchWire samples a process's host for a while.
func watchWire(ctx context.Context, pid int, d time.Duration) (samples []wireSample, err error) {
	ticker := time.NewTicker(capSample)
	defer ticker.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); {
		sent, received, err := onWire(pid)
		if err != nil {
			return nil, err
		}
		samples = append(samples, wireSample{time.Now(), sent, received})
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return samples, nil
}

// fastest returns the most bits per second in any window, and the mean, of what bytes picks.
func fastest(samples []wireSample, bytes func(wireSample) int64) (most, mean float64) {
	rate := func(a, b wireSample) float64 {
		return 8 * float64(bytes(b)-bytes(a)) / b.at.Sub(a.at).Seconds()
	}
	first := 0
	for _, s := range samples {
		for first+1 < len(samples) && s.at.Sub(samples[first+1].at) >= capWindow {
			first++
		}
		if s.at.Sub(samples[first].at) >= capWindow {
			most = max(most, rate(samples[first], s))
		}
	}
	return most, rate(samples[0], samples[len(samples)-1])
}

// capStreams is how many streams there are, of 0.9 Mbit/s each. They are of a file that was encoded
// before, so that it is the cap that is measured, and not the machine.
const capStreams = 3

// capsCase has viewers of several streams ask more of a relay than it may send, by QUIC and by
// TCP; and then a relay carry more than it may receive.
func capsCase(ctx context.Context, b *bench) (string, error) {
	in, err := b.capsHosts(ctx)
	if err != nil {
		return "", err
	}
	film := filepath.Join(b.dir, "film.ts")
	if _, err := output(ctx, "ffmpeg", append(patternArgs(ordinary, false), "-t", "20", "-f", "mpegts", film)...); err != nil {
		return "", err
	}
	var casts []*node
	for i := range capStreams {
		cast, err := b.grapevine(ctx, in("b"), fmt.Sprintf("cast-%d", i), nil, "broadcast", "--input", film, "--loop", "--listen", fmt.Sprintf("/ip4/10.78.1.1/udp/%d/quic-v1", 4747+i))
		if err != nil {
			return "", err
		}
		casts = append(casts, cast)
	}
	var figures []string
	for _, transport := range []string{"udp/%d/quic-v1", "tcp/%d"} {
		figure, err := b.capUpload(ctx, in, casts, transport)
		if err != nil {
			return "", err
		}
		figures = append(figures, figure)
	}
	figure, err := b.capDownload(ctx, in, casts)
	if err != nil {
		return "", fmt.Errorf("%s; %w", strings.Join(figures, "; "), err)
	}
	return strings.Join(append(figures, figure), "; "), nil
}

// capUpload has viewers in want of more than a relay may send. They know the relay only, and each
// a stream of its own, so that they cannot help each other.
func (b *bench) capUpload(ctx context.Context, in func(string) inNamespace, casts []*node, transport string) (string, error) {
	kind := transport[:3]
	listen := func(host string, port int) string { return "/ip4/" + host + "/" + fmt.Sprintf(transport, port) }
	args := []string{"relay", "--max-upload", "2Mbit/s", "--listen", listen("10.78.2.2", 4747)}
	for _, c := range casts {
		args = append(args, c.Link)
	}
	relay, err := b.grapevine(ctx, in("r"), "relay-"+kind, nil, args...)
	if err != nil {
		return "", err
	}
	var viewers []*process
	for i, c := range casts {
		name := fmt.Sprintf("viewer-%s-%d", kind, i)
		link := fmt.Sprintf("grapevine://%s?peer=%s", c.Stream, relay.Addrs[0])
		// It may never be ready.
		viewer, err := b.start(name, in("v").command(b.binary, "watch", link, "--no-mdns", "--no-dht", "--http", "127.0.0.1:0", "--home", filepath.Join(b.dir, "home-"+name), "--listen", listen("10.78.2.3", 4747+i)))
		if err != nil {
			return "", err
		}
		go viewer.reap()
		viewers = append(viewers, viewer)
	}
	samples, err := watchWire(ctx, relay.pid(), capFor)
	if err != nil {
		return "", err
	}
	for _, v := range viewers {
		v.kill()
	}
	// What broadcasters send to who is gone without a word would count as received by the next relay.
	if _, err := relay.terminate(ctx); err != nil {
		return "", err
	}
	most, mean := fastest(samples, func(s wireSample) int64 { return s.sent })
	figure := fmt.Sprintf("%s: sent %.2f Mbit/s in any 5 s, %.2f on average", kind, most/1e6, mean/1e6)
	return figure, judgeCap(figure, most, mean, capSlack)
}

// capDownload has a relay carry more streams than it may receive.
func (b *bench) capDownload(ctx context.Context, in func(string) inNamespace, casts []*node) (string, error) {
	args := []string{"relay", "--max-download", "2Mbit/s", "--listen", "/ip4/10.78.1.2/udp/4747/quic-v1"}
	for _, c := range casts {
		args = append(args, c.Link)
	}
	relay, err := b.grapevine(ctx, in("r"), "relay-down", nil, args...)
	if err != nil {
		return "", err
	}
	samples, err := watchWire(ctx, relay.pid(), capFor)
	if err != nil {
		return "", err
	}
	relay.kill()
	most, mean := fastest(samples, func(s wireSample) int64 { return s.received })
	figure := fmt.Sprintf("received %.2f Mbit/s in any 5 s, %.2f on average", most/1e6, mean/1e6)
	return figure, judgeCap(figure, most, mean, downSlack)
}

// judgeCap says what is wrong with rates under a cap of which all could be used.
func judgeCap(figure string, most, mean, slack float64) error {
	switch {
	case most > slack*capRate, mean > capRate:
		return fmt.Errorf("the cap of %.1f Mbit/s does not hold: %s", capRate/1e6, figure)
	case mean < capUsed*capRate:
		return fmt.Errorf("of the cap of %.1f Mbit/s too little is used: %s", capRate/1e6, figure)
	}
	return nil
}

// budgetCase lets a relay spend its month's budget, kills it with SIGKILL on the way, and starts
// it once more; then one whose schedule is closed.
func budgetCase(ctx context.Context, b *bench) (string, error) {
	in, err := b.capsHosts(ctx)
	if err != nil {
		return "", err
	}
	const budget = 10_000_000
	cast, err := b.broadcaster(ctx, in("b"), "--listen", "/ip4/10.78.1.1/udp/4747/quic-v1")
	if err != nil {
		return "", err
	}
	relay := func(args ...string) (*node, error) {
		return b.grapevine(ctx, in("r"), "relay", nil, append([]string{"relay", cast.Link, "--listen", "/ip4/10.78.1.2/udp/4747/quic-v1"}, args...)...)
	}
	const allowed = "10MB"
	passed := func(n *node) (int64, error) {
		sent, received, err := onWire(n.pid())
		return sent + received, err
	}
	first, err := relay("--monthly-budget", allowed)
	if err != nil {
		return "", err
	}
	before, err := passed(first)
	if err != nil {
		return "", err
	}
	if _, err := first.await(ctx, "a third of the budget used", func(s stats) bool { return s.Limits.used() > budget/3 }); err != nil {
		return "", err
	}
	first.kill()
	second, err := relay("--monthly-budget", allowed)
	if err != nil {
		return "", err
	}
	if _, err := second.await(ctx, "a budget that is spent", func(s stats) bool { return s.Limits.Closed == "budget" }); err != nil {
		return "", err
	}
	spent, err := passed(second)
	if err != nil {
		return "", err
	}
	if spent -= before; spent > budget*101/100 || spent < budget/2 { // Ethernet's headers are not billed
		return "", fmt.Errorf("%d bytes crossed the wire of a budget of %d", spent, budget)
	}
	silences := []string{}
	silence := func(what string, n *node) error {
		quiet, err := watchWire(ctx, n.pid(), 2*capWindow)
		if err != nil {
			return err
		}
		last := quiet[len(quiet)-1]
		sent, received := last.sent-quiet[0].sent, last.received-quiet[0].received
		if sent+received > silentBytes || n.now().payload() > 0 {
			return fmt.Errorf("%s: %d bytes sent, %d received, %d of payload", what, sent, received, n.now().payload())
		}
		silences = append(silences, fmt.Sprintf("%s %d", what, sent+received))
		return nil
	}
	if _, err := second.terminate(ctx); err != nil {
		return "", err
	}
	third, err := relay("--monthly-budget", allowed)
	if err != nil {
		return "", err
	}
	if err := silence("spent", third); err != nil {
		return "", err
	}
	third.kill()
	// An hour that is not now.
	hour := time.Now().Add(12 * time.Hour).Hour()
	closed, err := relay("--schedule", fmt.Sprintf("%02d:00-%02d:59", hour, hour))
	if err != nil {
		return "", err
	}
	if err := silence("closed", closed); err != nil {
		return "", err
	}
	closed.kill()
	return fmt.Sprintf("%.2f MB of %.0f MB crossed the wire, over a SIGKILL; bytes in 10 s after a start: %s", float64(spent)/1e6, budget/1e6, strings.Join(silences, ", ")), nil
}

// pid is that of the program itself: ip netns exec becomes it.
func (p *process) pid() int { return p.cmd.Process.Pid }
