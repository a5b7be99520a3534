package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/policy"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	followPublicName = "follow-public"
	followMostName   = "follow-most"
	defaultFollow    = 4
	mostFollow       = 64
	// followEvery is how often a volunteer looks at the directory, followPause how long after a
	// stream was joined or left the next is: until it shows what that one takes.
	followEvery = time.Second
	followPause = 10 * time.Second
	// lineFull is the part of what a line may carry above which it has no room for one more stream.
	lineFull = 0.7
)

// followFlags are those of a relay that carries what others broadcast in public.
func followFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: followPublicName, Usage: "carry public streams, those first whose viewers have the least upload"},
		&cli.IntFlag{Name: followMostName, Usage: "carry at most `NUMBER` of them at a time", DefaultText: fmt.Sprint(defaultFollow)},
	}
}

// readFollow returns how many public streams to carry at most.
func readFollow(c *cli.Context) (int, error) {
	most := defaultFollow
	if c.IsSet(followMostName) {
		most = c.Int(followMostName)
	}
	switch {
	case !c.Bool(followPublicName) && c.IsSet(followMostName):
		return 0, &usageError{"--follow-most is for public streams.", "add --follow-public, or leave it out"}
	case !c.Bool(followPublicName):
		return 0, nil
	case c.Bool("bootstrap-only"):
		return 0, &usageError{"--bootstrap-only carries no stream.", "leave --follow-public out, or start another relay for it"}
	case most < 1 || most > mostFollow:
		return 0, badFlag(followMostName, c.String(followMostName), fmt.Sprintf("a relay carries from 1 to %d public streams", mostFollow))
	}
	return most, nil
}

// volunteer carries public streams beside those that its node was told to carry.
type volunteer struct {
	s       *session
	choice  policy.Volunteer
	carried map[stream.ID]time.Time
	titles  map[stream.ID]string // of those
	changed time.Time            // when that was, last
}

func newVolunteer(s *session, most int) *volunteer {
	return &volunteer{
		s:       s,
		choice:  policy.Volunteer{ID: s.node.ID().String(), Most: most},
		carried: make(map[stream.ID]time.Time),
		titles:  make(map[stream.ID]string),
	}
}

// run follows the directory until ctx is over.
func (v *volunteer) run(ctx context.Context) error {
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		if err := v.step(time.Now()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// step joins or leaves one stream, if that is due.
func (v *volunteer) step(now time.Time) error {
	st := v.s.node.Stats()
	if st.Paused || now.Sub(v.changed) < followPause {
		return nil
	}
	entries := v.s.node.Directory()
	join, leave := v.choice.Choose(v.candidates(entries), hasRoom(st), now)
	if leave != nil {
		v.s.node.Leave(*leave)
		v.tell("unfollow", "No longer carrying", *leave)
		delete(v.carried, *leave)
		delete(v.titles, *leave)
		v.changed = now
	}
	if join == nil {
		return nil
	}
	for _, e := range entries {
		if e.Stream != *join {
			continue
		}
		if _, err := v.s.node.Join(e.Link()); err != nil {
			return fmt.Errorf("join public stream %s: %w", join.Short(), err)
		}
		v.carried[*join], v.titles[*join] = now, e.Title
		v.changed = now
		v.tell("follow", "Carrying", *join)
	}
	return nil
}

// candidates returns what could be carried and what is, without what the node was told to carry.
func (v *volunteer) candidates(entries []stream.Entry) (out []policy.Public) {
	owner := v.s.keeper.owner() // which a reload may change
	measured := make(map[stream.ID]float64)
	for _, sw := range v.s.node.Swarms() {
		measured[sw.ID()] = sw.Stats().Supply
	}
	listed := make(map[stream.ID]bool)
	for _, e := range entries {
		supply, here := measured[e.Stream]
		since, own := v.carried[e.Stream]
		if here && !own || !owner.Carries(e.Stream) {
			continue
		}
		if !own {
			supply = float64(e.Supply) / 100
		}
		listed[e.Stream] = true
		out = append(out, policy.Public{Stream: e.Stream, Supply: supply, OnAir: true, Carried: since})
	}
	for id, since := range v.carried {
		if !listed[id] {
			out = append(out, policy.Public{Stream: id, Carried: since})
		}
	}
	return out
}

// hasRoom reports whether the line carries one more stream.
func hasRoom(st p2p.Stats) bool {
	full := func(rate float64, bound int) bool { return bound > 0 && rate > lineFull*float64(bound) }
	return !full(st.RateOut, st.UploadBound) && !full(st.RateIn, st.MaxDownload)
}

func (v *volunteer) tell(event, what string, id stream.ID) {
	v.s.screen.say("%s “%s” (%s).", what, v.titles[id], id.Short())
	v.s.screen.event(followEvent{event, id.String(), v.titles[id], v.s.hlsURL(id)})
}
