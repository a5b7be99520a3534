package main

import (
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// readText parses a configuration file as the program does.
func readText(text string) (*configFile, error) {
	return parseConfig("c.yaml", []byte(text), configured(newApp(&environment{stdin: os.Stdin})))
}

func TestConfigMistakesHaveAPlace(t *testing.T) {
	for text, want := range map[string]string{
		"# first\nmax-uplaod: 3M":                         `c.yaml:2: there is no setting "max-uplaod"; did you mean max-upload?`,
		"relya: {max-peers: 5}":                           `c.yaml:1: there is no setting "relya"; did you mean relay?`,
		"nothing-like-it: 5":                              `c.yaml:1: there is no setting "nothing-like-it".`,
		"relay:\n  qr: true\n  max-pers: 3":               `c.yaml:3: relay has no setting "max-pers"; did you mean max-peers?`,
		"relay:\n  open: true":                            `c.yaml:2: relay has no setting "open"; watch could have it.`,
		"relay: 3":                                        `c.yaml:1: the section relay is made of lines such as "max-upload: 5Mbit/s".`,
		"- max-upload":                                    `c.yaml:1: a configuration file is made of lines such as "max-upload: 5Mbit/s".`,
		"max-upload:\n":                                   `c.yaml:1: max-upload has no value; write '' for an empty one.`,
		"max-upload: [1M, 2M]":                            `c.yaml:1: max-upload takes one value, and no list.`,
		"max-upload: {a: 1}":                              `c.yaml:1: max-upload takes a plain value here.`,
		"listen:\n  - /ip4/127.0.0.1\n  - a: b":           `c.yaml:3: listen takes a plain value here.`,
		"cache-memory: &c 1GB\nrelay: {cache-memory: *c}": `c.yaml:1: cache-memory takes a plain value here.`,
		"config: other.yaml":                              `c.yaml:1: there is no setting "config".`,
		"max-peers: 5\n---\nmax-peers: 6":                 `c.yaml:3: a second document begins here, and there may be one.`,
		"max-peers: 5\nhome: x\nmax-peers: 6":             `c.yaml:3: this is no YAML: mapping key "max-peers" already defined at [1:1].`,
		"home: [":                                         `c.yaml:1: this is no YAML: sequence end token ']' not found.`,
		"max-peers: 5\nrelay:\n\tmax-upload: 3Mbit":       `c.yaml:3: this is no YAML: found character '	' that cannot start any token.`,
	} {
		_, err := readText(text)
		var usage *usageError
		if !errors.As(err, &usage) || usage.sentence != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestConfigValuesAreTextAsWritten(t *testing.T) {
	f, err := readText(strings.Join([]string{
		"max-upload: 2000000", "max-peers: 0x10", "dvr: 4h", "no-dht: true", `title: "a: b"`, "cache-memory: 1.50GB",
		"schedule: [22:00-07:00, 'Sat 00:00-24:00']", "key: ''", "relay:", "watch:", "  max-upload: 1M # less", "",
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"max-upload": {"2000000"}, "max-peers": {"0x10"}, "dvr": {"4h"}, "no-dht": {"true"}, "title": {"a: b"}, "cache-memory": {"1.50GB"},
		"schedule": {"22:00-07:00", "Sat 00:00-24:00"}, "key": {""},
	} {
		e, _ := f.entry("relay", name)
		var got []string
		for _, v := range e.values {
			got = append(got, v.text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if e, _ := f.entry("watch", "max-upload"); len(e.values) != 1 || e.values[0] != (configValue{"1M", 11}) {
		t.Errorf("watch has %v: the section says otherwise", e)
	}
}

// TestFlagsCanBeSettings holds every flag, also those to come, to what files and the environment
// rely on.
func TestFlagsCanBeSettings(t *testing.T) {
	commands := configured(newApp(&environment{stdin: os.Stdin}))
	kinds := make(map[string]string)
	for _, c := range commands {
		for _, f := range configurable(c) {
			name := f.Names()[0]
			if slices.ContainsFunc(commands, func(c *cli.Command) bool { return c.Name == name }) {
				t.Errorf("--%s of %s is the name of a command, and so of a section", name, c.Name)
			}
			kind := "one"
			if _, several := f.(cli.DocGenerationSliceFlag); several {
				kind = "several"
			}
			if before := kinds[name]; before != "" && before != kind {
				t.Errorf("--%s takes one value in one command and several in another", name)
			}
			kinds[name] = kind
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"max-uplaod", "max-upload", 2}, {"relay", "relays", 1}, {"kitten", "sitting", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("from %q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// FuzzConfig has every text be read, or be refused with one line that has a place in it.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{
		"", "# nothing\n", "max-uplaod: 3M", "relay:\n  max-peers: 5\n  streams: [a, b]\nwatch: {open: true}\n", "relay:", "a: &x [*x]",
		"max-upload:\r\n  2M", "title: |\n  two\n  lines\n", "title: \"\\u0000\\x1b\"", "? [a]\n: b", "<<: {max-peers: 1}", "%YAML 1.2\n---\n!!binary x: y\n...\n",
		"max-peers: 5\n---\nmax-peers: 6", "\xef\xbb\xbfdvr: 4h", "\tdvr: 4h", "dvr: 4h\n dvr: 4h", "schedule: ['22:00-07:00', {a: b}]",
	} {
		f.Add(text)
	}
	commands := configured(newApp(&environment{stdin: os.Stdin}))
	place := regexp.MustCompile(`^c\.yaml:([0-9]+): [^\n]+[.?]$`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseConfig("c.yaml", []byte(text), commands)
		lines := 1 + strings.Count(text, "\n") + strings.Count(text, "\r")
		if err != nil {
			var usage *usageError
			if !errors.As(err, &usage) {
				t.Fatalf("%q is refused with %v", text, err)
			}
			found := place.FindStringSubmatch(usage.sentence)
			if found == nil {
				t.Fatalf("%q is refused with %q", text, usage.sentence)
			}
			if n, err := strconv.Atoi(found[1]); err != nil || n < 1 || n > lines {
				t.Errorf("%q is refused in line %s of %d: %s", text, found[1], lines, usage.sentence)
			}
			return
		}
		for _, flags := range append(slices.Collect(maps.Values(c.of)), c.all) {
			for name, e := range flags {
				for _, v := range e.values {
					if v.line < 1 || v.line > lines {
						t.Errorf("%q: %s is in line %d of %d", text, name, v.line, lines)
					}
				}
			}
		}
	})
}
