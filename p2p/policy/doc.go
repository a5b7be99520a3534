// Package policy decides what the owner of a node lets it do: when it takes part, how much it may
// send and receive in a month, and which streams it carries. It is told the time and what was
// used, and knows neither clocks nor files.
//
// # Months
//
// A budget is of a calendar month in the zone of the times that it is asked with. What is used
// counts for the month in which it is used; with a clock that is wrong, for a wrong one.
//
// # Schedules
//
// A schedule is read off the clock on the wall: when that is put forward or back, a range is
// an hour shorter or longer.
package policy
