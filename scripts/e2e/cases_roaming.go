//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// roamingCase has the viewer's machine change its address while it plays, as one does that
// goes from a cable to a wireless network, and then the broadcaster's.
func roamingCase(ctx context.Context, b *bench) (string, error) {
	n := newInternet()
	n.attach("r", publicRelay)
	n.attach("v", "44.128.0.20")
	in, err := n.build(ctx, b)
	if err != nil {
		return "", err
	}
	broadcaster, err := b.broadcaster(ctx, in("r"))
	if err != nil {
		return "", err
	}
	viewer, err := b.grapevine(ctx, in("v"), "viewer", nil, "watch", broadcaster.Link)
	if err != nil {
		return "", err
	}
	const seconds = 60
	player, err := b.ffmpeg(in("v"), viewer.HLS, seconds)
	if err != nil {
		return "", err
	}
	var took []string
	for i, move := range []struct {
		host, before, after string
		node                *node
	}{
		{"v", "44.128.0.20", "44.128.0.21", viewer},
		{"r", publicRelay, "44.128.0.11", broadcaster},
	} {
		// Long enough between both that nothing of the first is left.
		if _, err := player.awaitFrames(ctx, (8+20*i)*frameRate); err != nil {
			return "", err
		}
		if err := readdress(ctx, in(move.host), move.before, move.after); err != nil {
			return "", err
		}
		gap, err := b.gap(ctx, in("v"), viewer)
		if err != nil {
			return "", err
		}
		if gap > roamNoticed {
			return "", fmt.Errorf("no chunks for %v after %s became %s", gap, move.before, move.after)
		}
		took = append(took, fmt.Sprintf("%.1f s", gap.Seconds()))
		st, err := statusOf(ctx, in(move.host), move.node)
		if err != nil {
			return "", err
		}
		if link := st.Streams[0].Link; !strings.Contains(link, move.after+"/") || strings.Contains(link, move.before+"/udp/4747/quic-v1/p2p/"+move.node.PeerID) {
			return "", fmt.Errorf("the link of who has %s instead of %s now is %s", move.after, move.before, link)
		}
	}
	frames, err := player.steady(ctx, seconds*frameRate, int64(roamGap.Seconds()*frameRate)*ticksPerFrame)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("chunks again %s after the viewer had its new address, and the broadcaster, and links with them; %d of %d frames, none later than %v after the one before",
		strings.Join(took, " and "), frames, seconds*frameRate, roamGap), nil
}

// roamGap is how much of the stream a player may miss with an address: two segments.
const roamGap = 4 * time.Second

// roamNoticed is how soon chunks have to come again, on a busy machine too: later than that, the
// change of address was noticed by nothing but six seconds of silence.
const roamNoticed = 6 * time.Second

// roamFor is how long a host that changes its address has none.
const roamFor = time.Second

// readdress gives a host another address.
func readdress(ctx context.Context, host inNamespace, before, after string) error {
	if out, err := host.command("ip", "addr", "del", before+"/24", "dev", "wan").CombinedOutput(); err != nil {
		return fmt.Errorf("take %s: %w: %s", before, err, out)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(roamFor):
	}
	if out, err := host.command("ip", "addr", "add", after+"/24", "dev", "wan").CombinedOutput(); err != nil {
		return fmt.Errorf("give %s: %w: %s", after, err, out)
	}
	return nil
}

// gap returns how long it takes until a node receives something again.
func (b *bench) gap(ctx context.Context, ns inNamespace, n *node) (time.Duration, error) {
	began := time.Now()
	had, err := receivedBy(ctx, ns, n)
	if err != nil {
		return 0, err
	}
	for {
		now, err := receivedBy(ctx, ns, n)
		if err != nil || now > had {
			return time.Since(began), err
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("%s receives nothing any more: %w", n.name, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// receivedBy returns the bytes of payload that a node has received.
func receivedBy(ctx context.Context, ns inNamespace, n *node) (int64, error) {
	st, err := statusOf(ctx, ns, n)
	if err != nil || len(st.Streams) == 0 {
		return 0, err
	}
	return st.Streams[0].PayloadIn, nil
}
