package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/stream"
)

// job is what a command line asks for, read and checked.
type job struct {
	set settings // of its node; zero without one
	// links are the streams that a node carries, and origins where they come from besides.
	links   []stream.Link
	origins []string
	run     func(ctx context.Context, set settings) error
}

// do carries out what a command has read, unless somebody only wants to know what that is.
func (env *environment) do(c *cli.Context, j job) error {
	if env.take != nil {
		return env.take(c, j)
	}
	j.set.reloader = env.newReloader(c, j)
	return j.run(c.Context, j.set)
}
