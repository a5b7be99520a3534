package fmp4

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"

	"github.com/grapevine-live/grapevine/stream/transport"
)

const (
	second = 90000 // ticks of MPEG-TS timestamps; also the video's time units
	wrap   = 1 << 33

	// defaultPicture is how long a picture lasts if nothing tells, in ticks.
	defaultPicture = second / 25
	// maxPicture bounds what the part's duration may say of its last picture, in ticks.
	maxPicture = 10 * second
)

// Reasons for which a part cannot be remuxed.
var (
	ErrNotMPEGTS = errors.New("not MPEG-TS")
	ErrNoTracks  = errors.New("no tracks that MP4 can hold are known")
	ErrNoParams  = errors.New("a segment starts without the codec's parameters")
)

// Part is a slice of a rendition's MPEG-TS, as ingest cuts it. What is passed through as
// another packager made it may have a frame of sound that goes on in the next part: it is
// lost.
type Part struct {
	// Data is whole packets that hold whole frames.
	Data []byte
	// Duration is the time from the first frame to the next part's; 0 if unknown.
	Duration time.Duration
	// StartsSegment is set on the first part of each segment. Only there an init may
	// be new.
	StartsSegment bool
	// Independent is set when the part starts with the tables and a keyframe, or holds
	// audio only.
	Independent bool
	// Discontinuity is set when timestamps, codecs or tracks may break before the part.
	Discontinuity bool
	// Placed says that At is where the part begins, after the first placed part's
	// beginning, if the part is the first or follows a discontinuity. It never begins
	// before the frame before has ended. Else decode times are those of the first
	// part's timestamps, and have no gaps.
	Placed bool
	At     time.Duration
	// Offset, unless it is nil or the part is placed, returns what is added to timestamps
	// for decode times from this part on, in ticks of 90 kHz, if the part is the first or
	// follows a discontinuity. Its first timestamp is first, and the part before ended at
	// the decode time end, which is -1 for the first part.
	Offset func(first, end int64) int64
}

// Fragment is a part in fragmented MP4. Its bytes are not used again.
type Fragment struct {
	// Init is ftyp and moov if they differ from those of the fragment before.
	Init []byte
	// Events are the part's ID3 tags as emsg boxes, which belong in front of Data; nil if it
	// has none. Those of a part without frames are in the next one's.
	Events []byte
	// Data is moof and mdat; nil if the part has no frames.
	Data []byte
	// End is the decode time, in ticks of 90 kHz, where the last frame ends that says how
	// long the part is.
	End int64
	// Lost counts frames and tags that were left out: damaged, of a codec that changed within a
	// segment, or overlapping the one before.
	Lost int
}

// Remuxer turns consecutive parts of one rendition into fragments. The zero value is
// ready to use. It is not safe for concurrent use.
type Remuxer struct {
	tables transport.Tables
	tracks []*track
	events events
	init   []byte // as last returned

	ref      int64 // decoding time of the latest PES packet, unwrapped ticks
	hasRef   bool
	offset   int64 // from unwrapped ticks to decode times
	lead     int64 // from At to decode times, ticks
	end      int64 // where the leader, tracks[0], ends; ticks
	sequence uint32
}

// Remux turns the next part into a fragment. Errors wrap [ErrNotMPEGTS], [ErrNoTracks]
// or [ErrNoParams], or say which parameters cannot be read; the next part that starts a
// segment may do.
func (r *Remuxer) Remux(p Part) (Fragment, error) {
	var f Fragment
	if len(p.Data) == 0 || len(p.Data)%transport.PacketSize != 0 {
		return f, fmt.Errorf("%w: a part of %d bytes", ErrNotMPEGTS, len(p.Data))
	}
	if p.Independent {
		r.readTables(p.Data)
	}
	if len(r.tracks) == 0 {
		return f, ErrNoTracks
	}
	if err := r.collect(p.Data); err != nil {
		return f, err
	}
	packets := make([][]pes, len(r.tracks))
	for i, t := range r.tracks {
		var bad int
		packets[i], bad = t.in.packets()
		f.Lost += bad
	}
	if p.Discontinuity {
		f.Lost += r.events.drop() // nobody knows any more when they are
	}
	f.Lost += r.events.gather()
	if p.StartsSegment {
		if err := r.configure(packets, &f); err != nil {
			return f, err
		}
	}
	r.rebase(packets, p)
	out := fmp4.Part{SequenceNumber: r.sequence}
	for i, t := range r.tracks {
		var samples *fmp4.PartTrack
		switch {
		case t.codec == nil:
			f.Lost += len(packets[i])
		case t.kind.isVideo():
			samples = r.video(t, packets[i], p, &f)
		default:
			samples = r.audio(t, packets[i], &f)
		}
		if samples != nil {
			out.Tracks = append(out.Tracks, samples)
		}
	}
	f.End = r.end
	if len(out.Tracks) == 0 {
		return f, nil
	}
	r.sequence++
	var buf seekablebuffer.Buffer
	buf.Grow(len(p.Data))
	if err := out.Marshal(&buf); err != nil {
		return f, fmt.Errorf("write fragment: %w", err)
	}
	f.Data = buf.Bytes()
	var err error
	f.Events, err = r.writeEvents()
	return f, err
}

// readTables follows the tables that a part starts with. What they said last holds as long
// as no new ones are whole.
func (r *Remuxer) readTables(data []byte) {
	for ; len(data) > 0; data = data[transport.PacketSize:] {
		raw := data[:transport.PacketSize]
		p := transport.ParsePacket(raw)
		if raw[0] != transport.SyncByte || p.Start && bytes.HasPrefix(p.Payload, []byte{0, 0, 1}) {
			return // they come before the first frame; other packagers have more tables there
		}
		pmt := r.tables.Add(raw, p)
		if pmt == nil {
			continue
		}
		r.events.follow(pmt)
		sources := sourcesOf(pmt)
		if slices.EqualFunc(sources, r.tracks, func(s source, t *track) bool { return s == t.source }) {
			continue
		}
		r.tracks = nil
		for i, s := range sources {
			r.tracks = append(r.tracks, &track{source: s, id: i + 1})
		}
	}
}

// collect puts the PES packets of a part together.
func (r *Remuxer) collect(data []byte) error {
	for _, t := range r.tracks {
		t.in.reset()
	}
	r.events.reset()
	for ; len(data) > 0; data = data[transport.PacketSize:] {
		p := transport.ParsePacket(data[:transport.PacketSize])
		if data[0] != transport.SyncByte {
			return fmt.Errorf("%w: a packet starts with %#02x", ErrNotMPEGTS, data[0])
		}
		if p.Broken || p.Scrambled || len(p.Payload) == 0 {
			continue
		}
		for _, t := range r.tracks {
			if t.pid == p.PID {
				t.in.add(p)
			}
		}
		r.events.add(p)
	}
	return nil
}

// configure reads the codecs' parameters at a segment's start, and makes an init of
// them.
func (r *Remuxer) configure(packets [][]pes, f *Fragment) error {
	var config fmp4.Init
	for i, t := range r.tracks {
		if len(packets[i]) > 0 {
			t.configure(packets[i][0].data)
		}
		if t.codec == nil && t.kind.isVideo() {
			return ErrNoParams
		}
		if t.codec != nil { // a track that has not begun joins the next segment
			config.Tracks = append(config.Tracks, &fmp4.InitTrack{ID: t.id, TimeScale: uint32(t.scale), Codec: t.codec})
		}
	}
	if len(config.Tracks) == 0 {
		return ErrNoParams
	}
	var buf seekablebuffer.Buffer
	if err := config.Marshal(&buf); err != nil {
		return fmt.Errorf("write init: %w", err)
	}
	if !bytes.Equal(buf.Bytes(), r.init) {
		r.init = buf.Bytes()
		f.Init = r.init
	}
	return nil
}

// configure reads what the first frame of a segment says.
func (t *track) configure(data []byte) {
	if t.kind.isVideo() {
		hevc := t.kind == kindHEVC
		if p := paramsOf(data, hevc); p.codec(hevc) != nil {
			t.codec, t.scale = p.codec(hevc), second
		}
		return
	}
	a, err := parseAudio(t.kind, data, t.channels)
	if err != nil {
		return
	}
	if t.scale != int64(a.rate) {
		t.begun = false // its time has other units now
	}
	t.codec, t.scale = a.codec, int64(a.rate)
}

// rebase places the part on the time line: the first, and those after a discontinuity.
func (r *Remuxer) rebase(packets [][]pes, p Part) {
	if r.hasRef && !p.Discontinuity {
		return
	}
	for i := range r.tracks {
		if len(packets[i]) == 0 {
			continue
		}
		first := packets[i][0].dts
		switch {
		case r.hasRef && p.Placed:
			r.offset = max(r.lead+durationTicks(p.At)-first, r.clear(packets, first))
		case p.Offset != nil && !p.Placed:
			end := int64(-1)
			if r.hasRef {
				end = r.end
			}
			r.offset = p.Offset(first, end)
		case r.hasRef:
			r.offset = r.end - first
		case p.Placed:
			// Audio may begin before the picture, and decode times are not negative.
			r.lead = first - earliest(packets, first)
			r.offset = r.lead + durationTicks(p.At) - first
		}
		r.ref, r.hasRef = first, true
		return
	}
}

// clear returns the least offset with which no track's first frame begins before its last
// one has ended.
func (r *Remuxer) clear(packets [][]pes, ref int64) int64 {
	offset := int64(math.MinInt64)
	for i, t := range r.tracks {
		if t.begun && len(packets[i]) > 0 {
			end := (t.next*second + t.scale - 1) / t.scale
			offset = max(offset, end-unwrap(ref, packets[i][0].dts))
		}
	}
	return offset
}

// earliest returns the first decoding time, unwrapped around ref.
func earliest(packets [][]pes, ref int64) int64 {
	least := ref
	for _, list := range packets {
		if len(list) > 0 {
			least = min(least, unwrap(ref, list[0].dts))
		}
	}
	return least
}

// durationTicks returns d in ticks, to the nearest: durations are whole microseconds,
// see stream.Part.
func durationTicks(d time.Duration) int64 {
	return (int64(d/time.Microsecond)*9 + 50) / 100
}

// place returns the decode and presentation time of a PES packet, in ticks.
func (r *Remuxer) place(p pes) (dts, pts int64) {
	r.ref = unwrap(r.ref, p.dts)
	return r.ref + r.offset, unwrap(r.ref, p.pts) + r.offset
}

// unwrap returns the value nearest to ref that ts is modulo 2^33 (ISO 13818-1, 2.4.3.6).
func unwrap(ref, ts int64) int64 {
	d := (ts - ref) & (wrap - 1)
	if d >= wrap/2 {
		d -= wrap
	}
	return ref + d
}

// video makes samples of pictures.
func (r *Remuxer) video(t *track, packets []pes, p Part, f *Fragment) *fmp4.PartTrack {
	samples := make([]fmp4.Sample, 0, len(packets))
	times := make([]int64, 0, len(packets)+1)
	ends := make([]int, 0, len(packets))
	t.arena = t.arena[:0]
	for i, packet := range packets {
		dts, pts := r.place(packet)
		before := len(t.arena)
		var key bool
		t.arena, key = appendPicture(t.arena, packet.data, t.kind == kindHEVC)
		if len(t.arena) == before {
			f.Lost++
			continue
		}
		// Decode times rise, whatever a broadcaster signed.
		dts = max(dts, 0)
		if t.begun {
			dts = max(dts, t.last+1)
		}
		t.begun, t.last = true, dts
		times, ends = append(times, dts), append(ends, len(t.arena))
		samples = append(samples, fmp4.Sample{
			IsNonSyncSample: !key && (i > 0 || !p.Independent), // by recovery point, the header says
			PTSOffset:       int32(min(max(pts-dts, math.MinInt32), math.MaxInt32)),
		})
	}
	n := len(samples)
	if n == 0 {
		return nil
	}
	if n > 1 {
		t.delta = times[n-1] - times[n-2]
	}
	times = append(times, times[n-1]+t.lastPicture(times[0], times[n-1], p.Duration))
	t.next = times[n]
	out := &fmp4.PartTrack{ID: t.id, BaseTime: uint64(times[0])}
	start := 0
	for i := range samples {
		samples[i].Duration = uint32(min(times[i+1]-times[i], math.MaxUint32))
		samples[i].Payload = t.arena[start:ends[i]]
		start = ends[i]
		out.Samples = append(out.Samples, &samples[i])
	}
	r.end = t.next
	return out
}

// lastPicture returns how long the picture at last lasts, in a part whose first is at
// first.
func (t *track) lastPicture(first, last int64, part time.Duration) int64 {
	if d := first + durationTicks(part) - last; part > 0 && d > 0 && d <= maxPicture {
		return d
	}
	if t.delta > 0 && t.delta <= maxPicture {
		return t.delta
	}
	return defaultPicture
}

// audio makes samples of audio frames.
func (r *Remuxer) audio(t *track, packets []pes, f *Fragment) *fmp4.PartTrack {
	var out fmp4.PartTrack
	out.ID = t.id
	for _, packet := range packets {
		dts, _ := r.place(packet)
		at := (dts*t.scale + second/2) / second
		for b := packet.data; len(b) > 0; {
			frame, err := parseAudio(t.kind, b, t.channels)
			if err == errSync {
				b = b[1:] // look for the next
				continue
			}
			if err != nil {
				f.Lost++
				break
			}
			b = b[frame.size:]
			if t.begun && at-t.next < frame.samples/2 && t.next-at < frame.samples/2 {
				at = t.next
			}
			start := at
			at += frame.samples
			if frame.data == nil || int64(frame.rate) != t.scale || start < 0 || t.begun && start < t.next {
				f.Lost++
				continue
			}
			if len(out.Samples) == 0 {
				out.BaseTime = uint64(start)
			} else if gap := start - t.next; gap > 0 {
				out.Samples[len(out.Samples)-1].Duration += uint32(min(gap, math.MaxUint32/2))
			}
			out.Samples = append(out.Samples, &fmp4.Sample{Duration: uint32(frame.samples), Payload: frame.data})
			t.begun, t.last, t.next = true, start, at
		}
	}
	if len(out.Samples) == 0 {
		return nil
	}
	if t == r.tracks[0] {
		r.end = t.next * second / t.scale
	}
	return &out
}
