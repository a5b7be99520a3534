package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

func manCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:        "man",
		Usage:       "print the manual page",
		Description: "grapevine man | man -l -",
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			_, err := io.WriteString(env.stdout, manualPage(c.App))
			return err
		},
	}
}

// manText are the sections of the manual page that the flags do not tell.
const manText = `.SH ENVIRONMENT
.TP
.B GRAPEVINE_…
Every option has a variable: that of \-\-max\-upload is GRAPEVINE_MAX_UPLOAD. Options on the command line
come first, then the environment, then the configuration file. A list has a value a line.
.TP
.B NO_COLOR
No colours, if it is not empty.
.SH FILES
.TP
.I /etc/grapevine/config.yaml
The configuration file, unless \-\-config or GRAPEVINE_CONFIG names one or the user has
.IR grapevine/config.yaml
in the directory for configuration
.RI ( ~/.config
on Linux). Its keys are the options' names, and a section per command holds what is for that command alone.
.TP
.I ~/.local/share/grapevine
Keys and state, on Linux; see \-\-home.
.SH SIGNALS
.TP
.B SIGTERM, SIGINT
End the node cleanly, within 3 s.
.TP
.B SIGHUP
Has a node read its settings again. What cannot change while it runs is named.
.SH EXIT STATUS
0 if the command ended well, 1 if it failed, 2 if it was used wrongly.
`

// manualPage describes an app in man(7).
func manualPage(app *cli.App) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH GRAPEVINE 1 \"\" \"grapevine %s\" \"User Commands\"\n", roff(version()))
	fmt.Fprintf(&b, ".SH NAME\ngrapevine \\- %s\n.SH SYNOPSIS\n.B grapevine\n.I COMMAND\n[options] [arguments]\n.SH COMMANDS\n", roff(app.Usage))
	common := slices.Concat(commonFlags(), []cli.Flag{configFlag()})
	for _, c := range app.Commands {
		if c.Hidden {
			continue
		}
		fmt.Fprintf(&b, ".SS %s\n%s.\n", roff(strings.TrimSpace("grapevine "+c.Name+" [options] "+c.ArgsUsage)), roff(capital(c.Usage)))
		if c.Description != "" {
			fmt.Fprintf(&b, ".PP\n%s\n", roff(strings.ReplaceAll(c.Description, "\ngrapevine ", "\n.br\ngrapevine ")))
		}
		for _, f := range c.VisibleFlags() {
			isCommon := slices.ContainsFunc(common, func(o cli.Flag) bool { return o.Names()[0] == f.Names()[0] && c.Name != healthName })
			if !isCommon && f.Names()[0] != cli.HelpFlag.Names()[0] {
				writeFlag(&b, f)
			}
		}
	}
	b.WriteString(".SH COMMON OPTIONS\nOf all commands that run a node:\n")
	for _, f := range common {
		writeFlag(&b, f)
	}
	b.WriteString(manText)
	return b.String()
}

var placeholder = regexp.MustCompile("`([^`]*)`")

func writeFlag(w io.Writer, f cli.Flag) {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return
	}
	usage, takes := d.GetUsage(), ""
	if m := placeholder.FindStringSubmatch(usage); m != nil {
		takes = " \\fI" + roff(m[1]) + "\\fR"
	}
	fmt.Fprintf(w, ".TP\n\\fB\\-\\-%s\\fR%s\n%s.", roff(f.Names()[0]), takes, roff(capital(strings.ReplaceAll(usage, "`", ""))))
	if text := d.GetDefaultText(); text != "" && d.TakesValue() {
		fmt.Fprintf(w, " Default: %s.", roff(strings.Trim(text, `"`)))
	}
	fmt.Fprintln(w)
}

// roff has text stand for itself.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if l != ".br" && (strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'")) {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
