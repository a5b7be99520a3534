package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/Comcast/scte35-go/pkg/scte35"
	"github.com/asticode/go-astits"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/transport"
	"github.com/grapevine-live/grapevine/stream/transport/transporttest"
)

// annotation is a message of an annotated input, before picture at.
type annotation struct {
	at      int
	pts     int64 // of ID3
	tag     []byte
	section []byte
}

// id3Tag returns an ID3 tag with a text.
func id3Tag(text string) []byte { return transporttest.Tag(text) }

// spliceAt returns a section that announces a break at pts: in part as its adjustment.
func spliceAt(pts int64, event uint32) []byte {
	b := transporttest.Splice(event, true, (pts+5)&(wrap-1), 30*second)
	transport.ShiftSplice(b, -5)
	return b
}

// encrypted says that a section's command is, of which nothing can be read.
func encrypted(section []byte) []byte {
	out := bytes.Clone(section)
	out[4] |= 0x82 // DES, ECB
	at := len(out) - 4
	return binary.BigEndian.AppendUint32(out[:at], transport.CRC32(out[:at]))
}

// annotated returns the clip with messages between its pictures.
func (c clip) annotated(t testing.TB, notes []annotation) []byte {
	t.Helper()
	ts, _, _ := c.encode(t)
	var out bytes.Buffer
	a := transporttest.Annotator{W: &out, Notes: func(n int, _ int64) (due []transporttest.Note) {
		for _, note := range notes {
			if note.at == n {
				due = append(due, transporttest.Note{PTS: note.pts, Tag: note.tag, Section: note.section})
			}
		}
		return due
	}}
	if _, err := a.Write(ts); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// dataSeen is what a reader finds in a part or segment.
type dataSeen struct {
	kinds  []string // "type 0x15 of ID3 " and so on, of the PMT
	tags   []frame  // ID3
	splice []*scte35.SpliceInfoSection
	raw    [][]byte // sections
	video  []int64  // presentation times
}

// readData reads a transport stream with astits' demuxer, and sections by hand: it knows
// none of this type.
func readData(t testing.TB, ts []byte) (seen dataSeen) {
	t.Helper()
	d := astits.NewDemuxer(context.Background(), bytes.NewReader(ts), astits.DemuxerOptPacketSize(packetSize))
	types := make(map[uint16]astits.StreamType)
	for {
		data, err := d.NextData()
		if err == astits.ErrNoMorePackets {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if data.PMT != nil {
			seen.kinds = nil
			for _, p := range data.PMT.ProgramDescriptors {
				seen.kinds = append(seen.kinds, fmt.Sprintf("program %#02x", p.Tag))
			}
			for _, es := range data.PMT.ElementaryStreams {
				types[es.ElementaryPID] = es.StreamType
				seen.kinds = append(seen.kinds, fmt.Sprintf("stream %#02x", uint8(es.StreamType)))
			}
		}
		if data.PES == nil {
			continue
		}
		switch types[data.PID] {
		case astits.StreamTypeH264Video:
			seen.video = append(seen.video, data.PES.Header.OptionalHeader.PTS.Base)
		case 0x15:
			if !data.PES.Header.OptionalHeader.DataAlignmentIndicator || data.PES.Header.StreamID != 0xbd {
				t.Errorf("header %+v", data.PES.Header)
			}
			seen.tags = append(seen.tags, frame{pts: data.PES.Header.OptionalHeader.PTS.Base, name: string(data.PES.Data)})
		}
	}
	var section []byte
	for at := 0; at < len(ts); at += packetSize {
		p := transport.ParsePacket(ts[at : at+packetSize])
		if types[p.PID] != 0x86 {
			continue
		}
		if p.Start {
			section = nil
			p.Payload = p.Payload[1+p.Payload[0]:]
		}
		section = append(section, p.Payload...)
		if n := 3 + int(section[1]&0xf)<<8 + int(section[2]); len(section) >= n {
			seen.raw = append(seen.raw, bytes.Clone(section[:n]))
			var s scte35.SpliceInfoSection
			if err := s.Decode(section[:n]); err == nil { // the CRC, too
				seen.splice = append(seen.splice, &s)
			}
			section = nil
		}
	}
	return seen
}

// Tags and cues come out as they are, with times that fit the frames', in the parts in
// which they are.
func TestData(t *testing.T) {
	for _, start := range []int64{3 * second, wrap - 3*second} {
		t.Run(fmt.Sprint("from ", start), func(t *testing.T) {
			at := func(picture int) int64 { return start + int64(picture)*second/25 }
			long := id3Tag(string(bytes.Repeat([]byte("long "), 900)))
			c := clip{start: start, frames: 200, size: 800}
			notes := []annotation{
				{at: 0, pts: at(0), tag: id3Tag("first")},         // before the first picture
				{at: 30, pts: at(30), tag: id3Tag("with")},        // with its picture
				{at: 60, pts: at(75), tag: long},                  // early, by more than a part
				{at: 110, pts: at(100), tag: id3Tag("late")},      // late, by about one
				{at: 20, section: spliceAt(at(150), 7)},           // four seconds ahead
				{at: 70, section: encrypted(spliceAt(0, 8))},      // times that cannot be read
				{at: 199, pts: at(230), tag: id3Tag("after all")}, // its frame never comes
			}
			parts, stats, err := ingestAll(t, Config{}, c.annotated(t, notes))
			if err != nil {
				t.Fatal(err)
			}
			checkParts(t, parts)
			seen := readData(t, join(parts))
			want := []string{"program 0x25", "program 0x05", "stream 0x1b", "stream 0x0f", "stream 0x15", "stream 0x86"}
			if !slices.Equal(seen.kinds, want) {
				t.Errorf("the PMT has %q, want %q", seen.kinds, want)
			}
			offset := seen.video[0] - start
			var tags []frame
			for _, n := range notes {
				if n.tag != nil {
					tags = append(tags, frame{pts: (n.pts + offset) & (wrap - 1), name: string(n.tag)})
				}
			}
			if !slices.Equal(seen.tags, tags) {
				t.Errorf("tags %+v, want %+v", seen.tags, tags)
			}
			if len(seen.raw) != 2 || len(seen.splice) < 1 {
				t.Fatalf("%d sections, %d decoded", len(seen.raw), len(seen.splice))
			}
			cue := seen.splice[0].SpliceCommand.(*scte35.SpliceInsert)
			got := (*cue.Program.SpliceTime.PTSTime + seen.splice[0].PTSAdjustment) & (wrap - 1)
			if cue.SpliceEventID != 7 || int64(got) != (at(150)+offset)&(wrap-1) {
				t.Errorf("splice %d at %d, want %d", cue.SpliceEventID, got, at(150)+offset)
			}
			in, out := encrypted(spliceAt(0, 8)), seen.raw[1]
			if transport.CRC32(out) != 0 || !bytes.Equal(in[9:len(in)-4], out[9:len(out)-4]) || in[4]&^1 != out[4]&^1 {
				t.Errorf("an encrypted section came out as %x", out)
			}
			if len(stats.Data) != 2 || stats.Data[0] != (DataStats{transporttest.ID3PID, "timed ID3", 5}) || stats.Data[1] != (DataStats{transporttest.SplicePID, "SCTE-35", 2}) ||
				stats.DamagedMessages != 0 || stats.LeftOutMessages != 0 || !slices.Equal(stats.Ignored, []string{"stream type 0x05"}) {
				t.Errorf("figures %+v", stats)
			}
			checkPlaces(t, parts, tags, seen.video[0])
		})
	}
}

// checkPlaces fails unless each tag is in the part in which it is shown, or the next that
// ends when it came.
func checkPlaces(t *testing.T, parts []stream.Part, tags []frame, first int64) {
	t.Helper()
	at := first
	for n, p := range parts {
		end := at + ticks(p.Duration)
		for _, tag := range tags {
			within := tag.pts >= at && tag.pts < end
			name := []byte(tag.name[:min(60, len(tag.name))])
			if is := bytes.Contains(p.Data, name); is != within && !bytes.Contains([]byte(tag.name), []byte("late")) && !bytes.Contains([]byte(tag.name), []byte("after")) {
				t.Errorf("part %d, from %d to %d, holds the tag of %d: %t", n, at, end, tag.pts, is)
			}
		}
		at = end
	}
}

// Data delays no part, and changes no frame.
func TestDataDelaysNothing(t *testing.T) {
	c := clip{start: second, frames: 200, size: 800}
	var notes []annotation
	for n := range 200 {
		notes = append(notes, annotation{at: n, pts: second + int64(n+5)*second/25, tag: id3Tag(fmt.Sprint("tag ", n))})
	}
	plain, _, err := ingestAll(t, Config{}, c.annotated(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	parts, _, err := ingestAll(t, Config{}, c.annotated(t, notes))
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) != len(plain) {
		t.Fatalf("%d parts, %d without data", len(parts), len(plain))
	}
	for i, p := range parts {
		if p.Duration != plain[i].Duration {
			t.Errorf("part %d lasts %v, %v without data", i, p.Duration, plain[i].Duration)
		}
	}
	video, audio := demuxed(t, join(parts))
	plainVideo, plainAudio := demuxed(t, join(plain))
	if !slices.Equal(video, plainVideo) || !slices.Equal(audio, plainAudio) {
		t.Error("frames differ")
	}
}

// What is damaged, or on another time line, is left out and counted.
func TestDataLeftOut(t *testing.T) {
	c := clip{start: second, frames: 100}
	broken := spliceAt(5*second, 1)
	broken[12] ^= 1
	stuffing := append([]byte{0x42, 0x30, 17}, make([]byte, 13)...)
	stuffing = binary.BigEndian.AppendUint32(stuffing, transport.CRC32(stuffing))
	ts := c.annotated(t, []annotation{
		{at: 10, pts: 100 * second, tag: id3Tag("elsewhere")},
		{at: 20, section: broken},
		{at: 30, section: stuffing},
		{at: 40, pts: 2 * second, tag: id3Tag(string(make([]byte, 3000)))},
		{at: 50, pts: 3 * second, tag: id3Tag("good")},
	})
	for at := 0; at < len(ts); at += packetSize { // a packet of the long tag is lost
		if p := transport.ParsePacket(ts[at : at+packetSize]); p.PID == transporttest.ID3PID && !p.Start {
			ts = slices.Delete(ts, at, at+packetSize)
			break
		}
	}
	parts, stats, err := ingestAll(t, Config{}, ts)
	if err != nil {
		t.Fatal(err)
	}
	seen := readData(t, join(parts))
	if len(seen.tags) != 1 || seen.tags[0].name != string(id3Tag("good")) || len(seen.raw) != 0 {
		t.Errorf("%+v, %x", seen.tags, seen.raw)
	}
	if stats.DamagedMessages != 2 || stats.LeftOutMessages != 2 || stats.LostPackets != 1 {
		t.Errorf("figures %+v", stats)
	}
}

// After a break, and when a file starts again, times fit the frames'.
func TestDataAfterBreaks(t *testing.T) {
	one := clip{start: second, frames: 100, label: "one "}
	two := clip{start: 500 * second, frames: 100, label: "two "}
	note := func(c clip) []annotation {
		return []annotation{{at: 40, pts: c.start + 40*second/25, tag: id3Tag(c.label)},
			{at: 41, section: spliceAt(c.start+80*second/25, 5)}}
	}
	parts, stats, err := ingestAll(t, Config{}, slices.Concat(one.annotated(t, note(one)), two.annotated(t, note(two))))
	if err != nil || stats.Discontinuities != 1 {
		t.Fatalf("%v, %+v", err, stats)
	}
	seen := readData(t, join(parts))
	if len(seen.tags) != 2 || len(seen.splice) != 2 || len(seen.video) != 200 {
		t.Fatalf("%d tags, %d cues, %d pictures", len(seen.tags), len(seen.splice), len(seen.video))
	}
	for i := range seen.tags {
		cue := seen.splice[i].SpliceCommand.(*scte35.SpliceInsert)
		at := (*cue.Program.SpliceTime.PTSTime + seen.splice[i].PTSAdjustment) & (wrap - 1)
		if seen.tags[i].pts != seen.video[i*100+40] || int64(at) != seen.video[i*100+80] {
			t.Errorf("%d: tag at %d, want %d; splice at %d, want %d", i, seen.tags[i].pts, seen.video[i*100+40], at, seen.video[i*100+80])
		}
	}
}

// Streams of data that come and go within a programme are no discontinuity.
func TestDataComesAndGoes(t *testing.T) {
	c := clip{start: second, frames: 100}
	plain, _, _ := c.encode(t)
	c.start += 4 * second
	noted := c.annotated(t, []annotation{{at: 40, pts: c.start + 40*second/25, tag: id3Tag("here")}})
	c.start += 4 * second
	after, _, _ := c.encode(t)
	parts, stats, err := ingestAll(t, Config{}, slices.Concat(plain, noted, after))
	if err != nil || stats.Discontinuities != 0 {
		t.Fatalf("%v, %+v", err, stats)
	}
	checkParts(t, parts)
	if seen := readData(t, join(parts)); len(seen.tags) != 1 {
		t.Errorf("%+v", seen.tags)
	}
}

// A splitter changes no byte, and so keeps all data.
func TestSplitKeepsData(t *testing.T) {
	c := clip{start: second, frames: 50, size: 3000}
	ts := c.annotated(t, []annotation{{at: 30, pts: second + 30*second/25, tag: id3Tag("kept")}, {at: 10, section: spliceAt(9*second, 3)}})
	parts := splitAll(t, 5000, ts)
	if !bytes.Equal(join(parts), ts) {
		t.Error("bytes differ")
	}
	if seen := readData(t, join(parts)); len(seen.tags) != 1 || len(seen.splice) != 1 {
		t.Errorf("%+v", seen)
	}
}

func FuzzSections(f *testing.F) {
	f.Add(bytes.Join(transporttest.SectionPackets(transporttest.SplicePID, spliceAt(9*second, 3)), nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s transport.Sections
		for ; len(b) >= packetSize; b = b[packetSize:] {
			s.Add(transport.ParsePacket(b[:packetSize]), func(section []byte) {
				if !transport.IsSplice(section) {
					return
				}
				before := bytes.Clone(section)
				transport.ShiftSplice(section, 77)
				if transport.CRC32(section) != 0 {
					t.Errorf("%x became %x", before, section)
				}
				transport.ShiftSplice(section, -77)
				if !bytes.Equal(before, section) {
					t.Errorf("%x became %x", before, section)
				}
			})
		}
	})
}

// What encoders leave out, ingests of what they made have from the one before, at the same
// times; those that begin later have what is from then on.
func TestDataOfWhatIsEncoded(t *testing.T) {
	c := clip{frames: 200, start: 7 * second}
	var notes []annotation
	for n := range 8 {
		notes = append(notes, annotation{at: 25 * n, pts: c.start + int64(n)*second, tag: id3Tag(fmt.Sprint("tag ", n))})
	}
	notes = append(notes, annotation{at: 110, section: spliceAt(c.start+6*second, 3)})
	base := NewBase()
	first := runBreaks(t, Config{Base: base}, c.annotated(t, notes))
	if seen := readData(t, join(first)); len(seen.tags)+len(seen.raw) > 0 || len(seen.kinds) != 2 {
		t.Errorf("the encoder gets %+v", seen)
	}
	whole, _, _ := segments(first)
	for lost := range 2 {
		parts := runBreaks(t, Config{Base: base.Encoded()}, slices.Concat(whole[lost:]...))
		checkParts(t, parts)
		seen := readData(t, join(parts))
		if len(seen.tags) != 8-2*lost || len(seen.splice) != 1 {
			t.Fatalf("%d tags, %d cues", len(seen.tags), len(seen.splice))
		}
		for n, tag := range seen.tags {
			if want := int64(firstTimestamp + (n+2*lost)*second); tag.pts != want || tag.name != string(id3Tag(fmt.Sprint("tag ", n+2*lost))) {
				t.Errorf("tag %d at %d, want %d", n, tag.pts, want)
			}
		}
		cue := seen.splice[0].SpliceCommand.(*scte35.SpliceInsert)
		if at := (*cue.Program.SpliceTime.PTSTime + seen.splice[0].PTSAdjustment) & (wrap - 1); at != firstTimestamp+6*second {
			t.Errorf("splice at %d", at)
		}
		if lost == 0 {
			checkPlaces(t, parts, seen.tags, seen.video[0])
		}
	}
}

// An encoder that is too far behind its input misses messages, which is counted.
func TestSharedMessagesAreBounded(t *testing.T) {
	base := NewBase()
	base.setData([]*dataStream{{kind: transport.TimedID3}})
	for n := range int64(maxShared + 10) {
		base.share(sharedMessage{at: n, data: []byte{1}})
	}
	kinds, due, next := base.shared(5, 100)
	if len(kinds) != 1 || len(due) != 90 || due[0].number != 10 || next != 100 || missed(5, next, due) != 5 {
		t.Errorf("%d messages before %d, %d missed", len(due), next, missed(5, next, due))
	}
	base.share(sharedMessage{data: make([]byte, maxSharedBytes)})
	if _, due, next = base.shared(next, 1); len(due) != 1 || missed(100, next, due) != maxShared+10-100 {
		t.Errorf("%d messages, %d missed", len(due), missed(100, next, due))
	}
}
