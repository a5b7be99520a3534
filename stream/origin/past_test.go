package origin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"testing/synctest"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/wire"
)

func TestWhoRewindsLearnsOfThePast(t *testing.T) {
	s := newStation(t)
	var all []*stream.SignedHeader
	const lacking = 3
	for i := range 2 * Segments {
		chunks := stream.MaxChunks
		if i == lacking {
			chunks = 0
		}
		all = append(all, s.publish(testData(5000), chunks))
	}
	c := newTestClient(t, s.handler)
	spans, err := c.Held(t.Context(), s.key.ID(), "main")
	want := []stream.Span{{Epoch: 7, First: 0, Last: lacking - 1}, {Epoch: 7, First: lacking + 1, Last: 2*Segments - 1}}
	if err != nil || !slices.Equal(spans, want) {
		t.Errorf("held: %v, %v; want %v", spans, err, want)
	}
	raw, err := c.Before(t.Context(), s.key.ID(), "main", all[6].Position)
	if err != nil || len(raw) != 6 {
		t.Fatalf("before the seventh: %d headers, %v", len(raw), err)
	}
	for i, b := range raw {
		if !bytes.Equal(b, all[5-i].Bytes()) {
			t.Errorf("header %d is another one", i)
		}
	}
	if raw, err := c.Before(t.Context(), s.key.ID(), "main", all[0].Position); err != nil || len(raw) != 0 {
		t.Errorf("before the first: %d headers, %v", len(raw), err)
	}
	body, err := c.Part(t.Context(), all[0].ID(), 0, all[0].Size, all[0].Size)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, testData(5000)) {
		t.Errorf("a part of the past: %d bytes, %v", len(got), err)
	}
}

// TestAPartOfThePastIsNotWaitedFor asks for one that the store let go of.
func TestAPartOfThePastIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t)
		lost := s.publish(testData(5000), 0)
		for range Segments {
			s.publish(testData(5000), stream.MaxChunks)
		}
		began := time.Now()
		_, err := newTestClient(t, s.handler).Part(t.Context(), lost.ID(), 0, lost.Size, lost.Size)
		if took := time.Since(began); reasonOf(err) != "missing" || took != 0 {
			t.Errorf("%v after %v", err, took)
		}
	})
}

func TestAnswersAboutThePastAreBounded(t *testing.T) {
	s := newStation(t)
	for range MaxBefore + 2 {
		s.publish(testData(1), 0)
	}
	newest := s.timeline.Newest().Position
	raw, err := newTestClient(t, s.handler).Before(t.Context(), s.key.ID(), "main", newest)
	if err != nil || len(raw) != MaxBefore {
		t.Errorf("%d headers, %v; want %d", len(raw), err, MaxBefore)
	}
}

func TestWhatIsNoAnswerAboutThePast(t *testing.T) {
	span := wire.AppendMessage(nil, fieldSpan, stream.Span{Epoch: 1, Last: 5}.Bytes())
	backwards := wire.AppendMessage(nil, fieldSpan, wire.AppendUint(nil, 2, 5))
	for name, c := range map[string]struct {
		answer []byte
		reason string
	}{
		"no message":     {[]byte("\xffPlease accept the terms of use."), "malformed"},
		"backwards":      {backwards, "malformed"},
		"too many spans": {bytes.Repeat(span, stream.MaxSpans+1), "malformed"},
		"without end":    {bytes.Repeat([]byte{0}, maxHeldSize+1), "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			client := newTestClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(c.answer) }))
			spans, err := client.Held(t.Context(), stream.NewKey().ID(), "main")
			if got := reasonOf(err); got != c.reason || spans != nil {
				t.Errorf("%v, %v; want %s", spans, err, c.reason)
			}
		})
	}
}

func FuzzParseSpans(f *testing.F) {
	f.Add(wire.AppendMessage(nil, fieldSpan, stream.Span{Epoch: 1, First: 3, Last: 5}.Bytes()))
	f.Add([]byte{0x0a, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		spans, err := parseSpans(b)
		if err != nil && !errors.Is(err, errMalformed) {
			t.Errorf("error %v does not wrap errMalformed", err)
		}
		if len(spans) > stream.MaxSpans || slices.ContainsFunc(spans, func(s stream.Span) bool { return s.Last < s.First }) {
			t.Error(fmt.Sprint(spans))
		}
	})
}
