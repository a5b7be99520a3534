package hls

import "testing"

func TestLLClock(t *testing.T) {
	const s = 90000
	type ask struct {
		segment          key
		first, end, want int64 // in seconds, but for want: in tenths
	}
	for _, tt := range []struct {
		name   string
		shared bool
		asks   []ask
	}{
		{"who is alone has no gaps", false, []ask{
			{key{1, 0}, 10, -1, 0},
			{key{1, 9}, 30, 28, -20},   // a hole
			{key{2, 0}, 10, 100, 900},  // another epoch
			{key{2, 50}, 110, -1, 900}, // somebody comes later
		}},
		{"all agree where there is further audio", true, []ask{
			{key{1, 0}, 10, -1, 0},
			{key{1, 0}, 10, -1, 0},
			{key{1, 9}, 30, 28, 0},          // a hole of one
			{key{2, 0}, 10, 100, 901},       // another epoch, after what came furthest
			{key{2, 0}, 10, 99, 901},        // the other rendition
			{key{2, 40}, 90, -1, 901},       // somebody who begins in the middle
			{key{2, 60}, 10, 210, 2001},     // timestamps begin again
			{key{2, 61}, 12, -1, 2001},      // after that
			{key{2, 60}, 10, 211, 2001},     // the other rendition, a moment longer
			{key{2, 70}, 7210, 220, -69899}, // they jump ahead
			{key{3, 0}, 10, 230, 2201},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := new(llClock)
			c.share(tt.shared)
			for i, a := range tt.asks {
				end := a.end * s
				if a.end < 0 {
					end = -1
				}
				c.reach(end)
				if got := c.offset(a.segment, a.first*s, end); got != a.want*s/10 {
					t.Errorf("ask %d: %v s, want %v", i, float64(got)/s, float64(a.want)/10)
				}
			}
		})
	}
}

// TestLLClockRollover has renditions ask after timestamps have passed 33 bits.
func TestLLClockRollover(t *testing.T) {
	const s = 90000
	for _, shared := range []bool{false, true} {
		c := new(llClock)
		c.share(shared)
		end := int64(100 * s)
		c.offset(key{1, 0}, 0, -1)
		c.reach(end)
		// They jump to ten seconds before that.
		from := int64(wrap - 10*s)
		at := from + c.offset(key{1, 50}, from, end)
		c.reach(at + 12*s)
		if got, want := 2*s+c.offset(key{1, 56}, 2*s, -1), at+12*s; got != want {
			t.Errorf("shared: %t: who begins after it begins at %d, want %d", shared, got, want)
		}
		// A hole of two seconds.
		want := at + 14*s
		if shared {
			want += 2 * s
		}
		if got := 6*s + c.offset(key{1, 58}, 6*s, at+14*s); got != want {
			t.Errorf("shared: %t: after a hole %d, want %d", shared, got, want)
		}
	}
}

// TestLLClockWithoutPlayers has timestamps jump ahead while somebody plays, and fall back
// while nobody does.
func TestLLClockWithoutPlayers(t *testing.T) {
	const s = 90000
	c := new(llClock)
	c.offset(key{1, 0}, 10*s, -1)
	c.reach(100 * s)
	c.offset(key{1, 50}, 3600*s, 100*s)
	c.reach(120 * s)
	if at := 10*s + c.offset(key{1, 70}, 10*s, -1); at < 0 {
		t.Errorf("a decode time of %d", at)
	}
}

func TestLLClockIsBounded(t *testing.T) {
	c := new(llClock)
	c.share(true)
	for n := range uint64(10 * llMarks) {
		end := int64(n)*90000 + 1
		c.reach(end)
		if got, want := c.offset(key{n + 1, 0}, 0, end), end+llRoom; n > 0 && got != want {
			t.Fatalf("epoch %d: %d, want %d", n, got, want)
		}
	}
	if len(c.marks) > llMarks {
		t.Errorf("%d marks", len(c.marks))
	}
}
