//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// passed is how long after a fault's end the player that is furthest behind live has
	// come to it.
	passed = 18 * time.Second
	// giveUp is how long after a fault's end a player is given up.
	giveUp = 60 * time.Second
	// faultLimit bounds one fault with all that belongs to it.
	faultLimit = 4 * time.Minute
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

// faultPlayers are those that go through faults.
var faultPlayers = []string{"vlc", "ffmpeg", "mpv", "gstreamer", lowLatencyPlayer, rewindingPlayer}

// faultMatrix has players go through faults.
func (t tools) faultMatrix(ctx context.Context, chosen, with string) (bool, error) {
	wanted, err := choose("fault", chosen, namesOf(faults, func(f fault) string { return f.name }))
	if err != nil {
		return false, err
	}
	players, err := choose("player", with, faultPlayers)
	if err != nil {
		return false, err
	}
	var trials []trial
	for _, f := range faults {
		if slices.Contains(wanted, f.name) {
			trials = append(trials, trial{f.name, f.what, func(ctx context.Context, b *bench) (map[string]verdict, error) {
				return b.runFault(ctx, f, players)
			}})
		}
	}
	return t.matrix(ctx, trials, players, "ok: it shows pictures as before; with the longest time without a new one where that is longer than before")
}

// small is enough of a picture for six players on two cores.
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

// runFault starts a swarm and all players, has them play, and brings the fault about.
func (b *bench) runFault(ctx context.Context, f fault, names []string) (map[string]verdict, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, faultLimit, fmt.Errorf("not done after %v", faultLimit))
	defer cancel()
	began := time.Now()
	hls, strike, err := f.prepare(ctx, b)
	if err != nil {
		return nil, err
	}
	if err := awaitWindow(ctx, hls); err != nil {
		return nil, err
	}
	players, err := b.players(names, hls)
	if err != nil {
		return nil, err
	}
	watch := newWatch(players)
	if err := watch.until(ctx, time.Now().Add(startWithin), watch.allShow); err != nil {
		return nil, fmt.Errorf("before the fault: %w", err)
	}
	calm := time.Now()
	at := calm.Add(goesOn)
	if f.after > 0 {
		at = began.Add(f.after)
		if at.Before(calm.Add(goesOn / 2)) {
			return nil, errors.New("the players took so long to begin that the fault came first")
		}
	}
	if err := watch.until(ctx, at, nil); err != nil {
		return nil, err
	}
	if strike != nil {
		if err := strike(ctx); err != nil {
			return nil, fmt.Errorf("bring the fault about: %w", err)
		}
	}
	over := at.Add(f.lasts)
	done := func() bool {
		now := time.Now()
		return now.After(over.Add(passed+goesOn)) && !slices.ContainsFunc(players, func(p *player) bool {
			return !p.ended() && !judge(p.seen, calm, at, now).ok
		})
	}
	if err := watch.until(ctx, over.Add(giveUp), done); err != nil {
		return nil, err
	}
	verdicts := make(map[string]verdict)
	for _, p := range players {
		if err := writeSeen(filepath.Join(b.dir, p.name+".seen"), p.seen, at); err != nil {
			return nil, err
		}
		v := judge(p.seen, calm, at, time.Now())
		if !v.ok {
			v.why = errors.Join(errors.New(v.text), p.trouble())
		}
		verdicts[p.name] = v
	}
	return verdicts, nil
}

// feed is an encoder whose output a broadcaster reads, and that can be replaced.
type feed struct {
	b       *bench
	to      *os.File
	encoder *process
}

// feed starts an encoder and a broadcaster.
func (b *bench) feed(ctx context.Context, e encoding, args ...string) (*node, *feed, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	b.cleanups = append(b.cleanups, func() { w.Close() })
	f := &feed{b: b, to: w}
	if f.encoder, err = b.encoder(nil, e, "pipe:1", w); err != nil {
		return nil, nil, err
	}
	n, err := b.grapevine(ctx, nil, "broadcaster", r, append([]string{"broadcast", "--input", "-"}, args...)...)
	return n, f, err
}

// replace ends the encoder within whatever it is writing, and starts another.
func (f *feed) replace(e encoding) (err error) {
	f.encoder.kill()
	f.encoder, err = f.b.encoder(nil, e, "pipe:1", f.to)
	return err
}

// lossy starts a viewer that loses what it is told to.
func (b *bench) lossy(ctx context.Context, link string) (*node, io.Writer, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	b.cleanups = append(b.cleanups, func() { w.Close() })
	cmd := inNamespace(nil).command(filepath.Join(filepath.Dir(b.binary), "lossy"), "-link", link)
	n, err := b.startNode(ctx, "lossy", r, cmd)
	return n, w, err
}
