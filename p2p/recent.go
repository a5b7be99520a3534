package p2p

import "time"

// recentSeconds is over how many whole seconds a rate is the mean: long enough that parts
// which come two a second make it even.
const recentSeconds = 4

// recent counts bytes of the last seconds, by second.
type recent struct {
	seconds [recentSeconds + 1]int64
	bytes   [recentSeconds + 1]int64
}

func (r *recent) add(n int, now time.Time) {
	second := now.Unix()
	i := second % int64(len(r.seconds))
	if r.seconds[i] != second {
		r.seconds[i], r.bytes[i] = second, 0
	}
	r.bytes[i] += int64(n)
}

// rate returns the mean of the last whole seconds, in bits per second.
func (r *recent) rate(now time.Time) float64 {
	sum := int64(0)
	for i, second := range r.seconds {
		if age := now.Unix() - second; age >= 1 && age <= recentSeconds {
			sum += r.bytes[i]
		}
	}
	return 8 * float64(sum) / recentSeconds
}
