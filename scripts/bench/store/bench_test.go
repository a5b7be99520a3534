//go:build linux

package main

import (
	"strings"
	"testing"
)

// TestBench measures a little of each: what they keep is read again, and files write hardly
// more than they are given.
func TestBench(t *testing.T) {
	o := options{streams: 2, rate: 8_000_000, size: 64 << 20, fill: 1.2}
	res := result{o.streams, o.rate, o.size, make(map[string]figures)}
	for name, open := range keepers {
		o.dir = t.TempDir()
		f, err := write(open, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		res.Of[name] = f
	}
	var out strings.Builder
	res.print(&out)
	t.Log(out.String())
	f := res.Of["files"]
	if f.Files > o.size || f.Files < o.size*9/10 {
		t.Errorf("%d bytes are in files, %d are the bound", f.Files, o.size)
	}
	if f.written() > 1.05 {
		t.Errorf("%.3f bytes are written for each that is kept", f.written())
	}
}
