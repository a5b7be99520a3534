package ingest

import "time"

const (
	second = 90000 // ticks of MPEG-TS timestamps
	wrap   = 1 << 33

	// firstTimestamp is where output timestamps start: high enough that the PCR, and
	// audio that precedes the first picture, stay positive.
	firstTimestamp = 10 * second
	// lastTimestamp is where they must start again: ten minutes, more than any segment,
	// before players would see them wrap.
	lastTimestamp = wrap - 600*second
)

// unwrap returns the value nearest to ref that ts is modulo 2^33 (ISO 13818-1, 2.4.3.6).
func unwrap(ref, ts int64) int64 {
	d := (ts - ref) & (wrap - 1)
	if d >= wrap/2 {
		d -= wrap
	}
	return ref + d
}

// micros returns the time of a timestamp, in whole microseconds, so that differences
// of it add up exactly on the wire too.
func micros(ts int64) time.Duration {
	return time.Duration(ts*100/9) * time.Microsecond
}

func ticks(d time.Duration) int64 {
	return int64(d/time.Microsecond) * 9 / 100
}
