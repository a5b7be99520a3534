//go:build linux

package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// process is a program that runs beside the others, in a process group of its own.
type process struct {
	name string
	log  string // file with its standard error
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how, valid once done is closed
}

// start runs a program in the background. Its standard error goes to a file.
func (b *bench) start(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{
		name: name,
		log:  filepath.Join(b.dir, fmt.Sprintf("%02d-%s.log", len(b.processes)+1, name)),
		cmd:  cmd,
		done: make(chan struct{}),
	}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	// So that what it starts itself, such as go run's program, ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	b.processes = append(b.processes, p)
	return p, nil
}

// reap waits for the process. Whoever called start calls it once, after reading its
// standard output to the end.
func (p *process) reap() {
	p.err = p.cmd.Wait()
	close(p.done)
}

// kill ends the process with SIGKILL, and waits for it.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// terminate sends SIGTERM and returns how long the process took to end.
func (p *process) terminate(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	if err := p.wait(ctx); err != nil {
		return time.Since(began), err
	}
	return time.Since(began), p.err
}

func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for %s to end: %w", p.name, context.Cause(ctx))
	}
}

// ready is what a node's ready event says.
type ready struct {
	Event  string `json:"event"`
	Role   string `json:"role"`
	Stream string `json:"stream"`
	Link   string `json:"link"`
	HLS    string `json:"hls"`
	Page   string `json:"page"`
	// Of a node that has one.
	Gateway string   `json:"gateway"`
	Network []string `json:"network"`
	PeerID  string   `json:"peer_id"`
	Addrs   []string `json:"addrs"`
}

// stats is what the cases read of a node's stats events.
type stats struct {
	Input struct {
		Listen  string  `json:"listen"`
		Gone    float64 `json:"gone"`
		Slate   float64 `json:"slate"`
		OnSlate bool    `json:"on_slate"`
		LeftOut uint64  `json:"left_out"`
		LostRTP uint64  `json:"lost_rtp"`
		Inputs  []struct {
			Listen     string `json:"listen"`
			Misaligned int    `json:"misaligned"`
		} `json:"inputs"`
	} `json:"input"`
	Streams []streamStats `json:"streams"`
	Disk    struct {
		Bytes   int64  `json:"bytes"`
		Written int64  `json:"written"`
		Damaged int64  `json:"chunks_damaged"`
		Failed  int64  `json:"parts_failed"`
		Error   string `json:"error"`
	} `json:"disk"`
	Gateway struct {
		Viewers        int   `json:"viewers"`
		Bytes          int64 `json:"bytes"`
		RefusedViewers int64 `json:"refused_viewers"`
	} `json:"gateway"`
	Limits usage `json:"limits"`
}

type streamStats struct {
	Peers         int            `json:"peers"`
	Found         map[string]int `json:"found"`
	BytesReceived int64          `json:"bytes_received"` // from peers
	OriginBytes   int64          `json:"origin_bytes"`

	OriginPastBytes int64            `json:"origin_past_bytes"`
	OriginFailures  map[string]int64 `json:"origin_failures"`
}

// usage is what the cases read of what a node used.
type usage struct {
	Sent     int64  `json:"month_sent"`
	Received int64  `json:"month_received"`
	Closed   string `json:"closed"`

	MaxUpload int `json:"max_upload"`
}

// reload is what a node says when it has read its settings again.
type reload struct {
	Changed []string `json:"changed"`
	Restart []string `json:"restart"`
	Error   string   `json:"error"`
}

func (u usage) used() int64 { return u.Sent + u.Received }

// payload returns what came of all streams.
func (s stats) payload() (n int64) {
	for _, one := range s.Streams {
		n += one.BytesReceived
	}
	return n
}

// stream returns the figures of a node's only stream.
func (s stats) stream() streamStats {
	if len(s.Streams) == 0 {
		return streamStats{}
	}
	return s.Streams[0]
}

// node is a grapevine process.
type node struct {
	*process
	ready
	took time.Duration // from its start to its ready event

	mu      sync.Mutex // guards all following
	latest  stats
	cache   int // events of the disk of --cache-dir
	reloads []reload
	updated chan struct{} // closed at the next event
}

// inNamespace is put before a command that belongs into a network namespace.
type inNamespace []string

func (ns inNamespace) command(name string, args ...string) *exec.Cmd {
	full := append(append([]string{}, ns...), append([]string{name}, args...)...)
	return exec.Command(full[0], full[1:]...)
}

// withMDNS is an argument for nodes that shall find each other on the local network.
// It is for namespaces only: nothing may multicast beyond the machine.
const withMDNS = "--no-mdns=false"

// grapevine starts a node and waits until it is ready. Each has a home of its name, so
// that it is the same node when it starts again.
func (b *bench) grapevine(ctx context.Context, ns inNamespace, name string, stdin io.Reader, args ...string) (*node, error) {
	if !slices.Contains(args, withMDNS) {
		args = append(args, "--no-mdns")
	} else if ns == nil {
		return nil, errors.New("mDNS outside of a namespace")
	}
	// No case may reach the public DHT.
	if !slices.Contains(args, "--bootstrap") && !slices.Contains(args, "--bootstrap-only") {
		args = append(args, "--no-dht")
	}
	// Players of the checks, such as hls.js, are on pages of their own.
	if !b.closed {
		args = append(args, "--allow-origin", "*")
	}
	args = append(args, "--no-port-mapping", "--json", "--home", filepath.Join(b.dir, "home-"+name), "--http", cmp.Or(b.http, "127.0.0.1:0"))
	return b.startNode(ctx, name, stdin, ns.command(b.binary, args...))
}

func (b *bench) startNode(ctx context.Context, name string, stdin io.Reader, cmd *exec.Cmd) (*node, error) {
	cmd.Stdin = stdin
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	p, err := b.start(name, cmd)
	if err != nil {
		return nil, err
	}
	n := &node{process: p, updated: make(chan struct{})}
	first := make(chan error, 1)
	go n.follow(out, first)
	select {
	case err := <-first:
		n.took = time.Since(began)
		if err != nil {
			return nil, fmt.Errorf("%s did not get ready: %w", name, err)
		}
		return n, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%s did not get ready: %w", name, context.Cause(ctx))
	}
}

// follow reads a node's events until it ends.
func (n *node) follow(out io.Reader, first chan<- error) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	var err error
	for lines.Scan() {
		if err = n.event(lines.Bytes(), first); err != nil {
			break
		}
	}
	n.reap()
	if err == nil {
		err = fmt.Errorf("it ended: %v", n.err)
	}
	select {
	case first <- err:
	default: // somebody was told that it is ready
	}
}

func (n *node) event(line []byte, first chan<- error) error {
	var kind struct{ Event string }
	if err := json.Unmarshal(line, &kind); err != nil {
		return fmt.Errorf("standard output carries %q: %w", line, err)
	}
	switch kind.Event {
	case "ready":
		if err := json.Unmarshal(line, &n.ready); err != nil {
			return err
		}
		first <- nil
	case "cache":
		n.mu.Lock()
		defer n.mu.Unlock()
		n.cache++
	case "stats":
		n.mu.Lock()
		defer n.mu.Unlock()
		n.latest = stats{} // a field that is left out is zero
		if err := json.Unmarshal(line, &n.latest); err != nil {
			return err
		}
		close(n.updated)
		n.updated = make(chan struct{})
	case "reload":
		var r reload
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.reloads = append(n.reloads, r)
		close(n.updated)
		n.updated = make(chan struct{})
	}
	return nil
}

// cacheEvents returns how often a node told that its disk refuses what it keeps, or takes it
// again.
func (n *node) cacheEvents() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cache
}

// reload has a node read its settings again, and returns what it says of that.
func (n *node) reload(ctx context.Context) (r reload, err error) {
	n.mu.Lock()
	before := len(n.reloads)
	n.mu.Unlock()
	if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return r, err
	}
	_, err = n.await(ctx, "that it read its settings", func(stats) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		if len(n.reloads) > before {
			r = n.reloads[before]
		}
		return len(n.reloads) > before
	})
	return r, err
}

// now returns a node's latest figures.
func (n *node) now() stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.latest
}

// await waits until a node's figures are as wanted.
func (n *node) await(ctx context.Context, what string, wanted func(stats) bool) (stats, error) {
	for {
		n.mu.Lock()
		now, updated := n.latest, n.updated
		n.mu.Unlock()
		if wanted(now) {
			return now, nil
		}
		select {
		case <-updated:
		case <-n.done:
			return now, fmt.Errorf("%s ended while it was to show %s: %v", n.name, what, n.err)
		case <-ctx.Done():
			return now, fmt.Errorf("%s never showed %s: %w", n.name, what, context.Cause(ctx))
		}
	}
}
