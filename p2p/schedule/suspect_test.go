package schedule

import (
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Who claims and does not send is suspected of withholding what it heard, and of no more than absence
// as long as it was not found to hear.
func TestOnlyWhatWasHeardIsWithheld(t *testing.T) {
	for name, c := range map[string]struct {
		hears, delivers time.Duration // from when on; 0 for never
		want            Suspicion
		never           Suspicion // or Fails, which all are suspected of
	}{
		"it hears, and sends nothing":           {hears: 1, want: Withholds, never: Deaf},
		"it hears nothing":                      {want: Deaf, never: Withholds},
		"it hears after 6 s, and sends then":    {hears: 6 * time.Second, delivers: 7 * time.Second, want: Deaf, never: Withholds},
		"it hears after 6 s, and sends nothing": {hears: 6 * time.Second, want: Withholds},
	} {
		x := New(Config{Uplink: unlimited(100e6), Seed: 1})
		x.Neighbour(2, true, 20*time.Millisecond)
		seen, asked := make(map[Suspicion]time.Duration), make(map[stream.Position]stream.Bitmap)
		for ms := 0; ms < 20_000; ms += 50 {
			now, at := start.Add(time.Duration(ms)*time.Millisecond), at(uint32(ms/500))
			since := now.Sub(start)
			if ms%500 == 0 {
				x.Header(header(uint32(ms/500)), now)
				x.Metadata(2, at, Metadata{State: strong(), Have: stream.Bitmap{255, 255}}, now)
			}
			actions, _ := x.Step(now)
			for _, a := range metas(actions, 2) {
				asked[a.Part] = a.Meta.Want
			}
			for pos, want := range asked { // which it hears of sooner or later
				for i := range 16 {
					if c.delivers > 0 && since >= c.delivers && want.Get(i) && x.Admit(2, pos, i, false, now) == Accept {
						x.Got(2, pos, i, 0, false, now)
					}
				}
			}
			for _, s := range x.Suspects() {
				if _, ok := seen[s.Of]; !ok {
					seen[s.Of] = since
				}
				if c.hears > 0 && since >= c.hears && s.Of != Withholds {
					x.Hears(s.Peer, now)
				}
			}
		}
		at, ok := seen[c.want]
		if _, wrong := seen[c.never]; !ok || c.never != Fails && wrong || c.want == Withholds && at < c.hears+suspectAfter {
			t.Errorf("%s: suspected of %v", name, seen)
		}
	}
}

// That a neighbour heard something a minute ago tells nothing of what it fails now.
func TestHearingIsForgotten(t *testing.T) {
	for name, c := range map[string]struct {
		pause time.Duration
		want  Suspicion
	}{"at once": {0, Withholds}, "after a minute": {time.Minute, Deaf}} {
		x := New(Config{Uplink: unlimited(100e6), Seed: 1})
		x.Neighbour(2, true, 20*time.Millisecond)
		n, now := x.peers[2], start
		x.failed(n, &n.vain, maxVain, now, now)
		x.Hears(2, now)
		now = now.Add(c.pause)
		for range 2 * maxVain {
			now = now.Add(suspectAfter / maxVain)
			x.failed(n, &n.vain, maxVain, now, now)
		}
		var last Suspicion
		for _, s := range x.Suspects() {
			last = max(last, s.Of)
		}
		if last != c.want {
			t.Errorf("%s: suspected of %v, want %v", name, last, c.want)
		}
	}
}
