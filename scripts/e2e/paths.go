//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"
)

// peerPath is what a node's status says of the way to a peer.
type peerPath struct {
	ID      string
	Addr    string
	Direct  bool
	BytesIn int64 `json:"bytes_in"`
}

// fetchProgram gets a page in a network namespace, in which this process is not.
const fetchProgram = `fetch(process.argv[1]).then(r => r.text()).then(t => process.stdout.write(t))`

// nodeStatus is what the cases read of a node's status.
type nodeStatus struct {
	Streams []struct {
		Link      string
		PayloadIn int64 `json:"payload_in"`
		Peers     []peerPath
	}
}

// statusOf asks a node in a namespace for its status.
func statusOf(ctx context.Context, ns inNamespace, n *node) (st nodeStatus, err error) {
	body, err := ns.command("node", "-e", fetchProgram, n.Page+"api/v1/status").Output()
	if err != nil {
		return st, fmt.Errorf("ask %s for its status: %w", n.name, err)
	}
	if err := json.Unmarshal(body, &st); err != nil {
		return st, fmt.Errorf("read the status of %s: %w", n.name, err)
	}
	return st, context.Cause(ctx)
}

// paths asks a node in a namespace how it is connected to the peers of its streams.
func paths(ctx context.Context, ns inNamespace, n *node) (out []peerPath, err error) {
	st, err := statusOf(ctx, ns, n)
	for _, s := range st.Streams {
		out = append(out, s.Peers...)
	}
	return out, err
}

// awaitPath waits until the path to a peer is as wanted.
func (b *bench) awaitPath(ctx context.Context, ns inNamespace, n *node, id string, wanted func(peerPath) bool) (peerPath, error) {
	var last peerPath
	for {
		list, err := paths(ctx, ns, n)
		if err != nil {
			return last, fmt.Errorf("%w; the last path was %+v", err, last)
		}
		for _, p := range list {
			if p.ID != id {
				continue
			}
			if last = p; wanted(p) {
				return p, nil
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// countFrom has a router count what comes from an address outside.
const countFrom = "netns exec @%s nft add rule ip home in iifname wan ip saddr %s counter"

// received returns the bytes that came through a router from an address that it counts.
func received(ctx context.Context, router inNamespace, from string) (int64, error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("only root can ask a router what it counted")
	}
	out, err := router.command("nft", "list", "chain", "ip", "home", "in").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("ask the router: %w: %s", err, out)
	}
	m := regexp.MustCompile(`saddr ` + regexp.QuoteMeta(from) + ` counter packets \d+ bytes (\d+)`).FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("the router counts nothing from %s: %s", from, out)
	}
	return strconv.ParseInt(string(m[1]), 10, 64)
}
