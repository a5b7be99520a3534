package schedule

import "time"

const (
	// Copies is to how many neighbours the broadcaster shows a chunk at first. The
	// others get it from these, so that its upload stays near the stream's rate.
	Copies = 2
	// Widen is after how long it shows a chunk to one neighbour more.
	Widen = 400 * time.Millisecond
)

// Reveal reports whether the broadcaster shows a chunk to its neighbour number pos of
// n, age after it was published. turn differs from chunk to chunk, so that all
// neighbours get their share first-hand.
func Reveal(turn, pos, n int, age time.Duration) bool {
	shown := Copies + int(age/Widen)
	return shown >= n || ((pos-turn)%n+n)%n < shown
}
