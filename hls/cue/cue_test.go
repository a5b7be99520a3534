package cue

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Comcast/scte35-go/pkg/scte35"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream/transport"
	"github.com/grapevine-live/grapevine/stream/transport/transporttest"
)

const second = 90000

var live = time.Date(2026, 11, 21, 20, 0, 0, 123_456_000, time.UTC)

// segment returns a segment of two seconds, whose first picture is shown at pts, with
// sections before its pictures.
func segment(t testing.TB, pts int64, sections map[int][]byte) []byte {
	t.Helper()
	var ts, out bytes.Buffer
	video := &mpegts.Track{Codec: &codecs.H264{}}
	w := &mpegts.Writer{W: &ts, Tracks: []*mpegts.Track{video}}
	if err := w.Initialize(); err != nil {
		t.Fatal(err)
	}
	for n := range 50 {
		at := (pts + int64(n)*second/25) & (wrap - 1)
		unit := []byte{0x41, byte(n)}
		if n == 0 {
			unit[0] = 0x65
		}
		if err := w.WriteH264(video, at, at, [][]byte{unit}); err != nil {
			t.Fatal(err)
		}
	}
	a := transporttest.Annotator{W: &out, Notes: func(n int, _ int64) []transporttest.Note {
		if s := sections[n]; s != nil {
			return []transporttest.Note{{Section: s}}
		}
		return nil
	}}
	if _, err := a.Write(ts.Bytes()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func segmentation(event, kind uint32, planned uint64) *scte35.SegmentationDescriptor {
	d := &scte35.SegmentationDescriptor{SegmentationEventID: event, SegmentationTypeID: kind}
	if planned > 0 {
		d.SegmentationDuration = &planned
	}
	return d
}

// scan scans a segment in chunks of n bytes.
func scan(t testing.TB, s *Scanner, data []byte, at time.Time, n int) []Cue {
	t.Helper()
	return s.Scan(Part{Chunks: slices.Collect(slices.Chunk(data, n)), Epoch: 3, StartsSegment: true, ProgramTime: at})
}

func TestScan(t *testing.T) {
	signal := func(pts uint64, d ...scte35.SpliceDescriptor) []byte {
		return transporttest.Section(scte35.NewTimeSignal(pts), d...)
	}
	null := transporttest.Section(&scte35.SpliceNull{})
	private := transporttest.Section(&scte35.PrivateCommand{Identifier: 'G'<<24 | 'R', PrivateBytes: scte35.Bytes("x")})
	encrypted := bytes.Clone(transporttest.Splice(7, true, 5, 0))
	encrypted[4] |= 0x82
	crc := transport.CRC32(encrypted[:len(encrypted)-4])
	copy(encrypted[len(encrypted)-4:], []byte{byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)})
	const first = 10 * second
	for _, test := range []struct {
		name    string
		section []byte
		want    string // kind, event, seconds after the segment began, planned
	}{
		{"out", transporttest.Splice(7, true, first+4*second, 30*second), "[1 splice-7 4s 30s]"},
		{"in", transporttest.Splice(7, false, first+second, 0), "[2 splice-7 1s 0s]"},
		{"at once", transporttest.Splice(7, true, -1, 0), "[1 splice-7 760ms 0s]"}, // the picture before
		{"cancelled", transporttest.Section(&scte35.SpliceInsert{SpliceEventID: 7, SpliceEventCancelIndicator: true}), "[3 splice-7 760ms 0s]"},
		{"advertisement", signal(first+4*second, segmentation(9, 0x30, 15*second)), "[1 segment-9-48 4s 15s]"},
		{"its end", signal(first+4*second, segmentation(9, 0x31, 0)), "[2 segment-9-48 4s 0s]"},
		{"two at a time", signal(first, segmentation(1, 0x35, 0), segmentation(2, 0x10, 60*second)), "[2 segment-1-52 0s 0s] [0 segment-2-16 0s 1m0s]"},
		{"a signal alone", signal(first + second), "[0  1s 0s]"},
		{"private", private, "[0  760ms 0s]"},
		{"heartbeat", null, ""},
		{"bandwidth", transporttest.Section(&scte35.BandwidthReservation{}), ""},
		{"encrypted", encrypted, "[0  760ms 0s]"},
	} {
		for _, pts := range []int64{first, wrap - second/2} {
			section := bytes.Clone(test.section)
			transport.ShiftSplice(section, pts-first)
			for _, n := range []int{1, 188, 1000, 1 << 20} {
				var s Scanner
				var got []string
				for _, c := range scan(t, &s, segment(t, pts, map[int][]byte{20: section}), live, n) {
					got = append(got, fmt.Sprint("[", int(c.Kind), " ", c.Event, " ", c.Start.Sub(live.Truncate(time.Millisecond)), " ", c.Planned, "]"))
					if !bytes.Equal(c.Section, section) {
						t.Errorf("%s: section %x", test.name, c.Section)
					}
					if d := c.Found.Sub(live); d.Round(10*time.Millisecond) != 760*time.Millisecond {
						t.Errorf("%s: found after %v", test.name, d)
					}
				}
				if all := strings.Join(got, " "); all != test.want {
					t.Errorf("%s, from %d, by %d: %s, want %s", test.name, pts, n, all, test.want)
				}
			}
		}
	}
}

// The standard's own examples (SCTE 35:2023, 14.1 and 14.2), and one whose
// splice_command_length is 0xfff, as older encoders write it (9.6.1).
func TestDecodeExamples(t *testing.T) {
	legacy := transporttest.Splice(7, true, 0x7369c02e, 0)
	legacy[11], legacy[12] = legacy[11]|0x0f, 0xff
	transport.ShiftSplice(legacy, 0) // its CRC
	for _, test := range []struct {
		name    string
		section []byte
		event   string
		pts     int64
		planned time.Duration
		returns bool
	}{
		{"placement opportunity", unbase64(t, "/DA0AAAAAAAA///wBQb+cr0AUAAeAhxDVUVJSAAAjn/PAAGlmbAICAAAAAAsoKGKNAIAmsnRfg=="), "segment-1207959694-52", 0x72bd0050, 307 * time.Second, false},
		{"splice_insert", unbase64(t, "/DAvAAAAAAAA///wFAVIAACPf+/+c2nALv4AUsz1AAAAAAAKAAhDVUVJAAABNWLbowo="), "splice-1207959695", 0x7369c02e, 60293566 * time.Microsecond, true},
		{"without a length", legacy, "splice-7", 0x7369c02e, 0, false},
	} {
		at := int64(-1)
		cues := decode(test.section, 1, 5, func(pts int64) time.Time {
			at = max(at, pts)
			return live
		})
		if len(cues) != 1 || cues[0].Kind != Out || cues[0].Event != test.event || at != test.pts ||
			cues[0].Planned != test.planned || cues[0].Returns != test.returns || !cues[0].Timed {
			t.Errorf("%s: %+v at %d", test.name, cues, at)
		}
	}
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A section before the first frame is of the segment, too.
func TestScanFirst(t *testing.T) {
	var s Scanner
	cues := scan(t, &s, segment(t, 5*second, map[int][]byte{0: transporttest.Splice(7, true, -1, 0)}), live, 1<<20)
	if len(cues) != 1 || !cues[0].Start.Equal(live.Truncate(time.Millisecond)) || s.Lost() != 0 {
		t.Errorf("%+v, %d lost", cues, s.Lost())
	}
}

// moment is a cue at a time, in seconds.
func moment(kind Kind, event string, found, start float64) Cue {
	at := func(s float64) time.Time { return live.Add(time.Duration(s * float64(time.Second))) }
	c := Cue{Kind: kind, Event: event, Found: at(found), Start: at(start), Timed: found != start, Section: []byte(fmt.Sprint(kind, event))}
	c.id = fmt.Sprintf("%s-%v", event, start)
	return c
}

func planned(c Cue, d time.Duration, returns bool) Cue {
	c.Planned, c.Returns = d, returns
	return c
}

func TestRanges(t *testing.T) {
	half := 30 * time.Second
	for _, test := range []struct {
		name string
		cues []Cue
		want string // ID, what it has, when it ends
	}{
		{"pair", []Cue{moment(Out, "a", 0, 4), moment(In, "a", 30, 34)}, "a-4 out in 34"},
		{"repeated", []Cue{moment(Out, "a", 0, 4), moment(Out, "a", 1, 4.01), moment(In, "a", 30, 34), moment(In, "a", 31, 34)}, "a-4 out in 34"},
		{"repeated at once", []Cue{moment(Out, "a", 1, 1), moment(Out, "a", 2, 2), moment(In, "a", 9, 9), moment(In, "a", 10, 10)}, "a-1 out in 9"},
		{"read again", []Cue{moment(Out, "a", 1, 1), moment(Out, "a", 2, 2), moment(In, "a", 9, 9), moment(Out, "a", 1, 1), moment(Out, "a", 2, 2), moment(In, "a", 9, 9)}, "a-1 out in 9"},
		{"open", []Cue{moment(Out, "a", 0, 4)}, "a-4 out"},
		{"two events", []Cue{moment(Out, "a", 0, 4), moment(Out, "b", 1, 5), moment(In, "a", 8, 9)}, "a-4 out in 9, b-5 out"},
		{"the event again", []Cue{moment(Out, "a", 0, 4), moment(In, "a", 8, 9), moment(Out, "a", 20, 24)}, "a-4 out in 9, a-24 out"},
		{"returns, and again", []Cue{planned(moment(Out, "a", 0, 4), half, true), planned(moment(Out, "a", 60, 64), half, true)}, "a-4 out, a-64 out"},
		{"moved", []Cue{moment(Out, "a", 0, 4), moment(Out, "a", 2, 9), moment(Out, "a", 0, 4)}, "a-9 out"},
		{"cancelled", []Cue{moment(Out, "a", 0, 4), moment(Cancel, "a", 2, 2), moment(Out, "a", 0, 4)}, ""},
		{"cancelled of any type", []Cue{moment(Out, "a-48", 0, 4), moment(Cancel, "a", 2, 2)}, ""},
		{"cancelled and again", []Cue{moment(Out, "a", 0, 4), moment(Cancel, "a", 2, 2), moment(Out, "a", 6, 8)}, "a-8 out"},
		{"end alone", []Cue{moment(In, "a", 3, 4)}, "a-4 in 4"},
		{"end alone, then its beginning", []Cue{moment(In, "a", 3, 4), moment(Out, "a", 0, 2), moment(Out, "a", 1, 2), moment(In, "a", 3, 4)}, "a-2 out in 4, a-4 in 4"},
		{"end before its beginning", []Cue{moment(Out, "a", 0, 4), moment(In, "a", 2, 2)}, "a-4 out in 4"},
		{"commands", []Cue{moment(Command, "a", 0, 4), moment(Command, "a", 1, 4), moment(Command, "a", 8, 9)}, "a-4 command, a-9 command"},
		{"commands without a time", []Cue{moment(Command, "", 1, 1), moment(Command, "", 1.04, 1.04), moment(Command, "", 2, 2)}, "-1 command, -2 command"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r Ranges
			for _, c := range test.cues {
				r.Add([]Cue{c})
			}
			var got []string
			for _, e := range r.Since(live) {
				s := e.ID
				if e.Out != nil {
					s += " out"
				}
				if e.Command != nil {
					s += " command"
				}
				if e.In != nil {
					s += fmt.Sprint(" in ", e.End.Sub(live).Seconds())
				}
				got = append(got, s)
			}
			if all := strings.Join(got, ", "); all != test.want {
				t.Errorf("%q, want %q", all, test.want)
			}
		})
	}
}

// Ranges are there until they are over.
func TestSince(t *testing.T) {
	var r Ranges
	r.Add([]Cue{
		moment(Out, "closed", 0, 4), moment(In, "closed", 8, 9),
		moment(Out, "open", 0, 5),
		planned(moment(Out, "returns", 0, 6), 10*time.Second, true),
		planned(moment(Command, "command", 0, 7), 5*time.Second, false),
	})
	for _, test := range []struct {
		at   float64
		want string
	}{
		{0, "closed open returns command"}, {9, "closed open returns command"}, {10, "open returns command"},
		{13, "open returns"}, {17, "open"}, {80000, "open"}, {90000, ""},
	} {
		var got []string
		for _, e := range r.Since(live.Add(time.Duration(test.at * float64(time.Second)))) {
			got = append(got, e.event)
		}
		if all := strings.Join(got, " "); all != test.want {
			t.Errorf("at %v: %s, want %s", test.at, all, test.want)
		}
	}
}

func TestRangesAreBounded(t *testing.T) {
	var r Ranges
	for n := range 3 * maxRanges {
		c := moment(Out, fmt.Sprint(n), float64(n), float64(n)+1)
		c.Section = make([]byte, n)
		r.Add([]Cue{c, moment(In, fmt.Sprint(n), float64(n)+1, float64(n)+2)})
	}
	if n := len(r.Since(live)); n > maxRanges || r.size > maxSections || r.Dropped() != 3*maxRanges-n || n < 50 {
		t.Errorf("%d ranges, %d bytes, %d dropped", n, r.size, r.Dropped())
	}
}

// TestRangesThatGoOn: a break that goes on stays while others come and go, unless many do.
func TestRangesThatGoOn(t *testing.T) {
	var r Ranges
	add := func(n int, cues ...Cue) {
		r.Add(cues)
		if len(r.list) > maxRanges {
			t.Fatalf("%d ranges after event %d", len(r.list), n)
		}
	}
	add(0, moment(Out, "0", 0, 1))
	for n := 1; n < 3*maxRanges; n++ {
		at := float64(n)
		add(n, moment(Out, fmt.Sprint(n), at, at+1), moment(In, fmt.Sprint(n), at+1, at+2))
	}
	if r.newest("0") == nil {
		t.Error("a break that goes on was let go before others that are over")
	}
	last := 4 * maxRanges
	for n := 3 * maxRanges; n <= last; n++ {
		add(n, moment(Out, fmt.Sprint(n), float64(n), float64(n)+1))
	}
	if r.newest("0") != nil || r.newest(fmt.Sprint(last)) == nil || r.newest(fmt.Sprint(3*maxRanges-1)) == nil {
		t.Error("of more that go on than half of all, the oldest stay")
	}
}

// FuzzScan: no bytes make it panic, or keep more than it may.
func FuzzScan(f *testing.F) {
	f.Add(segment(f, 10*second, map[int][]byte{0: transporttest.Splice(7, true, 11*second, 9), 20: transporttest.Section(scte35.NewTimeSignal(3), segmentation(1, 0x30, 5))}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Scanner
		var r Ranges
		for range 2 {
			r.Add(s.Scan(Part{Chunks: [][]byte{b}, StartsSegment: true, ProgramTime: live}))
		}
		r.Since(live)
		if len(r.list) > maxRanges || r.size > maxSections || len(s.rest) >= transport.PacketSize {
			t.Errorf("%d ranges, %d bytes", len(r.list), r.size)
		}
	})
}

// FuzzDecode: no section with a good CRC does, either.
func FuzzDecode(f *testing.F) {
	f.Add(transporttest.Splice(7, true, 11*second, 9))
	f.Add(transporttest.Section(scte35.NewTimeSignal(3), segmentation(1, 0x30, 5)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 20 || len(b) > 4096 {
			return
		}
		b = bytes.Clone(b)
		b[0], b[1], b[2] = 0xfc, 0x30|byte((len(b)-3)>>8), byte(len(b)-3)
		transport.ShiftSplice(b, 0) // its CRC
		for _, c := range decode(b, 1, 5, func(pts int64) time.Time { return live }) {
			if c.id == "" || strings.ContainsAny(c.id, "\"\n\r") || c.Planned < 0 {
				t.Errorf("%+v", c)
			}
		}
	})
}
