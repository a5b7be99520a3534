package main

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

func testHome(t *testing.T) *home {
	t.Helper()
	h, err := openHome(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestEpochsRise(t *testing.T) {
	h, id := testHome(t), stream.NewKey().ID()
	now := time.UnixMilli(1_700_000_000_000)
	var last uint64
	for _, at := range []time.Time{now, now, now.Add(-time.Hour), now.Add(time.Minute), time.UnixMilli(-5)} {
		epoch, err := h.nextEpoch(id, at)
		if err != nil {
			t.Fatal(err)
		}
		if epoch <= last || int64(epoch) < at.UnixMilli() {
			t.Errorf("epoch %d at %d, after %d", epoch, at.UnixMilli(), last)
		}
		last = epoch
	}
	// Another stream has its own.
	if epoch, err := h.nextEpoch(stream.NewKey().ID(), now); err != nil || epoch != uint64(now.UnixMilli()) {
		t.Errorf("first epoch of another stream: %d, %v", epoch, err)
	}
}

func TestIdentitiesAreNotShared(t *testing.T) {
	h := testHome(t)
	var taken []*identity
	for range maxIdentities + 2 {
		id, err := h.identity()
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range taken {
			if other.key.Equals(id.key) {
				t.Fatalf("%q is shared", id.file)
			}
		}
		taken = append(taken, id)
	}
	if kept := taken[maxIdentities-1].file; kept == "" {
		t.Error("the last identity is not kept")
	}
	if kept := taken[maxIdentities].file; kept != "" {
		t.Errorf("an identity beyond the bound is kept in %s", kept)
	}
	// The first that is free again is taken again.
	if err := taken[3].release(); err != nil {
		t.Fatal(err)
	}
	again, err := h.identity()
	if err != nil {
		t.Fatal(err)
	}
	if !again.key.Equals(taken[3].key) {
		t.Errorf("took %s, want %s", again.file, taken[3].file)
	}
	for i, id := range append(taken, again) {
		if i != 3 {
			if err := id.release(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestStreamIsClaimedOnce(t *testing.T) {
	h, id := testHome(t), stream.NewKey().ID()
	release, err := h.claim(id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.claim(id); !errors.Is(err, errStreamBusy) {
		t.Errorf("second claim: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, err = h.claim(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
}

func TestCreateKeepsTheFirst(t *testing.T) {
	h := testHome(t)
	if err := h.create([]byte("first"), "file"); err != nil {
		t.Fatal(err)
	}
	if err := h.create([]byte("second"), "file"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second create: %v", err)
	}
	if raw, _ := os.ReadFile(h.path("file")); string(raw) != "first" {
		t.Errorf("the file holds %q", raw)
	}
	if err := h.replace([]byte("third"), "file"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 4 { // file, streams, version and lock: no leftovers
		t.Errorf("the home holds %v", entries)
	}
}
