//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// rolesCase has machines broadcast, moderate and relay whose keys the stream's key delegated to, while no
// node runs with the stream's own.
func rolesCase(ctx context.Context, b *bench) (string, error) {
	public, err := b.delegates(ctx)
	if err != nil {
		return "", err
	}
	for _, p := range b.processes { // the rest needs no such company
		select {
		case <-p.done:
		default:
			p.kill()
		}
	}
	private, err := b.moderators(ctx)
	if err != nil {
		return "", fmt.Errorf("a private stream: %w", err)
	}
	return public + "; " + private, nil
}

// delegates has machines broadcast to which a stream's key delegated. The first one's is revoked at the
// relay; the second goes on.
func (b *bench) delegates(ctx context.Context) (string, error) {
	master, err := b.streamOf(ctx, "master")
	if err != nil {
		return "", err
	}
	first, err := b.delegate(ctx, "broadcaster", "studio-1")
	if err != nil {
		return "", err
	}
	broadcaster, err := b.broadcaster(ctx, nil, append([]string{"--delegation", first}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	if broadcaster.Stream != master {
		return "", fmt.Errorf("the stream is %s, want the master key's, %s", broadcaster.Stream, master)
	}
	c, err := b.chainBehind(ctx, broadcaster)
	if err != nil {
		return "", err
	}
	i, err := b.interrupt(ctx, c.viewer.HLS)
	if err != nil {
		return "", err
	}
	ended, err := b.revoke(ctx, "studio-1", c.relay, broadcaster)
	if err != nil {
		return "", err
	}
	// That machine heard, and keeps it in mind.
	bounded, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := output(bounded, b.binary, "broadcast", "--input", "sample:", "--delegation", first, "--json", "--home", filepath.Join(b.dir, "home-broadcaster"))
	if err == nil || !strings.Contains(out, "The broadcasting key of this machine has been revoked.") {
		return "", fmt.Errorf("a revoked key broadcasts again: %v: %s", err, out)
	}

	second, err := b.delegate(ctx, "second", "studio-2")
	if err != nil {
		return "", err
	}
	next, err := b.broadcasterOf(ctx, nil, "second", append([]string{"--delegation", second, "--peer", c.relay.Addrs[0]}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	if next.Stream != master {
		return "", fmt.Errorf("the stream is %s, want the master key's, %s", next.Stream, master)
	}
	listed, err := i.over(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("the revoked machine ended %.1f s after, and is refused; ffmpeg and VLC play on with the next machine's, listed %.1f s after its start, one discontinuity",
		ended.Seconds(), listed.Seconds()), nil
}

// streamOf makes the stream key of a home, and returns its ID.
func (b *bench) streamOf(ctx context.Context, name string) (string, error) {
	out, err := output(ctx, b.binary, "id", "--json", "--home", filepath.Join(b.dir, "home-"+name))
	if err != nil {
		return "", err
	}
	var id struct {
		Stream string `json:"stream"`
	}
	err = json.Unmarshal([]byte(out), &id)
	return id.Stream, err
}

// delegate has the master key delegate to a home's, and returns the file for that.
func (b *bench) delegate(ctx context.Context, to, name string) (string, error) {
	key, err := b.streamOf(ctx, to)
	if err != nil {
		return "", err
	}
	return b.delegateBy(ctx, "master", "broadcast", name, key)
}

// delegateBy has a home's key delegate a role, and returns the file for that.
func (b *bench) delegateBy(ctx context.Context, master, role, name, to string) (string, error) {
	file := filepath.Join(b.dir, name+".delegation")
	_, err := output(ctx, b.binary, "delegate", "create", "--role", role, "--name", name, "--expires", "1h", "--out", file, "--home", filepath.Join(b.dir, "home-"+master), to)
	return file, err
}

// revokeBy has a home's key take a delegation back, and a node hear of it.
func (b *bench) revokeBy(ctx context.Context, master, name string, at *node) error {
	file := filepath.Join(b.dir, name+".revoked")
	if _, err := output(ctx, b.binary, "delegate", "revoke", name, "--out", file, "--home", filepath.Join(b.dir, "home-"+master)); err != nil {
		return err
	}
	_, err := output(ctx, b.binary, "delegate", "import", file, "--home", filepath.Join(b.dir, "home-"+at.name))
	return err
}

// revoke takes a delegation back where no node runs, has a node hear of it, and returns how long the
// delegate went on. It must end by itself, with a sentence.
func (b *bench) revoke(ctx context.Context, name string, at, delegate *node) (time.Duration, error) {
	if err := b.revokeBy(ctx, "master", name, at); err != nil {
		return 0, err
	}
	began := time.Now()
	bounded, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("it goes on"))
	defer cancel()
	if err := delegate.wait(bounded); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if !strings.Contains(b.logs(), "The broadcasting key of this machine has been revoked.") {
		return took, fmt.Errorf("the revoked machine ends without the sentence: %v", delegate.err)
	}
	return took, nil
}
