package fmp4

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/abema/go-mp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream/transport/transporttest"
)

// annotated returns the clip's parts with a tag for every tenth frame of its first track.
func (c clip) annotated(t testing.TB) []Part {
	t.Helper()
	var ts, out bytes.Buffer
	c.write(t, &ts)
	a := transporttest.Annotator{W: &out, Notes: func(n int, dts int64) []transporttest.Note {
		if n%10 != 0 {
			return nil
		}
		return []transporttest.Note{{PTS: dts, Tag: transporttest.Tag(fmt.Sprint("frame ", n))}}
	}}
	if _, err := a.Write(ts.Bytes()); err != nil {
		t.Fatal(err)
	}
	return cut(t, out.Bytes())
}

// readEvents reads emsg boxes with go-mp4.
func readEvents(t testing.TB, b []byte) (out []*mp4.Emsg) {
	t.Helper()
	boxes, err := mp4.ExtractBoxWithPayload(bytes.NewReader(b), nil, mp4.BoxPath{mp4.BoxTypeEmsg()})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range boxes {
		out = append(out, b.Payload.(*mp4.Emsg))
	}
	return out
}

// Tags become events in front of the fragment in which they begin, at the same time as the
// frame that they came with.
func TestEvents(t *testing.T) {
	for _, test := range []struct {
		name string
		clip clip
	}{
		{"video", clip{video: true, audio: aac(48000, 2)}},
		{"audio", clip{audio: &codecs.MPEG1Audio{}}},
		{"timestamps wrap", clip{start: wrap - 5*second, video: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.clip.frames = 250
			var r Remuxer
			var ids uint32
			n, first := 0, int64(-1)
			for i, p := range test.clip.annotated(t) {
				f, err := r.Remux(p)
				if err != nil || f.Lost > 0 {
					t.Fatalf("part %d: %v, %d lost", i, err, f.Lost)
				}
				scale := r.tracks[0].scale
				start, end := readSpan(t, f.Data)
				if first < 0 {
					first = start
				}
				for _, e := range readEvents(t, f.Events) {
					// A frame of the audio clip lasts 1152 samples, a picture 40 ms.
					want := first + int64(n)*10*step
					if test.name == "audio" {
						want = first + int64(n)*10*1152
					}
					if at := int64(e.PresentationTime); at < want-1 || at > want+1 || at < start || at >= end {
						t.Errorf("part %d, %d to %d: event at %d, want %d", i, start, end, at, want)
					}
					if e.Version != 1 || e.SchemeIdUri != "https://aomedia.org/emsg/ID3" || int64(e.Timescale) != scale || e.Id <= ids || e.EventDuration != 0xffffffff {
						t.Errorf("%+v", e)
					}
					if want := transporttest.Tag(fmt.Sprint("frame ", 10*n)); !bytes.Equal(e.MessageData, want) {
						t.Errorf("tag %q, want %q", e.MessageData, want)
					}
					ids = e.Id
					n++
				}
			}
			if n < 25 {
				t.Errorf("%d events", n)
			}
		})
	}
}

// readSpan returns when a fragment's first track begins and ends, in its units.
func readSpan(t testing.TB, data []byte) (start, end int64) {
	t.Helper()
	boxes, err := mp4.ExtractBoxesWithPayload(bytes.NewReader(data), nil, []mp4.BoxPath{
		{mp4.BoxTypeMoof(), mp4.BoxTypeTraf(), mp4.BoxTypeTfdt()}, {mp4.BoxTypeMoof(), mp4.BoxTypeTraf(), mp4.BoxTypeTrun()}})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range boxes {
		switch box := b.Payload.(type) {
		case *mp4.Tfdt:
			if end > 0 {
				return start, end
			}
			start = int64(box.BaseMediaDecodeTimeV1)
			if box.Version == 0 {
				start = int64(box.BaseMediaDecodeTimeV0)
			}
			end = start
		case *mp4.Trun:
			for _, e := range box.Entries {
				end += int64(e.SampleDuration)
			}
		}
	}
	return start, end
}

// What waits for a part with frames is bounded, and so is its number.
func TestEventsWithoutTag(t *testing.T) {
	var e events
	e.sources = []eventSource{{pid: 5}}
	tag := []byte{0, 0, 1, 0xbd, 0, 0, 0x84, 0x80, 5, 0x21, 0, 1, 0, 1}
	for range maxEvents + 3 {
		e.sources[0].in.starts = append(e.sources[0].in.starts, len(e.sources[0].in.buf))
		e.sources[0].in.buf = append(append(e.sources[0].in.buf, tag...), "ID3 tag"...)
	}
	if bad := e.gather(); bad != 3 || len(e.waiting) != maxEvents {
		t.Errorf("%d left out, %d wait", bad, len(e.waiting))
	}
	if n := e.drop(); n != maxEvents || len(e.waiting) != 0 {
		t.Errorf("%d dropped", n)
	}
}
