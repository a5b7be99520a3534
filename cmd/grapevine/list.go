package main

import (
	"context"
	"errors"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/hls"
)

const (
	// listRound is how often list looks at the directory.
	listRound = 100 * time.Millisecond
	// listCalm is how long after the last new entry list ends.
	listCalm = 2 * time.Second
)

func listCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "show the public streams that are on air",
		Flags: append([]cli.Flag{
			&cli.DurationFlag{Name: "wait", Usage: "look for `DURATION` at most", Value: 15 * time.Second},
		}, dhtFlags()...),
		Action: func(c *cli.Context) error {
			set, err := readSettings(c)
			if err != nil {
				return err
			}
			if err := readNetwork(c, &set); err != nil {
				return err
			}
			if err := noArguments(c); err != nil {
				return err
			}
			wait := c.Duration("wait")
			if wait <= 0 {
				return badFlag("wait", wait.String(), "a duration looks like 15s or 1m")
			}
			if set.dht == nil {
				return &usageError{"With --no-dht, list finds nobody to ask.", "leave it out, or name a node of your own network with --bootstrap ADDR"}
			}
			return env.do(c, job{set: set, run: func(ctx context.Context, set settings) error {
				return list(ctx, set, wait, newScreen(env, set.json))
			}})
		},
	}
}

func list(ctx context.Context, set settings, wait time.Duration, scr *screen) (err error) {
	h, err := openHome(set.home, set.passphrase)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	id, err := h.identity()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, id.release()) }()
	node, err := startNode(nodeConfig{identity: id, listen: set.listen, dht: set.dht, directory: true}, newStore(set.cache, nil), newLogger(scr, set.level))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	entries := awaitListings(ctx, wait, listingsOf(node))
	scr.event(directoryEvent{"directory", entries})
	if len(entries) == 0 {
		scr.say("No public stream was found. Broadcasters list theirs with --public.")
	}
	for _, e := range entries {
		scr.say("%s", scr.bold(e.Title))
		if e.Description != "" {
			scr.say("  %s", e.Description)
		}
		scr.field("watch", "grapevine watch '"+e.Link+"'")
	}
	return nil
}

// awaitListings looks until nothing new has come for a while, or the time is over.
func awaitListings(ctx context.Context, wait time.Duration, listings func() []hls.Listing) []hls.Listing {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	ticker := time.NewTicker(listRound)
	defer ticker.Stop()
	entries := listings()
	for last := time.Now(); len(entries) == 0 || time.Since(last) < listCalm; {
		select {
		case <-ctx.Done():
			return entries
		case <-ticker.C:
		}
		if now := listings(); len(now) != len(entries) {
			entries, last = now, time.Now()
		}
	}
	return entries
}
