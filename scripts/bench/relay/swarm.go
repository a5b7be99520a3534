//go:build linux

package main

import (
	"context"
	"time"

	"github.com/grapevine-live/grapevine/scripts/bench/cores"
)

// swarm is a broadcaster, a relay and sinks.
type swarm struct {
	options
	source, relay, sinks *process
	id, addr             string
	start                time.Time // of the broadcast
}

func (o options) startSwarm(ctx context.Context) (*swarm, error) {
	s := &swarm{options: o}
	if err := s.begin(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *swarm) begin(ctx context.Context) (err error) {
	if s.source, err = s.options.start(ctx, "source", false); err != nil {
		return err
	}
	if s.relay, err = s.options.start(ctx, "relay", true); err != nil {
		return err
	}
	if s.sinks, err = s.options.start(ctx, "sinks", false); err != nil {
		return err
	}
	if err := s.source.ask(ctx, command{Do: "start", Upload: s.upload}, &s.id); err != nil {
		return err
	}
	if err := s.relay.ask(ctx, command{Do: "start", Stream: s.id, Rate: s.rate, Cache: s.cache, Memory: s.memory, Upload: s.upload}, &s.addr); err != nil {
		return err
	}
	return s.source.ask(ctx, command{Do: "broadcast", Peer: s.addr, Rate: s.rate}, &s.start)
}

func (s *swarm) stop() {
	for _, p := range []*process{s.sinks, s.source, s.relay} {
		if p != nil {
			p.stop()
		}
	}
}

// grow adds sinks until there are n.
func (s *swarm) grow(ctx context.Context, n int) error {
	if err := s.sinks.ask(ctx, command{Do: "grow", N: n, Stream: s.id, Peer: s.addr}, nil); err != nil {
		return err
	}
	return sleepUntil(ctx, time.Now().Add(settle+time.Duration(n)*settleEach))
}

// observe measures the relay over an interval.
func (s *swarm) observe(ctx context.Context, n int, interval time.Duration, r *run) error {
	from := nextQuiet(s.start)
	to := from.Add(interval)
	if err := s.sinks.ask(ctx, command{Do: "measure", From: from, To: to}, nil); err != nil {
		return err
	}
	if err := sleepUntil(ctx, from); err != nil {
		return err
	}
	before, err := s.usage(ctx)
	if err != nil {
		return err
	}
	for at := from; at.Before(to); {
		at = at.Add(partDuration)
		if err := sleepUntil(ctx, at); err != nil {
			return err
		}
		r.resident = max(r.resident, s.relay.resident())
	}
	after, err := s.usage(ctx)
	if err != nil {
		return err
	}
	if err := s.sinks.ask(ctx, command{Do: "result", To: to}, &r.delivery); err != nil {
		return err
	}
	relay := after.relay
	r.Relay = newSide(r.delivery.Bytes, before.relay, relay, after.sinks.CPU-before.sinks.CPU, interval)
	r.cache, r.mesh, r.dropped = relay.Cache, relay.Mesh, relay.Dropped-before.relay.Dropped
	r.chunk = int((relay.Bytes - before.relay.Bytes) / max(1, relay.Chunks-before.relay.Chunks))
	r.others = (after.others - before.others).Seconds() / interval.Seconds()
	s.say("%4d neighbours (%d in the mesh): relay %3.0f%% of a core, sinks %3.0f%%, %5.1f MB/CPU-s, %.2f%% in time, p50 %v, p99 %v, %d dropped", n, r.mesh,
		100*r.Relay.Core, 100*r.Relay.SinksCore, r.Relay.BytesPerCPUSecond/1e6, 100*r.delivery.continuity(), r.delivery.P50.Round(time.Millisecond), r.delivery.P99.Round(time.Millisecond), r.dropped)
	return nil
}

// swarmUsage is what a swarm used, and others on the machine.
type swarmUsage struct {
	relay, sinks usage
	others       time.Duration
}

func (s *swarm) usage(ctx context.Context) (u swarmUsage, err error) {
	var source usage
	busy := cores.Busy()
	for _, of := range []struct {
		p *process
		u *usage
	}{{s.relay, &u.relay}, {s.sinks, &u.sinks}, {s.source, &source}} {
		if err := of.p.ask(ctx, command{Do: "usage"}, of.u); err != nil {
			return u, err
		}
		busy -= of.u.CPU
	}
	u.others = busy
	return u, nil
}
