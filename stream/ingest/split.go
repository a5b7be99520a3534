package ingest

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/transport"
)

// ErrCutOff says that a segment ends within a packet, or holds no frame.
var ErrCutOff = errors.New("segment is cut off")

// SplitConfig says how to cut segments into parts.
type SplitConfig struct {
	// Part is the target duration of parts; 0 means 500 ms. A part ends at the first
	// frame at or after it at which no other track's frame is under way, at twice the
	// target at any.
	Part time.Duration
	// Publish receives each part as soon as it is complete, one after the other. Parts'
	// Data is not touched again.
	Publish func(stream.Part) error
	// Sidecars have the same segments.
	Sidecars []Sidecar
	// Logger receives what is odd about the segments; nil discards.
	Logger *slog.Logger
}

// SegmentInfo is what is known of a segment before its first byte.
type SegmentInfo struct {
	// Discontinuity says that timestamps, codecs or tracks may break before it, or that
	// something before it was left out.
	Discontinuity bool
	// Duration is what is announced; it counts where the frames do not tell.
	Duration time.Duration
	// ProgramTime returns when the frame that the segment begins with was live; pts is its
	// presentation time, 33 bits at 90 kHz. nil lets the publisher derive it.
	ProgramTime func(pts int64) time.Time
	// Shift is by how much the segment's timestamps are later than the origin's, in ticks of
	// 90 kHz: [FragmentsShift], or 0.
	Shift int64
}

// Splitter cuts segments that are MPEG-TS already into parts, and changes no byte: the
// parts of a segment, joined, are the segment. It finds where frames begin and publishes
// what is before while the rest still arrives.
//
// For each segment, call Begin, Write as often as bytes arrive, and Close once all did. If
// a segment of which parts were published is not closed before the next begins, it stays
// without its last part, so that nobody lists it, and the next is marked as a discontinuity.
// Only Stats may be called from several goroutines.
type Splitter struct {
	part     int64 // ticks
	publish  func(stream.Part) error
	sidecars []Sidecar
	log      *slog.Logger

	tables transport.Tables
	tracks []*splitTrack // the leader first
	byPID  map[uint16]*splitTrack
	params paramSets
	sps    []byte // that the leader's format describes

	ref    int64 // the leader's latest decoding time, unwrapped
	hasRef bool
	len    int64 // of the leader's last frame
	ended  int64 // where the last segment did, in unwrapped presentation time
	begun  bool  // a part was published
	broken bool  // what is published next does not continue what was
	rate   float64

	open bool // a segment began and was not closed
	seg  splitSegment

	mu    sync.Mutex
	stats Stats // guarded by mu
}

// splitSegment is the segment that is open.
type splitSegment struct {
	info  SegmentInfo
	rest  []byte // the beginning of a packet
	buf   []byte // of the part that is open
	tail  int    // where in buf the tables and clocks begin that precede the next frame
	parts int    // published
	hint  int    // bytes of the part before

	framed  bool          // the leader's first frame is here
	start   int64         // its presentation time
	lead    int64         // its presentation after its decoding
	skew    int64         // what jumps within the segment are evened out by
	last    int64         // when the last frame begins; presentation time as parts count it
	from    int64         // when the part that is open begins, likewise
	frames  int           // of the leader, in the part that is open
	sum     time.Duration // of the parts published
	key     bool          // decoding can start at the part that is open
	scanned bool          // the frame that is under way told whether
	opens   bool          // that frame is the first of its part
}

// Begun reports whether parts of the segment that is open, or was last, were published.
func (s *Splitter) Begun() bool { return s.seg.parts > 0 }

// NewSplitter returns a splitter.
func NewSplitter(cfg SplitConfig) *Splitter {
	if cfg.Part == 0 {
		cfg.Part = defaultPart
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Splitter{part: ticks(cfg.Part), publish: cfg.Publish, sidecars: cfg.Sidecars, log: cfg.Logger}
}

// Begin begins a segment.
func (s *Splitter) Begin(info SegmentInfo) {
	s.broken = s.broken || s.open && s.seg.parts > 0 || info.Discontinuity
	s.open = true
	s.seg = splitSegment{info: info, hint: s.seg.hint}
	for _, t := range s.tracks {
		t.reset()
	}
}

// Write takes the segment's next bytes. Errors are publish's, or say what is wrong with
// the segment: they wrap [ErrNotMPEGTS], [ErrNoKeyframe] if nothing was published yet and
// nobody could start with this segment, or an [*UnsupportedCodecError].
func (s *Splitter) Write(b []byte) (int, error) {
	s.count(func(st *Stats) { st.Bytes += uint64(len(b)) })
	took := len(b)
	if n := len(s.seg.rest); n > 0 {
		fill := min(packetSize-n, len(b))
		s.seg.rest, b = append(s.seg.rest, b[:fill]...), b[fill:]
		if len(s.seg.rest) < packetSize {
			return took, nil
		}
		if err := s.packet(s.seg.rest); err != nil {
			return 0, err
		}
		s.seg.rest = s.seg.rest[:0]
	}
	for ; len(b) >= packetSize; b = b[packetSize:] {
		if err := s.packet(b[:packetSize]); err != nil {
			return 0, err
		}
	}
	s.seg.rest = append(s.seg.rest, b...)
	return took, nil
}

// Close publishes the last part: the segment is whole. Errors are those of Write, or wrap
// [ErrNoTracks] or [ErrCutOff].
func (s *Splitter) Close() error {
	g := &s.seg
	if len(g.rest) > 0 {
		return fmt.Errorf("%w: it ends within a packet", ErrCutOff)
	}
	if len(s.tracks) == 0 {
		return fmt.Errorf("%w: no table names any", ErrNoTracks)
	}
	if err := s.endFrame(); err != nil {
		return err
	}
	if !g.framed {
		if !s.begun || len(g.buf) == 0 {
			return fmt.Errorf("%w: no frame of %s", ErrCutOff, s.tracks[0].describe())
		}
		g.start, g.from = s.ended, s.ended // the leader pauses
	}
	end := s.end()
	if err := s.endPart(len(g.buf), end, true); err != nil {
		return err
	}
	s.ended, s.open = end-g.skew, false
	return nil
}

// end returns when the segment ends, in presentation time as parts count it.
func (s *Splitter) end() int64 {
	g := &s.seg
	switch announced := ticks(g.info.Duration); {
	case !g.framed:
		return g.start + max(announced, 1)
	case s.len > 0:
		return g.last + s.len
	default:
		return max(g.start+announced, g.last+defaultFrame)
	}
}

// endPart publishes the first n bytes of the part that is open; it lasts until end.
func (s *Splitter) endPart(n int, end int64, last bool) error {
	g := &s.seg
	if n > maxPart {
		return fmt.Errorf("segment has %d bytes without a frame's beginning", n)
	}
	end = max(end, g.from+1)
	if micros(end-g.from) > stream.MaxPartDuration {
		return fmt.Errorf("a part of the segment lasts %v", micros(end-g.from))
	}
	p := stream.Part{
		StartsSegment: g.parts == 0,
		EndsSegment:   last,
		Independent:   g.key,
		Duration:      micros(end-g.start) - micros(g.from-g.start),
		Data:          g.buf[:n:n],
	}
	if g.info.ProgramTime != nil {
		p.ProgramTime = g.info.ProgramTime(g.start & (wrap - 1)).Add(micros(g.from - g.start))
	}
	if g.frames > 1 && s.tracks[0].isVideo() {
		s.rate = float64(g.frames) / p.Duration.Seconds()
	}
	if p.StartsSegment {
		p.Media = mediaOf(s.plainTracks(), s.rate)
		p.Discontinuity = s.broken && s.begun
		s.broken = false
	}
	rest, from := g.buf[n:], g.from
	g.hint = n
	g.buf = append(make([]byte, 0, n+n/4+len(rest)), rest...)
	g.tail = max(0, g.tail-n)
	g.from, g.frames, g.key, g.opens = end, 0, false, true
	g.parts++
	g.sum += p.Duration
	s.begun = true
	s.published(p)
	if err := s.publish(p); err != nil {
		return fmt.Errorf("publish part: %w", err)
	}
	s.tellSidecars(p, from, end)
	return nil
}

// tellSidecars tells of a part that was published, in presentation time as parts count it.
func (s *Splitter) tellSidecars(p stream.Part, from, end int64) {
	p.Data = nil
	for _, c := range s.sidecars {
		c.tell(sidecarSpan{span{p, from - s.seg.skew, end - s.seg.skew}, s.seg.info.Shift})
	}
}

func (s *Splitter) plainTracks() []*track {
	tracks := make([]*track, len(s.tracks))
	for i, t := range s.tracks {
		tracks[i] = t.track
	}
	return tracks
}

// Stats returns a copy of the figures.
func (s *Splitter) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

func (s *Splitter) count(f func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.stats)
}

func (s *Splitter) published(p stream.Part) {
	s.count(func(st *Stats) {
		if p.StartsSegment {
			st.Segments++
			st.Media = p.Media
			if p.Discontinuity {
				st.Discontinuities++
			}
		}
		st.Parts++
		st.PartBytes += uint64(len(p.Data))
		st.MediaTime += p.Duration
		st.LongestPart = max(st.LongestPart, p.Duration)
		st.LongestSegment = max(st.LongestSegment, s.seg.sum)
	})
}
