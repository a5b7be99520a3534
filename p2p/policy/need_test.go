package policy

import (
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

var needTime = time.Date(2030, 1, 31, 20, 15, 0, 0, time.UTC)

// listed returns a stream that is on air, and carried for so long, if that is not 0.
func listed(n byte, supply float64, carried time.Duration) Public {
	p := Public{Stream: stream.ID{n}, Supply: supply, OnAir: true}
	if carried > 0 {
		p.Carried = needTime.Add(-carried)
	}
	return p
}

func TestVolunteerChooses(t *testing.T) {
	gone := listed(1, 0.5, time.Minute)
	gone.OnAir = false
	for name, c := range map[string]struct {
		all         []Public
		full        bool
		join, leave byte // 0 for none
	}{
		"nothing is listed":                   {nil, false, 0, 0},
		"the one with least upload":           {[]Public{listed(1, 2, 0), listed(2, 0.4, 0), listed(3, 9, 0)}, false, 2, 0},
		"one that does not say has enough":    {[]Public{listed(1, 0, 0), listed(2, 0.4, 0)}, false, 2, 0},
		"before one with plenty":              {[]Public{listed(1, 0, 0), listed(2, 4, 0)}, false, 1, 0},
		"a second":                            {[]Public{listed(1, 2, time.Minute), listed(2, 2, 0)}, false, 2, 0},
		"no third":                            {[]Public{listed(1, 2, time.Hour), listed(2, 2, time.Hour), listed(3, 2, 0)}, false, 0, 0},
		"none on a full line":                 {[]Public{listed(1, 0.1, 0)}, true, 0, 0},
		"one in greater need takes a place":   {[]Public{listed(1, 0.5, time.Hour), listed(2, 6, time.Hour), listed(3, 0.5, 0)}, false, 0, 2},
		"also on a full line":                 {[]Public{listed(1, 6, time.Hour), listed(3, 0.5, 0)}, true, 0, 1},
		"not from who came just now":          {[]Public{listed(1, 0.5, time.Hour), listed(2, 6, time.Minute), listed(3, 0.5, 0)}, false, 0, 0},
		"what is off air is left, first":      {[]Public{listed(2, 0.1, 0), gone}, false, 0, 1},
		"what is off air and not carried too": {[]Public{{Stream: stream.ID{4}}}, false, 0, 0},
	} {
		join, leave := Volunteer{"me", 2}.Choose(c.all, !c.full, needTime)
		if id(join) != c.join || id(leave) != c.leave {
			t.Errorf("%s: joins %d and leaves %d, want %d and %d", name, id(join), id(leave), c.join, c.leave)
		}
	}
}

func id(s *stream.ID) byte {
	if s == nil {
		return 0
	}
	return s[0]
}

func TestVolunteersSpread(t *testing.T) {
	all := []Public{listed(1, 1, 0), listed(2, 1.1, 0), listed(3, 5, 0)}
	chosen := make(map[byte]int)
	for n := range 100 {
		join, _ := Volunteer{string(rune('a' + n)), 1}.Choose(all, true, needTime)
		chosen[id(join)]++
	}
	if chosen[1] < 40 || chosen[2] < 15 || chosen[3] > 0 {
		t.Errorf("a hundred volunteers chose %v", chosen)
	}
}
