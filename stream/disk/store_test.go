package disk

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// source publishes parts of one rendition: segments of two parts.
type source struct {
	t         testing.TB
	publisher *stream.Publisher
	id        stream.ID
	n         int
	random    *rand.ChaCha8
}

func newSource(t testing.TB, key stream.Key, rendition string, epoch uint64) *source {
	t.Helper()
	p, err := stream.NewPublisher(key, rendition, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return &source{t: t, publisher: p, id: key.ID(), random: rand.NewChaCha8([32]byte{byte(epoch)})}
}

// part is one that was published.
type part struct {
	header *stream.SignedHeader
	chunks []stream.Chunk
}

func (p part) data() (out [][]byte) {
	for _, c := range p.chunks {
		out = append(out, c.Data())
	}
	return out
}

func (s *source) part(size int) part {
	s.t.Helper()
	data := make([]byte, size)
	_, _ = s.random.Read(data) // never fails
	h, chunks, err := s.publisher.Publish(stream.Part{
		StartsSegment: s.n%2 == 0, EndsSegment: s.n%2 == 1, Independent: s.n%2 == 0,
		Duration: time.Second, ProgramTime: time.Unix(1_700_000_000+int64(s.n), 0),
		Media: stream.Media{Codecs: "avc1.64001f"}, Data: data,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.n++
	return part{h, chunks}
}

func (s *source) end() part {
	h, err := s.publisher.End()
	if err != nil {
		s.t.Fatal(err)
	}
	return part{header: h}
}

// opened is a store whose writer runs until stop or the end of the test.
type opened struct {
	*Store
	stop func()
}

func open(t testing.TB, cfg Config) *opened {
	t.Helper()
	if cfg.Size == 0 {
		cfg.Size = MinSize
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop := sync.OnceFunc(func() {
		cancel()
		running.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return &opened{s, stop}
}

// keep writes parts, and returns when that is done.
func (o *opened) keep(t testing.TB, parts ...part) {
	t.Helper()
	for _, p := range parts {
		o.Keep(p.header, p.data())
	}
	o.settle(t)
}

// settle waits until nothing waits. In a bubble that is when all are idle.
func (o *opened) settle(t testing.TB) {
	t.Helper()
	synctest.Wait()
	if n := o.Stats().Waiting; n > 0 {
		t.Fatalf("%d bytes still wait", n)
	}
}

func wantHeld(t testing.TB, s *Store, parts ...part) {
	t.Helper()
	for _, p := range parts {
		got := s.Read(p.header.ID(), stream.Bitmap(bytes.Repeat([]byte{0xff}, stream.MaxChunks/8)))
		if !slices.EqualFunc(got, p.data(), bytes.Equal) {
			t.Fatalf("part %v is not read as it was written", p.header.Position)
		}
		if !s.Lasting(p.header.ID(), 0) || s.Have(p.header.ID()).Count() != len(p.chunks) {
			t.Errorf("part %v does not count as held", p.header.Position)
		}
	}
}

func several(n int, next func() part) (out []part) {
	for range n {
		out = append(out, next())
	}
	return out
}

func TestWhatIsWrittenIsReadAgainAndByTheNextRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, key := t.TempDir(), stream.NewKey()
		main, sound := newSource(t, key, "main", 7), newSource(t, key, "sound", 7)
		s := open(t, Config{Dir: dir})
		parts := several(6, func() part { return main.part(300_000) })
		others := several(6, func() part { return sound.part(5000) })
		s.keep(t, slices.Concat(parts, others, []part{main.end()})...)
		check := func(s *Store) {
			t.Helper()
			wantHeld(t, s, slices.Concat(parts, others)...)
			if got := s.Renditions(key.ID()); !slices.Equal(got, []string{"main", "sound"}) {
				t.Errorf("renditions %v", got)
			}
			if got := s.Held(key.ID(), "main", 0); !slices.Equal(got, []stream.Span{{Epoch: 7, First: 0, Last: 2}}) {
				t.Errorf("segments %v", got)
			}
			headers := s.Headers(key.ID(), "main", stream.Position{Epoch: 8}, parts[2].header.Position, 100)
			if len(headers) != 5 || headers[0].Position != parts[2].header.Position || !headers[4].End {
				t.Errorf("%d headers from part 2 on", len(headers))
			}
			if got := s.Headers(key.ID(), "main", parts[4].header.Position, stream.Position{}, 2); len(got) != 2 || got[1].Position != parts[3].header.Position {
				t.Errorf("%d headers before part 4, want the last two", len(got))
			}
			if st := s.Stats(); st.Damaged+st.Slow+st.Failed+st.Evicted != 0 || st.Error != "" {
				t.Errorf("figures: %+v", st)
			}
		}
		check(s.Store)
		before := s.Stats()
		s.stop()
		s = open(t, Config{Dir: dir})
		check(s.Store)
		if after := s.Stats(); after.Bytes != before.Bytes || after.Bytes != onDisk(t, dir) {
			t.Errorf("%d bytes before, %d after, %d in files", before.Bytes, after.Bytes, onDisk(t, dir))
		}
		more := several(2, func() part { return newSource(t, key, "main", 8).part(1000) })
		s.keep(t, more[0])
		wantHeld(t, s.Store, more[0])
		check(s.Store)
	})
}

// onDisk is how much is in the files of a directory's streams.
func onDisk(t testing.TB, dir string) (bytes int64) {
	t.Helper()
	for _, f := range volumeFiles(t, dir) {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
	}
	return bytes
}

func volumeFiles(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// counted is the machine's files, of which it counts those that are open.
type counted struct {
	unsynced
	open *atomic.Int64
}

func (d counted) Create(path string) (file, error) {
	f, err := d.unsynced.Create(path)
	if err != nil {
		return nil, err
	}
	d.open.Add(1)
	return countedFile{f, d.open}, nil
}

type countedFile struct {
	file
	open *atomic.Int64
}

func (f countedFile) Close() error {
	f.open.Add(-1)
	return f.file.Close()
}

func TestAStreamThatRestsHasNoFilesOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var files atomic.Int64
		s := open(t, Config{Dir: t.TempDir(), files: counted{open: &files}})
		one, other := newSource(t, stream.NewKey(), "main", 1), newSource(t, stream.NewKey(), "main", 1)
		first := one.part(300_000)
		s.keep(t, first)
		var others []part
		for range 150 {
			others = append(others, other.part(1000))
			s.keep(t, others[len(others)-1])
			time.Sleep(time.Second)
		}
		if n := files.Load(); n != 2 {
			t.Errorf("%d files are open, want the two of the stream that is on air", n)
		}
		again := one.part(300_000) // it is on air once more
		s.keep(t, again)
		if n := files.Load(); n != 4 {
			t.Errorf("%d files are open, want two of each stream", n)
		}
		wantHeld(t, s.Store, append(others, first, again)...)
	})
}

func TestOneProcessHasADirectory(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Dir: dir, Size: MinSize})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir, Size: MinSize}); !errors.Is(err, ErrBusy) {
		t.Errorf("the second is refused with %v, want ErrBusy", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(Config{Dir: dir, Size: MinSize}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAnUnknownVersionIsRefusedAndLeftAsItIs(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, formatName)
	if err := os.WriteFile(path, []byte("grapevine cache 2\nmore"), fileMode); err != nil {
		t.Fatal(err)
	}
	var version *VersionError
	if _, err := Open(Config{Dir: dir, Size: MinSize}); !errors.Is(err, ErrVersion) || !errors.As(err, &version) || version.Found != "grapevine cache 2" {
		t.Fatalf("refused with %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "grapevine cache 2\nmore" {
		t.Errorf("the file says %q now (%v)", text, err)
	}
}

func TestOtherFilesAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, key := t.TempDir(), stream.NewKey()
		mine := filepath.Join(dir, key.ID().String())
		for _, f := range []string{filepath.Join(dir, "notes"), filepath.Join(mine, "1.parts"), filepath.Join(mine, "00000001.parts.bak")} {
			if err := os.MkdirAll(filepath.Dir(f), dirMode); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(f, []byte("mine"), fileMode); err != nil {
				t.Fatal(err)
			}
		}
		// These were left by a run that was killed between two files.
		half := filepath.Join(mine, "00000003.parts")
		if err := os.WriteFile(half, []byte("half"), fileMode); err != nil {
			t.Fatal(err)
		}
		s := open(t, Config{Dir: dir, Size: 128 * 5000, small: true, files: unsynced{}})
		from := newSource(t, key, "main", 1)
		s.keep(t, several(200, func() part { return from.part(5000) })...)
		if s.Stats().Evicted == 0 {
			t.Error("nothing was let go")
		}
		for _, f := range []string{filepath.Join(dir, "notes"), filepath.Join(mine, "1.parts"), filepath.Join(mine, "00000001.parts.bak")} {
			if _, err := os.Stat(f); err != nil {
				t.Error(err)
			}
		}
		if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("half a volume is still there: %v", err)
		}
	})
}
