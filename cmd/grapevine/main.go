package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
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

	app := newApp(stdin, stdout, stderr)
	err := app.RunContext(ctx, flagsFirst(args, app.Commands))
	return report(err, stdout, stderr, args)
}

func newApp(stdin *os.File, stdout, stderr io.Writer) *cli.App {
	env := &environment{stdin: stdin, stdout: stdout, stderr: stderr}
	usage := func(_ *cli.Context, err error, _ bool) error {
		return &usageError{sentence: capital(err.Error()) + "."}
	}
	app := &cli.App{
		Name:            "grapevine",
		Usage:           "live streams from peer to peer, watched in any player",
		Version:         version(),
		HideHelpCommand: true,
		// Files' names may have commas.
		DisableSliceFlagSeparator: true,
		Writer:                    stdout,
		ErrWriter:                 stderr,
		OnUsageError:              usage,
		// run decides about exits and words; the library shall do neither.
		ExitErrHandler: func(*cli.Context, error) {},
		Commands: []*cli.Command{
			demoCommand(env),
			broadcastCommand(env),
			watchCommand(env),
			relayCommand(env),
			listCommand(env),
			exportCommand(env),
			idCommand(env),
			doctorCommand(env),
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return &usageError{
					sentence: "There is no command " + quote(c.Args().First()) + ".",
					hint:     "the commands are demo, broadcast, watch, relay, list, export, id and doctor; see grapevine --help",
				}
			}
			return cli.ShowAppHelp(c)
		},
	}
	for _, c := range app.Commands {
		c.OnUsageError = usage
		c.HideHelpCommand = true
		if c.Name != exportName { // it runs no node
			c.Flags = append(c.Flags, commonFlags()...)
		}
	}
	return app
}

// environment is what a command may touch of the process.
type environment struct {
	stdin          *os.File
	stdout, stderr io.Writer
}

// version returns the module's version, or the commit that was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}
