package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	moderatedName = "link"
	// moderateFor bounds how long a broadcaster is sought, and waited for.
	moderateFor = 30 * time.Second
)

// moderateError is about what a moderator asked of a broadcaster.
type moderateError struct{ err error }

func (e *moderateError) Error() string { return fmt.Sprintf("moderate: %v", e.err) }
func (e *moderateError) Unwrap() error { return e.err }

// explainModerate says why a broadcaster did not do what a moderator asked.
func explainModerate(e *moderateError) (sentence, hint string) {
	switch {
	case errors.Is(e.err, p2p.ErrUnanswered):
		return "The broadcaster of this stream cannot be reached, or does not answer.",
			"it has to be on air with --private, and the link to name a peer that is up; if both is so, look at this machine's clock"
	case errors.Is(e.err, stream.ErrRevoked):
		return "This machine moderates the stream no more: its key has been revoked.", "have another key delegated to"
	case errors.Is(e.err, stream.ErrDelegationRole):
		return "The delegation is not for this machine's key: " + reasonIn(e.err, stream.ErrDelegationRole) + ".", "grapevine id shows the key to delegate to; --key FILE uses another"
	case errors.Is(e.err, stream.ErrDelegationTime):
		return "The delegation of this machine has expired, or has not begun: " + reasonIn(e.err, stream.ErrDelegationTime) + ".",
			"ask for another: grapevine delegate create --role moderator, on the machine with the stream's key; if it should hold, look at this machine's clock"
	}
	sentence, hint, _ = explain(e.err)
	return sentence, hint
}

// moderate lists the invites to a stream that is broadcast elsewhere, or takes one back.
func moderate(ctx context.Context, c *cli.Context, scr *screen) (err error) {
	args := c.Args().Slice()
	what := ""
	if len(args) > 0 {
		what, args = args[0], args[1:]
	}
	if what == "create" {
		return &usageError{"Invites are made where the stream is broadcast.", "leave --link out there; a moderator lists invites and takes them back"}
	}
	if !(what == "list" && len(args) == 0 || what == "revoke" && len(args) == 1) {
		return &usageError{"invite needs to know what to do.", "grapevine invite list --link LINK, or grapevine invite revoke --link LINK NAME"}
	}
	links, err := readLinks([]string{c.String(moderatedName)})
	if err != nil {
		return err
	}
	link := links[0]
	if len(link.Peers) == 0 {
		return &usageError{"The link names no peer, so its broadcaster cannot be reached.", "use the whole link, with its ?peer=…"}
	}
	h, err := openHome(c.String("home"), readPassphrase(c))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	key, err := h.moderatorKey(c.String("key"), c.String(delegationName), link.Stream)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, moderateFor)
	defer cancel()
	return h.visit(link, scr, func(swarm *p2p.Swarm) error {
		m := &moderating{swarm.Moderate(key), link.Stream, scr}
		if what == "list" {
			return m.list(ctx)
		}
		return m.revoke(ctx, args[0])
	})
}

// moderatorKey returns the key by which this home moderates a stream.
func (h *home) moderatorKey(path, delegation string, id stream.ID) (stream.Key, error) {
	key, err := h.streamKey(path)
	if err != nil {
		return key, err
	}
	if key, err = h.under(key, delegation, stream.RoleModerator, time.Now()); err != nil {
		if _, usage := errors.AsType[*usageError](err); usage {
			return key, err
		}
		return key, &moderateError{err}
	}
	switch {
	case key.ID() == id:
		return key, nil
	case delegation == "":
		return key, &usageError{"The stream of that link is not this home's.", "a moderator has a delegation of that stream's key: --delegation FILE"}
	}
	return key, &usageError{fmt.Sprintf("The delegation in %s is of another stream, %s.", delegation, key.ID()), "give the link of that stream with --link"}
}

// visit has a node of its own join the stream of a link, for as long as f takes. It carries no media.
func (h *home) visit(link stream.Link, scr *screen, f func(*p2p.Swarm) error) (err error) {
	id, err := h.identity()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, id.release()) }()
	quiet := slog.LevelError // what matters is said at the end
	node, err := startNode(nodeConfig{identity: id, revoked: keptRevocations{h}}, stream.NewStore(minCache), newLogger(scr, &quiet))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	swarm, err := node.Join(link)
	if err != nil {
		return err
	}
	if err := swarm.Carry([]string{stream.KeysRendition}); err != nil {
		return err
	}
	scr.show("Asking the broadcaster …", true)
	err = f(swarm)
	scr.settle()
	return err
}

// moderating is what a moderator does with a stream's invites.
type moderating struct {
	with   *p2p.Moderator
	stream stream.ID
	screen *screen
}

func (m *moderating) list(ctx context.Context) error {
	invited, err := m.with.Invited(ctx)
	if err != nil {
		return &moderateError{err}
	}
	list := make([]invitedEvent, len(invited))
	for n, i := range invited {
		list[n] = invitedEvent{i.Name, inviteState(i.State), i.Expires.Format(time.RFC3339), i.Uses, i.Viewers, ""}
	}
	m.screen.settle()
	if len(list) == 0 {
		m.screen.say("Nobody is invited yet.")
	}
	return m.screen.invites(m.stream, list)
}

// revoke takes the invite of a name back.
func (m *moderating) revoke(ctx context.Context, name string) error {
	invited, err := m.with.Invited(ctx)
	if err != nil {
		return &moderateError{err}
	}
	n := slices.IndexFunc(invited, func(i stream.Invited) bool { return i.Name == name })
	if n >= 0 {
		var i stream.Invited
		if i, err = m.with.Revoke(ctx, invited[n].Invite); err == nil {
			m.screen.settle()
			m.screen.tookBack(m.stream, name, i.Viewers)
			return nil
		}
	}
	if n < 0 || errors.Is(err, p2p.ErrNoInvite) {
		return &usageError{"There is no invite " + quote(name) + ".", "grapevine invite list --link LINK shows all"}
	}
	return &moderateError{err}
}
