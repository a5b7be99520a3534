package schedule

import (
	"slices"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

func TestJoinerSeeksParentsByTheHeadersThatItFetched(t *testing.T) {
	x := New(Config{Uplink: unlimited(100e6), Seed: 1})
	x.Neighbour(1, true, 50*time.Millisecond)
	h := header(0)
	h.Late = true
	x.Header(h, start)
	x.Metadata(1, at(0), Metadata{State: strong()}, start)
	actions, _ := x.Step(start)
	said := metas(actions, 1)
	if len(said) == 0 || said[0].Meta.Standing == nil || *said[0].Meta.Standing != 1<<Stripes-1 {
		t.Errorf("said %+v, want all stripes wanted", said)
	}
}

func TestSenderHearsThatWhatCameTwiceIsThere(t *testing.T) {
	x, now := fed(t)
	x.Neighbour(2, true, 50*time.Millisecond)
	have := stream.NewBitmap(16)
	for i := range 16 {
		have.Set(i)
	}
	h := header(0)
	h.Position, h.Have = at(1), have
	x.Header(h, now)
	x.Metadata(1, at(1), Metadata{Have: have}, now)
	x.Step(now)
	now = now.Add(time.Second)
	x.Step(now)
	if v := x.Admit(1, at(1), 3, false, now); v != Duplicate {
		t.Fatalf("admitted: %v", v)
	}
	actions, _ := x.Step(now.Add(newsDelay))
	if !slices.ContainsFunc(metas(actions, 1), func(a Action) bool { return a.Part == at(1) && a.Meta.Have.Get(3) }) {
		t.Errorf("said %+v, want an acknowledgement", actions)
	}
}
