package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/grapevine-live/grapevine/hls"
)

const (
	statusName = "status"
	// figuresWait bounds the wait for a node's answer, mostFigures the answer's bytes.
	figuresWait = 5 * time.Second
	mostFigures = 32 << 20
	// plainWidth is the width of what is written to a file or a pipe.
	plainWidth = 100
)

func statusCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:  statusName,
		Usage: "show what a running node receives, gives and plays",
		Description: "On a terminal the view is live: up and down move among peers, left and right choose a stream, q ends it.\n" +
			"Elsewhere, and with --json, the figures are written once.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "http", Usage: "ask the node that serves its page on `ADDR`", Value: defaultHTTP},
			&cli.BoolFlag{Name: "json", Usage: "write one JSON object, for programs"},
		},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			client, err := newFiguresClient(c.String("http"))
			if err != nil {
				return err
			}
			return env.do(c, job{run: func(ctx context.Context, _ settings) error {
				return showStatus(ctx, env, client, c.Bool("json"))
			}})
		},
	}
}

// statusEvent is what --json writes.
type statusEvent struct {
	Event string `json:"event"` // "status"
	hls.Figures
}

func showStatus(ctx context.Context, env *environment, client *figuresClient, json bool) error {
	f, err := client.figures(ctx)
	if err != nil {
		return err
	}
	scr := newScreen(env, json)
	if in := env.stdin; scr.terminal && in != nil && term.IsTerminal(int(in.Fd())) {
		return watchStatus(ctx, env, client, f, scr.colour)
	}
	scr.event(statusEvent{"status", *f})
	v := statusView{at: time.Now(), figures: f, width: plainWidth, whole: true}
	scr.say("%s", strings.Join(v.lines(), "\n"))
	return nil
}

// figuresClient asks a node for its figures.
type figuresClient struct {
	addr string // as it was given
	url  string
	http http.Client
}

// newFiguresClient reads the address of a node, as --http or the page's URL have it.
func newFiguresClient(addr string) (*figuresClient, error) {
	bad := badFlag("http", addr, "an address looks like "+defaultHTTP+"; a running node prints its own as page")
	base := addr
	if !strings.Contains(addr, "://") {
		base = "http://" + addr
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, bad
	}
	if host, port, err := net.SplitHostPort(u.Host); err == nil && host == "" {
		u.Host = net.JoinHostPort("127.0.0.1", port) // as in :8787, where a node listens
	} else if err != nil && !strings.Contains(addr, "://") {
		return nil, bad // no port
	}
	u.Path = "/api/v1/status"
	return &figuresClient{addr: addr, url: u.String(), http: http.Client{Timeout: figuresWait}}, nil
}

// figuresError says why a node's figures cannot be had.
type figuresError struct {
	addr   string
	status int   // of the answer, 0 if there was none
	err    error // nil if the status says it
}

func (e *figuresError) Error() string {
	return fmt.Sprintf("ask %s for figures: status %d: %v", e.addr, e.status, e.err)
}
func (e *figuresError) Unwrap() error { return e.err }

// errNoFigures says that an answer is not that of a node.
var errNoFigures = errors.New("the answer has no figures")

// errGateway says that who answers is a gateway.
var errGateway = errors.New("a gateway tells nothing of its node")

func explainFigures(e *figuresError) (sentence, hint string) {
	switch {
	case errors.Is(e.err, errGateway):
		return fmt.Sprintf("At %s is a node's gateway, which tells nothing of the node.", e.addr), "ask the node itself, at the address that it prints as page: --http ADDR"
	case errors.Is(e.err, errNoFigures), e.status == http.StatusNotFound:
		return fmt.Sprintf("What answers at %s is no grapevine node.", e.addr), "name the address that the node prints as page, with --http ADDR"
	case e.status == http.StatusUnauthorized || e.status == http.StatusForbidden:
		return fmt.Sprintf("The node at %s does not tell its figures to you: %s.", e.addr, http.StatusText(e.status)), "ask from the machine on which it runs, as its owner"
	case e.status != 0:
		return fmt.Sprintf("The node at %s answers with an error: %d %s.", e.addr, e.status, http.StatusText(e.status)), "look at what the node prints"
	}
	return fmt.Sprintf("No node answers at %s.", e.addr), "start one, such as grapevine watch LINK, or name the address that a running one prints as page, with --http ADDR"
}

// figures asks once.
func (c *figuresClient) figures(ctx context.Context) (*hls.Figures, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return nil, &figuresError{addr: c.addr, err: err}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, &figuresError{addr: c.addr, err: err}
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, &figuresError{addr: c.addr, status: res.StatusCode}
	}
	var answer struct {
		hls.Figures
		Public bool `json:"public"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, mostFigures)).Decode(&answer); err != nil {
		return nil, &figuresError{addr: c.addr, status: res.StatusCode, err: errors.Join(errNoFigures, err)}
	}
	switch {
	case answer.Public:
		return nil, &figuresError{addr: c.addr, status: res.StatusCode, err: errGateway}
	case answer.PeerID == "":
		return nil, &figuresError{addr: c.addr, status: res.StatusCode, err: errNoFigures}
	}
	return &answer.Figures, nil
}
