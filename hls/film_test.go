package hls

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream/transport/transporttest"
)

const (
	// filmPictures is how many pictures a part has.
	filmPictures = 10
	// filmPackets is how many packets a part has, or twice that: segments with cues are no
	// larger than others.
	filmPackets = 17
)

// nullPacket is stuffing (ISO 13818-1, 2.4.1).
var nullPacket = append([]byte{0x47, 0x1f, 0xff, 0x10}, bytes.Repeat([]byte{0xff}, 184)...)

// Parameter sets of 640x360 and 1920x1080, as x264 writes them.
var (
	smallSPS = unhex("6764001eacd940a02ff97011000003000100000300328f162d96")
	largeSPS = unhex("67640028acd940780227e5c044000003000400000300c83c60c658")
	filmPPS  = unhex("68ee3cb0")
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// film makes MPEG-TS with video, whose pictures name the segment and their number in it.
type film struct {
	t     testing.TB
	sps   []byte
	dts   int64 // ticks
	track *mpegts.Track
	buf   bytes.Buffer
	w     *mpegts.Writer
	cues  cueSheet
	cut   bytes.Buffer            // buf with cues
	notes transporttest.Annotator // puts them there
	live  time.Time               // programme time of the part
	from  int64                   // dts then
	n     int                     // of the next picture in the segment
}

func newFilm(t testing.TB) *film {
	f := &film{t: t, sps: smallSPS, dts: 10 * 90000, track: &mpegts.Track{Codec: &codecs.H264{}}}
	f.w = &mpegts.Writer{W: &f.buf, Tracks: []*mpegts.Track{f.track}}
	f.check(f.w.Initialize())
	f.notes = transporttest.Annotator{W: &f.cut, Notes: func(_ int, pts int64) []transporttest.Note {
		return f.cues.before(f.live.Add(time.Duration(((pts-f.from)&(1<<33-1))*100/9)*time.Microsecond), pts)
	}}
	return f
}

func (f *film) check(err error) {
	if err != nil {
		f.t.Helper()
		f.t.Fatal(err)
	}
}

// part returns part i of the segment called name, which is live at a time.
func (f *film) part(name string, i int, d time.Duration, live time.Time) []byte {
	f.buf.Reset()
	f.cut.Reset()
	f.live, f.from = live.Truncate(time.Microsecond), f.dts
	if i == 0 {
		f.n = 0
		_, err := f.w.WriteTables()
		f.check(err)
	}
	for k := range filmPictures {
		unit := append([]byte{0x41}, fmt.Sprintf("%s#%d.", name, f.n)...)
		au := [][]byte{unit}
		if f.n == 0 {
			unit[0] = 0x65
			au = [][]byte{f.sps, filmPPS, unit}
		}
		at := (f.dts + int64(k)*int64(d)*9/1e5/filmPictures) & (1<<33 - 1)
		f.check(f.w.WriteH264(f.track, at, at, au))
		f.n++
	}
	f.dts = (f.dts + int64(d)*9/1e5) & (1<<33 - 1)
	_, err := f.notes.Write(f.buf.Bytes())
	f.check(err)
	for f.cut.Len()%(filmPackets*188) > 0 {
		f.cut.Write(nullPacket)
	}
	return bytes.Clone(f.cut.Bytes())
}
