package p2p

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

func newTestDirectory(t *testing.T) *directory {
	t.Helper()
	h := newTestHost(t)
	return newDirectory(&Node{log: slog.New(slog.DiscardHandler), host: h, faults: newFaults()})
}

func entry(t *testing.T, key stream.Key, issued time.Time, life time.Duration) []byte {
	t.Helper()
	e, err := key.SignEntry(stream.Entry{Title: "x", Issued: issued, Life: life})
	if err != nil {
		t.Fatal(err)
	}
	return e.Bytes()
}

func TestReplayedEntriesAreNotTaken(t *testing.T) {
	d, key, now := newTestDirectory(t), stream.NewKey(), time.Now()
	first, second := entry(t, key, now.Add(-2*time.Minute), time.Minute*10), entry(t, key, now.Add(-time.Minute), 10*time.Minute)
	withdrawn := entry(t, key, now, 0)
	for _, step := range []struct {
		name string
		raw  []byte
		want error
	}{
		{"first", first, nil},
		{"first again", first, errEntryKnown},
		{"renewed", second, nil},
		{"too soon", entry(t, key, now.Add(-time.Minute+time.Second), 10*time.Minute), errEntryEarly},
		{"the one before", first, errEntryKnown},
		{"withdrawn", withdrawn, nil},
		{"replayed", second, errEntryKnown},
	} {
		if err := d.take(step.raw, "peer", maxNewEntries); !errors.Is(err, step.want) || (err == nil) != (step.want == nil) {
			t.Errorf("%s: %v, want %v", step.name, err, step.want)
		}
	}
	if d.stats.Received != 3 || d.stats.Ignored != 1 || d.stats.Refused != 0 {
		t.Errorf("%+v", d.stats)
	}
}

func TestNobodyFillsTheDirectoryAlone(t *testing.T) {
	d, now := newTestDirectory(t), time.Now()
	flood := func(from string, limit int) (err error) {
		for range maxEntries + 1 {
			err = d.take(entry(t, stream.NewKey(), now, time.Minute), peer.ID(from), limit)
		}
		return err
	}
	if err := flood("flooder", maxNewEntries); !errors.Is(err, errTooManyNew) || len(d.entries) != maxNewEntries {
		t.Errorf("one neighbour brought %d streams: %v", len(d.entries), err)
	}
	for i := range maxEntries / maxNewEntries {
		_ = flood(fmt.Sprint(i), maxNewEntries)
	}
	if err := flood("last", maxNewEntries); !errors.Is(err, errFullOfOthers) || len(d.entries) != maxEntries {
		t.Errorf("%d entries: %v", len(d.entries), err)
	}
	// This node's own has room all the same.
	e, err := stream.OpenEntry(entry(t, stream.NewKey(), now, time.Minute), now)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.keep(e, d.node.host.ID(), 0, now); err != nil {
		t.Error(err)
	}
	if d.stats.Ignored == 0 {
		t.Error("what was left out is not counted")
	}
}

func TestForgedEntryIsCounted(t *testing.T) {
	d, now := newTestDirectory(t), time.Now()
	raw := entry(t, stream.NewKey(), now, time.Minute)
	raw[len(raw)-1] ^= 1
	if err := d.take(raw, "peer", maxNewEntries); !errors.Is(err, stream.ErrForgedEntry) || d.stats.Refused != 1 || len(d.entries) != 0 {
		t.Errorf("%v, %+v", err, d.stats)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	var a answers
	now := time.Now()
	answered := func(id string, at time.Time) (n int) {
		for range 2 * maxAnswered {
			if a.admit(peer.ID(id), at) {
				n++
			}
		}
		return n
	}
	if n := answered("one", now); n != maxAnsweredPeer {
		t.Errorf("a peer is answered %d times a minute, want %d", n, maxAnsweredPeer)
	}
	all := maxAnsweredPeer
	for i := range 2 * maxAnswered {
		all += answered(fmt.Sprint(i), now.Add(time.Second))
	}
	if all != maxAnswered {
		t.Errorf("%d answers in a minute, want %d", all, maxAnswered)
	}
	if n := answered("one", now.Add(answeredWindow)); n != maxAnsweredPeer {
		t.Errorf("the next minute a peer is answered %d times", n)
	}
}
