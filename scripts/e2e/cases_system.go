//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// netnsCase puts the three hosts into network namespaces:
//
//	broadcaster 10.77.1.1 ── 10.77.1.2 relay 10.77.2.2 ── 10.77.2.3 viewer
//
// The relay forwards no packets, and the others have no route to each other.
func netnsCase(ctx context.Context, b *bench) (string, error) {
	const needs = "network namespaces cannot be made here; run as root with iproute2: sudo scripts/e2e.sh netns"
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("%s", needs)
	}
	prefix := fmt.Sprintf("gv%d", os.Getpid())
	host := func(name string) string { return prefix + name }
	for _, name := range []string{"b", "r", "v"} {
		if _, err := output(ctx, "ip", "netns", "add", host(name)); err != nil {
			return "", fmt.Errorf("%s: %w", needs, err)
		}
		// Deleting a namespace deletes its ends of the links, and so the links.
		b.cleanups = append(b.cleanups, func() { _, _ = output(context.WithoutCancel(ctx), "ip", "netns", "del", host(name)) })
	}
	for _, args := range [][]string{
		{"link", "add", "name", "toR", "netns", host("b"), "type", "veth", "peer", "name", "toB", "netns", host("r")},
		{"link", "add", "name", "toR", "netns", host("v"), "type", "veth", "peer", "name", "toV", "netns", host("r")},
		{"-n", host("b"), "addr", "add", "10.77.1.1/24", "dev", "toR"},
		{"-n", host("r"), "addr", "add", "10.77.1.2/24", "dev", "toB"},
		{"-n", host("r"), "addr", "add", "10.77.2.2/24", "dev", "toV"},
		{"-n", host("v"), "addr", "add", "10.77.2.3/24", "dev", "toR"},
		{"-n", host("b"), "link", "set", "toR", "up"},
		{"-n", host("r"), "link", "set", "toB", "up"},
		{"-n", host("r"), "link", "set", "toV", "up"},
		{"-n", host("v"), "link", "set", "toR", "up"},
		{"-n", host("b"), "link", "set", "lo", "up"},
		{"-n", host("r"), "link", "set", "lo", "up"},
		{"-n", host("v"), "link", "set", "lo", "up"},
	} {
		if _, err := output(ctx, "ip", args...); err != nil {
			return "", err
		}
	}
	in := func(name string) inNamespace { return inNamespace{"ip", "netns", "exec", host(name)} }
	if _, err := output(ctx, "ip", "netns", "exec", host("r"), "sysctl", "-q", "-w", "net.ipv4.ip_forward=0"); err != nil {
		return "", err
	}
	if out, err := output(ctx, "ip", "-n", host("v"), "route", "get", "10.77.1.1"); err == nil {
		return "", fmt.Errorf("the viewer has a route to the broadcaster: %s", out)
	}

	broadcaster, err := b.broadcaster(ctx, in("b"), "--listen", "/ip4/10.77.1.1/udp/4747/quic-v1", "--listen", "/ip4/10.77.1.1/tcp/4747")
	if err != nil {
		return "", err
	}
	// The default listens on all addresses: both links are the relay's.
	relay, err := b.grapevine(ctx, in("r"), "relay", nil, "relay", broadcaster.Link)
	if err != nil {
		return "", err
	}
	viewer, err := b.grapevine(ctx, in("v"), "viewer", nil, "watch", relay.Link)
	if err != nil {
		return "", err
	}
	const seconds = 60
	player, err := b.ffmpeg(in("v"), viewer.HLS, seconds)
	if err != nil {
		return "", err
	}
	frames, err := player.perfect(ctx, seconds*frameRate)
	return fmt.Sprintf("%d of %d frames, none missing", frames, seconds*frameRate), err
}

// demoCase is the first thing that the README tells people to do.
func demoCase(ctx context.Context, b *bench) (string, error) {
	demo, err := b.startNode(ctx, "demo", nil, exec.Command("go", "run", "./cmd/grapevine", "demo", "--json", "--http", "127.0.0.1:0"))
	if err != nil {
		return "", err
	}
	player, err := b.ffmpeg(nil, demo.HLS, 5)
	if err != nil {
		return "", err
	}
	if err := player.wait(ctx); err != nil {
		return "", err
	}
	times, err := player.frames()
	if err != nil {
		return "", err
	}
	if text := player.complained(); text != "" || player.err != nil || len(times) == 0 {
		return "", fmt.Errorf("ffmpeg decoded %d frames: %v %s", len(times), player.err, text)
	}
	figure, err := b.playPage(ctx, demo.Page)
	return fmt.Sprintf("ready %.1f s after go run, build included; %d frames decoded; page: %s", demo.took.Seconds(), len(times), figure), err
}
