//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// cacheDisk is how large the disk of the case's cache is, in bytes: half a minute of the
	// stream.
	cacheDisk = 4 << 20
	// cacheSome is what is to be written before something happens: two segments or so.
	cacheSome = 450_000
	// cacheEnd is more than a viewer begins with: it needs three segments in a row there.
	cacheEnd = 1_200_000
)

// cacheDirCase kills a relay that keeps the stream on a disk, while it writes, fills the disk, and
// changes what is on it. At last there is neither the broadcaster nor anybody else who saw the
// stream, and a viewer comes and rewinds.
func cacheDirCase(ctx context.Context, b *bench) (string, error) {
	dir, err := b.smallDisk(ctx)
	if err != nil {
		return "", err
	}
	broadcaster, err := b.broadcaster(ctx, nil, anyLoopback...)
	if err != nil {
		return "", err
	}
	start := func() (*node, error) {
		return b.grapevine(ctx, nil, "relay", nil, append([]string{"relay", broadcaster.Link, "--cache-dir", filepath.Join(dir, "cache"), "--cache-size", "100MB"}, anyLoopback...)...)
	}
	relay, err := start()
	if err != nil {
		return "", err
	}
	for range 2 {
		if _, err := relay.await(ctx, "that it writes", func(s stats) bool { return s.Disk.Written >= cacheSome }); err != nil {
			return "", err
		}
		relay.kill()
		if relay, err = start(); err != nil {
			return "", err
		}
	}
	if st, err := relay.await(ctx, "that it goes on writing", func(s stats) bool { return s.Disk.Written >= cacheSome }); err != nil || st.Disk.Bytes < 3*cacheSome {
		return "", fmt.Errorf("%d bytes are on disk after two kills: %w", st.Disk.Bytes, err)
	}
	refused, err := fullDisk(ctx, relay, dir)
	if err != nil {
		return "", err
	}
	all, err := segmentSums(ctx, broadcaster)
	if err != nil {
		return "", err
	}
	relay.kill()
	broadcaster.kill()
	places, err := flipped(filepath.Join(dir, "cache"))
	if err != nil {
		return "", err
	}
	if relay, err = start(); err != nil {
		return "", err
	}
	viewer, err := b.grapevine(ctx, nil, "viewer", nil, append([]string{"watch", relay.Link}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	same, lost, err := sameAs(ctx, viewer, all)
	if err != nil {
		return "", err
	}
	st, err := relay.await(ctx, "what is damaged", func(s stats) bool { return s.Disk.Damaged > 0 })
	switch {
	case err != nil:
		return "", err
	case st.Disk.Damaged > places || lost > places:
		return "", fmt.Errorf("%d bytes were changed, and %d chunks count as damaged, %d segments were not to be had", places, st.Disk.Damaged, lost)
	case same < 6: // 14 or so were sent; two are damaged, and the full disk and the kills cost some
		return "", fmt.Errorf("the viewer has %d segments of the %d that were sent", same, len(all))
	}
	return fmt.Sprintf("%d parts found no room on a full disk, %d bytes were changed; the viewer has %d of %d segments, all as they were sent", refused, places, same, len(all)), nil
}

// smallDisk makes a disk of its own.
func (b *bench) smallDisk(ctx context.Context) (string, error) {
	if os.Geteuid() != 0 {
		return "", errors.New("a disk cannot be made here; run as root: sudo scripts/e2e.sh cachedir")
	}
	dir := filepath.Join(b.dir, "disk")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", cacheDisk)); err != nil {
		return "", fmt.Errorf("make a disk of %d bytes: %w", cacheDisk, err)
	}
	b.cleanups = append(b.cleanups, func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir, nil
}

// fullDisk fills the disk until the node says so, and empties it again. It returns how many
// parts found no room.
func fullDisk(ctx context.Context, relay *node, dir string) (refused int64, err error) {
	filler := filepath.Join(dir, "filler")
	data := make([]byte, cacheDisk)
	if err := os.WriteFile(filler, data, 0o600); !errors.Is(err, syscall.ENOSPC) {
		return 0, fmt.Errorf("the disk of %d bytes was to be filled: %v", cacheDisk, err)
	}
	media, err := rewinding(ctx, relay)
	if err != nil {
		return 0, err
	}
	before, err := getPlaylist(ctx, media)
	if err != nil {
		return 0, err
	}
	st, err := relay.await(ctx, "that the disk is full", func(s stats) bool { return s.Disk.Failed > 3 })
	if err != nil {
		return 0, err
	}
	if st.Disk.Error == "" || relay.cacheEvents() != 1 {
		return 0, fmt.Errorf("of a full disk it says %q, in %d events", st.Disk.Error, relay.cacheEvents())
	}
	if err := awaitPlaylist(ctx, media, func(p *playlist) bool { return p.duration >= before.duration+4 }); err != nil {
		return 0, fmt.Errorf("with a full disk the stream does not go on: %w", err)
	}
	if err := os.Remove(filler); err != nil {
		return 0, err
	}
	st, err = relay.await(ctx, "that there is room again", func(s stats) bool { return s.Disk.Error == "" })
	if err != nil {
		return 0, err
	}
	written := st.Disk.Written
	if _, err := relay.await(ctx, "that it writes again", func(s stats) bool { return s.Disk.Written >= written+cacheEnd }); err != nil {
		return 0, err
	}
	if n := relay.cacheEvents(); n != 2 {
		return 0, fmt.Errorf("of a disk that was full once there are %d events", n)
	}
	return st.Disk.Failed, nil
}

// segmentSums returns the sums of all that a node lists for who rewinds, by name.
func segmentSums(ctx context.Context, n *node) (map[string][sha256.Size]byte, error) {
	media, err := rewinding(ctx, n)
	if err != nil {
		return nil, err
	}
	p, err := getPlaylist(ctx, media)
	if err != nil {
		return nil, err
	}
	sums := make(map[string][sha256.Size]byte)
	for _, s := range p.segments {
		data, err := get(ctx, segmentURL(media, s.uri))
		if err != nil {
			return nil, err
		}
		sums[s.uri] = sha256.Sum256(data)
	}
	return sums, nil
}

func segmentURL(media, name string) string { return media[:strings.LastIndex(media, "/")+1] + name }

// flipped changes a byte in each of the first two volumes, long before what a viewer begins
// with, and returns how many that were.
func flipped(dir string) (n int64, err error) {
	volumes, err := filepath.Glob(filepath.Join(dir, "*", "*.parts"))
	if err != nil {
		return 0, err
	}
	for _, v := range volumes[:min(2, len(volumes))] {
		data, err := os.ReadFile(v)
		if err != nil {
			return n, err
		}
		data[len(data)/2] ^= 1
		if err := os.WriteFile(v, data, 0o600); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// sameAs has a viewer rewind to all that it can, and returns how many segments are what was
// sent, and how many were not to be had. Any other is an error.
func sameAs(ctx context.Context, viewer *node, sent map[string][sha256.Size]byte) (same int, lost int64, err error) {
	media, err := rewinding(ctx, viewer)
	if err != nil {
		return 0, 0, err
	}
	p, err := getPlaylist(ctx, media)
	if err != nil {
		return 0, 0, err
	}
	for _, s := range p.segments {
		bound, cancel := context.WithTimeout(ctx, 20*time.Second)
		data, err := get(bound, segmentURL(media, s.uri))
		cancel()
		want, known := sent[s.uri]
		switch {
		case err != nil && strings.Contains(err.Error(), "404"):
			lost++
		case err != nil:
			return same, lost, err
		case known && sha256.Sum256(data) != want:
			return same, lost, fmt.Errorf("segment %s is not as it was sent", s.uri)
		case known:
			same++
		}
	}
	return same, lost, nil
}
