// Package schedule decides who is asked for what, and when. Its functions are pure:
// they see a snapshot and return decisions, with no clock and no input or output, so
// that tables test them and a simulation of any size runs the very same code.
package schedule
