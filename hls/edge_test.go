package hls

import (
	"testing"
	"time"
)

// parseKnown reads a row of segments, such as "+++.+ E |+": whole, missing parts,
// unknown, the end, the next epoch.
func parseKnown(row string) (list []known) {
	k := key{epoch: 1}
	for _, c := range row {
		switch c {
		case '+':
			list = append(list, known{key: k, whole: true})
			k.number++
		case '.':
			list = append(list, known{key: k})
			k.number++
		case '_':
			k.number++
		case 'E':
			list = append(list, known{key: k, end: true})
			k.number++
		case '|':
			k = key{epoch: k.epoch + 1}
		}
	}
	return list
}

func TestEdgeBegin(t *testing.T) {
	for _, test := range []struct {
		name, row string
		size      int
		want      key
		ok        bool
	}{
		{"nothing", "", 6, key{}, false},
		{"two are too few", "++", 6, key{}, false},
		{"three are enough", "+++", 6, key{1, 0}, true},
		{"the newest grows", "+++.", 6, key{1, 0}, true},
		{"a window of the last", "++++++++++", 6, key{1, 4}, true},
		{"the last run in a row", "++++.+++", 6, key{1, 5}, true},
		{"unknown in between", "++++_+++", 6, key{1, 5}, true},
		{"the last run is too short", "+++++.++", 6, key{1, 0}, true},
		{"no run is long enough", "++.++.+", 6, key{}, false},
		{"only the newest epoch counts", "++++++|++", 6, key{}, false},
		{"the newest epoch", "++++++|+++", 6, key{2, 0}, true},
		{"ended, short", "++E", 6, key{1, 0}, true},
		{"ended with one", "+E", 6, key{1, 0}, true},
		{"ended, the last cut", "+++.E", 6, key{1, 0}, true},
		{"ended, still coming", "+++...E", 6, key{1, 0}, true},
		{"ended, nothing here", "....E", 6, key{}, false},
		{"ended, empty", "E", 6, key{}, false},
	} {
		var e edge
		ok, again := e.begin(parseKnown(test.row), test.size, 2*time.Second, time.Unix(1000, 0))
		if ok != test.ok || e.next != test.want || e.started != ok {
			t.Errorf("%s: %q begins at %v, %t; want %v, %t", test.name, test.row, e.next, ok, test.want, test.ok)
		}
		if !again.IsZero() {
			t.Errorf("%s: it asks again at %v", test.name, again)
		}
	}
}

// TestEdgeBeginsAnew has segments whole that are from when the rendition was carried last.
func TestEdgeBeginsAnew(t *testing.T) {
	const target = 2 * time.Second
	now := time.Unix(1000, 0)
	for _, test := range []struct {
		name, row string
		later     string // what is known a moment later
		want      key
	}{
		{"newer ones come", "+++____+...", "+++____++++", key{1, 7}},
		{"none comes", "+++____+...", "+++____+...", key{}},
	} {
		var e edge
		if ok, again := e.begin(parseKnown(test.row), 6, target, now); ok || !again.Equal(now.Add(skipTargets*target)) {
			t.Errorf("%s: it begins: %t, and asks again at %v", test.name, ok, again)
		}
		if ok, _ := e.begin(parseKnown(test.later), 6, target, now.Add(time.Second)); ok != (test.want != key{}) || e.next != test.want {
			t.Errorf("%s: a moment later it begins: %t, at %v", test.name, ok, e.next)
		}
		if ok, _ := e.begin(parseKnown(test.later), 6, target, now.Add(skipTargets*target)); !ok || !e.blocked.IsZero() {
			t.Errorf("%s: it does not begin though it has waited", test.name)
		}
	}
}

func TestEdgeDecide(t *testing.T) {
	const target = 2 * time.Second
	start := time.Unix(1000, 0)
	for _, test := range []struct {
		name    string
		row     string // the edge starts at its first place
		listed  int    // at once
		again   time.Duration
		later   int // listed in all once that time has passed
		skipped uint64
		broken  bool // the first of later is marked
		end     bool // of the playlist, in the end
	}{
		{name: "nothing known", row: ""},
		{name: "all whole", row: "+++", listed: 3, later: 3},
		{name: "the newest grows", row: "+.", listed: 1, later: 1},
		{name: "late, nothing after it is whole", row: "+..", listed: 1, later: 1},
		{name: "a hole", row: "+.++", listed: 1, again: 4 * time.Second, later: 3, skipped: 1, broken: true},
		{name: "a hole without headers", row: "+__+", listed: 1, again: 4 * time.Second, later: 2, skipped: 2, broken: true},
		{name: "a hole at the edge", row: ".+", again: 4 * time.Second, later: 1, skipped: 1, broken: true},
		{name: "the end", row: "++E", listed: 2, again: 10 * time.Second, later: 2, end: true},
		{name: "cut at the end", row: "++.E", listed: 2, again: 2 * time.Second, later: 2, skipped: 1, end: true},
		{name: "a hole before the end", row: "+.+E", listed: 1, again: 4 * time.Second, later: 2, skipped: 1, broken: true, end: true},
		{name: "another epoch after an end", row: "+E|++", listed: 3, later: 3},
		{name: "another epoch, not whole", row: "+E|.", listed: 1, later: 1},
		{name: "another epoch without an end", row: "+|++", listed: 1, again: 2 * time.Second, later: 3, broken: true},
		{name: "another epoch after a cut", row: "+.|++", listed: 1, again: 2 * time.Second, later: 3, skipped: 1, broken: true},
		{name: "another epoch, joined late", row: "+E|__++", listed: 1, again: 4 * time.Second, later: 3, skipped: 2, broken: true},
		{name: "old segments come first", row: "++|+", listed: 2, again: 2 * time.Second, later: 3, broken: true},
		{name: "three epochs", row: "+E|+E|+", listed: 3, later: 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := edge{started: true, next: key{epoch: 1}}
			rest := parseKnown(test.row)
			var list []known
			var marks []bool
			var last key
			drain := func(now time.Time) (move, time.Time) {
				for {
					for len(rest) > 0 && rest[0].less(e.next) {
						rest = rest[1:]
					}
					m, again := e.decide(rest, target, now)
					if m != moveList {
						return m, again
					}
					if len(list) > 0 && e.next.less(last) {
						t.Fatalf("%v listed after %v", e.next, last)
					}
					last = e.next
					list, marks = append(list, known{key: e.next}), append(marks, e.broken)
					e.listed(now)
				}
			}
			m, again := drain(start)
			if len(list) != test.listed {
				t.Errorf("lists %d at once, want %d", len(list), test.listed)
			}
			var wait time.Duration
			if !again.IsZero() {
				wait = again.Sub(start)
			}
			if wait != test.again {
				t.Errorf("asks again after %v, want %v", wait, test.again)
			}
			if wait > 0 {
				if m, _ := drain(again.Add(-1)); m != moveWait || len(list) != test.listed {
					t.Errorf("lists %d before the bound, want %d", len(list), test.listed)
				}
				for m == moveWait && !again.IsZero() {
					m, again = drain(again)
				}
			}
			if len(list) != test.later {
				t.Errorf("lists %d in the end, want %d", len(list), test.later)
			}
			if len(list) > test.listed && marks[test.listed] != test.broken {
				t.Errorf("marked: %t, want %t", marks[test.listed], test.broken)
			}
			for i := 1; i < len(list); i++ {
				if list[i].epoch != list[i-1].epoch && !marks[i] {
					t.Errorf("epoch %d begins without a mark", list[i].epoch)
				}
			}
			if e.skipped != test.skipped {
				t.Errorf("skipped %d, want %d", e.skipped, test.skipped)
			}
			if (m == moveEnd) != test.end {
				t.Errorf("ended: %t, want %t", m == moveEnd, test.end)
			}
		})
	}
}

// TestEdgeLate checks that a segment that comes before its time is over is listed,
// unmarked.
func TestEdgeLate(t *testing.T) {
	e := edge{started: true, next: key{epoch: 1}}
	now := time.Unix(1000, 0)
	if m, _ := e.decide(parseKnown(".+"), time.Second, now); m != moveWait {
		t.Fatalf("move %v, want to wait", m)
	}
	if m, _ := e.decide(parseKnown("++"), time.Second, now.Add(time.Second)); m != moveList || e.broken || e.next.number != 0 {
		t.Fatalf("move %v at %v, marked %t; want to list the first, unmarked", m, e.next, e.broken)
	}
	e.listed(now)
	if !e.blocked.IsZero() {
		t.Error("still blocked")
	}
}

// TestEdgeRefill checks that a new epoch begins with a reserve when the players have
// none left, and only then.
func TestEdgeRefill(t *testing.T) {
	const target = 2 * time.Second
	start := time.Unix(1000, 0)
	for _, test := range []struct {
		name  string
		since time.Duration // since the last listing
		row   string
		want  move
		again time.Duration // for moveWait
	}{
		{"not dry", 5 * time.Second, "+", moveList, 0},
		{"dry, one", 6 * time.Second, "+.", moveWait, 8 * time.Second},
		{"dry, two", 6 * time.Second, "++", moveWait, 8 * time.Second},
		{"dry, three", 6 * time.Second, "+++", moveList, 0},
		{"dry, a hole", 6 * time.Second, "+.++", moveWait, 8 * time.Second},
		{"dry, ended", 6 * time.Second, "+E", moveList, 0},
	} {
		e := edge{started: true, next: key{epoch: 1}, last: key{epoch: 0, number: 9}, listedAt: start}
		now := start.Add(test.since)
		m, again := e.decide(parseKnown(test.row), target, now)
		if m != test.want || m == moveWait && again.Sub(now) != test.again {
			t.Errorf("%s: move %v, again after %v; want %v, %v", test.name, m, again.Sub(now), test.want, test.again)
		}
		if m == moveWait {
			if m, _ = e.decide(parseKnown(test.row), target, again); m != moveList {
				t.Errorf("%s: move %v past the bound", test.name, m)
			}
		}
	}
}
