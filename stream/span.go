package stream

// Span is a run of segments of one epoch, none missing.
type Span struct {
	Epoch       uint64
	First, Last uint64 // segment numbers
}

// Contains reports whether a segment is one of the span's.
func (s Span) Contains(epoch, segment uint64) bool {
	return s.Epoch == epoch && s.First <= segment && segment <= s.Last
}

// Held returns the runs of segments, oldest first, that a node holds whole and will
// hold still when room further bytes have come to its store.
func (t *Timeline) Held(store *Store, room int64) []Span {
	var spans []Span
	for _, s := range t.Segments(Position{}) {
		if !s.Complete || !store.Lasting(s.Headers, room) {
			continue
		}
		if n := len(spans); n > 0 && spans[n-1].Epoch == s.Epoch && spans[n-1].Last+1 == s.Number {
			spans[n-1].Last++
		} else {
			spans = append(spans, Span{s.Epoch, s.Number, s.Number})
		}
	}
	return spans
}
