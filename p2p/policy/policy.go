package policy

import (
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Policy is what the owner of a node lets it do. The zero value allows everything.
type Policy struct {
	Budget   Budget
	Schedule Schedule
	// Allow are the streams that may be carried, all if there are none; Deny those that may not,
	// whatever Allow says.
	Allow, Deny []stream.ID
}

// Carries reports whether the stream may be carried.
func (p *Policy) Carries(id stream.ID) bool {
	return !slices.Contains(p.Deny, id) && (len(p.Allow) == 0 || slices.Contains(p.Allow, id))
}

// Reason is why a node takes no part.
type Reason string

// All reasons.
const (
	BySchedule Reason = "schedule" // it is closed
	ByBudget   Reason = "budget"   // the month's is spent
)

// Decision says whether a node takes part.
type Decision struct {
	Closed Reason // why it does not; "" if it does
	// Until is when that changes if nothing else does: the schedule, or the month. It is zero if
	// it never does.
	Until time.Time
}

// Decide says whether a node takes part at a time at which so much was used in the month.
func (p *Policy) Decide(now time.Time, used Usage) Decision {
	open := p.Schedule.Open(now)
	switch spent := p.Budget.Spent(used); {
	case open && !spent:
		return Decision{"", p.Schedule.Next(now)}
	case !spent:
		return Decision{BySchedule, p.Schedule.Next(now)}
	}
	until := NextMonth(now)
	if !p.Schedule.Open(until) {
		until = p.Schedule.Next(until)
	}
	return Decision{ByBudget, until}
}
