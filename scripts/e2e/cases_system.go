//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// lan makes hosts of network namespaces, and runs ip with each of the commands, in
// which @name stands for a host. The hosts are gone when the case has ended.
func (b *bench) lan(ctx context.Context, hosts []string, commands ...string) (func(host string) inNamespace, error) {
	const needs = "network namespaces cannot be made here; run as root with iproute2: sudo scripts/e2e.sh netns"
	if os.Geteuid() != 0 {
		return nil, errors.New(needs)
	}
	name := func(host string) string { return fmt.Sprintf("gv%d-%s-%s", os.Getpid(), filepath.Base(b.dir), host) }
	var names []string
	for _, h := range hosts {
		if _, err := output(ctx, "ip", "netns", "add", name(h)); err != nil {
			return nil, fmt.Errorf("%s: %w", needs, err)
		}
		// Deleting a namespace deletes its ends of the links, and so the links.
		b.cleanups = append(b.cleanups, func() { _, _ = output(context.WithoutCancel(ctx), "ip", "netns", "del", name(h)) })
		names = append(names, "@"+h, name(h))
		commands = append(commands, "-n @"+h+" link set lo up")
	}
	for _, c := range commands {
		args := strings.Fields(strings.NewReplacer(names...).Replace(c))
		if _, err := output(ctx, "ip", args...); err != nil {
			return nil, err
		}
	}
	return func(h string) inNamespace { return inNamespace{"ip", "netns", "exec", name(h)} }, nil
}

// netnsCase puts the three hosts into network namespaces:
//
//	broadcaster 10.77.1.1 ── 10.77.1.2 relay 10.77.2.2 ── 10.77.2.3 viewer
//
// The relay forwards no packets, and the others have no route to each other.
func netnsCase(ctx context.Context, b *bench) (string, error) {
	in, err := b.lan(ctx, []string{"b", "r", "v"},
		"link add name toR netns @b type veth peer name toB netns @r",
		"link add name toR netns @v type veth peer name toV netns @r",
		"-n @b addr add 10.77.1.1/24 dev toR",
		"-n @r addr add 10.77.1.2/24 dev toB",
		"-n @r addr add 10.77.2.2/24 dev toV",
		"-n @v addr add 10.77.2.3/24 dev toR",
		"-n @b link set toR up",
		"-n @r link set toB up",
		"-n @r link set toV up",
		"-n @v link set toR up",
		"netns exec @r sysctl -q -w net.ipv4.ip_forward=0",
	)
	if err != nil {
		return "", err
	}
	route := in("v").command("ip", "route", "get", "10.77.1.1")
	if out, err := route.CombinedOutput(); err == nil {
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

// mdnsCase puts two hosts on one local network. The viewer knows the bare stream ID.
func mdnsCase(ctx context.Context, b *bench) (string, error) {
	in, err := b.lan(ctx, []string{"b", "v"},
		"link add name lan netns @b type veth peer name lan netns @v",
		"-n @b addr add 10.77.3.1/24 dev lan",
		"-n @v addr add 10.77.3.2/24 dev lan",
		"-n @b link set lan up",
		"-n @v link set lan up",
		// As a home router's DHCP would: multicast needs a route.
		"-n @b route add default via 10.77.3.2",
		"-n @v route add default via 10.77.3.1",
	)
	if err != nil {
		return "", err
	}
	broadcaster, err := b.broadcaster(ctx, in("b"), withMDNS)
	if err != nil {
		return "", err
	}
	viewer, err := b.grapevine(ctx, in("v"), "viewer", nil, "watch", broadcaster.Stream, withMDNS)
	if err != nil {
		return "", err
	}
	const seconds = 10
	player, err := b.ffmpeg(in("v"), viewer.HLS, seconds)
	if err != nil {
		return "", err
	}
	frames, err := player.perfect(ctx, seconds*frameRate)
	return fmt.Sprintf("ready %.1f s after the start; %d of %d frames, none missing", viewer.took.Seconds(), frames, seconds*frameRate), err
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
