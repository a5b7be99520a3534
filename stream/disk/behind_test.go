package disk

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// behind returns a store in memory with room for so many parts of 10,000 bytes, and a disk
// behind it.
func behind(t *testing.T, dir string, parts int) (*stream.Store, *opened) {
	t.Helper()
	o := open(t, Config{Dir: dir})
	s := stream.NewStore(int64(parts) * 10_000)
	s.KeepOn(o.Store)
	return s, o
}

func put(s *stream.Store, parts ...part) {
	for _, p := range parts {
		for _, c := range p.chunks {
			s.Put(c)
		}
	}
}

func TestAStoreReadsFromDiskWhatMemoryLetGoOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, key := t.TempDir(), stream.NewKey()
		from := newSource(t, key, "main", 1)
		s, disk := behind(t, dir, 2)
		parts := several(10, func() part { return from.part(10_000) })
		put(s, parts...)
		disk.settle(t)
		check := func(s *stream.Store) {
			t.Helper()
			for i, p := range parts {
				id := p.header.ID()
				if got := bytes.Join(s.Part(id), nil); !bytes.Equal(got, bytes.Join(p.data(), nil)) {
					t.Errorf("part %d is read as %d bytes", i, len(got))
				}
				if !s.Whole(id) || s.Have(id).Count() != len(p.chunks) || !s.Lasting([]*stream.SignedHeader{p.header}, 0.1) {
					t.Errorf("part %d does not count as held", i)
				}
				if !bytes.Equal(s.Chunk(id, 1), p.chunks[1].Data()) || s.Chunk(id, len(p.chunks)) != nil || s.Chunk(id, -1) != nil {
					t.Errorf("part %d: its chunks are not those that it has", i)
				}
			}
		}
		check(s)
		first := parts[0].header.ID()
		if s.ChunkInMemory(first, 0) != nil {
			t.Error("the first part is still in memory")
		}
		s.Warm([]*stream.SignedHeader{parts[0].header})
		if !bytes.Equal(s.ChunkInMemory(first, 0), parts[0].chunks[0].Data()) {
			t.Error("the first part was not read into memory")
		}
		if st := s.Stats(); st.Bytes > st.Limit || st.Capacity() != MinSize || st.Disk == nil {
			t.Errorf("figures %+v", st)
		}
		disk.stop()
		s, _ = behind(t, dir, 2)
		check(s)
	})
}

// TestAPartMayBeInMemoryAndOnDisk has a chunk damaged on disk, and fetched again.
func TestAPartMayBeInMemoryAndOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, key := t.TempDir(), stream.NewKey()
		from := newSource(t, key, "main", 1)
		s, disk := behind(t, dir, 2)
		parts := several(2, func() part { return from.part(10_000) })
		put(s, parts...)
		disk.stop()
		flip(t, volumeFiles(t, dir)[1], 4096+5)
		s, disk = behind(t, dir, 2)
		id := parts[0].header.ID()
		if s.Part(id) != nil || s.Whole(id) || s.Chunk(id, 1) != nil || s.Chunk(id, 0) == nil {
			t.Fatal("the damaged chunk is served, or the others are not")
		}
		s.PutPast(parts[0].chunks[1])
		if got := s.Part(id); !slices.EqualFunc(got, parts[0].data(), bytes.Equal) {
			t.Error("with the chunk in memory the part is not whole")
		}
		disk.settle(t)
		s.Drop(key.ID())
		if got := s.Part(id); !slices.EqualFunc(got, parts[0].data(), bytes.Equal) || disk.Stats().Damaged != 1 {
			t.Errorf("the chunk was not written to its place; %d were damaged", disk.Stats().Damaged)
		}
	})
}

func TestATimelineBeginsWithWhatIsOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, key := t.TempDir(), stream.NewKey()
		from := newSource(t, key, "main", 1)
		s, disk := behind(t, dir, 2)
		before := stream.NewTimeline(key.ID(), "main")
		before.Retain(0, s)
		parts := append(several(700, func() part { return from.part(100) }), from.end())
		for _, p := range parts {
			put(s, p)
			if err := before.Add(p.header, time.Now()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		disk.stop()

		s, _ = behind(t, dir, 2)
		after := stream.NewTimeline(key.ID(), "main")
		after.Retain(0, s)
		if got := after.Restore(time.Now()); len(got) == 0 || len(got) >= 701 || !after.Ended() || after.Len() != len(got) {
			t.Fatalf("%d headers are restored, %d are in the timeline, ended %t", len(got), after.Len(), after.Ended())
		}
		held := []stream.Span{{Epoch: 1, First: 0, Last: 349}}
		if got := after.Held(s, 0); !slices.Equal(got, held) {
			t.Errorf("segments %v are held, want all", got)
		}
		// Peers get what is not in memory.
		old := after.Before(stream.Position{Epoch: 1, Segment: 10}, stream.Position{Epoch: 1, Segment: 2}, 10)
		if len(old) != 10 || old[0].Position != parts[10].header.Position || old[9].Position != parts[19].header.Position {
			t.Errorf("%d headers before segment 10, want the last 10", len(old))
		}
		if got := after.Before(stream.Position{Epoch: 2}, stream.Position{}, 1000); len(got) != 701 {
			t.Errorf("%d headers in all, want 701", len(got))
		}
		if since := parts[100].header.ProgramTime; !after.Recall(since, 0) || after.From(stream.Position{})[0].ProgramTime.After(since) {
			t.Error("what is since a time was not read")
		}
		if !after.Recall(time.Time{}, 0) || after.Len() != 701 {
			t.Errorf("%d headers are in the timeline, want 701", after.Len())
		}
		if other := stream.NewTimeline(key.ID(), "other"); other.Recall(time.Time{}, 0) || other.Restore(time.Now()) != nil {
			t.Error("there is something of another rendition")
		}
	})
}
