package main

import (
	"embed"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// completions are the scripts that have shells ask the program itself.
//
//go:embed completions
var completions embed.FS

// shells are those that there is a script for, with its ending.
var shells = map[string]string{"bash": "bash", "zsh": "zsh", "fish": "fish", "powershell": "ps1"}

func completionCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:        "completion",
		Usage:       "print what has a shell complete commands and flags",
		ArgsUsage:   "bash|zsh|fish|powershell",
		Description: "source <(grapevine completion bash)",
		Action: func(c *cli.Context) error {
			ending, ok := shells[c.Args().First()]
			if !ok || c.NArg() != 1 {
				return &usageError{"completion needs the name of a shell.", "the shells are bash, zsh, fish and powershell"}
			}
			text, err := completions.ReadFile("completions/grapevine." + ending)
			if err != nil {
				return err
			}
			_, err = env.stdout.Write(text)
			return err
		},
	}
}

// completeCommand is what the scripts ask: grapevine complete WORD… =WORD, of which the last is the
// one at the cursor. It answers with a line for each word that may stand there, and after a tab
// what it is for; with none where files may.
func completeCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:            "complete",
		Hidden:          true,
		SkipFlagParsing: true,
		Action: func(c *cli.Context) error {
			words := c.Args().Slice()
			if len(words) == 0 {
				return nil
			}
			last := len(words) - 1
			return writeCompletions(env.stdout, c.App.Commands, words[:last], strings.TrimPrefix(words[last], "="))
		},
	}
}

// writeCompletions writes what may follow words and begins as the current one does.
func writeCompletions(w io.Writer, commands []*cli.Command, words []string, current string) error {
	offer := func(word, what string) {
		if strings.HasPrefix(word, current) {
			what, _, _ = strings.Cut(what, ";")
			fmt.Fprintf(w, "%s\t%s\n", word, strings.ReplaceAll(what, "`", ""))
		}
	}
	visible := slices.DeleteFunc(slices.Clone(commands), func(c *cli.Command) bool { return c.Hidden })
	if len(words) > 1 && words[0] == configCommandName {
		words = words[1:] // what follows is a command's
	}
	if len(words) == 0 || words[0] == configCommandName {
		for _, c := range visible {
			offer(c.Name, c.Usage)
		}
	}
	if len(words) == 0 {
		offer("--help", "show help")
		offer("--version", "print the version")
		return nil
	}
	i := slices.IndexFunc(visible, func(c *cli.Command) bool { return c.Name == words[0] })
	if i < 0 || len(words) > 1 && takesValue(visible[i], words[len(words)-1]) {
		return nil
	}
	if words[0] == "completion" {
		for _, shell := range slices.Sorted(maps.Keys(shells)) {
			offer(shell, "")
		}
	}
	if !strings.HasPrefix(current, "-") {
		return nil
	}
	for _, f := range visible[i].VisibleFlags() {
		if d, ok := f.(cli.DocGenerationFlag); ok {
			offer("--"+f.Names()[0], d.GetUsage())
		}
	}
	return nil
}
