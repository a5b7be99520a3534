package hls

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// viewer plays a stream by one kind of playlist: one rendition, or several, between which
// it switches.
type viewer struct {
	*stage
	file     string
	players  []*player // by rendition
	switches bool

	playing    []int // of players; none for a rest
	switchAt   time.Time
	turn       int
	asked      *request // for the multivariant playlist
	surveys    int
	violations []violation
}

func (st *stage) watch(file string, switches bool, keep func(string)) *viewer {
	v := &viewer{stage: st, file: file, switches: switches, playing: []int{0}, switchAt: time.Now().Add(20 * time.Second)}
	for _, b := range st.renditions {
		p := newPlayer(b, st, file)
		p.keep, p.woken = keep, st.woken
		v.players = append(v.players, p)
	}
	st.viewers = append(st.viewers, v)
	return v
}

// next is when the viewer acts again.
func (v *viewer) next() time.Time {
	next := time.Now().Add(time.Minute)
	if v.switches {
		next = v.switchAt
	}
	for _, i := range v.playing {
		next = minTime(next, v.players[i].next)
	}
	return maxTime(next, time.Now().Add(time.Millisecond))
}

func (v *viewer) act() {
	if v.failed() != nil {
		v.playing = nil // it has said what there is to say
		return
	}
	if v.switches && !time.Now().Before(v.switchAt) {
		v.change()
	}
	for _, i := range v.playing {
		v.players[i].act()
	}
	if v.switches {
		v.survey()
	}
}

// failed returns the first violation of all players, nil if there is none.
func (v *viewer) failed() []violation {
	for _, p := range v.players {
		if len(p.violations) > 0 {
			return p.violations
		}
	}
	return v.violations
}

// turns is how long a viewer plays what: both renditions are two players.
var turns = []struct {
	playing []int
	d       time.Duration
}{
	{[]int{1}, 20 * time.Second},
	{[]int{0, 1}, 15 * time.Second},
	{[]int{0}, 90 * time.Second}, // the other is let go
	{[]int{1}, 10 * time.Second},
	{nil, 100 * time.Second}, // a rest
	{[]int{0}, 15 * time.Second},
}

// change has the viewer play another rendition.
func (v *viewer) change() {
	turn := turns[v.turn%len(turns)]
	v.turn++
	for i, p := range v.players {
		if !slices.Contains(turn.playing, i) && slices.Contains(v.playing, i) {
			p.leave()
		}
		if slices.Contains(turn.playing, i) && !slices.Contains(v.playing, i) {
			p.next = time.Now()
		}
	}
	v.playing, v.switchAt = turn.playing, time.Now().Add(turn.d)
}

// survey is what a viewer sees of all renditions at one time.
type survey struct {
	*viewer
	text     string
	variants []listedVariant
	flaws    []flaw
	answer   *request
}

// survey reads the multivariant playlist and has the rules look at all renditions.
func (v *viewer) survey() {
	if v.asked == nil {
		v.asked = v.players[0].askPath("/" + v.renditions[0].key.ID().String() + "/" + v.file)
		return
	}
	if !v.asked.answered() {
		return
	}
	s := &survey{viewer: v, answer: v.asked, text: v.asked.w.Body.String()}
	v.asked = nil
	if s.answer.w.Code != http.StatusOK {
		return // nothing was playable for long
	}
	v.surveys++
	if keep := v.players[0].keep; keep != nil {
		keep(s.text)
	}
	s.variants, s.flaws = readMultivariant(s.text)
	for i := range variantRules {
		r := &variantRules[i]
		if r.applies(v.file) {
			if what := r.survey(s); what != "" {
				v.violations = append(v.violations, violation{&r.rule, what, v.file, v.surveys, time.Now(), s.others(), s.text})
			}
		}
	}
}

func (s *survey) others() string {
	var b strings.Builder
	for _, p := range s.players {
		fmt.Fprintf(&b, "%s, at %v\n%s", p.rendition, p.lookedAt, p.lastText)
	}
	return b.String()
}
