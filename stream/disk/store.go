package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// MinSize is the least bound in bytes: a minute of 8 Mbit/s, and many volumes.
	MinSize = 64 << 20

	lockName   = ".lock"
	formatName = "format"
	// format is what the file of that name says.
	format = "grapevine cache 1\n"

	// A volume is as large as a part of the bound, so that letting go of one takes little.
	volumesInSize = 128
	leastVolume   = 1 << 20
	mostVolume    = 64 << 20
)

var (
	// ErrBusy says that another process has the directory.
	ErrBusy = errors.New("another process has this directory")
	// ErrVersion is wrapped by [VersionError].
	ErrVersion = errors.New("the directory is of another version")
)

// VersionError says that a directory was written by another version of this package, which
// this one cannot read.
type VersionError struct{ Dir, Found string }

func (e *VersionError) Error() string { return fmt.Sprintf("%s: %v: %q", e.Dir, ErrVersion, e.Found) }
func (e *VersionError) Unwrap() error { return ErrVersion }

// Config configures a [Store].
type Config struct {
	// Dir is where it keeps everything. It is made if it is not there.
	Dir string
	// Size bounds the files in bytes, at least [MinSize].
	Size int64
	// Changed is called when the disk refuses what is written, with the reason, and with nil
	// when it takes it again. It is not called again for the same. nil if nobody wants to know.
	Changed func(error)

	// Tests have their own.
	files  files // nil means the machine's
	queued int64 // bytes that may wait; 0 means maxQueued
	small  bool  // volumes and the bound may be
}

// Store keeps whole parts in files. It implements [stream.Disk].
type Store struct {
	cfg        Config
	volumeSize int64
	lock       *flock.Flock
	queue      *queue

	// Of the writer.
	refused  time.Time // when the disk last refused something; zero if it does not
	payload  []byte    // reused
	scratch  []byte    // likewise
	deadline time.Time // after which what waits is given up; zero while the store runs

	mu      sync.Mutex // guards all following; never held while the disk is waited for
	streams map[stream.ID]*catalogue
	bytes   int64                            // of all volumes
	leaving map[float64]map[stream.ID]uint64 // see firstLasting; cleared when volumes come or go
	stats   stream.DiskStats
}

var _ stream.Disk = (*Store)(nil)

// Open makes the directory, or reads what is in it: the index alone, no part. It keeps other
// processes out until Close. It starts nothing. Errors wrap [ErrBusy], [ErrVersion] or those
// of package os.
func Open(cfg Config) (*Store, error) {
	if cfg.Size < MinSize && !cfg.small {
		return nil, fmt.Errorf("disk: a bound of %d bytes, want at least %d", cfg.Size, MinSize)
	}
	if cfg.Changed == nil {
		cfg.Changed = func(error) {}
	}
	if cfg.files == nil {
		cfg.files = machine{}
	}
	if cfg.queued == 0 {
		cfg.queued = maxQueued
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	cfg.Dir = dir
	if err := cfg.files.MkdirAll(dir); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, lockName), flock.SetPermissions(fileMode))
	if ok, err := lock.TryLock(); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	} else if !ok {
		return nil, fmt.Errorf("%w: %s", ErrBusy, dir)
	}
	s := &Store{
		cfg:        cfg,
		volumeSize: min(max(cfg.Size/volumesInSize, leastVolume), mostVolume),
		lock:       lock,
		queue:      newQueue(cfg.queued),
		streams:    make(map[stream.ID]*catalogue),
		leaving:    make(map[float64]map[stream.ID]uint64),
	}
	if cfg.small {
		s.volumeSize = cfg.Size / volumesInSize
	}
	s.stats.Dir, s.stats.Limit = dir, cfg.Size
	if err := s.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// Close lets other processes into the directory. It is to be called after Run has returned.
func (s *Store) Close() error { return s.lock.Close() }

// load reads what earlier runs left.
func (s *Store) load() error {
	if err := checkVersion(s.cfg.files, s.cfg.Dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, err := stream.ParseID(e.Name())
		if err != nil || !e.IsDir() {
			continue // not of this package
		}
		if err := s.loadStream(id, filepath.Join(s.cfg.Dir, e.Name())); err != nil {
			return err
		}
	}
	return s.makeRoom(0, nil) // the bound may be less than last time
}

func (s *Store) loadStream(id stream.ID, dir string) error {
	found, err := numbers(dir)
	if err != nil {
		return err
	}
	c := newCatalogue(id, dir)
	for n := range found {
		c.volumes = append(c.volumes, volumeAt(dir, n))
		c.next = max(c.next, n+1)
	}
	slices.SortFunc(c.volumes, func(a, b *volume) int { return int(int64(a.number) - int64(b.number)) })
	kept := c.volumes[:0]
	for _, v := range c.volumes {
		records, damaged, usable, err := v.read()
		if err != nil {
			return err
		}
		s.stats.Damaged += int64(damaged)
		if !usable {
			if err := v.remove(s.cfg.files); err != nil {
				return err
			}
			continue
		}
		for i := range records {
			c.add(&records[i], v)
		}
		kept = append(kept, v)
		c.bytes += v.bytes()
		s.bytes += v.bytes()
	}
	if c.volumes = kept; len(kept) == 0 {
		_ = s.cfg.files.Remove(dir) // unless somebody keeps something else there
		return nil
	}
	s.streams[id] = c
	return nil
}

// Keep implements [stream.Disk].
func (s *Store) Keep(h *stream.SignedHeader, chunks [][]byte) {
	if e := s.Have(h.ID()); e != nil {
		return // fetched once more, because memory had let go of it
	}
	if !s.queue.put(job{header: h, chunks: chunks}) {
		s.count(func(n *stream.DiskStats) { n.Slow++ })
	}
}

// Mend implements [stream.Disk]. What finds no room is mended when it is fetched again.
func (s *Store) Mend(c stream.Chunk) {
	h := c.Header()
	s.mu.Lock()
	e := s.entryLocked(h.ID())
	damaged := e != nil && e.bad.Get(c.Index())
	s.mu.Unlock()
	if damaged {
		s.queue.put(job{header: h, mend: &c})
	}
}

// Have implements [stream.Disk].
func (s *Store) Have(id stream.PartID) stream.Bitmap {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entryLocked(id); e != nil {
		return e.have()
	}
	return nil
}

// Lasting implements [stream.Disk].
func (s *Store) Lasting(id stream.PartID, share float64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entryLocked(id)
	return e != nil && e.whole() && e.volume.number >= s.firstLastingLocked(id.Stream, share)
}

// Held implements [stream.Disk].
func (s *Store) Held(id stream.ID, rendition string, share float64) []stream.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.streams[id]; c != nil {
		return c.held(rendition, s.firstLastingLocked(id, share))
	}
	return nil
}

// Renditions implements [stream.Disk].
func (s *Store) Renditions(id stream.ID) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.streams[id]
	if c == nil {
		return nil
	}
	c.used = time.Now()
	clear(s.leaving)
	return c.renditions()
}

// Stats implements [stream.Disk].
func (s *Store) Stats() stream.DiskStats {
	waiting := s.queue.waiting()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Bytes, out.Waiting = s.bytes, waiting
	return out
}

func (s *Store) entryLocked(id stream.PartID) *entry {
	if c := s.streams[id.Stream]; c != nil {
		return c.entry(id.Rendition, id.Position)
	}
	return nil
}

func (s *Store) count(f func(*stream.DiskStats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.stats)
}
