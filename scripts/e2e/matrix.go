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
	// startWithin is how long players may take until all show pictures.
	startWithin = 60 * time.Second
	// passed is how long after a fault's end the player that is furthest behind live has
	// come to it.
	passed = 18 * time.Second
	// goesOn is how long a player must show pictures again as it did before.
	goesOn = 10 * time.Second
	// giveUp is how long after a fault's end a player is given up.
	giveUp = 60 * time.Second
	// lookEvery is how often all players are asked for their pictures.
	lookEvery = 250 * time.Millisecond
	// fullWindow is how many segments of 2 s a node lists.
	fullWindow = 5
	// faultLimit bounds one fault with all that belongs to it.
	faultLimit = 4 * time.Minute
)

// matrix has players go through each fault at once, and prints how they fared. It reports
// whether all went on.
func (t tools) matrix(ctx context.Context, chosen, with string) (bool, error) {
	var all []string
	for _, f := range faults {
		all = append(all, f.name)
	}
	wanted, err := choose("fault", chosen, all)
	if err != nil {
		return false, err
	}
	names, err := choose("player", with, playerNames)
	if err != nil {
		return false, err
	}
	var list []fault
	for _, f := range faults {
		if slices.Contains(wanted, f.name) {
			list = append(list, f)
		}
	}
	width := 0
	for _, f := range list {
		width = max(width, len(f.name))
	}
	rows := make(map[string][]string)
	ok := true
	for _, f := range list {
		if ctx.Err() != nil {
			return false, nil
		}
		fmt.Printf("%-*s  %s\n", width, f.name, f.what)
		b, err := t.bench(f.name)
		if err != nil {
			return false, err
		}
		verdicts, err := b.runFault(ctx, f, names)
		if err != nil {
			fmt.Printf("%-*s  FAIL: %v\n", width, "", err)
			ok = false
		}
		for _, name := range names {
			v, there := verdicts[name]
			if !there {
				rows[name] = append(rows[name], "not tried")
				continue
			}
			ok = ok && v.ok
			fmt.Printf("%-*s  %-9s %s\n", width, "", name, v)
			rows[name] = append(rows[name], v.short())
		}
	}
	printMatrix(list, names, rows)
	return ok, nil
}

// printMatrix prints a row for each player.
func printMatrix(list []fault, names []string, rows map[string][]string) {
	fmt.Printf("\n%-10s", "")
	for _, f := range list {
		fmt.Printf(" %-10s", f.name)
	}
	fmt.Println()
	for _, name := range names {
		fmt.Printf("%-10s", name)
		for _, cell := range rows[name] {
			fmt.Printf(" %-10s", cell)
		}
		fmt.Println()
	}
	fmt.Println("ok: it shows pictures as before; with the longest time without a new one where that is longer than before")
}

// runFault starts a swarm and all players, has them play, and brings the fault about.
func (b *bench) runFault(ctx context.Context, f fault, names []string) (_ map[string]verdict, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, faultLimit, fmt.Errorf("not done after %v", faultLimit))
	defer cancel()
	defer b.cleanUp()
	defer func() {
		if err != nil {
			fmt.Print(b.logs())
		}
	}()
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

// awaitWindow waits until a playlist is as long as that of a stream that has run for a
// while: from a shorter one, players begin with less in hand.
func awaitWindow(ctx context.Context, hls string) error {
	media, err := mediaURL(ctx, hls)
	if err != nil {
		return err
	}
	for {
		p, err := getPlaylist(ctx, media)
		if err != nil || len(p.segments) >= fullWindow {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lookEvery):
		}
	}
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
