package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Where a setting comes from.
type givenKind string

const (
	fromDefault     givenKind = "default"
	fromFlag        givenKind = "flag"
	fromEnvironment givenKind = "environment"
	fromFile        givenKind = "file"
)

// givenBy is where a setting comes from. The zero value is the default.
type givenBy struct {
	kind     givenKind
	variable string // of the environment
	path     string // of a file
	entry    configEntry
}

// String names it for people.
func (s givenBy) String() string {
	switch s.kind {
	case fromFlag:
		return "command line"
	case fromEnvironment:
		return s.variable
	case fromFile:
		return fmt.Sprintf("%s:%d", s.path, s.entry.line)
	}
	return "default"
}

// given says of each flag of the running command where its value comes from.
type given map[string]givenBy

// Where an app keeps it, and the file that was read.
const (
	givenKey     = "given"
	givenFileKey = "file"
)

// givenOf returns where the settings of a command come from.
func givenOf(c *cli.Context) given {
	g, _ := c.App.Metadata[givenKey].(given)
	return g
}

// givenFile returns the configuration file that was read, nil if there is none.
func givenFile(c *cli.Context) *configFile {
	f, _ := c.App.Metadata[givenFileKey].(*configFile)
	return f
}

// variableOf returns a flag's name in the environment.
func variableOf(flag string) string {
	return "GRAPEVINE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func configFlag() cli.Flag {
	return &cli.StringFlag{Name: configName, Usage: "read settings from `FILE` (YAML, a key for each flag), unless a flag or the environment, such as GRAPEVINE_MAX_UPLOAD, says otherwise", DefaultText: "the user's grapevine/config.yaml, or " + systemConfig + ", if it is there"}
}

// configure has a command take its settings from the environment and a file, where its flags do
// not say otherwise.
func configure(command *cli.Command) {
	command.Flags = append(command.Flags, configFlag())
	for _, f := range command.Flags { // fillIn reads the environment, and knows what came from there
		if v := reflect.ValueOf(f).Elem().FieldByName("EnvVars"); v.IsValid() {
			v.SetZero()
		}
	}
	command.Before = fillIn
	action := command.Action
	command.Action = func(c *cli.Context) error { return givenOf(c).explain(action(c)) }
}

// fillIn sets the flags that the command line leaves out.
func fillIn(c *cli.Context) error {
	g := make(given)
	c.App.Metadata[givenKey] = g
	path := ""
	if err := g.fill(c, configFlag(), nil); err != nil {
		return err
	}
	if path = c.String(configName); !c.IsSet(configName) {
		path = findConfig()
	}
	var file *configFile
	if path != "" {
		var err error
		if file, err = readConfig(path, configured(c.App)); err != nil {
			return err
		}
		c.App.Metadata[givenFileKey] = file
	}
	for _, f := range configurable(c.Command) {
		if err := g.fill(c, f, file); err != nil {
			return err
		}
	}
	return nil
}

// configured returns the commands that a file may have settings for.
func configured(app *cli.App) (out []*cli.Command) {
	for _, command := range app.Commands {
		if command.Name != configCommandName && slices.ContainsFunc(command.Flags, func(f cli.Flag) bool { return f.Names()[0] == configName }) {
			out = append(out, command)
		}
	}
	return out
}

// fill sets a flag from the environment or the file, unless it is set.
func (g given) fill(c *cli.Context, f cli.Flag, file *configFile) error {
	name := f.Names()[0]
	_, several := f.(cli.DocGenerationSliceFlag)
	text := os.Getenv(variableOf(name))
	entry, inFile := file.entry(c.Command.Name, name)
	switch {
	case c.IsSet(name):
		g[name] = givenBy{kind: fromFlag}
		return nil
	case text != "":
		s := givenBy{kind: fromEnvironment, variable: variableOf(name)}
		values := []string{text}
		if several { // a line each: values may have commas and spaces
			values = strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
		}
		for _, v := range values {
			s.entry.values = append(s.entry.values, configValue{text: v})
		}
		return g.set(c, f, s)
	case inFile:
		return g.set(c, f, givenBy{kind: fromFile, path: file.path, entry: entry})
	}
	return nil
}

func (g given) set(c *cli.Context, f cli.Flag, s givenBy) error {
	name := f.Names()[0]
	g[name] = s
	for _, v := range s.entry.values {
		if err := c.Set(name, v.text); err != nil {
			return g.explain(badFlag(name, v.text, kindOf(f)))
		}
	}
	return nil
}

// kindOf says what a flag takes whose text cannot be read as its type.
func kindOf(f cli.Flag) string {
	switch f.(type) {
	case *cli.BoolFlag:
		return "it is true or false"
	case *cli.IntFlag, *cli.Int64Flag, *cli.UintFlag, *cli.Uint64Flag:
		return "it is a whole number"
	case *cli.DurationFlag:
		return "a duration looks like 90s, 15m or 4h"
	}
	return ""
}

var flagNamed = regexp.MustCompile(`--([a-z][a-z0-9-]*)`)

// explain says of a mistake in settings where it is, if that is not the command line.
func (g given) explain(err error) error {
	var usage *usageError
	if !errors.As(err, &usage) {
		return err
	}
	place := ""
	sentence := flagNamed.ReplaceAllStringFunc(usage.sentence, func(flag string) string {
		name := strings.TrimPrefix(flag, "--")
		s := g[name]
		switch s.kind {
		case fromEnvironment:
			return s.variable
		case fromFile:
			if place == "" {
				place = fmt.Sprintf("%s:%d: ", s.path, s.entry.lineIn(usage.sentence))
			}
			return name
		}
		return flag
	})
	if sentence == usage.sentence {
		return err
	}
	return &usageError{place + sentence, usage.hint}
}

// lineIn returns the line of the value that a sentence quotes, or that of the key.
func (e configEntry) lineIn(sentence string) int {
	for _, v := range e.values {
		if strings.Contains(sentence, fmt.Sprintf("%q", v.text)) {
			return v.line
		}
	}
	return e.line
}
