package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	inviteName = "invite"
	// maxGuestName bounds the name of an invite in bytes.
	maxGuestName = 64
	// minInvite and maxInviteFor bound how long an invite holds.
	minInvite    = time.Minute
	maxInviteFor = 365 * 24 * time.Hour
)

func inviteCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:      inviteName,
		Usage:     "invite viewers to the private stream of this home, list invites, or take one back",
		ArgsUsage: "create|list|revoke [NAME]",
		Description: "grapevine invite create --name guest-12 --expires 48h\n" +
			"grapevine invite list\n" +
			"grapevine invite revoke guest-12\n" +
			"grapevine invite revoke --delegation mod-1.delegation --link LINK guest-12\n\n" +
			"With --link, list and revoke ask the broadcaster, who has to be on air: that is for moderators, and\n" +
			"for whoever has the stream's own key.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "call the new invite `NAME`"},
			&cli.DurationFlag{Name: "expires", Usage: "have the new invite, and what is watched by it, end after `DURATION`", Value: 24 * time.Hour},
			&cli.IntFlag{Name: "uses", Usage: "let `N` viewers in by the new invite", Value: 1},
			keyFlag(),
			&cli.StringFlag{Name: delegationName, Usage: "act for the stream whose key delegates to this machine's key in `FILE`, which \"grapevine delegate create\" wrote: as its broadcaster, or with --link as its moderator"},
			&cli.StringFlag{Name: moderatedName, Usage: "list the invites to the stream of `LINK`, or take one back, at its broadcaster"},
			homeFlag(),
			passphraseFileFlag(),
			&cli.BoolFlag{Name: "json", Usage: "write one JSON object a line, for programs"},
		},
		Action: func(c *cli.Context) error {
			return env.do(c, job{run: func(ctx context.Context, _ settings) error {
				scr := newScreen(env, c.Bool("json"))
				if c.String(moderatedName) != "" {
					return moderate(ctx, c, scr)
				}
				return changeInvites(c, scr)
			}})
		},
	}
}

// changeInvites does what the command's arguments say.
func changeInvites(c *cli.Context, scr *screen) (err error) {
	h, err := openHome(c.String("home"), readPassphrase(c))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	key, err := h.streamKey(c.String("key"))
	if err == nil {
		key, err = h.under(key, c.String(delegationName), stream.RoleBroadcast, time.Now())
	}
	if err != nil {
		return err
	}
	args := c.Args().Slice()
	what := ""
	if len(args) > 0 {
		what, args = args[0], args[1:]
	}
	d := invites{h, key, newGuests(h, key.ID()), scr}
	switch {
	case what == "create" && len(args) == 0:
		return d.create(c.String("name"), c.Duration("expires"), c.Int("uses"))
	case what == "list" && len(args) == 0:
		return d.list()
	case what == "revoke" && len(args) == 1:
		return d.revoke(args[0])
	}
	return &usageError{"invite needs to know what to do.", "grapevine invite create --name NAME, grapevine invite list, or grapevine invite revoke NAME"}
}

// invites are those of a stream, as the command changes them.
type invites struct {
	home   *home
	key    stream.Key
	guests *guests
	screen *screen
}

func (d *invites) create(name string, expires time.Duration, uses int) error {
	name = strings.TrimSpace(name)
	switch {
	case name == "" || len(name) > maxGuestName || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return &usageError{"invite create needs a --name of one line and at most 64 bytes.", "name whom it is for: --name guest-12"}
	case expires < minInvite || expires > maxInviteFor:
		return badFlag("expires", expires.String(), "a duration looks like 48h or 90m; from a minute to 8760h")
	case uses < 1 || uses > stream.MaxViewers:
		return badFlag("uses", fmt.Sprint(uses), fmt.Sprintf("from 1 to %d viewers can come by an invite", stream.MaxViewers))
	}
	now := time.Now()
	if by := d.key.Delegation(); by != nil && now.Add(expires).After(by.NotAfter) {
		return badFlag("expires", expires.String(), "an invite cannot outlive this machine's delegation, which ends at "+by.NotAfter.Local().Format(time.DateTime))
	}
	link, known := d.home.linkOf(d.key.ID())
	invite, err := d.key.NewInvite(now.Add(expires), uses, len(link.Relays.List()) > 0)
	if err != nil {
		return err
	}
	if err := d.guests.change(func(f *guestsFile) (bool, error) {
		return true, f.add(&guestsInvite{
			Name: name, Invite: invite.Invite.String(), Uses: uses,
			Created: now.UTC().Truncate(time.Second), Expires: invite.Expires.UTC(),
		}, now)
	}); err != nil {
		return err
	}
	link.Invite = invite
	d.screen.event(inviteEvent{"invite", d.key.ID().String(), name, link.String(), invite.Expires.UTC().Format(time.RFC3339), uses})
	d.screen.say("%s", d.screen.bold("Invited "+name+", until "+invite.Expires.Local().Format(time.DateTime)))
	d.screen.field("watch", "grapevine watch '"+link.String()+"'")
	d.screen.field("", d.screen.dim("whoever has this link may watch: "+count(uses, "viewer")))
	if !known {
		d.screen.say("The stream has not been broadcast from here yet, so the link names no peer; viewers look for it by its ID.")
	}
	if d.screen.json {
		return nil
	}
	link.Peers = link.Peers[:min(len(link.Peers), 1)] // for a code that fits on a terminal
	d.screen.showCode(link)
	return nil
}

// add puts an invite to the others, of which none that holds may have its name.
func (f *guestsFile) add(i *guestsInvite, now time.Time) error {
	over := func(o *guestsInvite) bool { return o.state(now) != 0 }
	if n := slices.IndexFunc(f.Invites, func(o *guestsInvite) bool { return o.Name == i.Name }); n >= 0 {
		if !over(f.Invites[n]) {
			return &usageError{"There is an invite " + quote(i.Name) + " already.", "choose another --name, or take it back first: grapevine invite revoke " + i.Name}
		}
		f.Invites = slices.Delete(f.Invites, n, n+1)
	}
	if len(f.Invites) >= maxInvites {
		f.Invites = slices.DeleteFunc(f.Invites, over)
	}
	if len(f.Invites) >= maxInvites {
		return &usageError{fmt.Sprintf("There are %d invites that hold, which is as many as there may be.", maxInvites), "take some back, or make one for several viewers with --uses N"}
	}
	f.Invites = append(f.Invites, i)
	return nil
}

func (d *invites) list() error {
	file, err := d.guests.read()
	if err != nil {
		return err
	}
	now := time.Now()
	list := make([]invitedEvent, len(file.Invites))
	for n, i := range file.Invites {
		list[n] = invitedEvent{i.Name, inviteState(i.state(now)), i.Expires.Format(time.RFC3339), i.Uses, len(i.Viewers), ""}
		if i.RevokedBy != nil {
			list[n].RevokedBy = i.RevokedBy.String()
		}
	}
	if len(list) == 0 {
		d.screen.say("Nobody is invited yet. grapevine invite create --name NAME makes an invite.")
	}
	return d.screen.invites(d.key.ID(), list)
}

// invites shows them.
func (s *screen) invites(id stream.ID, list []invitedEvent) error {
	for _, i := range list {
		expires, err := time.Parse(time.RFC3339, i.Expires)
		if err != nil {
			return err
		}
		by := ""
		if i.RevokedBy != "" {
			by = ", by the moderator " + i.RevokedBy
		}
		s.say("%-20s %-8s %d of %s came, until %s%s", i.Name, i.State, i.Viewers, count(i.Uses, "viewer"), expires.Local().Format(time.DateTime), by)
	}
	s.event(invitesEvent{Event: "invites", Stream: id.String(), Invites: list})
	return nil
}

func inviteState(r stream.Refusal) string {
	switch r {
	case stream.RefusedRevoked:
		return "revoked"
	case stream.RefusedExpired:
		return "expired"
	}
	return "holds"
}

func (d *invites) revoke(name string) error {
	var came int
	err := d.guests.change(func(f *guestsFile) (bool, error) {
		n := slices.IndexFunc(f.Invites, func(i *guestsInvite) bool { return i.Name == name })
		if n < 0 {
			return false, &usageError{"There is no invite " + quote(name) + ".", "grapevine invite list shows all"}
		}
		i := f.Invites[n]
		came = len(i.Viewers)
		if i.Revoked != nil {
			return false, nil
		}
		i.revoke(time.Now())
		return true, nil
	})
	if err != nil {
		return err
	}
	d.screen.tookBack(d.key.ID(), name, came)
	return nil
}

func (s *screen) tookBack(id stream.ID, name string, came int) {
	s.event(revokedEvent{"revoked", id.String(), name, came})
	s.say("Took %s back. Nobody can come by it any more; %s that did can watch for 30 s at most.", quote(name), count(came, "viewer"))
}

func linkName(id stream.ID) string { return filepath.Join("streams", id.String()+".link") }

// keepLink notes where a stream is broadcast, for invites.
func (h *home) keepLink(link stream.Link) error {
	return h.replace([]byte(link.String()+"\n"), linkName(link.Stream))
}

// linkOf returns where a stream was broadcast last, and whether that is known.
func (h *home) linkOf(id stream.ID) (stream.Link, bool) {
	raw, err := os.ReadFile(h.path(linkName(id)))
	if err != nil {
		return stream.Link{Stream: id}, false
	}
	link, err := stream.ParseLink(string(raw))
	if err != nil || link.Stream != id {
		return stream.Link{Stream: id}, false
	}
	return link, true
}

const keptInviteSuffix = ".invited"

func keptInviteName(id stream.ID) string {
	return filepath.Join("streams", id.String()+keptInviteSuffix)
}

// keepInvite notes by what a viewer was let in, so that the next time the stream's ID is enough.
func (h *home) keepInvite(i *stream.Invite) error {
	return h.replaceSecret([]byte(i.String()+"\n"), keptInviteName(i.Stream))
}

// keptInvite returns what keepInvite noted; nil for none that can be used.
func (h *home) keptInvite(id stream.ID) *stream.Invite {
	raw, err := h.readSecret(keptInviteName(id))
	if err != nil {
		return nil
	}
	i, err := stream.ParseInvite(id, strings.TrimSpace(string(raw)))
	if err != nil {
		return nil
	}
	return i
}

const viewerKeyFile = "viewer.key"

// viewerSeed reads what this home's viewer has its keys from, or makes it.
func (h *home) viewerSeed() (s stream.ViewerSeed, err error) {
	raw, err := h.readSecret(viewerKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		s = stream.NewViewerSeed()
		if err = h.createSecret(s[:], viewerKeyFile); !errors.Is(err, fs.ErrExist) {
			return s, err
		}
		raw, err = h.readSecret(viewerKeyFile) // another process was first
	}
	switch {
	case err != nil:
		return s, &keyError{h.path(viewerKeyFile), err}
	case len(raw) != len(s):
		return s, &keyError{h.path(viewerKeyFile), fmt.Errorf("it has %d bytes instead of %d", len(raw), len(s))}
	}
	return stream.ViewerSeed(raw), nil
}
