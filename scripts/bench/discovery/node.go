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
	"sync"
	"time"
)

// readyTimeout bounds the wait for one node.
const readyTimeout = time.Minute

// swarm is the processes of a run.
type swarm struct {
	binary, dir string
	nodes       []*node
}

// node is a grapevine process.
type node struct {
	cmd   *exec.Cmd
	ready struct {
		Event, Stream, Link string
		Addrs               []string
	}
	took time.Duration // from its start to its ready event
	read sync.WaitGroup

	mu    sync.Mutex // guards all following
	found map[string]int
}

// start starts a node and waits until it is ready.
func (s *swarm) start(ctx context.Context, args ...string) (*node, error) {
	name := fmt.Sprintf("%02d-%s", len(s.nodes), args[0])
	args = append(args, "--json", "--no-mdns", "--home", filepath.Join(s.dir, name), "--http", "127.0.0.1:0",
		"--listen", "/ip4/127.0.0.1/udp/0/quic-v1", "--listen", "/ip4/127.0.0.1/tcp/0")
	n := &node{cmd: exec.Command(s.binary, args...)}
	log, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	n.cmd.Stderr = log
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s.nodes = append(s.nodes, n)
	ready := make(chan error, 2) // that it is, and how it ended
	n.read.Go(func() { ready <- n.follow(out, func() { ready <- nil }) })
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not within %v", readyTimeout))
	defer cancel()
	select {
	case err = <-ready:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	n.took = time.Since(began)
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%s did not get ready: %w\n%s", name, err, text)
	}
	return n, nil
}

// follow reads a node's events until it ends.
func (n *node) follow(out io.Reader, ready func()) error {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Event   string
			Streams []struct{ Found map[string]int }
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("standard output carries %q: %w", lines.Bytes(), err)
		}
		switch e.Event {
		case "ready":
			if err := json.Unmarshal(lines.Bytes(), &n.ready); err != nil {
				return err
			}
			ready()
		case "stats":
			if len(e.Streams) > 0 {
				n.mu.Lock()
				n.found = e.Streams[0].Found
				n.mu.Unlock()
			}
		}
	}
	return errors.Join(errors.New("it ended"), lines.Err())
}

// foundBy returns what told of how many peers.
func (n *node) foundBy() map[string]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.found
}

// stop kills all nodes, and waits for them.
func (s *swarm) stop() {
	for _, n := range s.nodes {
		_ = n.cmd.Process.Kill() // fails only if it has ended
	}
	for _, n := range s.nodes {
		n.read.Wait() // before Wait, which closes the pipe
		_ = n.cmd.Wait()
	}
}
