package disk

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// unsynced is the machine's files, without the wait for the disk at the end of each volume.
type unsynced struct{ machine }

func (d unsynced) Create(path string) (file, error) {
	f, err := d.machine.Create(path)
	return unsyncedFile{f}, err
}

type unsyncedFile struct{ file }

func (unsyncedFile) Sync() error { return nil }

const smallPart = 4000

// small is a store of 128 volumes of two small parts.
func small(dir string) Config {
	return Config{Dir: dir, Size: volumesInSize * 2 * smallPart, small: true, files: unsynced{}}
}

func TestTheOldestIsLetGoAndTheBoundHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		from := newSource(t, stream.NewKey(), "main", 1)
		s := open(t, small(dir))
		var parts []part
		for i := range 400 {
			p := from.part(smallPart)
			parts = append(parts, p)
			s.keep(t, p)
			if i%7 > 0 {
				continue
			}
			if n := onDisk(t, dir); n > s.cfg.Size || n != s.Stats().Bytes {
				t.Fatalf("%d bytes in files, %d are counted, %d are the bound", n, s.Stats().Bytes, s.cfg.Size)
			}
		}
		held := 0
		for i, p := range parts {
			if s.Have(p.header.ID()) == nil {
				if held > 0 {
					t.Fatalf("part %d was let go, and an older one was not", i)
				}
				continue
			}
			held++
		}
		if held < 200 {
			t.Errorf("%d of 400 parts are held, and there is room for some 220", held)
		}
		wantHeld(t, s.Store, parts[400-held:]...)
		last := parts[399].header.ID()
		if !s.Lasting(last, 0.5) || s.Lasting(last, 1) || s.Lasting(parts[400-held].header.ID(), 0.1) {
			t.Error("it is not told what will be there when half, or all, has come anew")
		}
		s.stop()
		// The next run has less room.
		cfg := small(dir)
		cfg.Size /= 2
		if s = open(t, cfg); onDisk(t, dir) > cfg.Size {
			t.Errorf("%d bytes in files, %d are the bound", onDisk(t, dir), cfg.Size)
		}
		wantHeld(t, s.Store, parts[350:]...)
	})
}

func TestAStreamOfWhichNothingIsLeftLeavesNoDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cfg := small(dir)
		s := open(t, cfg)
		var last *source
		for range 400 { // each with a volume, and there is room for some 220
			last = newSource(t, stream.NewKey(), "main", 1)
			s.keep(t, last.part(smallPart))
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if n := int64(len(entries)); n > 2+cfg.Size/smallPart {
			t.Errorf("%d entries in the directory, and there is room for the parts of %d streams", n, cfg.Size/smallPart)
		}
		s.mu.Lock()
		known := len(s.streams)
		s.mu.Unlock()
		if known > len(entries) {
			t.Errorf("%d streams are remembered, of which %d have a directory", known, len(entries))
		}
		first := newSource(t, stream.NewKey(), "main", 1)
		early, late := first.part(smallPart), first.part(smallPart)
		s.keep(t, early)
		for range 300 {
			time.Sleep(time.Second)
			s.keep(t, newSource(t, stream.NewKey(), "main", 1).part(smallPart))
		}
		s.keep(t, late)
		if s.Have(early.header.ID()) != nil {
			t.Error("the first part is still held")
		}
		wantHeld(t, s.Store, late)
		s.stop()
		s = open(t, cfg)
		wantHeld(t, s.Store, late)
	})
}

func TestStreamsShareTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, small(t.TempDir()))
		much, little := stream.NewKey(), stream.NewKey()
		a, b := newSource(t, much, "main", 1), newSource(t, little, "main", 1)
		var slow []part
		for i := range 600 {
			s.keep(t, a.part(smallPart))
			if i%4 == 0 {
				slow = append(slow, b.part(smallPart))
				s.keep(t, slow[len(slow)-1])
			}
		}
		// A quarter of the rate: the slow one has all of its last half of the room.
		if got, want := s.streams[little.ID()].bytes, s.cfg.Size*45/100; got < want {
			t.Errorf("the slow stream has %d of %d bytes, want %d at least", got, s.cfg.Size, want)
		}
		wantHeld(t, s.Store, slow[len(slow)-95:]...)
	})
}

func TestWhatIsUnusedForLongestGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, small(t.TempDir()))
		stay := func(n int) (*source, []part) {
			from := newSource(t, stream.NewKey(), "main", 1)
			parts := several(n, func() part { return from.part(smallPart) })
			s.keep(t, parts...)
			time.Sleep(time.Minute)
			return from, parts
		}
		first, _ := stay(20)
		second, _ := stay(20)
		_, rewound := stay(60)
		time.Sleep(usedFor + time.Hour)
		wantHeld(t, s.Store, rewound...) // somebody watches it
		stay(165)                        // the room of one stream is missing
		if n := s.streams[first.id]; n != nil {
			t.Errorf("%d bytes are left of the stream that is unused for longest", n.bytes)
		}
		if n := s.streams[second.id]; n == nil {
			t.Error("nothing is left of another, and there is room for it")
		}
		wantHeld(t, s.Store, rewound...)
		stay(110)
		if n := s.streams[second.id]; n != nil {
			t.Errorf("%d bytes are left of the stream that is unused for a day", n.bytes)
		}
		wantHeld(t, s.Store, rewound...)
	})
}

func TestStreamsThatNobodyTakesPartInGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		old, kept, now := stream.NewKey(), stream.NewKey(), stream.NewKey()
		s := open(t, small(dir))
		for _, key := range []stream.Key{old, kept} {
			from := newSource(t, key, "main", 1)
			s.keep(t, several(80, func() part { return from.part(smallPart) })...)
		}
		s.stop()
		s = open(t, small(dir))
		s.Renditions(kept.ID())
		from := newSource(t, now, "main", 1)
		s.keep(t, several(170, func() part { return from.part(smallPart) })...)
		if n := len(s.Renditions(old.ID())); n != 0 {
			t.Errorf("the stream that nobody takes part in has %d renditions left", n)
		}
		if got := s.Held(kept.ID(), "main", 0); len(got) != 1 || got[0].Last-got[0].First != 39 {
			t.Errorf("of the other segments %v are left, want all", got)
		}
	})
}
