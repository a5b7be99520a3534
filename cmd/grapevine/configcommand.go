package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	configCommandName = "config"
	checkName         = "check"
)

func configCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:      configCommandName,
		Usage:     "show the settings in force, and where each comes from",
		ArgsUsage: "[COMMAND [its options and arguments]]",
		Description: "With a command, all of its settings, in the form of a configuration file. Without, what is set\n" +
			"for the commands that the file has a section for.",
		// Parsed by readConfigArgs: what follows a command is the command's.
		SkipFlagParsing: true,
		Flags:           []cli.Flag{checkFlag(), configFlag()},
		Action: func(c *cli.Context) error {
			a, err := readConfigArgs(c.Args().Slice(), configured(c.App))
			switch {
			case err != nil:
				return err
			case a.help:
				return cli.ShowSubcommandHelp(c)
			case a.command != "":
				return showCommand(c.Context, env, a)
			}
			return showSections(c, env, a)
		},
	}
}

func checkFlag() cli.Flag {
	return &cli.BoolFlag{Name: checkName, Usage: "only say whether the settings can be used"}
}

// configArgs is the command line of config.
type configArgs struct {
	command     string   // "" for none
	rest        []string // what is the command's
	check, help bool
}

func readConfigArgs(args []string, commands []*cli.Command) (a configArgs, err error) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name, _, whole := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch {
		case strings.HasPrefix(arg, "-") && name == checkName:
			a.check = true
		case a.command == "" && (arg == "-h" || arg == "--help" || arg == "-help"):
			a.help = true
		case a.command == "" && slices.ContainsFunc(commands, func(c *cli.Command) bool { return c.Name == arg }):
			a.command = arg
		case a.command == "" && strings.HasPrefix(arg, "-") && name == configName:
			if a.rest = append(a.rest, arg); !whole && i+1 < len(args) {
				i++
				a.rest = append(a.rest, args[i])
			}
		case a.command == "":
			return a, &usageError{sentence: fmt.Sprintf("config knows no %q%s.", arg, suggestion(arg, namesOf(commands))), hint: "grapevine config [COMMAND [its options and arguments]] [--check]"}
		default:
			a.rest = append(a.rest, arg)
		}
	}
	return a, nil
}

// showCommand shows or checks the settings of one command.
func showCommand(ctx context.Context, env *environment, a configArgs) error {
	return readJob(ctx, env, append([]string{a.command}, a.rest...), func(c *cli.Context, _ job) error {
		if a.check {
			fmt.Fprintf(env.stdout, "The settings of %s can be used.\n", a.command)
			return nil
		}
		for _, f := range configurable(c.Command) {
			printSetting(env.stdout, "", f, c, givenOf(c)[f.Names()[0]])
		}
		return nil
	})
}

// showSections does so for each command that the file has a section for.
func showSections(c *cli.Context, env *environment, a configArgs) error {
	file, err := fileOf(c.Context, env, a.rest)
	if err != nil {
		return err
	}
	if file == nil {
		fmt.Fprintln(env.stdout, "# There is no configuration file. grapevine config COMMAND shows a command's settings.")
		return nil
	}
	for _, command := range configured(c.App) {
		_, ok := file.of[command.Name]
		if !ok && !(a.check && command.Name == roleRelay) { // a relay needs nothing but its settings
			continue
		}
		args := slices.Concat([]string{command.Name}, a.rest, file.anyArgument(command))
		err := readJob(c.Context, env, args, func(c *cli.Context, _ job) error {
			if a.check {
				return nil
			}
			fmt.Fprintf(env.stdout, "%s:\n", command.Name)
			for _, f := range configurable(c.Command) {
				if s := givenOf(c)[f.Names()[0]]; s.kind != "" {
					printSetting(env.stdout, "  ", f, c, s)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if a.check {
		fmt.Fprintf(env.stdout, "%s can be used.\n", file.path)
	}
	return nil
}

// fileOf reads the file that any command reads, nil if there is none.
func fileOf(ctx context.Context, env *environment, args []string) (file *configFile, err error) {
	err = readJob(ctx, env, append([]string{"id"}, args...), func(c *cli.Context, _ job) error {
		file = givenFile(c)
		return nil
	})
	return file, err
}

// anyArgument is what stands for an argument that a command cannot be without.
func (f *configFile) anyArgument(c *cli.Command) []string {
	if _, ok := f.entry(c.Name, inputFlagName); c.Name == roleBroadcast && !ok {
		return []string{"--" + inputFlagName, sampleInput}
	}
	if c.ArgsUsage == "" || strings.HasPrefix(c.ArgsUsage, "[") {
		return nil
	}
	return []string{"--", stream.NewKey().ID().String()}
}

// readJob reads a command line, the environment and the file as run does, and hands over what is
// asked for instead of doing it.
func readJob(ctx context.Context, env *environment, args []string, take func(*cli.Context, job) error) error {
	app := newApp(&environment{stdin: env.stdin, stdout: env.stdout, stderr: env.stderr, take: take})
	return app.RunContext(ctx, flagsFirst(append([]string{"grapevine"}, args...), app.Commands))
}

// printSetting writes a line or more of a configuration file, and where it comes from.
func printSetting(w io.Writer, indent string, f cli.Flag, c *cli.Context, s givenBy) {
	name := f.Names()[0]
	doc, _ := f.(cli.DocGenerationFlag)
	if given := fmt.Sprint(c.Value(name)); s.kind == "" && doc != nil && (given == "" || doc.GetDefaultText() != given && doc.GetDefaultText() != quote(given)) {
		fmt.Fprintf(w, "%s# %s: %s  # default\n", indent, name, doc.GetDefaultText())
		return
	}
	var value any = c.Value(name)
	if _, several := f.(cli.DocGenerationSliceFlag); several {
		value = c.StringSlice(name)
	} else if d, ok := value.(fmt.Stringer); ok {
		value = d.String()
	}
	text, err := yaml.MarshalWithOptions(map[string]any{name: value}, yaml.Flow(true))
	line := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(string(text)), "{"), "}")
	if err != nil { // it came from text, and texts can be written
		line = fmt.Sprintf("%s: %q", name, fmt.Sprint(value))
	}
	fmt.Fprintf(w, "%s%s  # %v\n", indent, line, s)
}

func namesOf(commands []*cli.Command) (names []string) {
	for _, c := range commands {
		names = append(names, c.Name)
	}
	return names
}
