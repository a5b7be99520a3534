package policy

import (
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

func TestDecide(t *testing.T) {
	const gb = 1_000_000_000
	berlin := zone(t, "Europe/Berlin")
	night := schedule(t, "22:00-07:00")
	spent := Usage{Sent: 6 * gb, Received: 4 * gb}
	for _, c := range []struct {
		name   string
		policy Policy
		at     string
		used   Usage
		closed Reason
		until  string
	}{
		{"nothing is bounded", Policy{}, "2030-01-10 12:00", spent, "", ""},
		{"by day", Policy{Schedule: night}, "2030-01-10 12:00", Usage{}, BySchedule, "2030-01-10 22:00"},
		{"by night", Policy{Schedule: night}, "2030-01-10 23:00", Usage{}, "", "2030-01-11 07:00"},
		{"spent", Policy{Budget: Budget{Bytes: 10 * gb}}, "2030-01-10 12:00", spent, ByBudget, "2030-02-01 00:00"},
		{"sent only", Policy{Budget: Budget{10 * gb, true}}, "2030-01-10 12:00", spent, "", ""},
		{"sent only, spent", Policy{Budget: Budget{6 * gb, true}}, "2030-12-10 12:00", spent, ByBudget, "2031-01-01 00:00"},
		{"a hundredth is left", Policy{Budget: Budget{Bytes: 10*gb + mostReserve}}, "2030-01-10 12:00", spent, ByBudget, "2030-02-01 00:00"},
		{"more is left", Policy{Budget: Budget{Bytes: 10*gb + mostReserve + 1}}, "2030-01-10 12:00", spent, "", ""},
		{"both, the month begins at night", Policy{Budget{Bytes: gb}, night, nil, nil}, "2030-01-10 12:00", spent, ByBudget, "2030-02-01 00:00"},
		{"both, the month begins while it is closed", Policy{Budget{Bytes: gb}, schedule(t, "09:00-10:00"), nil, nil}, "2030-01-10 12:00", spent, ByBudget, "2030-02-01 09:00"},
		{"a month of 743 hours", Policy{Budget: Budget{Bytes: gb}}, "2030-03-31 01:59", spent, ByBudget, "2030-04-01 00:00"},
	} {
		d := c.policy.Decide(moment(t, c.at, berlin), c.used)
		until := ""
		if !d.Until.IsZero() {
			until = d.Until.Format(layout)
		}
		if d.Closed != c.closed || until != c.until {
			t.Errorf("%s: %q until %q, want %q until %q", c.name, d.Closed, until, c.closed, c.until)
		}
	}
}

func TestMonths(t *testing.T) {
	auckland, honolulu := zone(t, "Pacific/Auckland"), zone(t, "Pacific/Honolulu")
	at := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	if here, there := MonthOf(at.In(auckland)), MonthOf(at.In(honolulu)); here != "2030-02" || there != "2030-01" {
		t.Errorf("it is %s and %s", here, there)
	}
	for _, c := range [][2]string{{"2030-01-31 23:59", "2030-02-01 00:00"}, {"2030-12-31 00:00", "2031-01-01 00:00"}, {"2028-02-29 12:00", "2028-03-01 00:00"}} {
		if got := NextMonth(moment(t, c[0], auckland)).Format(layout); got != c[1] {
			t.Errorf("after %s comes %s, want %s", c[0], got, c[1])
		}
	}
}

func TestCarries(t *testing.T) {
	a, b := stream.ID{1}, stream.ID{2}
	for _, c := range []struct {
		name        string
		allow, deny []stream.ID
		a, b        bool
	}{
		{"all", nil, nil, true, true},
		{"one is allowed", []stream.ID{a}, nil, true, false},
		{"one is denied", nil, []stream.ID{a}, false, true},
		{"denied is denied", []stream.ID{a, b}, []stream.ID{a}, false, true},
	} {
		p := Policy{Allow: c.allow, Deny: c.deny}
		if p.Carries(a) != c.a || p.Carries(b) != c.b {
			t.Errorf("%s: %t, %t", c.name, p.Carries(a), p.Carries(b))
		}
	}
}

func TestLeftIsNothingAtLeast(t *testing.T) {
	b := Budget{Bytes: 1000}
	if left := b.Left(Usage{600, 300}); left != 100 {
		t.Error(left)
	}
	if left := b.Left(Usage{600, 600}.Plus(Usage{1, 1})); left != 0 {
		t.Error(left)
	}
}
