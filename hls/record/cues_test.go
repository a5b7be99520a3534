package record

import (
	"bytes"
	"testing"

	"github.com/Comcast/scte35-go/pkg/scte35"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream/transport"
	"github.com/grapevine-live/grapevine/stream/transport/transporttest"
)

// Cues follow timestamps that are moved, those of several packets, too, and nothing else
// changes.
func TestMoveCues(t *testing.T) {
	var ts, out bytes.Buffer
	video := &mpegts.Track{Codec: &codecs.H264{}}
	w := &mpegts.Writer{W: &ts, Tracks: []*mpegts.Track{video}}
	if err := w.Initialize(); err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		if err := w.WriteH264(video, int64(n)*3600, int64(n)*3600, [][]byte{{0x65, byte(n)}}); err != nil {
			t.Fatal(err)
		}
	}
	long := transporttest.Section(&scte35.PrivateCommand{Identifier: 5, PrivateBytes: make([]byte, 500)})
	foreign := bytes.Clone(long)
	foreign[0] = 0x42
	a := transporttest.Annotator{W: &out, Notes: func(n int, _ int64) []transporttest.Note {
		return []transporttest.Note{{Section: [][]byte{transporttest.Splice(9, true, 5000, 0), long, foreign}[n%3]}}
	}}
	if _, err := a.Write(ts.Bytes()); err != nil {
		t.Fatal(err)
	}
	moved := bytes.Clone(out.Bytes())
	var m cueMover
	m.move(moved, 1000)
	before, after := sections(out.Bytes()), sections(moved)
	if len(before) != 10 || len(after) != 10 {
		t.Fatalf("%d sections, then %d", len(before), len(after))
	}
	for i, want := range before {
		if want[0] == 0xfc {
			transport.ShiftSplice(want, 1000)
		}
		if !bytes.Equal(after[i], want) {
			t.Errorf("section %d is %x, want %x", i, after[i], want)
		}
	}
	m.move(moved, -1000)
	if !bytes.Equal(moved, out.Bytes()) {
		t.Error("moved back, it is not what it was")
	}
}

// sections returns all sections of the cues' PID, whatever their CRC.
func sections(ts []byte) (list [][]byte) {
	var section []byte
	for ; len(ts) > 0; ts = ts[transport.PacketSize:] {
		p := transport.ParsePacket(ts[:transport.PacketSize])
		if p.PID != transporttest.SplicePID {
			continue
		}
		if p.Start {
			section, p.Payload = nil, p.Payload[1:]
		}
		section = append(section, p.Payload...)
		if n := 3 + int(section[1]&15)<<8 + int(section[2]); len(section) >= n {
			list = append(list, section[:n])
		}
	}
	return list
}
