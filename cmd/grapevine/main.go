package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
)

// endLimit is how long a command may take to end after a signal. What should have
// ended by then is cut off: a user who pressed ctrl-c is owed a prompt.
const endLimit = 2900 * time.Millisecond

func main() { os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr, endLimit)) }

// run executes the command line and returns the exit code. After a signal, it exits when
// the limit is over.
func run(args []string, stdin *os.File, stdout, stderr io.Writer, limit time.Duration) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	done := make(chan struct{})
	defer close(done)
	// Nobody waits for this goroutine: it is what ends the process when waiting fails.
	go func() {
		<-ctx.Done()
		stop() // a second signal has its usual effect: it kills
		select {
		case <-done:
		case <-time.After(limit):
			io.WriteString(stderr, "error: the node did not end in time and was cut off.\n")
			os.Exit(exitFailed)
		}
	}()

	app := newApp(&environment{args: args[min(1, len(args)):], stdin: stdin, stdout: stdout, stderr: stderr})
	err := app.RunContext(ctx, flagsFirst(args, app.Commands))
	return report(err, stdout, stderr, args)
}

// bareCommands have nothing to be set.
var bareCommands = []string{configCommandName, "version", "man", "completion", "complete"}

// nodeless are commands that run no node: they work on files, or ask a node that runs.
var nodeless = []string{exportName, healthName, inviteName, delegateName, statusName}

func newApp(env *environment) *cli.App {
	usage := func(_ *cli.Context, err error, _ bool) error {
		return &usageError{sentence: capital(err.Error()) + "."}
	}
	app := &cli.App{
		Name:            "grapevine",
		Usage:           "live streams from peer to peer, watched in any player",
		Version:         readBuild().String(),
		HideHelpCommand: true,
		// Files' names may have commas.
		DisableSliceFlagSeparator: true,
		Reader:                    env.stdin,
		Writer:                    env.stdout,
		ErrWriter:                 env.stderr,
		Metadata:                  make(map[string]any),
		OnUsageError:              usage,
		// run decides about exits and words; the library shall do neither.
		ExitErrHandler: func(*cli.Context, error) {},
		Commands: []*cli.Command{
			demoCommand(env),
			broadcastCommand(env),
			watchCommand(env),
			relayCommand(env),
			statusCommand(env),
			listCommand(env),
			inviteCommand(env),
			delegateCommand(env),
			exportCommand(env),
			idCommand(env),
			doctorCommand(env),
			configCommand(env),
			healthCommand(env),
			versionCommand(env),
			manCommand(env),
			completionCommand(env),
			completeCommand(env),
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return &usageError{
					sentence: "There is no command " + quote(c.Args().First()) + ".",
					hint:     "the commands are " + commandNames(c.App) + "; see grapevine --help",
				}
			}
			return cli.ShowAppHelp(c)
		},
	}
	for _, c := range app.Commands {
		c.OnUsageError = usage
		c.HideHelpCommand = true
		if slices.Contains(bareCommands, c.Name) {
			continue
		}
		if !slices.Contains(nodeless, c.Name) {
			c.Flags = append(c.Flags, commonFlags()...)
		}
		if c.Name != demoName { // which is the same everywhere
			configure(c)
		}
	}
	return app
}

// environment is what a command may touch of the process.
type environment struct {
	args           []string // of the process, without its name
	stdin          *os.File
	stdout, stderr io.Writer
	// take gets what a command has read in place of the command's own doing, unless it is nil.
	take func(*cli.Context, job) error
}
