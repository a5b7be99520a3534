package record

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream"
)

// Parameter sets of 1920x1080, as x264 writes them.
const (
	largeSPS = "67640028acd940780227e5c044000003000400000300c83c60c658"
	somePPS  = "68ee3cb0"
)

// pictures makes a segment of one part, without sound.
func pictures(t testing.TB, sps string) []stream.Part {
	t.Helper()
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var ts bytes.Buffer
	track := &mpegts.Track{Codec: &codecs.H264{}}
	w := &mpegts.Writer{W: &ts, Tracks: []*mpegts.Track{track}}
	if err := w.Initialize(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteTables(); err != nil {
		t.Fatal(err)
	}
	for n := range 50 {
		au := [][]byte{{0x41, byte(n), 0x80}}
		if n == 0 {
			au = [][]byte{unhex(sps), unhex(somePPS), {0x65, 0x80}}
		}
		at := int64(900000 + n*3600)
		if err := w.WriteH264(track, at, at, au); err != nil {
			t.Fatal(err)
		}
	}
	return []stream.Part{{StartsSegment: true, EndsSegment: true, Independent: true, Discontinuity: true, Duration: segmentLength, Data: ts.Bytes()}}
}

// expectMovie reads an MP4 file and returns where its fragments begin. It must have the
// number of whole fragments, or that or one more if something may follow that is cut off.
func expectMovie(t testing.TB, path string, fragments int, whole bool) (starts []time.Duration) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	boxes, rest := wholeBoxes(data)
	if whole && rest > 0 {
		t.Errorf("%s ends with %d bytes that are no box", path, rest)
	}
	if len(boxes) > 0 {
		var init fmp4.Init
		if err := init.Unmarshal(bytes.NewReader(data)); err != nil || len(init.Tracks) == 0 {
			t.Errorf("%s: init: %v", path, err)
		}
	}
	for i := 2; i+1 < len(boxes); i += 2 { // after ftyp and moov: moof and mdat in turn
		var parts fmp4.Parts
		if err := parts.Unmarshal(append(bytes.Clone(boxes[i]), boxes[i+1]...)); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		starts = append(starts, time.Duration(parts[0].Tracks[0].BaseTime)*time.Second/90000)
	}
	if n := len(starts); n != fragments && (whole || n != fragments+1) {
		t.Errorf("%s has %d fragments, want %d", path, n, fragments)
	}
	return starts
}

// wholeBoxes returns the boxes at the top of an MP4 file, and how many bytes come after
// them that are none.
func wholeBoxes(data []byte) (boxes [][]byte, rest int) {
	for len(data) >= 8 {
		size := int(binary.BigEndian.Uint32(data))
		if size < 8 || size > len(data) {
			break
		}
		boxes, data = append(boxes, data[:size]), data[size:]
	}
	return boxes, len(data)
}
