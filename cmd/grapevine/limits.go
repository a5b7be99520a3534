package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/p2p/policy"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// minRate is what carries headers and a few chunks a second at least.
	minRate = 100_000
	// minPeers leaves a node one to take from, one to give to, and two of a DHT.
	minPeers = 4
)

// rateFlags returns the flags that bound any node.
func rateFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "max-upload", Usage: "send peers at most `RATE`, such as 2Mbit/s or 500kbit/s, all overhead included", DefaultText: "as much as the uplink carries without a queue, measured"},
		&cli.StringFlag{Name: "max-download", Usage: "receive at most `RATE` from peers, likewise", DefaultText: "no bound"},
		&cli.IntFlag{Name: "max-peers", Usage: "be connected to at most `NUMBER` peers", DefaultText: "as many as are of use"},
	}
}

// policyFlags returns the flags of those that lend their machine.
func policyFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "monthly-budget", Usage: "send and receive at most `SIZE` in a calendar month, such as 500GB; '500GB up' counts only what is sent, as most hosters bill", DefaultText: "no bound"},
		&cli.StringSliceFlag{Name: "schedule", Usage: "take part only in these `TIMES`, by this machine's clock: 22:00-07:00, or 'Mon-Fri 22:00-07:00,Sat-Sun 00:00-24:00'; may be given more than once", DefaultText: "always"},
		&cli.StringSliceFlag{Name: "allow", Usage: "carry only `STREAM`, a link or a stream ID; may be given more than once", DefaultText: "all"},
		&cli.StringSliceFlag{Name: "deny", Usage: "do not carry `STREAM`, a link or a stream ID; may be given more than once"},
	}
}

// readRates reads rateFlags.
func readRates(c *cli.Context, set *settings) error {
	for name, rate := range map[string]*int{"max-upload": &set.upload, "max-download": &set.download} {
		text := c.String(name)
		if text == "" {
			continue
		}
		var err error
		if *rate, err = parseRate(text); err != nil || *rate < minRate {
			return badFlag(name, text, "a rate in bits per second looks like 2Mbit/s, 500kbit/s or 1.5M; at least "+formatRate(minRate)+" are needed")
		}
	}
	if set.maxPeers = c.Int("max-peers"); c.IsSet("max-peers") && set.maxPeers < minPeers {
		return badFlag("max-peers", c.String("max-peers"), fmt.Sprintf("a number of peers looks like 20; at least %d are needed", minPeers))
	}
	return nil
}

// readPolicy reads policyFlags.
func readPolicy(c *cli.Context) (p policy.Policy, err error) {
	if text := c.String("monthly-budget"); c.IsSet("monthly-budget") {
		if p.Budget, err = parseBudget(text); err != nil {
			return p, badFlag("monthly-budget", text, "an amount looks like 500GB, or '500GB up' to count only what is sent; at least "+formatBytes(policy.MinBudget)+" are needed")
		}
	}
	for _, text := range c.StringSlice("schedule") {
		r, err := policy.ParseRange(text)
		if err != nil {
			return p, badFlag("schedule", text, err.Error()+"; times look like 22:00-07:00, or 'Mon-Fri 22:00-07:00'")
		}
		p.Schedule = append(p.Schedule, r)
	}
	for name, list := range map[string]*[]stream.ID{"allow": &p.Allow, "deny": &p.Deny} {
		for _, text := range c.StringSlice(name) {
			link, err := stream.ParseLink(text)
			if err != nil {
				return p, badFlag(name, text, "a stream is named by its link or its ID, as the broadcaster prints them")
			}
			*list = append(*list, link.Stream)
		}
	}
	return p, nil
}

// parseBudget reads 500GB or 500GB up.
func parseBudget(text string) (policy.Budget, error) {
	amount, sentOnly := strings.CutSuffix(strings.TrimSpace(text), "up")
	n, err := parseBytes(amount)
	if err == nil && n < policy.MinBudget {
		err = fmt.Errorf("%q is too little", text)
	}
	return policy.Budget{Bytes: n, SentOnly: sentOnly}, err
}

// checkAllowed refuses links that the policy does not let a node carry.
func checkAllowed(p *policy.Policy, links []stream.Link) error {
	for _, l := range links {
		switch {
		case p.Carries(l.Stream):
		case slices.Contains(p.Deny, l.Stream):
			return &usageError{fmt.Sprintf("--deny refuses the stream %s.", l.Stream.Short()), "leave the link out, or the --deny"}
		default:
			return &usageError{fmt.Sprintf("--allow does not name the stream %s.", l.Stream.Short()), "leave the link out, or allow it with another --allow"}
		}
	}
	return nil
}

// showLimits says what the node was told to send and receive at most, and when.
func (s *session) showLimits(set settings) {
	if set.upload > 0 {
		s.screen.field("upload", "at most "+formatRate(float64(set.upload)))
	}
	if set.download > 0 {
		s.screen.field("download", "at most "+formatRate(float64(set.download)))
	}
	if set.maxPeers > 0 {
		s.screen.field("peers", fmt.Sprintf("at most %d", set.maxPeers))
	}
	if b := set.policy.Budget; b.Bytes > 0 {
		s.screen.field("budget", formatBudget(b)+" a calendar month, of which "+formatBytes(b.Left(s.keeper.used()))+" are left")
	}
	if len(set.policy.Schedule) > 0 {
		s.screen.field("schedule", set.policy.Schedule.String())
	}
	for _, id := range set.policy.Allow {
		s.screen.field("allow", id.String())
	}
	for _, id := range set.policy.Deny {
		s.screen.field("deny", id.String())
	}
}

// formatBudget says what a budget is, and of what.
func formatBudget(b policy.Budget) string {
	if b.SentOnly {
		return formatBytes(b.Bytes) + " sent"
	}
	return formatBytes(b.Bytes) + " sent and received"
}
