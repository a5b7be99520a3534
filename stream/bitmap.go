package stream

import "math/bits"

// Bitmap says for each chunk of a part whether something holds of it. Bit i is
// bit i%8 of byte i/8; bits past the end read as unset.
type Bitmap []byte

// NewBitmap returns a bitmap of n unset bits.
func NewBitmap(n int) Bitmap { return make(Bitmap, (n+7)/8) }

// Get reports whether bit i is set.
func (b Bitmap) Get(i int) bool { return i/8 < len(b) && b[i/8]&(1<<(i%8)) != 0 }

// Set sets bit i, which must lie within the bitmap.
func (b Bitmap) Set(i int) { b[i/8] |= 1 << (i % 8) }

// Clear unsets bit i, which must lie within the bitmap.
func (b Bitmap) Clear(i int) { b[i/8] &^= 1 << (i % 8) }

// Count returns how many bits are set.
func (b Bitmap) Count() int {
	n := 0
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}

// Clone returns a copy.
func (b Bitmap) Clone() Bitmap { return append(Bitmap(nil), b...) }

// Equal reports whether both hold the same bits.
func (b Bitmap) Equal(o Bitmap) bool { return string(b) == string(o) }
