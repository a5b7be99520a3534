package schedule

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// fullChunk is the largest that there is.
const fullChunk = 32 << 10

func TestKnownUplinkIsKept(t *testing.T) {
	for _, bits := range []int{300_000, 8_000_000, 1_000_000_000} {
		u := NewUplink(bits)
		now := time.Unix(1e9, 0)
		u.Observe(UplinkSample{Sent: 1 << 40, Delay: time.Hour, Backlog: true}, now)
		sent := 0
		for end := now.Add(10 * time.Second); now.Before(end); {
			if wait := u.Take(fullChunk, now); wait > 0 {
				now = now.Add(wait)
				continue
			}
			sent += fullChunk
		}
		want := float64(bits) / 8 * uplinkShare * 10
		if got := float64(sent); got < 0.99*want-fullChunk || got > 1.01*want+fullChunk {
			t.Errorf("%d bit/s: %.0f bytes in 10 s, want %.0f", bits, got, want)
		}
		if got, want := u.Rate(), int(float64(bits)*uplinkShare); got < want-8 || got > want+8 {
			t.Errorf("rate is %d, want %d", got, want)
		}
	}
}

func TestKnownUplinkSendsNoMoreAtOnceThanAChunkAndABurst(t *testing.T) {
	u := NewUplink(8_000_000)
	now := time.Unix(1e9, 0)
	for range 3 {
		now = now.Add(time.Minute) // of nothing
		sent := 0
		for u.Take(1000, now) == 0 {
			sent += 1000
		}
		if most := int(float64(u.Rate())/8*uplinkBurst.Seconds()) + 1000; sent > most {
			t.Errorf("%d bytes at once, want at most %d", sent, most)
		}
	}
}

func TestUnknownUplinkWithoutAQueueHasNoBound(t *testing.T) {
	u := NewUplink(0)
	now := time.Unix(1e9, 0)
	var s UplinkSample
	for range 1000 {
		if wait := u.Take(1<<20, now); wait > 0 {
			t.Fatalf("waits %v", wait)
		}
		now = now.Add(uplinkStep)
		s.Sent += 1 << 20
		s.Delay = 20 * time.Millisecond
		u.Observe(s, now)
	}
	if u.Rate() != 0 {
		t.Errorf("rate is %d", u.Rate())
	}
}

// fluid is an uplink that carries bytes in order, and how its sender sees it.
type fluid struct {
	rate    float64       // bytes per second, of which others fill
	cross   float64       // so much
	base    time.Duration // of the round trip
	foreign time.Duration // delay that is elsewhere on the way
	buffer  time.Duration // beyond which bytes are lost; 0 for none
	inside  bool          // congestion windows keep the queue within the node

	queue, lost, sent float64
	smooth            time.Duration   // the delay as smoothed round trips show it
	late              []time.Duration // delays that are under way back
}

const tick = time.Millisecond

func (f *fluid) delay() time.Duration {
	return time.Duration(f.queue / f.rate * float64(time.Second))
}

func (f *fluid) tick() {
	f.queue = max(0, f.queue+f.cross*tick.Seconds()-f.rate*tick.Seconds())
	f.late = append(f.late, f.delay())
	if n := int(f.base / tick); len(f.late) > n {
		seen := f.late[0] + f.foreign
		f.late = f.late[1:]
		f.smooth += (seen - f.smooth) / 200 // 25 acknowledgements a second, each an eighth (RFC 9002, section 5.3)
	}
}

func (f *fluid) send(n int) {
	f.sent += float64(n)
	if f.buffer > 0 && f.delay() > f.buffer {
		f.lost += float64(n)
		return
	}
	f.queue += float64(n)
}

// modelled is a sender at a fluid uplink.
type modelled struct {
	f       fluid
	u       *Uplink
	now     time.Time
	demand  float64 // bytes per second; what waits longer than 2 s is dropped
	backlog float64
	waited  bool
	ticks   int
	chunk   int
}

func newModel(mbit float64) *modelled {
	return &modelled{
		f:      fluid{rate: mbit * 1e6 / 8, base: 50 * time.Millisecond},
		u:      NewUplink(0),
		now:    time.Unix(1e9, 0),
		demand: 2 * mbit * 1e6 / 8,
		chunk:  chunkAt(mbit),
	}
}

// chunkAt returns the size of chunks in a stream that an uplink might carry twice: what
// a part is cut into does not take a slow uplink for long.
func chunkAt(mbit float64) int { return min(fullChunk, 4<<10*max(1, int(mbit)/2)) }

// during is what happened in a time.
type during struct {
	carried            float64       // bits per second
	median, p95, worst time.Duration // of the queue, over time
	rates              []int
}

func (m *modelled) run(d time.Duration) during {
	var out during
	var delays []time.Duration
	before := m.f.sent - m.f.lost
	for end := m.now.Add(d); m.now.Before(end); m.now = m.now.Add(tick) {
		m.f.tick()
		delays = append(delays, m.f.delay())
		m.backlog = min(m.backlog+m.demand*tick.Seconds(), 2*m.demand)
		for m.backlog >= float64(m.chunk) {
			if m.u.Take(m.chunk, m.now) > 0 {
				m.waited = true
				break
			}
			m.f.send(m.chunk)
			m.backlog -= float64(m.chunk)
		}
		if m.ticks++; m.ticks%int(uplinkStep/tick) == 0 {
			s := UplinkSample{Sent: int64(m.f.sent), Lost: int64(m.f.lost), Delay: m.f.smooth, Backlog: m.waited}
			if m.f.inside {
				s.Sent, s.Delay, s.Full = s.Sent-int64(m.f.queue), 15*time.Millisecond, m.f.queue > 0.02*m.f.rate
			}
			m.u.Observe(s, m.now)
			m.waited = false
			out.rates = append(out.rates, m.u.Rate())
		}
	}
	out.carried = 8 * (m.f.sent - m.f.lost - before) / d.Seconds()
	slices.Sort(delays)
	n := len(delays)
	out.median, out.p95, out.worst = delays[n/2], delays[n*95/100], delays[n-1]
	return out
}

func (d during) String() string {
	return fmt.Sprintf("%.2f Mbit/s, bound %.2f to %.2f, queue p50 %v, p95 %v, worst %v",
		d.carried/1e6, float64(slices.Min(d.rates))/1e6, float64(slices.Max(d.rates))/1e6, d.median.Round(tick), d.p95.Round(tick), d.worst.Round(tick))
}

// share checks that a sender got its share of an uplink, in Mbit/s, and left the queue
// short.
func (d during) share(t *testing.T, name string, mbit float64) {
	t.Helper()
	t.Logf("%s: %v", name, d)
	if bits := mbit * 1e6; d.carried < 0.85*bits || d.carried > 1.01*bits {
		t.Errorf("%s: carried %.2f Mbit/s, want 85 to 100%% of %.2f", name, d.carried/1e6, mbit)
	}
	twoChunks := time.Duration(2 * 8 * float64(chunkAt(mbit)) / (mbit * 1e6) * float64(time.Second))
	if most := 100*time.Millisecond + twoChunks; d.p95 > most {
		t.Errorf("%s: the queue was %v at the 95th percentile, want at most %v", name, d.p95, most)
	}
}

func TestUnknownUplinkFollowsWhatIsThere(t *testing.T) {
	for _, mbit := range []float64{1, 6, 20, 50} {
		t.Run(fmt.Sprintf("%v Mbit per s", mbit), func(t *testing.T) {
			m := newModel(mbit)
			for _, p := range []struct {
				name   string
				change func()
				grace  time.Duration
				expect float64 // Mbit/s
			}{
				{"start", func() {}, 4 * time.Second, mbit},
				{"others take half", func() { m.f.cross = m.f.rate / 2 }, 5 * time.Second, mbit / 2},
				{"others are gone", func() { m.f.cross = 0 }, 6 * time.Second, mbit},
				{"a minute of nothing", func() { m.demand, m.backlog = 0, 0; m.run(time.Minute); m.demand = 4 * m.f.rate }, time.Second, mbit},
				{"half as fast", func() { m.f.rate /= 2 }, 5 * time.Second, mbit / 2},
				{"four times as fast", func() { m.f.rate *= 4 }, 10 * time.Second, 2 * mbit},
			} {
				p.change()
				t.Logf("%s, at first: %v", p.name, m.run(p.grace))
				m.run(20*time.Second).share(t, p.name, p.expect)
			}
		})
	}
}

// An uplink with a short buffer drops what others would queue.
func TestUnknownUplinkThatDrops(t *testing.T) {
	for _, mbit := range []float64{6, 20, 50} {
		m := newModel(mbit)
		m.f.buffer = 60 * time.Millisecond
		m.run(5 * time.Second)
		lost := m.f.lost
		got := m.run(20 * time.Second)
		got.share(t, fmt.Sprintf("%v Mbit/s", mbit), mbit)
		if share := (m.f.lost - lost) * 8 / 20 / got.carried; share > 0.05 {
			t.Errorf("%v Mbit/s: %.1f%% lost", mbit, 100*share)
		}
	}
}

// Routers that keep their queues short make congestion windows small instead (RFC 8290),
// and the queue is within the node, where no round trip shows it.
func TestUnknownUplinkThatQueuesInside(t *testing.T) {
	for _, mbit := range []float64{1, 6, 20, 50} {
		m := newModel(mbit)
		m.f.inside = true
		t.Logf("at first: %v", m.run(6*time.Second))
		m.run(20*time.Second).share(t, fmt.Sprintf("%v Mbit/s", mbit), mbit)
		m.f.rate /= 2
		t.Logf("half of it, at first: %v", m.run(6*time.Second))
		m.run(20*time.Second).share(t, fmt.Sprintf("half of %v Mbit/s", mbit), mbit/2)
		m.f.rate *= 4
		t.Logf("four times that, at first: %v", m.run(12*time.Second))
		m.demand *= 2
		m.run(20*time.Second).share(t, fmt.Sprintf("twice %v Mbit/s", mbit), 2*mbit)
	}
}

// What somebody else does on the way is no reason to send nothing.
func TestUnknownUplinkLivesWithADelayThatIsNotItsOwn(t *testing.T) {
	const mbit = 10
	m := newModel(mbit)
	m.run(10 * time.Second)
	m.f.foreign = 200 * time.Millisecond
	t.Logf("at first: %v", m.run(10*time.Second))
	m.run(20*time.Second).share(t, "behind a full queue", mbit)
	m.f.foreign = 0
	m.run(5 * time.Second)
	m.run(20*time.Second).share(t, "behind an empty one", mbit)
	m.f.foreign = 100 * time.Millisecond
	m.demand = 0
	m.run(time.Minute)
	before := m.u.Rate()
	if m.run(10 * time.Second); m.u.Rate() != before {
		t.Errorf("the bound changed from %d to %d while nothing was sent", before, m.u.Rate())
	}
}

func TestObserve(t *testing.T) {
	const step = 100_000 // bytes a sample, 4 Mbit/s
	ms := time.Millisecond
	for _, c := range []struct {
		name     string
		delay    time.Duration
		lost     int64
		backlog  bool
		min, max float64 // Mbit/s at the end, from a bound of 4
	}{
		{"nothing waits", 0, 0, false, 4, 4},
		{"something waits", 0, 0, true, 4.1, 6},
		{"a short queue", 20 * ms, 0, true, 4.1, 6},
		{"a queue near the target", 80 * ms, 0, true, 4, 4},
		{"a queue beyond it", 110 * ms, 0, true, 3, 3.9},
		{"a queue beyond it, and nothing waits", 110 * ms, 0, false, 3, 3.9},
		{"a long queue", 600 * ms, 0, true, 1, 2.6},
		{"some loss", 0, step / 100, true, 4.1, 6},
		{"much loss", 0, step / 10, true, 2.5, 3.8},
	} {
		u, now := NewUplink(0), time.Unix(1e9, 0)
		u.rate, u.full, u.chunk = 4e6/8, 4e6/8, fullChunk
		var s UplinkSample
		for range 8 {
			now = now.Add(uplinkStep)
			u.Take(step, now)
			s.Sent, s.Lost, s.Delay, s.Backlog = s.Sent+step, s.Lost+c.lost, c.delay, c.backlog
			u.Observe(s, now)
		}
		if got := float64(u.Rate()) / 1e6; got < c.min-0.001 || got > c.max+0.001 {
			t.Errorf("%s: the bound is %.2f Mbit/s, want %v to %v", c.name, got, c.min, c.max)
		}
	}
}

// A short queue that stays may be this node's own. It is not taken as somebody else's until less was
// sent, and it did not go.
func TestAShortQueueIsForeignOnlyIfItStays(t *testing.T) {
	const step = 100_000 // bytes a sample, 4 Mbit/s
	for name, goes := range map[string]bool{"it goes when less is sent": true, "it stays": false} {
		u, now := NewUplink(0), time.Unix(1e9, 0)
		u.rate, u.full, u.chunk = 4e6/8, 4e6/8, step/10
		s := UplinkSample{Backlog: true}
		observe := func(delay time.Duration, lasts time.Duration) {
			for range int(lasts / uplinkStep) {
				now = now.Add(uplinkStep)
				for range 10 {
					u.tokens = 0
					u.Take(step/10, now)
				}
				s.Sent, s.Delay = s.Sent+step, delay
				u.Observe(s, now)
			}
		}
		observe(30*time.Millisecond, uplinkHold+time.Second)
		if got := float64(u.Rate()) / 4e6; got < 0.85 || got > 0.95 {
			t.Errorf("%s: the bound is %.2f of what it was while the queue stayed, want some less", name, got)
		}
		if goes {
			observe(0, uplinkHold)
		} else {
			observe(30*time.Millisecond, uplinkHold)
		}
		if foreign := u.foreign > 0; foreign == goes {
			t.Errorf("%s: it is taken as somebody else's: %t", name, foreign)
		}
	}
}

// Somebody else's short queues, that come and go, take no more of the bound than once.
func TestQueuesThatComeAndGoDoNotTakeTheBound(t *testing.T) {
	const step = 100_000 // bytes a sample, 4 Mbit/s
	u, now := NewUplink(0), time.Unix(1e9, 0)
	u.rate, u.full, u.chunk = 4e6/8, 4e6/8, step/10
	s := UplinkSample{Backlog: true}
	least := 1.0
	for k := range 300 {
		now = now.Add(uplinkStep)
		for range 10 {
			u.tokens = 0
			u.Take(step/10, now)
		}
		s.Sent, s.Delay = s.Sent+step, 30*time.Millisecond
		if k%25 >= 20 {
			s.Delay = 0
		}
		u.Observe(s, now)
		least = min(least, float64(u.Rate())/4e6)
	}
	if least < 0.85 {
		t.Errorf("the bound fell to %.2f of what it was", least)
	}
}

// When next to nothing was sent, what was carried tells nothing of the uplink: a bound
// for which there was no use is not forgotten because of a moment's delay.
func TestUplinkThatIsHardlyUsedKeepsItsBound(t *testing.T) {
	u, now := NewUplink(0), time.Unix(1e9, 0)
	u.rate, u.full = 6e6/8, 6e6/8
	s := UplinkSample{Delay: 200 * time.Millisecond}
	const step = 20_000 // 0.8 Mbit/s
	for range 12 {
		now = now.Add(uplinkStep)
		u.Take(step, now)
		s.Sent += step
		u.Observe(s, now)
	}
	if u.Rate() < 2_000_000 || u.Rate() > 5_000_000 {
		t.Errorf("the bound is %d, want less than 6 Mbit/s, but not what happened to be sent", u.Rate())
	}
	s.Delay, s.Backlog = 0, true
	for range 4 {
		now = now.Add(uplinkStep)
		s.Sent += step
		u.Observe(s, now)
	}
	if u.Rate() < 5_400_000 {
		t.Errorf("afterwards the bound is %d, want nearly the 6 Mbit/s that it was", u.Rate())
	}
}

func BenchmarkUplink(b *testing.B) {
	u, now := NewUplink(0), time.Unix(1e9, 0)
	var s UplinkSample
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(uplinkStep)
		s.Sent, s.Delay = s.Sent+1<<20, 60*time.Millisecond
		u.Take(fullChunk, now)
		u.Observe(s, now)
	}
}

func TestAKnownUplinkLeavesRoomForWhatIsNotChunks(t *testing.T) {
	for _, c := range []struct {
		overhead float64 // bytes that go out beside each byte of a chunk
		want     float64 // of the uplink, for chunks
	}{{0.0, 0.958}, {0.05, 0.913}, {0.3, 0.738}, {5, uplinkRest}} {
		const bits = 8_000_000
		u := NewUplink(bits)
		now, sent := time.Unix(1e9, 0), 0.0
		for range 200 { // 40 s
			until := now.Add(200 * time.Millisecond)
			for now.Before(until) {
				if wait := u.Take(8<<10, now); wait > 0 {
					now = now.Add(wait)
					continue
				}
				sent += (8 << 10) * (1 + c.overhead)
			}
			u.Observe(UplinkSample{Sent: int64(sent)}, now)
		}
		if got := float64(u.Rate()) / bits; got < c.want-0.02 || got > c.want+0.02 {
			t.Errorf("with %.2f bytes beside each of a chunk, chunks may fill %.3f of the uplink, want %.3f", c.overhead, got, c.want)
		}
	}
}
