package disk

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// retryEvery is how soon a disk that refused something is tried again.
	retryEvery = 5 * time.Second
	// restAfter is how long nothing comes of a stream before its volume that grows ends, and with
	// it the files that are open for it. What comes later begins another.
	restAfter = time.Minute
	// drainFor is how long what waits is written once the node ends.
	drainFor = time.Second
)

// Run writes what waits until ctx ends, and then for at most a second more. It is to be called
// once.
func (s *Store) Run(ctx context.Context) error {
	ticker := time.NewTicker(restAfter)
	defer ticker.Stop()
	var resting error // the first
	for ctx.Err() == nil {
		s.drain(ctx)
		select {
		case <-ctx.Done():
		case <-s.queue.ready:
		case now := <-ticker.C:
			err := s.end(func(g *growing) bool { return now.Sub(g.written) >= restAfter })
			if resting == nil {
				resting = err
			}
		}
	}
	s.drain(ctx)
	return errors.Join(resting, s.end(func(*growing) bool { return true }))
}

// drain writes all that waits.
func (s *Store) drain(ctx context.Context) {
	for {
		j, ok := s.queue.take()
		if !ok {
			return
		}
		now := time.Now()
		if ctx.Err() != nil && s.deadline.IsZero() {
			s.deadline = now.Add(drainFor)
		}
		switch {
		case !s.deadline.IsZero() && now.After(s.deadline):
			s.lost(j, func(n *stream.DiskStats) { n.Slow++ })
		case !s.refused.IsZero() && now.Sub(s.refused) < retryEvery:
			s.lost(j, func(n *stream.DiskStats) { n.Failed++ })
		default:
			s.do(j, now)
		}
	}
}

// lost counts a part that is not kept. A chunk that is not mended stays damaged, which is
// counted already.
func (s *Store) lost(j job, count func(*stream.DiskStats)) {
	if j.mend == nil {
		s.count(count)
	}
}

// do writes what a job has, and tells when the disk begins to refuse that and when it ends.
func (s *Store) do(j job, now time.Time) {
	var err error
	if j.mend != nil {
		err = s.mend(*j.mend)
	} else {
		err = s.write(j.header, j.chunks)
	}
	was := s.refused
	if s.refused = (time.Time{}); err != nil {
		s.refused = now
		s.lost(j, func(n *stream.DiskStats) { n.Failed++ })
	}
	if was.IsZero() == s.refused.IsZero() {
		return
	}
	s.count(func(n *stream.DiskStats) {
		if n.Error = ""; err != nil {
			n.Error = err.Error()
		}
	})
	s.cfg.Changed(err)
}

// write writes a part, in the stream's newest volume or in the next.
func (s *Store) write(h *stream.SignedHeader, chunks [][]byte) error {
	s.mu.Lock()
	c := s.streams[h.Stream]
	if c == nil {
		c = newCatalogue(h.Stream, filepath.Join(s.cfg.Dir, h.Stream.String()))
		s.streams[h.Stream] = c
	}
	c.used = time.Now()
	known := c.entry(h.Rendition, h.Position) != nil
	s.mu.Unlock()
	if known {
		return nil // it came twice before it was written
	}
	if g := c.growing; g != nil && (g.parts >= s.volumeSize || g.index >= maxIndex) {
		c.growing = nil
		if err := g.close(); err != nil {
			return err
		}
	}
	need := int64(h.Size + maxRecord)
	if c.growing == nil {
		if err := s.makeRoom(need, nil); err != nil {
			return err
		}
		if err := s.begin(c); err != nil {
			return err
		}
	} else if err := s.makeRoom(need, c.growing.volume); err != nil {
		return err
	}
	return s.add(c, h, chunks)
}

// begin begins a stream's next volume.
func (s *Store) begin(c *catalogue) error {
	if err := s.cfg.files.MkdirAll(c.dir); err != nil {
		return err
	}
	s.mu.Lock()
	s.streams[c.id] = c // it may have been dropped to make room for this
	v := volumeAt(c.dir, c.next)
	c.next++ // even if it fails, as files may be left of it
	s.mu.Unlock()
	g, err := v.grow(s.cfg.files)
	if err != nil {
		return err
	}
	c.growing = g
	s.mu.Lock()
	defer s.mu.Unlock()
	c.volumes = append(c.volumes, v)
	clear(s.leaving)
	return nil
}

// add writes a part into the stream's growing volume, and only then notes it.
func (s *Store) add(c *catalogue, h *stream.SignedHeader, chunks [][]byte) error {
	s.payload = s.payload[:0]
	for _, chunk := range chunks {
		s.payload = append(s.payload, chunk...)
	}
	r := recordOf(h)
	if s.scratch == nil {
		s.scratch = make([]byte, 0, maxRecord)
	}
	if err := c.growing.add(r, s.payload, s.scratch); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := c.growing.volume
	parts, index := int64(len(s.payload)), r.headerAt+int64(len(r.header))-v.index
	v.parts += parts
	v.index += index
	c.growing.written = time.Now()
	c.bytes += parts + index
	s.bytes += parts + index
	s.stats.Written += parts + index
	c.add(r, v)
	return nil
}

// mend writes a chunk to where it was damaged.
func (s *Store) mend(chunk stream.Chunk) error {
	h, i := chunk.Header(), chunk.Index()
	s.mu.Lock()
	e := s.entryLocked(h.ID())
	if e == nil || !e.bad.Get(i) || h.Size != int(e.size) || h.ChunkSize != int(e.chunkSize) {
		s.mu.Unlock()
		return nil // let go of meanwhile
	}
	v, at := e.volume, e.offset+int64(i*h.ChunkSize)
	s.mu.Unlock()
	f, err := s.cfg.files.Change(v.path + partsSuffix)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(chunk.Data(), at); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Written += int64(len(chunk.Data()))
	if e := s.entryLocked(h.ID()); e != nil && e.volume == v {
		if e.bad.Clear(i); e.bad.Count() == 0 {
			e.bad = nil
		}
	}
	return nil
}

// end ends those volumes that grow which are chosen.
func (s *Store) end(chosen func(*growing) bool) error {
	s.mu.Lock()
	var all []*growing
	for _, c := range s.streams {
		if c.growing != nil && chosen(c.growing) {
			all = append(all, c.growing)
			c.growing = nil
		}
	}
	s.mu.Unlock()
	var first error
	for _, g := range all {
		if err := g.close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
