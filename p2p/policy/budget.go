package policy

import "time"

const (
	// MinBudget is what leaves room for more than the reserve.
	MinBudget = 10e6
	// reserveShare, with its bounds, is what of a budget is kept for leaving, and for what
	// arrives from those that do not know it yet.
	reserveShare = 0.01
	leastReserve = 256 << 10
	mostReserve  = 16 << 20
)

// Usage is what a node sent and received, in bytes on the wire.
type Usage struct{ Sent, Received int64 }

// Plus returns the sum of two usages.
func (u Usage) Plus(v Usage) Usage { return Usage{u.Sent + v.Sent, u.Received + v.Received} }

// Budget is what a node may send and receive in a month.
type Budget struct {
	Bytes    int64 // 0 for no bound
	SentOnly bool  // what is received is not counted, as most hosters bill
}

// Used returns what of u the budget counts.
func (b Budget) Used(u Usage) int64 {
	if b.SentOnly {
		return u.Sent
	}
	return u.Sent + u.Received
}

// Left returns what is left of the budget, which is nothing at least.
func (b Budget) Left(u Usage) int64 { return max(0, b.Bytes-b.Used(u)) }

// Spent reports whether so much was used that the node is to leave: all but a hundredth, or
// 256 KiB to 16 MiB, with which it does.
func (b Budget) Spent(u Usage) bool {
	reserve := min(max(leastReserve, int64(reserveShare*float64(b.Bytes))), mostReserve)
	return b.Bytes > 0 && b.Left(u) <= reserve
}

// Month names a calendar month, such as 2030-01.
type Month string

// MonthOf returns the month of t, by its zone's clock.
func MonthOf(t time.Time) Month { return Month(t.Format("2006-01")) }

// NextMonth returns when the month after that of t begins, by its zone's clock.
func NextMonth(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, t.Location())
}
