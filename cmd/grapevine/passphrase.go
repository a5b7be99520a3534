package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

const (
	passphraseFileName    = "passphrase-file"
	newPassphraseFileName = "new-passphrase-file"
	setPassphraseName     = "set-passphrase"
	removePassphraseName  = "remove-passphrase"
	// passphraseVariable is the environment's.
	passphraseVariable = "GRAPEVINE_PASSPHRASE"
	// minPassphrase is in characters. It keeps out slips; what resists guessing is longer.
	minPassphrase = 8
)

// passphraseFlags are of the command that puts keys under a passphrase.
func passphraseFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: setPassphraseName, Usage: "put the keys under a passphrase, or under another"},
		&cli.BoolFlag{Name: removePassphraseName, Usage: "leave the keys without a passphrase"},
		&cli.StringFlag{Name: newPassphraseFileName, Usage: "set the passphrase in `FILE`", DefaultText: "it is asked for on the terminal"},
	}
}

// readPassphrase returns what finds the passphrase of the home: in the file of the flag, in
// the environment, or on the terminal.
func readPassphrase(c *cli.Context) askPassphrase {
	file, variable := c.String(passphraseFileName), os.Getenv(passphraseVariable)
	return func() (string, error) {
		switch {
		case file != "":
			return passphraseIn(passphraseFileName, file)
		case variable != "":
			return variable, nil
		}
		return prompt(c, "Passphrase for the keys: ")
	}
}

// newPassphrase returns the one to set.
func newPassphrase(c *cli.Context) (string, error) {
	text, err := "", error(nil)
	if file := c.String(newPassphraseFileName); file != "" {
		text, err = passphraseIn(newPassphraseFileName, file)
	} else {
		text, err = promptTwice(c)
	}
	if err == nil && utf8.RuneCountInString(text) < minPassphrase {
		err = &usageError{fmt.Sprintf("That passphrase is too short: it needs %d characters.", minPassphrase), "several words that do not belong together are easy to keep in mind"}
	}
	return text, err
}

func promptTwice(c *cli.Context) (string, error) {
	text, err := prompt(c, "New passphrase for the keys: ")
	if errors.Is(err, errNoPassphrase) {
		return "", &usageError{"There is no terminal on which to ask for the new passphrase.", "give it with --" + newPassphraseFileName + " FILE"}
	} else if err != nil {
		return "", err
	}
	again, err := prompt(c, "The same again: ")
	if err == nil && again != text {
		err = &usageError{"The two passphrases differ.", "try again"}
	}
	return text, err
}

// passphraseIn returns the first line of a file.
func passphraseIn(flag, file string) (string, error) {
	raw, err := readBounded(file)
	if err != nil {
		return "", badFlag(flag, file, "it cannot be read: "+system(err))
	}
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
		return "", badFlag(flag, file, "its first line is the passphrase, and that is empty")
	}
	return string(line), nil
}

// prompt asks on the terminal, which shows nothing of what is typed.
func prompt(c *cli.Context, question string) (string, error) {
	in, ok := c.App.Reader.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", errNoPassphrase
	}
	before, err := term.GetState(int(in.Fd()))
	if err != nil {
		return "", err
	}
	fmt.Fprint(c.App.ErrWriter, question)
	defer io.WriteString(c.App.ErrWriter, "\n")
	type answer struct {
		text []byte
		err  error
	}
	// Nobody waits for this goroutine after a signal: a terminal's read cannot be ended, and
	// the process ends.
	typed := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(int(in.Fd()))
		typed <- answer{text, err}
	}()
	select {
	case a := <-typed:
		return string(a.text), a.err
	case <-c.Context.Done():
		return "", errors.Join(context.Cause(c.Context), term.Restore(int(in.Fd()), before))
	}
}
