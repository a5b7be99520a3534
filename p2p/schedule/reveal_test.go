package schedule

import (
	"testing"
	"time"
)

// shown counts to how many of n neighbours a chunk is shown.
func shown(turn, n int, age time.Duration) (count int) {
	for pos := range n {
		if Reveal(turn, pos, n, age) {
			count++
		}
	}
	return count
}

func TestAChunkIsShownToACoupleThenToOneMoreAtATime(t *testing.T) {
	for _, n := range []int{1, 2, 3, 8, 50} {
		for turn := -3; turn < 60; turn++ {
			for steps := range n + 2 {
				for _, age := range []time.Duration{time.Duration(steps) * Widen, time.Duration(steps+1)*Widen - 1} {
					if got, want := shown(turn, n, age), min(n, Copies+steps); got != want {
						t.Fatalf("turn %d, %v old: shown to %d of %d neighbours, want %d", turn, age, got, n, want)
					}
				}
			}
		}
	}
}

func TestAChunkThatWasShownStaysShown(t *testing.T) {
	for _, n := range []int{1, 2, 7, 12} {
		for turn := range 20 {
			for pos := range n {
				seen := false
				for age := time.Duration(0); age <= time.Duration(n)*Widen; age += Widen / 4 {
					now := Reveal(turn, pos, n, age)
					if seen && !now {
						t.Fatalf("neighbour %d of %d no longer sees chunk %d at %v", pos, n, turn, age)
					}
					seen = now
				}
				if !seen {
					t.Fatalf("neighbour %d of %d never sees chunk %d", pos, n, turn)
				}
			}
		}
	}
}

func TestNeighboursSeeEqualSharesFirstHand(t *testing.T) {
	const turns = 1000
	for _, n := range []int{2, 3, 8, 12, 50} {
		least, most := turns, 0
		for pos := range n {
			count := 0
			for turn := range turns {
				if Reveal(turn, pos, n, 0) {
					count++
				}
			}
			least, most = min(least, count), max(most, count)
		}
		if most-least > Copies {
			t.Errorf("of %d neighbours one sees %d of %d chunks first-hand and one %d, want %d at most between them", n, least, turns, most, Copies)
		}
	}
}

func TestNobodyIsLeftOutWhenNeighboursAreFew(t *testing.T) {
	for n := range Copies + 1 {
		if got := shown(17, n, 0); got != n {
			t.Errorf("shown to %d of %d neighbours at once, want all", got, n)
		}
	}
}
