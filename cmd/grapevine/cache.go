package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/disk"
)

// defaultCacheSize is two and a half hours of 8 Mbit/s.
const defaultCacheSize = "10GB"

// cacheFlags returns the flags of commands whose nodes may keep streams on a disk.
func cacheFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cache-dir", Usage: "keep streams in `DIR`, too, where the next run finds them"},
		&cli.StringFlag{Name: "cache-size", Usage: "keep at most `SIZE` of streams in the directory", DefaultText: defaultCacheSize},
	}
}

// readCache reads what a node keeps of streams, and where.
func readCache(c *cli.Context, set *settings) (err error) {
	if set.cache, err = parseBytes(c.String("cache-memory")); err != nil || set.cache < minCache {
		return badFlag("cache-memory", c.String("cache-memory"), "an amount looks like 256MB or 1GiB; at least "+formatBytes(minCache)+" are needed")
	}
	set.cacheDir = c.String("cache-dir")
	switch {
	case c.IsSet("cache-dir") && set.cacheDir == "":
		return badFlag("cache-dir", set.cacheDir, "name the directory to keep streams in")
	case c.IsSet("cache-size") && set.cacheDir == "":
		return &usageError{"--cache-size bounds a directory, and there is none.", "name it with --cache-dir DIR; --cache-memory bounds what is kept in memory"}
	case set.cacheDir == "":
		return nil
	}
	if set.cacheSize, err = parseBytes(cmp.Or(c.String("cache-size"), defaultCacheSize)); err != nil || set.cacheSize < disk.MinSize {
		return badFlag("cache-size", c.String("cache-size"), "an amount looks like 20GB or 500MB; at least "+formatBytes(disk.MinSize)+" are needed")
	}
	return nil
}

// cacheError is about the directory of --cache-dir.
type cacheError struct {
	dir string
	err error
}

func (e *cacheError) Error() string { return fmt.Sprintf("cache in %s: %v", e.dir, e.err) }
func (e *cacheError) Unwrap() error { return e.err }

// diskCache is a disk behind a node's memory, written to until it is closed.
type diskCache struct {
	store *disk.Store
	stop  context.CancelFunc
	ended chan error
}

// openCache opens the directory of --cache-dir; without the flag there is none.
func openCache(set settings, scr *screen, log *slog.Logger) (*diskCache, error) {
	if set.cacheDir == "" {
		return nil, nil
	}
	store, err := disk.Open(disk.Config{
		Dir:     set.cacheDir,
		Size:    set.cacheSize,
		Changed: func(err error) { tellCache(set.cacheDir, err, scr, log) },
	})
	if err != nil {
		return nil, &cacheError{set.cacheDir, err}
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &diskCache{store, stop, make(chan error, 1)}
	go func() { c.ended <- store.Run(ctx) }()
	return c, nil
}

// tellCache tells that the disk refuses what is to be kept, or takes it again.
func tellCache(dir string, err error, scr *screen, log *slog.Logger) {
	e := cacheEvent{Event: "cache", Dir: dir}
	if err != nil {
		e.Error = system(err)
		log.Warn("the cache's disk refuses what is to be kept; it goes on in memory, and is tried again", "dir", dir, "err", err)
		scr.say("Nothing can be kept in %s: %s. This goes on from memory until it can.", dir, e.Error)
	} else {
		log.Info("the cache's disk takes what is to be kept again", "dir", dir)
		scr.say("Streams are kept in %s again.", dir)
	}
	scr.event(e)
}

// close writes what waits, and lets other nodes into the directory. Nothing may be kept any
// more.
func (c *diskCache) close() error {
	if c == nil {
		return nil
	}
	c.stop()
	err := <-c.ended
	if closeErr := c.store.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("end the cache: %w", err)
	}
	return nil
}

// newStore returns what keeps a node's streams: in memory, and behind that on a disk if there
// is one.
func newStore(memory int64, on *diskCache) *stream.Store {
	s := stream.NewStore(memory)
	if on != nil {
		s.KeepOn(on.store)
	}
	return s
}

// keepingFact says how much a node keeps.
func keepingFact(st stream.StoreStats) string {
	fact := "keeping " + formatBytes(st.Bytes)
	switch d := st.Disk; {
	case d == nil:
	case d.Error != "":
		fact += " (" + formatBytes(d.Bytes) + " on a disk that takes no more)"
	default:
		fact += " (" + formatBytes(d.Bytes) + " on disk)"
	}
	return fact
}
