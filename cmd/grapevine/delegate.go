package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	delegateName   = "delegate"
	delegationName = "delegation"
	// minDelegation bounds how long a delegation holds at least, and earlyDelegation is how long
	// before it is made it begins, as clocks differ and inputs may be late.
	minDelegation   = time.Minute
	earlyDelegation = time.Hour
)

func delegationFlag() cli.Flag {
	return &cli.StringFlag{Name: delegationName, Usage: "broadcast the stream whose key delegates to this machine's key in `FILE`, which \"grapevine delegate create\" wrote"}
}

func delegateCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:      delegateName,
		Usage:     "let others broadcast, moderate or relay this home's stream, list them, or revoke one",
		ArgsUsage: "create|list|revoke|import [KEY|PEER-ID|NAME|FILE]",
		Description: "grapevine delegate create --name studio-2 --expires 720h KEY\n" +
			"grapevine delegate create --role moderator --name mod-1 KEY\n" +
			"grapevine delegate create --role relay --name relay-1 PEER-ID\n" +
			"grapevine delegate list\n" +
			"grapevine delegate revoke studio-2\n" +
			"grapevine delegate import studio-2.revoked",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "call the new delegation `NAME`"},
			&cli.StringFlag{Name: "role", Usage: "let the other key do what `ROLE` may: broadcast, moderator (see and take back invites), or relay (be a trusted relay, named by its peer ID)", Value: stream.RoleBroadcast.String()},
			&cli.DurationFlag{Name: "expires", Usage: "have the new delegation end after `DURATION`", Value: 30 * 24 * time.Hour},
			&cli.StringFlag{Name: "out", Usage: "write what the other machine needs, or what has nodes heed a revocation, into `FILE`", DefaultText: "NAME.delegation or NAME.revoked"},
			keyFlag(),
			homeFlag(),
			passphraseFileFlag(),
			&cli.BoolFlag{Name: "json", Usage: "write one JSON object a line, for programs"},
		},
		Action: func(c *cli.Context) error {
			return env.do(c, job{run: func(context.Context, settings) error { return changeDelegates(c, newScreen(env, c.Bool("json"))) }})
		},
	}
}

// changeDelegates does what the command's arguments say.
func changeDelegates(c *cli.Context, scr *screen) (err error) {
	h, err := openHome(c.String("home"), readPassphrase(c))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	args := c.Args().Slice()
	what := ""
	if len(args) > 0 {
		what, args = args[0], args[1:]
	}
	if what == "import" && len(args) == 1 {
		return importRevocations(h, args[0], scr)
	}
	known := what == "create" && len(args) == 1 || what == "list" && len(args) == 0 || what == "revoke" && len(args) == 1
	if !known {
		return &usageError{"delegate needs to know what to do.", "grapevine delegate create --name NAME [--role ROLE] KEY, grapevine delegate list, grapevine delegate revoke NAME, or grapevine delegate import FILE"}
	}
	key, err := h.streamKey(c.String("key"))
	if err != nil {
		return err
	}
	d := delegations{h, key, scr, c.String("out")}
	switch what {
	case "create":
		return d.create(args[0], c.String("name"), c.String("role"), c.Duration("expires"))
	case "list":
		return d.list()
	}
	return d.revoke(args[0])
}

// delegations are those of a stream, as the command changes them.
type delegations struct {
	home   *home
	key    stream.Key
	screen *screen
	out    string // file, "" for the usual one
}

func (d *delegations) create(to, name, role string, expires time.Duration) error {
	r, err := stream.ParseRole(role)
	if err != nil {
		return badFlag("role", role, "the roles are broadcast, moderator and relay")
	}
	key, err := delegateKey(to, r)
	switch {
	case err != nil:
		return err
	case !stream.ValidRendition(name): // what is safe in a file's name, and short
		return &usageError{fmt.Sprintf("delegate create needs a --name of 1 to %d of a-z, 0-9 and -.", stream.MaxRenditionName), "name the machine that it is for: --name studio-2"}
	case expires < minDelegation || expires > stream.MaxDelegation-earlyDelegation:
		return badFlag("expires", expires.String(), "a duration looks like 720h or 90m; from a minute to a year")
	case key == d.key.ID():
		return &usageError{"That is the stream's own key, which may do all of it anyway.", "grapevine id on the other machine shows its key"}
	}
	now := time.Now()
	made, err := d.key.Delegate(key, r, now.Add(-earlyDelegation), now.Add(expires))
	if err != nil {
		return err
	}
	revoked, err := d.home.revocations(d.key.ID())
	if err != nil {
		return err
	}
	path := d.path(name + ".delegation")
	if err := d.home.changeDelegations(d.key.ID(), func(f *delegationsFile) error {
		if revoked != nil && revoked.Has(key) {
			f.Delegations = append(f.Delegations, &namedDelegation{Name: to, Key: key, Role: role, Revoked: &now})
		}
		if err := f.add(&namedDelegation{Name: name, Key: key, Role: role, Created: now.UTC().Truncate(time.Second), Expires: made.NotAfter}, now); err != nil {
			return err
		}
		return writeRoles(path, rolesFile{made, revoked})
	}); err != nil {
		return err
	}
	d.screen.event(delegatedEvent{"delegated", d.key.ID().String(), name, role, key.String(), made.NotAfter.Format(time.RFC3339), path})
	d.screen.say("%s", d.screen.bold("Delegated to "+name+", until "+made.NotAfter.Local().Format(time.DateTime)))
	switch r {
	case stream.RoleModerator:
		d.screen.field("there", "grapevine invite list --delegation "+path+" --link LINK")
	case stream.RoleRelay:
		d.screen.field("broadcast", "grapevine broadcast --private --trusted-relays "+path+" --peer /ip4/…/p2p/"+to+" --input …")
	default:
		d.screen.field("there", "grapevine broadcast --delegation "+path+" --input …")
	}
	d.screen.field("", d.screen.dim("the file is no secret: it is of use with the other machine's key only"))
	return nil
}

// delegateKey reads to whom a role is to be given: relays are named by their peer IDs.
func delegateKey(to string, r stream.Role) (stream.ID, error) {
	if r == stream.RoleRelay {
		key, err := relayKey(to)
		if err != nil {
			return key, &usageError{quote(to) + " is no peer ID that can be delegated to.", "on the relay, grapevine id shows its own, 12D3Koo…"}
		}
		return key, nil
	}
	key, err := stream.ParseID(to)
	if err != nil {
		return key, &usageError{quote(to) + " is no key.", "on the other machine, grapevine id shows its key as stream"}
	}
	return key, nil
}

func (d *delegations) path(usual string) string {
	if d.out != "" {
		return d.out
	}
	return usual
}

func (d *delegations) list() error {
	file, err := d.home.delegations(d.key.ID())
	if err != nil {
		return err
	}
	now := time.Now()
	event := delegationsEvent{Event: "delegations", Stream: d.key.ID().String(), Delegations: []delegationEvent{}}
	if len(file.Delegations) == 0 {
		d.screen.say("No other machine may broadcast this stream, moderate it, or be its trusted relay. grapevine delegate create --name NAME KEY lets one.")
	}
	for _, o := range file.Delegations {
		state := o.state(now)
		event.Delegations = append(event.Delegations, delegationEvent{o.Name, o.Role, o.Key.String(), o.peerID(), state, o.Expires.Format(time.RFC3339)})
		d.screen.say("%-20s %-10s %-8s until %s  %s", o.Name, o.Role, state, o.Expires.Local().Format(time.DateTime), cmp.Or(o.peerID(), o.Key.String()))
	}
	d.screen.event(event)
	return nil
}

func (d *delegations) revoke(name string) error {
	now, id := time.Now(), d.key.ID()
	path := d.path(strings.ToLower(name) + ".revoked")
	var list *stream.Revocations
	err := d.home.changeDelegations(id, func(f *delegationsFile) error {
		key, err := f.revoke(name, now)
		if err != nil {
			return err
		}
		before, err := d.home.revocations(id)
		if err != nil {
			return err
		}
		keys, err := f.revokedKeys(before, key, now)
		if err != nil {
			return err
		}
		issue := uint64(now.UnixMilli())
		if before != nil {
			issue = max(issue, before.Issue+1)
		}
		if list, err = d.key.Revoke(issue, keys); err != nil {
			return err
		}
		if err := writeRoles(path, rolesFile{revocations: list}); err != nil {
			return err
		}
		return keptRevocations{d.home}.KeepRevocations(list)
	})
	if err != nil {
		return err
	}
	d.screen.event(keyRevokedEvent{"delegate-revoked", id.String(), name, list.Issue, path})
	d.screen.say("Revoked %s. Nodes of this home that carry the stream pass it on within seconds.", quote(name))
	d.screen.field("elsewhere", "grapevine delegate import "+path)
	d.screen.field("", d.screen.dim("where a node carries the stream; those that never hear of it refuse the key when its delegation ends"))
	return nil
}

// importRevocations takes what was revoked elsewhere.
func importRevocations(h *home, path string, scr *screen) error {
	f, err := readRoles(path)
	if err != nil {
		return err
	}
	if f.revocations == nil {
		return &usageError{"The file " + path + " revokes nothing.", "grapevine delegate revoke writes one that does; a delegation is for who was delegated to"}
	}
	if err := (keptRevocations{h}).KeepRevocations(f.revocations); err != nil {
		return err
	}
	scr.event(keyImportedEvent{"delegate-imported", f.revocations.Stream.String(), f.revocations.Issue, len(f.revocations.Keys)})
	scr.say("Took %s of the stream %s over. Nodes of this home that carry it pass that on within seconds.", count(len(f.revocations.Keys), "revoked key"), f.revocations.Stream)
	return nil
}
