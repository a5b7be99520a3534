package stream

import (
	"math/rand/v2"
	"testing"
)

func TestBitmapHoldsWhatWasSet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 7, 8, 9, 63, 64, 65, MaxChunks} {
		b, want := NewBitmap(n), make([]bool, n)
		if len(b) != (n+7)/8 {
			t.Errorf("bitmap of %d bits has %d bytes, want %d", n, len(b), (n+7)/8)
		}
		for range 4 * n {
			i := random.IntN(n)
			if want[i] = random.IntN(2) == 0; want[i] {
				b.Set(i)
			} else {
				b.Clear(i)
			}
		}
		count := 0
		for i, w := range want {
			if b.Get(i) != w {
				t.Errorf("bit %d of %d is %t, want %t", i, n, b.Get(i), w)
			}
			if w {
				count++
			}
		}
		if b.Count() != count {
			t.Errorf("count of %d bits is %d, want %d", n, b.Count(), count)
		}
	}
}

func TestBitmapBitsAreInTheOrderOfTheWire(t *testing.T) {
	b := NewBitmap(16)
	b.Set(0)
	b.Set(9)
	if want := (Bitmap{0b1, 0b10}); !b.Equal(want) {
		t.Errorf("bits 0 and 9 are %08b, want %08b", b, want)
	}
}

func TestBitmapReadsAsUnsetPastItsEnd(t *testing.T) {
	for _, b := range []Bitmap{nil, {0xff}} {
		for _, i := range []int{8, 9, MaxChunks} {
			if b.Get(i) {
				t.Errorf("bit %d of %d bytes is set", i, len(b))
			}
		}
	}
	if n := Bitmap(nil).Count(); n != 0 {
		t.Errorf("no bitmap counts %d", n)
	}
}

func TestBitmapCloneIsItsOwn(t *testing.T) {
	a := NewBitmap(9)
	a.Set(8)
	b := a.Clone()
	if !a.Equal(b) {
		t.Fatalf("clone %08b of %08b", b, a)
	}
	b.Clear(8)
	if !a.Get(8) || a.Equal(b) {
		t.Error("a change to the clone changed the original")
	}
}
