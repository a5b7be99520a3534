package hls

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

func TestBodyReader(t *testing.T) {
	b := newBroadcast(t, 0)
	shot := b.air(2 * time.Second)
	a := &assembly{}
	if !a.gather(b.timeline.Segments(stream.Position{})[0], b.store) {
		t.Fatal("not whole")
	}
	if err := iotest.TestReader(a.body.reader(), shot.data); err != nil {
		t.Error(err)
	}
	r := a.body.reader()
	if _, err := r.Seek(-1, io.SeekStart); err == nil {
		t.Error("sought before the start")
	}
	if n, err := r.Seek(10, io.SeekEnd); err != nil || n != int64(len(shot.data)+10) {
		t.Errorf("seek past the end: %d, %v", n, err)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read past the end: %d, %v", n, err)
	}
}

// TestAssemblyPins gathers a segment from a store that never holds all of it.
func TestAssemblyPins(t *testing.T) {
	b := newBroadcast(t, 1)
	shot := b.shoot(2*time.Second, false)
	b.announce(shot)
	a := &assembly{}
	for i, part := range shot.chunks {
		for _, c := range part {
			b.store.Put(c)
		}
		whole := a.gather(b.timeline.Segments(stream.Position{})[0], b.store)
		if whole != (i == len(shot.chunks)-1) {
			t.Fatalf("whole: %t after part %d", whole, i)
		}
	}
	data, err := io.ReadAll(a.body.reader())
	if err != nil || !bytes.Equal(data, shot.data) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

// TestSegmentTagIsTheSameEverywhere compares two nodes.
func TestSegmentTagIsTheSameEverywhere(t *testing.T) {
	b := newBroadcast(t, 0)
	b.air(2 * time.Second)
	segment := b.timeline.Segments(stream.Position{})[0]
	var first, second assembly
	first.gather(segment, b.store)
	second.gather(segment, b.store)
	if first.body.etag != second.body.etag || len(first.body.etag) != 26 {
		t.Errorf("tags %s and %s", first.body.etag, second.body.etag)
	}
}

func FuzzParseSegmentName(f *testing.F) {
	for _, s := range []string{"1-2.ts", "18446744073709551615-0.ts", "01-2.ts", "1-2", "-.ts", "1--2.ts", "+1-2.ts", "18446744073709551616-0.ts", "1-2.ts.ts"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if k, ok := parseSegmentName(name); ok && segmentName(k) != name {
			t.Errorf("%q is read as %v, which is %q", name, k, segmentName(k))
		}
	})
}
