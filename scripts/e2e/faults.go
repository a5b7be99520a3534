//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// fault is what may befall a stream.
type fault struct {
	name, what string
	lasts      time.Duration
	// after is when, from the encoder's start, the fault comes by itself; 0 if it is
	// brought about.
	after time.Duration
	// prepare starts a swarm, and returns the address that players open, and what brings
	// the fault about.
	prepare func(context.Context, *bench) (hls string, strike func(context.Context) error, err error)
}

const lateFor = 12 * time.Second

// rolloverAfter leaves players the time to begin.
const rolloverAfter = 40 * time.Second

var faults = []fault{
	{name: "late", what: "nothing comes for 12 s, then all of it does", lasts: lateFor, prepare: prepareLossy("late " + lateFor.String())},
	{name: "hole", what: "a segment never comes", prepare: prepareLossy("hole")},
	{name: "epoch", what: "the broadcaster is killed and starts again with the same key", prepare: prepareEpoch},
	{name: "encoder", what: "the encoder is replaced: another size, another profile", prepare: prepareReplace(small, encoding{size: "480x270", rate: "400k", profile: "baseline", offset: "7"})},
	{name: "relay", what: "the relay in use is killed, another is there", prepare: prepareRelay},
	{name: "forward", what: "the encoder's timestamps jump an hour ahead", prepare: prepareReplace(small, small.at(3600))},
	{name: "back", what: "the encoder's timestamps fall back by an hour", prepare: prepareReplace(small.at(3600), small)},
	{name: "rollover", what: "the encoder's timestamps pass 33 bits", after: rolloverAfter, prepare: prepareRollover},
}

// small is enough of a picture for five players on two cores.
var small = encoding{size: "320x180", rate: "300k", profile: "high", offset: "0"}

// at returns the encoding with its timestamps so many seconds later.
func (e encoding) at(seconds float64) encoding {
	e.offset = fmt.Sprintf("%.3f", seconds)
	return e
}

func prepareLossy(command string) func(context.Context, *bench) (string, func(context.Context) error, error) {
	return func(ctx context.Context, b *bench) (string, func(context.Context) error, error) {
		broadcaster, _, err := b.feed(ctx, small, anyLoopback...)
		if err != nil {
			return "", nil, err
		}
		viewer, to, err := b.lossy(ctx, broadcaster.Link)
		if err != nil {
			return "", nil, err
		}
		return viewer.HLS, func(context.Context) error {
			_, err := io.WriteString(to, command+"\n")
			return err
		}, nil
	}
}

func prepareReplace(before, after encoding) func(context.Context, *bench) (string, func(context.Context) error, error) {
	return func(ctx context.Context, b *bench) (string, func(context.Context) error, error) {
		broadcaster, feed, err := b.feed(ctx, before, anyLoopback...)
		if err != nil {
			return "", nil, err
		}
		c, err := b.chainBehind(ctx, broadcaster)
		if err != nil {
			return "", nil, err
		}
		return c.viewer.HLS, func(context.Context) error { return feed.replace(after) }, nil
	}
}

func prepareEpoch(ctx context.Context, b *bench) (string, func(context.Context) error, error) {
	listen, err := fixedListen()
	if err != nil {
		return "", nil, err
	}
	broadcaster, _, err := b.feed(ctx, small, listen...)
	if err != nil {
		return "", nil, err
	}
	c, err := b.chainBehind(ctx, broadcaster)
	if err != nil {
		return "", nil, err
	}
	return c.viewer.HLS, func(ctx context.Context) error {
		broadcaster.kill()
		_, _, err := b.feed(ctx, small, listen...)
		return err
	}, nil
}

func prepareRelay(ctx context.Context, b *bench) (string, func(context.Context) error, error) {
	broadcaster, _, err := b.feed(ctx, small, anyLoopback...)
	if err != nil {
		return "", nil, err
	}
	relays, link, err := b.twoRelays(ctx, broadcaster)
	if err != nil {
		return "", nil, err
	}
	viewer, err := b.grapevine(ctx, nil, "viewer", nil, append([]string{"watch", link}, anyLoopback...)...)
	if err != nil {
		return "", nil, err
	}
	return viewer.HLS, func(ctx context.Context) error {
		given, err := bytesFrom(ctx, viewer)
		if err != nil {
			return err
		}
		victim, _ := byGiven(given, relays)
		victim.kill()
		return nil
	}, nil
}

// prepareRollover has the encoder begin shortly before its timestamps need a 34th bit
// (ISO 13818-1, 2.4.3.6).
func prepareRollover(ctx context.Context, b *bench) (string, func(context.Context) error, error) {
	const wrap = float64(1<<33) / 90000
	// ffmpeg begins a little after its offset.
	hls, _, err := prepareReplace(small.at(wrap-rolloverAfter.Seconds()), small)(ctx, b)
	return hls, nil, err
}
