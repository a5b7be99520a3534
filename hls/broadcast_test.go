package hls

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/webvtt"
)

// TestMain fails if a goroutine of this package outlives the tests.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		var stacks string
		for range 100 {
			buf := make([]byte, 1<<20)
			stacks = string(buf[:runtime.Stack(buf, true)])
			if !strings.Contains(stacks, "grapevine/hls.(*") {
				os.Exit(0)
			}
			runtime.Gosched()
			time.Sleep(10 * time.Millisecond)
		}
		fmt.Fprintf(os.Stderr, "goroutines left:\n%s", stacks)
		code = 1
	}
	os.Exit(code)
}

const testRendition = "main"

// broadcast makes a stream for tests: a real publisher's headers and chunks, which
// the test hands to the timeline and the store when it likes.
type broadcast struct {
	t           testing.TB
	key         stream.Key
	epoch       uint64
	publisher   *stream.Publisher
	timeline    *stream.Timeline
	store       *stream.Store
	random      *rand.ChaCha8
	next        uint64               // segment number
	clock       time.Time            // programme time
	sent        map[string]*testShot // by segment name
	order       []*testShot
	film        *film // makes the parts' bytes; nil for random ones
	rendition   string
	media       stream.Media
	others      []*broadcast // renditions of the same stream
	forgotten   int          // of order
	longestPart time.Duration
	private     bool
	opened      Store                // nil for none
	ended       map[uint64]time.Time // when each epoch did
}

// testShot is the truth about one published segment.
type testShot struct {
	key
	name          string
	data          []byte
	duration      time.Duration
	programTime   time.Time
	discontinuity bool
	headers       []*stream.SignedHeader
	chunks        [][]stream.Chunk  // by part
	sum           [sha256.Size]byte // of data
	index         int               // in the order in which they were made
	here          []time.Time       // when each part was; zero for not yet
	known         time.Time         // when its first header was
	due           time.Time         // when all of it was to be here
	lost          []bool            // parts that never come
	garbage       bool              // it is not MPEG-TS
	sps           []byte            // of its pictures
	cues          []testCue         // that come in it
	jump          bool              // its programme time is before that of the segment before it
}

// whole returns when all of it was here, zero if that is not so.
func (s *testShot) whole() time.Time {
	var last time.Time
	for _, at := range s.here {
		if at.IsZero() {
			return at
		}
		if at.After(last) {
			last = at
		}
	}
	return last
}

func newBroadcast(t testing.TB, storeSize int64) *broadcast {
	b := &broadcast{
		t:      t,
		key:    stream.NewKey(),
		store:  stream.NewStore(storeSize),
		random: rand.NewChaCha8([32]byte{1}),
		sent:   make(map[string]*testShot),
		clock:  time.Now(),

		rendition: testRendition,
		media:     stream.Media{Codecs: "avc1.64001f,mp4a.40.2", Width: 1280, Height: 720, FrameRate: 25},
	}
	b.timeline = stream.NewTimeline(b.key.ID(), b.rendition)
	b.restart()
	return b
}

// another returns a further rendition of the same stream.
func (b *broadcast) another(rendition string) *broadcast {
	o := *b
	o.rendition, o.others, o.epoch, o.ended = rendition, nil, 0, nil
	o.sent, o.order = make(map[string]*testShot), nil
	o.film = newFilm(b.t)
	o.timeline = stream.NewTimeline(o.key.ID(), rendition)
	o.restart()
	b.others = append(b.others, &o)
	return &o
}

// restart begins the next epoch.
func (b *broadcast) restart() {
	if b.ended == nil {
		b.ended = make(map[uint64]time.Time)
	}
	b.epoch++
	b.next = 0
	var err error
	b.publisher, err = stream.NewPublisher(b.key, b.rendition, b.epoch)
	if err != nil {
		b.t.Fatal(err)
	}
}

// shoot publishes a segment of four parts and hands out nothing.
func (b *broadcast) shoot(d time.Duration, discontinuity bool) *testShot {
	return b.shootParts([]time.Duration{d / 4, d / 4, d / 4, d / 4}, discontinuity)
}

// shootParts does so with parts of these durations.
func (b *broadcast) shootParts(parts []time.Duration, discontinuity bool) *testShot {
	s := &testShot{key: key{b.epoch, b.next}, programTime: b.clock.Truncate(time.Microsecond), discontinuity: discontinuity}
	s.name = segmentName(s.key)
	if n := len(b.order); n > 0 {
		before := b.order[n-1]
		s.jump = s.programTime.Before(before.programTime.Add(before.duration))
	}
	for i, d := range parts {
		data := make([]byte, 7000+i)
		if i == 0 {
			data = make([]byte, stream.MaxChunkSize+1000) // several chunks, one of which starts at 32768
		}
		if b.media.Kind == stream.KindSubtitles {
			data = []byte("\n")
			if i == 0 {
				data = webvtt.Segment([]webvtt.Cue{{Start: 10 * time.Second, End: 12 * time.Second, Text: s.name}})
			}
		} else if b.film != nil {
			data = b.film.part(s.name, i, d, b.clock)
		} else {
			_, _ = b.random.Read(data) // never fails
		}
		h, chunks, err := b.publisher.Publish(stream.Part{
			StartsSegment: i == 0,
			EndsSegment:   i == len(parts)-1,
			Independent:   i == 0,
			Discontinuity: discontinuity && i == 0,
			Duration:      d,
			ProgramTime:   b.clock,
			Media:         b.media,
			Data:          data,
		})
		if err != nil {
			b.t.Fatal(err)
		}
		b.clock = b.clock.Add(d)
		b.longestPart = max(b.longestPart, d)
		s.duration += d
		s.data = append(s.data, data...)
		s.headers = append(s.headers, h)
		s.chunks = append(s.chunks, chunks)
	}
	b.next++
	s.sum, s.index, s.here = sha256.Sum256(s.data), len(b.order), make([]time.Time, len(parts))
	if b.film != nil {
		s.sps, s.cues = b.film.sps, b.film.cues.take()
	}
	b.sent[s.name] = s
	b.order = append(b.order, s)
	return s
}

// announce puts the segment's headers into the timeline.
func (b *broadcast) announce(s *testShot) {
	for _, h := range s.headers {
		b.t.Helper()
		b.add(h)
	}
	if s.known.IsZero() {
		s.known = time.Now()
	}
}

// add puts a header into the timeline.
func (b *broadcast) add(h *stream.SignedHeader) {
	b.t.Helper()
	if err := b.timeline.Add(h, time.Now()); err != nil {
		b.t.Fatal(err)
	}
}

// deliver puts the segment's chunks into the store, without the part numbered but.
func (b *broadcast) deliver(s *testShot, but int) {
	for i, part := range s.chunks {
		if i == but {
			continue
		}
		for _, c := range part {
			b.store.Put(c)
		}
		if s.here[i].IsZero() {
			s.here[i] = time.Now()
		}
	}
}

// airPart publishes one part, of which the header may be known.
func (b *broadcast) airPart(s *testShot, i int) {
	if b.timeline.Header(s.headers[i].Position) == nil {
		b.add(s.headers[i])
	}
	for _, c := range s.chunks[i] {
		b.store.Put(c)
	}
	if s.here[i] = time.Now(); s.known.IsZero() {
		s.known = s.here[i]
	}
}

// air publishes a whole segment.
func (b *broadcast) air(d time.Duration) *testShot {
	s := b.shoot(d, false)
	b.announce(s)
	b.deliver(s, -1)
	return s
}

// end publishes the end of the epoch.
func (b *broadcast) end() {
	h, err := b.publisher.End()
	if err != nil {
		b.t.Fatal(err)
	}
	b.add(h)
	b.ended[b.epoch] = time.Now()
}

func (b *broadcast) path(name string) string {
	return "/" + b.key.ID().String() + "/" + b.rendition + "/" + name
}

func (b *broadcast) llPath(query string) string { return b.path("ll.m3u8") + query }

func (b *broadcast) multivariantPath() string { return "/" + b.key.ID().String() + "/index.m3u8" }

// Streams and Status make a broadcast a Node.
func (b *broadcast) Streams() []Stream {
	timelines := []*stream.Timeline{b.timeline}
	for _, o := range b.others {
		timelines = append(timelines, o.timeline)
	}
	return []Stream{{ID: b.key.ID(), Link: "grapevine://" + b.key.ID().String(), Timelines: timelines, Store: b.store, Private: b.private, Opened: b.opened}}
}

func (b *broadcast) Status() Status {
	return Status{PeerID: "peer", Role: "watch", Streams: []StreamStatus{{ID: b.key.ID()}}, Store: b.store.Stats()}
}
