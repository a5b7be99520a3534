//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"
)

// openHost is the address of a host that no router is before.
const openHost = "44.128.0.20"

// doctorRelays are public relays. Each measures one uplink in ten seconds, so that two of them
// are enough for two visits.
var doctorRelays = []struct{ host, address string }{
	{"r", publicRelay}, {"s", "44.128.0.11"}, {"t", "44.128.0.12"}, {"u", "44.128.0.13"},
}

// finding is what doctor says of one thing.
type finding struct{ Check, State, Says, Do string }

// findings are by what was looked at.
type findings map[string]finding

// visit is a network that doctor is asked about, and what it has to say.
type visit struct {
	network, host string
	// want are states, each with what the sentence must say.
	want map[string][2]string
}

// uplinkError is how far a measured uplink may be off.
const uplinkError = 0.25

// doctorCase has doctor look at four networks, each with two public relays:
//
//	o 44.128.0.20 ───────────────────────────┐      ┌── 44.128.0.10 r
//	b 10.0.1.2 ── rb 44.128.0.1, restricted ─┼── i ─┼── …
//	v 10.0.2.2 ── rv 44.128.0.2, symmetric ──┘      └── 44.128.0.13 u
//
// The fourth is b's, once its router lets no UDP through.
func doctorCase(ctx context.Context, b *bench) (string, error) {
	n := newInternet()
	for _, r := range doctorRelays {
		n.attach(r.host, r.address)
	}
	n.attach("o", openHost)
	n.home("b", "rb", "10.0.1", routerOfB, portRestricted)
	n.home("v", "rv", "10.0.2", routerOfV, symmetric)
	in, err := n.build(ctx, b)
	if err != nil {
		return "", err
	}
	var peers []string
	for _, r := range doctorRelays {
		relay, err := b.grapevine(ctx, in(r.host), "relay-"+r.host, nil, "relay")
		if err != nil {
			return "", err
		}
		if len(relay.Addrs) == 0 {
			return "", fmt.Errorf("relay %s has no address", r.host)
		}
		peers = append(peers, "--peer", relay.Addrs[0])
	}
	var uplinks []string
	for i, v := range []visit{
		{"open", "o", map[string][2]string{
			"udp":       {"ok", "2 of 2 peers"},
			"reachable": {"ok", openHost + "/udp/4747/quic-v1, /ip4/" + openHost + "/tcp/4747."},
			"nat":       {"ok", "No router"},
			"clock":     {"ok", "right"},
		}},
		{"restricted", "b", map[string][2]string{
			"udp":       {"ok", "2 of 2 peers"},
			"reachable": {"problem", routerOfB},
			"nat":       {"ok", "same port (" + routerOfB + ":"},
			"clock":     {"ok", "right"},
		}},
		{"symmetric", "v", map[string][2]string{
			"udp":       {"ok", "2 of 2 peers"},
			"reachable": {"problem", routerOfV},
			"nat":       {"problem", "symmetric"},
			"clock":     {"ok", "right"},
		}},
		{"without UDP", "b", map[string][2]string{
			"udp":       {"problem", "blocked"},
			"reachable": {"problem", routerOfB},
			"nat":       {"untested", "only by UDP"},
			"clock":     {"ok", "right"},
		}},
	} {
		if v.network == "without UDP" {
			if out, err := in("rb").command("nft", "insert", "rule", "ip", "home", "in", "meta", "l4proto", "udp", "drop").CombinedOutput(); err != nil {
				return "", fmt.Errorf("block UDP: %w: %s", err, out)
			}
		}
		found, took, err := b.doctor(ctx, in(v.host), v.network, peers[4*(i/2):][:4]...)
		if err != nil {
			return "", fmt.Errorf("%s: %w", v.network, err)
		}
		if err := found.check(v.want); err != nil {
			return "", fmt.Errorf("%s: %w", v.network, err)
		}
		rate, err := found.uplink()
		if err != nil {
			return "", fmt.Errorf("%s: %w", v.network, err)
		}
		uplinks = append(uplinks, fmt.Sprintf("%s %.1f Mbit/s after %.0f s", v.network, rate/1e6, took.Seconds()))
	}
	return fmt.Sprintf("all told; the uplink of %d Mbit/s: %s", internetRate/1_000_000, strings.Join(uplinks, ", ")), nil
}

// doctor runs the command to its end.
func (b *bench) doctor(ctx context.Context, ns inNamespace, network string, peers ...string) (findings, time.Duration, error) {
	args := append([]string{"doctor", "--json", "--log-level", "debug", "--home", filepath.Join(b.dir, "home-"+strings.ReplaceAll(network, " ", "-"))}, peers...)
	cmd := ns.command(b.binary, args...)
	var out strings.Builder
	cmd.Stdout = &out
	began := time.Now()
	p, err := b.start("doctor-"+strings.ReplaceAll(network, " ", "-"), cmd)
	if err != nil {
		return nil, 0, err
	}
	go p.reap()
	if err := p.wait(ctx); err != nil {
		return nil, 0, err
	}
	if p.err != nil {
		return nil, 0, fmt.Errorf("doctor: %w", p.err)
	}
	var said struct {
		Event    string
		Findings []finding
	}
	if err := json.Unmarshal([]byte(out.String()), &said); err != nil || said.Event != "doctor" {
		return nil, 0, fmt.Errorf("doctor wrote %q: %v", out.String(), err)
	}
	found := make(findings)
	for _, f := range said.Findings {
		found[f.Check] = f
	}
	return found, time.Since(began), nil
}

// check compares findings with what is wanted.
func (f findings) check(want map[string][2]string) error {
	for check, w := range want {
		if got := f[check]; got.State != w[0] || !strings.Contains(got.Says, w[1]) {
			return fmt.Errorf("of %s it says %q (%s), want %q (%s)", check, got.Says, got.State, w[1], w[0])
		} else if got.State == "problem" && got.Do == "" {
			return fmt.Errorf("of %s it does not say what to do", check)
		}
	}
	return nil
}

// uplink returns the rate that was measured, in bits per second.
func (f findings) uplink() (float64, error) {
	var rate float64
	if _, err := fmt.Sscanf(f["uplink"].Says, "The uplink carried %f Mbit/s", &rate); err != nil {
		return 0, fmt.Errorf("the uplink was not measured: %s", f["uplink"].Says)
	}
	rate *= 1e6
	if off := math.Abs(rate-internetRate) / internetRate; off > uplinkError {
		return 0, fmt.Errorf("the uplink of %d bit/s was measured as %.0f bit/s", internetRate, rate)
	}
	return rate, nil
}
