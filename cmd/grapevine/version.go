package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// What a release is built of, which scripts/release.sh sets with -ldflags.
var release, commit string

// build is what the program was built of.
type build struct {
	Event    string `json:"event"` // "version"
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`   // of the repository
	Modified bool   `json:"modified,omitempty"` // the files were not those of the commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readBuild() build {
	b := build{Event: "version", Version: release, Commit: commit, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = cmp.Or(b.Commit, s.Value)
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	if v := info.Main.Version; b.Version == "" && v != "(devel)" {
		b.Version = v
	}
	switch {
	case b.Version != "":
	case b.Commit != "":
		b.Version = "devel-" + b.shortCommit()
	default:
		b.Version = "devel"
	}
	return b
}

func (b build) shortCommit() string { return b.Commit[:min(12, len(b.Commit))] }

// String is the version as --version prints it.
func (b build) String() string {
	commit := ""
	if b.Commit != "" {
		commit = "commit " + b.shortCommit()
		if b.Modified {
			commit += ", modified"
		}
		commit += ", "
	}
	return fmt.Sprintf("%s (%s%s, %s)", b.Version, commit, b.Go, b.Platform)
}

// version returns the release, the module's version, or the commit that was built.
func version() string { return readBuild().Version }

func versionCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "show the version, and what it was built of",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "write one JSON object a line, for programs"}},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			scr := newScreen(env, c.Bool("json"))
			scr.event(readBuild())
			scr.say("grapevine version %v", readBuild())
			return nil
		},
	}
}
