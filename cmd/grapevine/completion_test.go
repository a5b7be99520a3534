package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestCompletions(t *testing.T) {
	commands := newApp(&environment{stdin: os.Stdin}).Commands
	for _, c := range []struct {
		words   []string
		current string
		want    []string
	}{
		{nil, "re", []string{"relay"}},
		{nil, "--v", []string{"--version"}},
		{[]string{"relay"}, "--max-", []string{"--max-upload", "--max-download", "--max-peers"}},
		{[]string{"relay"}, "", nil}, // links
		{[]string{"relay", "--home"}, "", nil},
		{[]string{"relay", "--home"}, "--max-", nil},
		{[]string{"relay", "--home=x"}, "--qr", []string{"--qr"}},
		{[]string{"relay", "--no-mdns"}, "--no-md", []string{"--no-mdns"}},
		{[]string{"config"}, "wa", []string{"watch"}},
		{[]string{"config"}, "--ch", []string{"--check"}},
		{[]string{"config", "relay"}, "--gateway-v", []string{"--gateway-viewers"}},
		{[]string{"completion"}, "z", []string{"zsh"}},
		{[]string{"sing"}, "--", nil},
		{nil, "complete", nil}, // is the scripts' own
	} {
		var out strings.Builder
		if err := writeCompletions(&out, commands, c.words, c.current); err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			word, what, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			if !ok || strings.ContainsAny(what, "\t`") {
				t.Errorf("line %q", line)
			}
			got = append(got, word)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v %q: %q, want %q", c.words, c.current, got, c.want)
		}
	}
}

func TestManualPageNamesAllFlags(t *testing.T) {
	app := newApp(&environment{stdin: os.Stdin})
	page := manualPage(app)
	for _, c := range app.Commands {
		if c.Hidden {
			continue
		}
		if !strings.Contains(page, ".SS grapevine "+c.Name+" [options]") {
			t.Errorf("there is no command %s", c.Name)
		}
		for _, f := range c.VisibleFlags() {
			if name := f.Names()[0]; name != cli.HelpFlag.Names()[0] && !strings.Contains(page, `\-\-`+roff(name)+`\fR`) {
				t.Errorf("there is no --%s of %s", name, c.Name)
			}
		}
	}
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "'") || strings.TrimRight(line, " \n") != strings.TrimRight(line, "\n") {
			t.Errorf("line %q", line)
		}
	}
}
