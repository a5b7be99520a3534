package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Schedule is when a node takes part: in any of the ranges. None means always.
type Schedule []Range

// Range is a time of the day, on some days of the week.
type Range struct {
	days     [7]bool // on which it begins, Sunday first
	from, to int     // minutes of the day; to is the first after it, and of the next day unless larger
	text     string
}

const (
	dayMinutes = 24 * 60
	// horizon is for how long ahead Next looks: all weeks are the same, but for one in which the
	// clock is put forward over a range.
	horizon = 15 * dayMinutes
)

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseRange reads a range such as 22:00-07:00, Sat 10:00-24:00 or Mon-Fri 18:00-23:30. One that
// ends before it begins goes on until the next day.
func ParseRange(s string) (Range, error) {
	r := Range{text: strings.Join(strings.Fields(s), " ")}
	days, times, found := strings.Cut(r.text, " ")
	if !found {
		days, times = "sun-sat", r.text
	}
	var err error
	if r.days, err = parseDays(days); err != nil {
		return Range{}, err
	}
	from, to, found := strings.Cut(times, "-")
	if !found {
		return Range{}, fmt.Errorf("%q is no range of times such as 22:00-07:00", times)
	}
	if r.from, err = parseMinute(from); err != nil {
		return Range{}, err
	}
	if r.to, err = parseMinute(to); err != nil {
		return Range{}, err
	}
	if r.from == r.to || r.from == dayMinutes {
		return Range{}, fmt.Errorf("%q holds no time; 00:00-24:00 is the whole day", times)
	}
	return r, nil
}

// parseDays reads Mon or Mon-Fri.
func parseDays(s string) (days [7]bool, err error) {
	first, last, several := strings.Cut(strings.ToLower(s), "-")
	if !several {
		last = first
	}
	from, to := slices.Index(dayNames, first), slices.Index(dayNames, last)
	if from < 0 || to < 0 {
		return days, fmt.Errorf("%q are no days such as Sat or Mon-Fri", s)
	}
	for d := from; ; d = (d + 1) % 7 {
		days[d] = true
		if d == to {
			return days, nil
		}
	}
}

// parseMinute reads HH:MM up to 24:00.
func parseMinute(s string) (int, error) {
	hours, minutes, found := strings.Cut(s, ":")
	h, errH := strconv.ParseUint(hours, 10, 8)
	m, errM := strconv.ParseUint(minutes, 10, 8)
	if !found || errH != nil || errM != nil || len(hours) > 2 || len(minutes) != 2 || m > 59 || h*60+m > dayMinutes {
		return 0, fmt.Errorf("%q is no time of the day such as 07:00", s)
	}
	return int(h*60 + m), nil
}

// String returns the range as it was written.
func (r Range) String() string { return r.text }

// String returns the schedule as it was written.
func (s Schedule) String() string {
	texts := make([]string, len(s))
	for i, r := range s {
		texts[i] = r.text
	}
	return strings.Join(texts, ", ")
}

// holds reports whether a minute of a day of the week is in the range.
func (r Range) holds(day, minute int) bool {
	if r.from < r.to {
		return r.days[day] && r.from <= minute && minute < r.to
	}
	return r.days[day] && minute >= r.from || r.days[(day+6)%7] && minute < r.to
}

// holds reports whether a minute of a day of the week is in the schedule.
func (s Schedule) holds(day, minute int) bool {
	return len(s) == 0 || slices.ContainsFunc(s, func(r Range) bool { return r.holds(day, minute) })
}

// Open reports whether t is in the schedule, by its zone's clock.
func (s Schedule) Open(t time.Time) bool {
	return s.holds(int(t.Weekday()), t.Hour()*60+t.Minute())
}

// changes reports whether the schedule is open at some times and closed at others.
func (s Schedule) changes() bool {
	first := s.holds(0, 0)
	for minute := range 7 * dayMinutes {
		if s.holds(minute/dayMinutes, minute%dayMinutes) != first {
			return true
		}
	}
	return false
}

// Next returns when Open is another than at t, to the minute; the zero time if it never is.
func (s Schedule) Next(t time.Time) time.Time {
	if !s.changes() {
		return time.Time{}
	}
	open := s.Open(t)
	// Zones' clocks are put at full minutes, so that none is passed over.
	minute := t.Truncate(time.Minute)
	for range horizon {
		if minute = minute.Add(time.Minute); s.Open(minute) != open {
			return minute
		}
	}
	return time.Time{}
}
