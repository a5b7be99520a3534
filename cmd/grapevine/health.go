package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/urfave/cli/v2"
)

const (
	healthName = "health"
	// healthWait is how long a node may take to answer that is well.
	healthWait = 5 * time.Second
)

func healthCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:        healthName,
		Usage:       "ask a node on this machine whether it is well, for containers and monitors",
		Description: "Exits with 0 if the node at --http answers, and with 1 if it does not.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "http", Usage: "ask the node that serves HLS on `ADDR`", Value: defaultHTTP},
			&cli.BoolFlag{Name: "json", Usage: "write one JSON object a line, for programs"},
		},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			addr := c.String("http")
			if err := checkHTTP(addr); err != nil {
				return err
			}
			return env.do(c, job{run: func(ctx context.Context, _ settings) error {
				return health(ctx, addr, newScreen(env, c.Bool("json")))
			}})
		},
	}
}

// healthError says that a node did not answer well.
type healthError struct {
	addr string
	err  error
}

func (e *healthError) Error() string { return fmt.Sprintf("node at %s: %v", e.addr, e.err) }
func (e *healthError) Unwrap() error { return e.err }

// healthEvent says that a node is well.
type healthEvent struct {
	Event   string `json:"event"` // "health"
	Role    string `json:"role"`
	Version string `json:"version"`
	Streams int    `json:"streams"`
	Closed  string `json:"closed,omitempty"` // why it takes no part: schedule or budget
}

// health asks a node for its status.
func health(ctx context.Context, addr string, scr *screen) error {
	ctx, cancel := context.WithTimeout(ctx, healthWait)
	defer cancel()
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return &healthError{addr, err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, baseURL(tcp)+"/api/v1/status", nil)
	if err != nil {
		return &healthError{addr, err}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return &healthError{addr, err}
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return &healthError{addr, errors.New("it answers " + res.Status)}
	}
	var status struct {
		Role, Version string
		Streams       []struct{}
		Limits        struct{ Closed string }
	}
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil {
		return &healthError{addr, fmt.Errorf("its answer is not that of a node: %w", err)}
	}
	scr.event(healthEvent{"health", status.Role, status.Version, len(status.Streams), status.Limits.Closed})
	scr.say("The %s at %s is well, and carries %s.", status.Role, addr, count(len(status.Streams), "stream"))
	return nil
}
