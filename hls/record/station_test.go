package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	segmentLength = 2 * time.Second
	testQueue     = 200_000 // bytes: five segments of the test card
)

// station is a node that has what the test gives it.
type station struct {
	t         testing.TB
	key       stream.Key
	epoch     uint64
	publisher *stream.Publisher
	timeline  *stream.Timeline
	store     *stream.Store
	clock     time.Time // programme time
	film      [][]stream.Part
	next      int               // segment of film
	aired     map[string][]byte // by segment name
}

func newStation(t testing.TB) *station {
	s := &station{t: t, key: stream.NewKey(), store: stream.NewStore(1 << 30), clock: time.Now(), film: sampleFilm(t), aired: make(map[string][]byte)}
	s.timeline = stream.NewTimeline(s.key.ID(), "main")
	s.restart()
	return s
}

// sampleFilm returns the segments that ingest makes of its test card, 32 of 2 s each.
var sampleFilm = func() func(testing.TB) [][]stream.Part {
	var once sync.Once
	var film [][]stream.Part
	var err error
	return func(t testing.TB) [][]stream.Part {
		t.Helper()
		once.Do(func() {
			var raw []byte
			if raw, err = os.ReadFile("../../stream/ingest/sample.ts"); err == nil {
				film, err = cutFilm(raw)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return film
	}
}()

func cutFilm(ts []byte) (film [][]stream.Part, err error) {
	in, err := ingest.New(ingest.Config{Input: "-", Stdin: bytes.NewReader(ts)})
	if err != nil {
		return nil, err
	}
	err = in.Run(context.Background(), func(p stream.Part) error {
		if p.StartsSegment {
			film = append(film, nil)
		}
		p.Data = bytes.Clone(p.Data)
		film[len(film)-1] = append(film[len(film)-1], p)
		return nil
	})
	return film, err
}

// restart begins the next epoch, a pause later.
func (s *station) restart() {
	s.epoch++
	s.next = 0
	var err error
	if s.publisher, err = stream.NewPublisher(s.key, "main", s.epoch); err != nil {
		s.t.Fatal(err)
	}
}

// airing is a published segment.
type airing struct {
	name   string
	chunks []stream.Chunk
}

// announce publishes the next segment of the film, but not its chunks.
func (s *station) announce() airing {
	s.t.Helper()
	parts := s.film[s.next%len(s.film)]
	a := airing{name: fmt.Sprintf("%d-%d.ts", s.epoch, s.next)}
	if parts[0].Media.Kind == stream.KindSubtitles {
		a.name = fmt.Sprintf("%d-%d.vtt", s.epoch, s.next)
	}
	var data []byte
	for _, p := range parts {
		p.ProgramTime = s.clock
		s.clock = s.clock.Add(p.Duration)
		h, chunks, err := s.publisher.Publish(p)
		if err != nil {
			s.t.Fatal(err)
		}
		if err := s.timeline.Add(h, time.Now()); err != nil {
			s.t.Fatal(err)
		}
		data = append(data, p.Data...)
		a.chunks = append(a.chunks, chunks...)
	}
	s.aired[a.name] = data
	s.next++
	return a
}

func (s *station) deliver(a airing) {
	for _, c := range a.chunks {
		s.store.Put(c)
	}
}

// air publishes n whole segments, in their time.
func (s *station) air(n int) {
	s.t.Helper()
	for range n {
		s.deliver(s.announce())
		time.Sleep(segmentLength)
	}
}

func (s *station) end() {
	s.t.Helper()
	h, err := s.publisher.End()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.timeline.Add(h, time.Now()); err != nil {
		s.t.Fatal(err)
	}
}

// Streams makes a station a Node.
func (s *station) Streams() []hls.Stream {
	return []hls.Stream{{ID: s.key.ID(), Timelines: []*stream.Timeline{s.timeline}, Store: s.store}}
}

// dir is where the station's rendition is recorded below root.
func (s *station) dir(root string) string {
	return filepath.Join(root, s.key.ID().String(), "main")
}

// recording is a recorder that runs.
type recording struct {
	*Recorder
	stop func()
	log  *bytes.Buffer

	mu     sync.Mutex // guards all following
	states []string
}

// startRecording records a node until the test stops it.
func startRecording(t testing.TB, root string, s Node, fs files) *recording {
	t.Helper()
	rec := &recording{log: &bytes.Buffer{}}
	r, err := Open(Config{
		Dir:    root,
		Logger: slog.New(slog.NewTextHandler(rec.log, nil)),
		Changed: func(st hls.RecordingStatus) {
			rec.mu.Lock()
			defer rec.mu.Unlock()
			rec.states = append(rec.states, st.State)
		},
		files:  fs,
		queued: testQueue,
	})
	if err != nil {
		t.Fatal(err)
	}
	rec.Recorder = r
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Run(ctx, s); err != nil {
			t.Error(err)
		}
	})
	rec.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(rec.stop)
	synctest.Wait() // it has seen the streams
	return rec
}

// status returns the figures of the one recording, once all is quiet.
func (r *recording) status() hls.RecordingStatus {
	synctest.Wait()
	return r.Status()[0]
}

func (r *recording) expectStates(t testing.TB, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.states, want) {
		t.Errorf("the states were %q, want %q", r.states, want)
	}
}

// expectList compares a recording's playlist with names such as "1-0.ts", which a | marks
// as discontinuous, and each file with what was aired.
func (s *station) expectList(root string, want ...string) *hls.MediaPlaylist {
	s.t.Helper()
	list, err := readPlaylist(filepath.Join(s.dir(root), PlaylistName))
	if err != nil {
		s.t.Fatal(err)
	}
	var got []string
	for _, e := range list.Segments {
		name := e.Name
		if e.Discontinuity {
			name = "|" + name
		}
		got = append(got, name)
		data, err := os.ReadFile(filepath.Join(s.dir(root), e.Name))
		if err != nil || !bytes.Equal(data, s.aired[e.Name]) {
			s.t.Errorf("%s has %d bytes (%v), aired were %d", e.Name, len(data), err, len(s.aired[e.Name]))
		}
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("the playlist has %q, want %q", got, want)
	}
	return list
}

// names writes the names of an epoch's segments from first to last.
func names(epoch, first, last int) (list []string) {
	for n := first; n <= last; n++ {
		list = append(list, fmt.Sprintf("%d-%d.ts", epoch, n))
	}
	return list
}

var errBroken = errors.New("broken on purpose")

// faulty is a disk that fails when told.
type faulty struct {
	disk
	delay func(op string) // before each operation; may be nil

	mu   sync.Mutex            // guards all following
	fail func(op string) error // nil for none; op such as "rename 1-0.ts"
}

func (f *faulty) do(op, path string) error {
	op += " " + strings.TrimPrefix(filepath.Base(path), ".")
	if f.delay != nil {
		f.delay(op)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil {
		return nil
	}
	return f.fail(op)
}

func (f *faulty) set(fail func(op string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *faulty) Create(path string) (file, error) {
	if err := f.do("create", path); err != nil {
		return nil, err
	}
	real, err := f.disk.Create(path)
	return &faultyFile{real, f, path}, err
}

func (f *faulty) Rename(from, to string) error {
	if err := f.do("rename", to); err != nil {
		return err
	}
	return f.disk.Rename(from, to)
}

func (f *faulty) Remove(path string) error {
	if err := f.do("remove", path); err != nil {
		return err
	}
	return f.disk.Remove(path)
}

type faultyFile struct {
	file
	disk *faulty
	path string
}

// Write writes half of what is refused, as a disk that is full does.
func (f *faultyFile) Write(b []byte) (int, error) {
	if err := f.disk.do("write", f.path); err != nil {
		n, _ := f.file.Write(b[:len(b)/2])
		return n, err
	}
	return f.file.Write(b)
}

func (f *faultyFile) Sync() error {
	if err := f.disk.do("sync", f.path); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.disk.do("truncate", f.path); err != nil {
		return err
	}
	return f.file.Truncate(size)
}
