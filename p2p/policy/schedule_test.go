package policy

import (
	"testing"
	"time"
)

func schedule(t *testing.T, ranges ...string) (s Schedule) {
	t.Helper()
	for _, text := range ranges {
		r, err := ParseRange(text)
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, r)
	}
	return s
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

const layout = "2006-01-02 15:04"

func moment(t *testing.T, text string, loc *time.Location) time.Time {
	t.Helper()
	at, err := time.ParseInLocation(layout, text, loc)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestScheduleIsOpen(t *testing.T) {
	for _, c := range []struct {
		ranges []string
		at     string // 2030-01-01 is a Tuesday
		open   bool
		next   string
	}{
		{nil, "2030-01-01 12:00", true, ""},
		{[]string{"00:00-24:00"}, "2030-01-01 12:00", true, ""},
		{[]string{"09:00-17:00"}, "2030-01-01 08:59", false, "2030-01-01 09:00"},
		{[]string{"09:00-17:00"}, "2030-01-01 09:00", true, "2030-01-01 17:00"},
		{[]string{"09:00-17:00"}, "2030-01-01 17:00", false, "2030-01-02 09:00"},
		{[]string{"22:00-07:00"}, "2030-01-01 21:59", false, "2030-01-01 22:00"},
		{[]string{"22:00-07:00"}, "2030-01-01 22:00", true, "2030-01-02 07:00"},
		{[]string{"22:00-07:00"}, "2030-01-02 06:59", true, "2030-01-02 07:00"},
		{[]string{"22:00-24:00"}, "2030-01-01 23:59", true, "2030-01-02 00:00"},
		{[]string{"22:00-00:00"}, "2030-01-01 23:59", true, "2030-01-02 00:00"},
		// Across midnight it belongs to the day on which it begins.
		{[]string{"Fri 22:00-07:00"}, "2030-01-05 06:00", true, "2030-01-05 07:00"},
		{[]string{"Fri 22:00-07:00"}, "2030-01-04 06:00", false, "2030-01-04 22:00"},
		{[]string{"Sat 22:00-07:00"}, "2030-01-06 06:00", true, "2030-01-06 07:00"},
		{[]string{"Mon-Fri 18:00-23:30", "Sat-Sun 00:00-24:00"}, "2030-01-04 23:45", false, "2030-01-05 00:00"},
		{[]string{"Mon-Fri 18:00-23:30", "Sat-Sun 00:00-24:00"}, "2030-01-05 00:00", true, "2030-01-07 00:00"},
		{[]string{"fri-mon 10:00-11:00"}, "2030-01-07 10:30", true, "2030-01-07 11:00"},
		{[]string{"fri-mon 10:00-11:00"}, "2030-01-07 11:00", false, "2030-01-11 10:00"},
		// Ranges that touch are one.
		{[]string{"08:00-12:00", "12:00-14:00"}, "2030-01-01 09:00", true, "2030-01-01 14:00"},
	} {
		s, at := schedule(t, c.ranges...), moment(t, c.at, time.UTC)
		next := ""
		if n := s.Next(at.Add(17 * time.Second)); !n.IsZero() {
			next = n.Format(layout)
		}
		if open := s.Open(at); open != c.open || next != c.next {
			t.Errorf("%v at %s: open %t until %q, want %t until %q", s, c.at, open, next, c.open, c.next)
		}
	}
}

// TestScheduleFollowsTheClockOnTheWall is about days of 23 and 25 hours, and times that there are
// not, or twice.
func TestScheduleFollowsTheClockOnTheWall(t *testing.T) {
	for _, c := range []struct {
		zone, ranges, from string
		open               time.Duration // after that, for how long
	}{
		{"Europe/Berlin", "22:00-07:00", "2030-03-30 22:00", 8 * time.Hour},  // put forward at 2:00
		{"Europe/Berlin", "22:00-07:00", "2030-10-26 22:00", 10 * time.Hour}, // put back at 3:00
		{"Europe/Berlin", "22:00-07:00", "2030-06-01 22:00", 9 * time.Hour},
		{"Europe/Berlin", "02:15-03:30", "2030-03-31 03:00", 30 * time.Minute}, // begins within the hour that there is not
		{"America/New_York", "22:00-07:00", "2030-03-09 22:00", 8 * time.Hour},
		{"Australia/Lord_Howe", "22:00-07:00", "2030-04-06 22:00", 9*time.Hour + 30*time.Minute}, // by half an hour
		{"America/Sao_Paulo", "22:00-01:00", "2018-11-03 22:00", 2 * time.Hour},                  // at midnight
		{"Asia/Kathmandu", "22:00-07:00", "2030-06-01 22:00", 9 * time.Hour},                     // 5:45 from Greenwich
	} {
		s := schedule(t, c.ranges)
		from := moment(t, c.from, zone(t, c.zone))
		if !s.Open(from) || s.Open(from.Add(-time.Minute)) {
			t.Errorf("%s %s: not opened at %s", c.zone, s, c.from)
		}
		if got := s.Next(from).Sub(from); got != c.open {
			t.Errorf("%s %s from %s: open for %v, want %v", c.zone, s, c.from, got, c.open)
		}
	}
	// The hour from two to three comes twice, and is open twice.
	s, from := schedule(t, "02:00-02:30"), moment(t, "2030-10-27 01:30", zone(t, "Europe/Berlin"))
	var open time.Duration
	for m := time.Duration(0); m < 4*time.Hour; m += time.Minute {
		if s.Open(from.Add(m)) {
			open += time.Minute
		}
	}
	if open != time.Hour {
		t.Errorf("open for %v", open)
	}
}

// TestNextIsWhenItChanges goes through a year, in which the clock is put twice.
func TestNextIsWhenItChanges(t *testing.T) {
	s := schedule(t, "Mon-Fri 22:00-07:00", "Sun 01:30-03:00")
	at := moment(t, "2030-01-01 00:00", zone(t, "Europe/Berlin"))
	for end := at.AddDate(1, 0, 0); at.Before(end); {
		next := s.Next(at)
		if s.Open(next) == s.Open(at) || s.Open(next.Add(-time.Minute)) != s.Open(at) {
			t.Fatalf("at %v open is %t, and %t at %v", at, s.Open(at), s.Open(next), next)
		}
		at = next
	}
}

func TestRangesThatAreNone(t *testing.T) {
	for _, text := range []string{
		"", "22:00", "22:00-", "22-07", "22:00-25:00", "24:00-07:00", "07:00-07:00", "7:0-8:00", "22:60-23:00",
		"Mon", "Mon-Fri", "Funday 10:00-11:00", "Mon- 10:00-11:00", "Mon,Tue 10:00-11:00", "Mon 10:00 - 11:00", "-1:00-02:00", "24:01-02:00",
	} {
		if r, err := ParseRange(text); err == nil {
			t.Errorf("%q is %+v", text, r)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("Mon-Fri 22:00-07:00")
	f.Add("00:00-24:00")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRange(text)
		if err != nil {
			return
		}
		again, err := ParseRange(r.String())
		if err != nil || again != r {
			t.Errorf("%q is %+v, and then %+v: %v", text, r, again, err)
		}
		s := Schedule{r}
		at := time.Date(2030, 3, 30, 12, 0, 0, 0, time.UTC)
		if next := s.Next(at); !next.IsZero() && s.Open(next) == s.Open(at) {
			t.Errorf("%q does not change at %v", text, next)
		}
	})
}
