package main

import (
	"context"
	"errors"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/urfave/cli/v2"
)

func idCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:  "id",
		Usage: "show the keys of this machine's home, and make them if there are none",
		Flags: append([]cli.Flag{
			keyFlag(),
		}, passphraseFlags()...),
		Action: func(c *cli.Context) error {
			set, err := readSettings(c)
			if err != nil {
				return err
			}
			if err := noArguments(c); err != nil {
				return err
			}
			change, err := readPassphraseChange(c)
			if err != nil {
				return err
			}
			return env.do(c, job{set: set, run: func(_ context.Context, set settings) error {
				return showID(c, set, change, newScreen(env, set.json))
			}})
		},
	}
}

// passphraseChange is what is to become of the home's passphrase.
type passphraseChange int

const (
	passphraseStays passphraseChange = iota
	passphraseIsSet
	passphraseGoes
)

func readPassphraseChange(c *cli.Context) (passphraseChange, error) {
	sets, removes := c.Bool(setPassphraseName), c.Bool(removePassphraseName)
	switch {
	case sets && removes:
		return 0, &usageError{"--set-passphrase and --remove-passphrase exclude each other.", ""}
	case c.IsSet(newPassphraseFileName) && !sets:
		return 0, &usageError{"--new-passphrase-file needs --set-passphrase.", ""}
	case sets:
		return passphraseIsSet, nil
	case removes:
		return passphraseGoes, nil
	}
	return passphraseStays, nil
}

func (p passphraseChange) apply(c *cli.Context, h *home) error {
	switch p {
	case passphraseGoes:
		return h.removePassphrase()
	case passphraseIsSet:
		// The old one first: whoever does not know it need not think of another.
		if _, err := h.vault(); err != nil {
			return err
		}
		text, err := newPassphrase(c)
		if err != nil {
			return err
		}
		return h.setPassphrase(text)
	}
	return nil
}

func showID(c *cli.Context, set settings, change passphraseChange, scr *screen) (err error) {
	open := openHome
	if change != passphraseStays {
		open = openHomeAlone
	}
	h, err := open(set.home, set.passphrase)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if err := change.apply(c, h); err != nil {
		return err
	}
	keyFile := c.String("key")
	// The first identity, whoever uses it at the moment: reading takes no lock.
	node, err := h.nodeKey(identityFile(0))
	if err != nil {
		return err
	}
	key, err := h.streamKey(keyFile)
	if err != nil {
		return err
	}
	id, err := peer.IDFromPrivateKey(node)
	if err != nil {
		return &keyError{h.path(identityFile(0)), err}
	}
	if keyFile == "" {
		keyFile = h.path(streamKeyFile)
	}
	h.tell(scr)
	sealed := h.opened != nil
	scr.event(idEvent{"id", h.dir, id.String(), h.path(identityFile(0)), key.ID().String(), keyFile, sealed})
	scr.field("stream", key.ID().String())
	scr.field("", scr.dim("its key is "+keyFile+"; whoever has it can broadcast as you"))
	scr.field("node", id.String())
	scr.field("", scr.dim("its key is "+h.path(identityFile(0))))
	if sealed {
		scr.say("The keys in %s are under a passphrase.", h.dir)
	}
	return nil
}

// noArguments refuses arguments where a command has none.
func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return &usageError{sentence: "The command " + c.Command.Name + " takes no argument " + quote(c.Args().First()) + "."}
	}
	return nil
}
