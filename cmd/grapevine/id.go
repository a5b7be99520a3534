package main

import (
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/urfave/cli/v2"
)

func idCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:  "id",
		Usage: "show the keys of this machine's home, and make them if there are none",
		Flags: []cli.Flag{
			keyFlag(),
		},
		Action: func(c *cli.Context) error {
			set, err := readSettings(c)
			if err != nil {
				return err
			}
			if err := noArguments(c); err != nil {
				return err
			}
			return showID(set, c.String("key"), newScreen(env, set.json))
		},
	}
}

func showID(set settings, keyFile string, scr *screen) error {
	h, err := openHome(set.home)
	if err != nil {
		return err
	}
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
	scr.event(idEvent{"id", h.dir, id.String(), h.path(identityFile(0)), key.ID().String(), keyFile})
	scr.field("stream", key.ID().String())
	scr.field("", scr.dim("its key is "+keyFile+"; whoever has it can broadcast as you"))
	scr.field("node", id.String())
	scr.field("", scr.dim("its key is "+h.path(identityFile(0))))
	return nil
}

// noArguments refuses arguments where a command has none.
func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return &usageError{sentence: "The command " + c.Command.Name + " takes no argument " + quote(c.Args().First()) + "."}
	}
	return nil
}
