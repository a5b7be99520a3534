package disk

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// tested is the machine's files on a disk that has room for so many bytes, and takes as long
// for each write as it is told.
type tested struct {
	machine

	mu    sync.Mutex // guards all following
	room  int64
	takes time.Duration
}

func (d *tested) set(room int64, takes time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room, d.takes = room, takes
}

func (d *tested) Create(path string) (file, error) {
	f, err := d.machine.Create(path)
	return testedFile{f, d}, err
}

type testedFile struct {
	file
	disk *tested
}

// WriteAt writes what there is room for, as file systems do.
func (f testedFile) WriteAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	n := min(int64(len(b)), f.disk.room)
	f.disk.room -= n
	takes := f.disk.takes
	f.disk.mu.Unlock()
	time.Sleep(takes)
	if written, err := f.file.WriteAt(b[:n], at); err != nil {
		return written, err
	}
	if n < int64(len(b)) {
		return int(n), &os.PathError{Op: "write", Path: "volume", Err: syscall.ENOSPC}
	}
	return len(b), nil
}

func TestAFullDiskIsToldOnceAndUsedAgainWhenThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, disk := t.TempDir(), &tested{room: 25_000}
		var told []error
		from := newSource(t, stream.NewKey(), "main", 1)
		s := open(t, Config{Dir: dir, files: disk, Changed: func(err error) { told = append(told, err) }})
		s.keep(t, several(2, func() part { return from.part(10_000) })...)
		refused := several(6, func() part { return from.part(10_000) })
		for _, p := range refused {
			time.Sleep(time.Second)
			s.keep(t, p)
		}
		if len(told) != 1 || !errors.Is(told[0], syscall.ENOSPC) {
			t.Fatalf("told %v", told)
		}
		if st := s.Stats(); st.Failed != 6 || st.Error == "" || st.Bytes != onDisk(t, dir) {
			t.Errorf("figures %+v, %d bytes in files", st, onDisk(t, dir))
		}
		for _, p := range refused {
			if s.Have(p.header.ID()) != nil {
				t.Errorf("part %v counts as held", p.header.Position)
			}
		}
		disk.set(1<<30, 0)
		time.Sleep(retryEvery)
		later := several(2, func() part { return from.part(10_000) })
		s.keep(t, later...)
		wantHeld(t, s.Store, later...)
		if len(told) != 2 || told[1] != nil {
			t.Errorf("told %v", told)
		}
		if st := s.Stats(); st.Failed != 6 || st.Error != "" {
			t.Errorf("figures %+v", st)
		}
		s.stop()
		s = open(t, Config{Dir: dir})
		wantHeld(t, s.Store, later...)
		if st := s.Stats(); st.Damaged != 0 {
			t.Errorf("what was cut off counts as %d damaged", st.Damaged)
		}
	})
}

func TestASlowDiskKeepsNobodyWaitingAndWhatFindsNoRoomIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &tested{room: 1 << 30, takes: time.Minute}
		from := newSource(t, stream.NewKey(), "main", 1)
		s := open(t, Config{Dir: t.TempDir(), files: disk, queued: 50_000})
		began := time.Now()
		parts := several(10, func() part { return from.part(10_000) })
		for i, p := range parts {
			s.Keep(p.header, p.data())
			if i == 0 {
				synctest.Wait() // it is being written
			}
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("keeping took %v", took)
		}
		if st := s.Stats(); st.Slow != 4 || st.Waiting != 50_000 {
			t.Errorf("figures %+v, want 4 parts left out and 5 waiting", st)
		}
		time.Sleep(time.Hour)
		wantHeld(t, s.Store, parts[:6]...)
	})
}

// TestTheEndWaitsForASlowDiskOnlySoLong has what waits counted when the node ends.
func TestTheEndWaitsForASlowDiskOnlySoLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &tested{room: 1 << 30, takes: drainFor / 3}
		from := newSource(t, stream.NewKey(), "main", 1)
		s := open(t, Config{Dir: t.TempDir(), files: disk})
		for _, p := range several(10, func() part { return from.part(1000) }) {
			s.Keep(p.header, p.data())
		}
		began := time.Now()
		s.stop()
		if took := time.Since(began); took > 3*drainFor {
			t.Errorf("the end took %v", took)
		}
		if st := s.Stats(); st.Slow == 0 || st.Slow == 10 {
			t.Errorf("%d of 10 parts were left out, want some", st.Slow)
		}
	})
}

func TestADamagedChunkIsDroppedCountedAndMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, key := t.TempDir(), stream.NewKey()
		from := newSource(t, key, "main", 1)
		s := open(t, Config{Dir: dir})
		parts := several(4, func() part { return from.part(30_000) })
		s.keep(t, parts...)
		s.stop()
		flip(t, volumeFiles(t, dir)[1], 30_000+2*4096+17) // in chunk 2 of part 1
		s = open(t, Config{Dir: dir})
		id := parts[1].header.ID()
		check := func(want []byte) {
			t.Helper()
			got := s.Read(id, s.Have(id))
			if !bytes.Equal(got[2], want) {
				t.Errorf("chunk 2 is read as %d bytes, want %d", len(got[2]), len(want))
			}
			for i, c := range parts[1].data() {
				if i != 2 && !bytes.Equal(got[i], c) {
					t.Errorf("chunk %d is not read", i)
				}
			}
		}
		check(nil)
		check(nil) // counted once
		wantHeld(t, s.Store, parts[0], parts[2], parts[3])
		if st := s.Stats(); st.Damaged != 1 {
			t.Errorf("%d chunks count as damaged", st.Damaged)
		}
		if s.Lasting(id, 0) || s.Have(id).Get(2) || s.Have(id).Count() != len(parts[1].chunks)-1 {
			t.Error("the damaged chunk counts as held")
		}
		if got := s.Held(key.ID(), "main", 0); !slices.Equal(got, []stream.Span{{Epoch: 1, First: 1, Last: 1}}) {
			t.Errorf("segments %v", got)
		}
		s.Mend(parts[1].chunks[2])
		s.settle(t)
		check(parts[1].chunks[2].Data())
		s.stop()
		s = open(t, Config{Dir: dir})
		wantHeld(t, s.Store, parts...)
	})
}

func flip(t testing.TB, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// TestAHeaderThatIsNotSignedIsForgotten has an index whose checksums are right, as somebody
// wrote it.
func TestAHeaderThatIsNotSignedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, key := t.TempDir(), stream.NewKey()
		from := newSource(t, key, "main", 1)
		s := open(t, Config{Dir: dir})
		parts := several(4, func() part { return from.part(5000) })
		s.keep(t, parts...)
		s.stop()
		index := volumeFiles(t, dir)[0]
		raw, err := os.ReadFile(index)
		if err != nil {
			t.Fatal(err)
		}
		records, _ := parseIndex(raw)
		records[1].header[20] ^= 1
		records[2].position.Part += 2 // the header of another part
		raw, _ = indexOf(records)
		if err := os.WriteFile(index, raw, fileMode); err != nil {
			t.Fatal(err)
		}
		s = open(t, Config{Dir: dir})
		moved := records[2].position
		for _, id := range []stream.PartID{parts[1].header.ID(), {Stream: key.ID(), Rendition: "main", Position: moved}} {
			if s.Have(id) == nil {
				t.Fatalf("part %v is not in the index", id.Position)
			}
			if got := s.Read(id, s.Have(id)); got != nil || s.Have(id) != nil {
				t.Errorf("part %v: %d chunks are read, and it counts as held: %t", id.Position, len(got), s.Have(id) != nil)
			}
		}
		if got := s.Headers(key.ID(), "main", stream.Position{Epoch: 9}, stream.Position{}, 9); len(got) != 2 {
			t.Errorf("%d headers, want 2", len(got))
		}
		if st := s.Stats(); st.Damaged == 0 {
			t.Error("nothing counts as damaged")
		}
		wantHeld(t, s.Store, parts[0], parts[3])
		s.keep(t, parts[1]) // it comes again
		wantHeld(t, s.Store, parts[1])
	})
}

// TestAfterAPowerCutOnlyWhatVerifiesIsServed cuts each file anywhere, as if the system had
// not written the rest, and in the parts' file also has zeros, as if it had written the end
// before the middle.
func TestAfterAPowerCutOnlyWhatVerifiesIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, key := t.TempDir(), stream.NewKey()
		from := newSource(t, key, "main", 1)
		s := open(t, Config{Dir: made})
		parts := several(3, func() part { return from.part(1500) })
		s.keep(t, append(parts, from.end())...)
		s.stop()
		files := volumeFiles(t, made)
		index, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		payload, err := os.ReadFile(files[1])
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		check := func(index, payload []byte, atLeast int) {
			t.Helper()
			restore(t, dir, key.ID(), index, payload)
			s, err := Open(Config{Dir: dir, Size: MinSize})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			served := 0
			for _, p := range parts {
				got := s.Read(p.header.ID(), s.Have(p.header.ID()))
				for i, c := range got {
					if c != nil && !bytes.Equal(c, p.data()[i]) {
						t.Fatalf("chunk %d of part %v is another", i, p.header.Position)
					}
				}
				if got != nil && !slices.ContainsFunc(got, func(c []byte) bool { return c == nil }) {
					served++
				}
			}
			for _, h := range s.Headers(key.ID(), "main", stream.Position{Epoch: 9}, stream.Position{}, 9) {
				if h.Epoch != 1 {
					t.Fatalf("header %v", h.Position)
				}
			}
			if served < atLeast {
				t.Fatalf("%d parts are served, and %d were written", served, atLeast)
			}
		}
		_, ends := parseEnds(index)
		for n := 0; n < len(index); n += 5 { // TestIndexMayEndAnywhere has all
			whole := 0
			for whole < len(parts) && ends[whole] <= n {
				whole++
			}
			check(index[:n], payload, whole)
		}
		for n := 0; n < len(payload); n += 17 {
			check(index, payload[:n], n/1500)
			check(index, append(slices.Clone(payload[:n]), make([]byte, len(payload)-n)...), n/1500)
		}
	})
}

// parseEnds returns where each record of an index ends.
func parseEnds(index []byte) (records []record, ends []int) {
	records, _ = parseIndex(index)
	for _, r := range records {
		ends = append(ends, int(r.headerAt)+len(r.header))
	}
	return records, ends
}

// restore makes a directory hold one volume.
func restore(t testing.TB, dir string, id stream.ID, index, payload []byte) {
	t.Helper()
	for _, f := range volumeFiles(t, dir) {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	at := volumeAt(dir+"/"+id.String(), 0)
	if err := os.MkdirAll(dir+"/"+id.String(), dirMode); err != nil {
		t.Fatal(err)
	}
	for suffix, raw := range map[string][]byte{indexSuffix: index, partsSuffix: payload} {
		if err := os.WriteFile(at.path+suffix, raw, fileMode); err != nil {
			t.Fatal(err)
		}
	}
}
