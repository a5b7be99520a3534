package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/urfave/cli/v2"
)

const (
	configName = "config"
	// systemConfig is read where the user has no file of his own.
	systemConfig = "/etc/grapevine/config.yaml"
	// maxConfig is more than anybody writes, in bytes; a file beyond it is another one.
	maxConfig = 64 << 10
)

// configFile is a configuration file whose keys are all known.
type configFile struct {
	path string
	all  map[string]configEntry            // by flag, for every command that has it
	of   map[string]map[string]configEntry // by command, and there by flag
}

// configEntry is what a file says of a flag.
type configEntry struct {
	values []configValue // one, unless it is a list
	list   bool
	line   int // of the key
}

// configValue is a scalar as it is written.
type configValue struct {
	text string
	line int
}

// entry returns what the file says of a command's flag. It may be nil.
func (f *configFile) entry(command, flag string) (configEntry, bool) {
	if f == nil {
		return configEntry{}, false
	}
	if e, ok := f.of[command][flag]; ok {
		return e, true
	}
	e, ok := f.all[flag]
	return e, ok
}

// findConfig returns the file to read where none is named, "" if there is none.
func findConfig() string {
	paths := []string{systemConfig}
	if dir, err := os.UserConfigDir(); err == nil {
		paths = slices.Insert(paths, 0, filepath.Join(dir, "grapevine", "config.yaml"))
	}
	for _, path := range paths {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path // one that cannot be read is there
		}
	}
	return ""
}

// readConfig reads a file with settings for commands.
func readConfig(path string, commands []*cli.Command) (*configFile, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxConfig {
		err = fmt.Errorf("it has more than %s", formatBytes(maxConfig))
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, &usageError{fmt.Sprintf("The configuration file %s cannot be read: %s.", path, system(err)), "name another with --config FILE; --config '' reads none"}
	}
	return parseConfig(path, text, commands)
}

// parseConfig reads the text of a configuration file.
func parseConfig(path string, text []byte, commands []*cli.Command) (*configFile, error) {
	p := &configParser{path: path, commands: commands}
	tree, err := parser.ParseBytes(text, 0)
	var syntax *yaml.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, p.mistake(syntax.Token.Position.Line, "this is no YAML: %s", syntax.Message)
	case err != nil:
		return nil, p.mistake(1, "this is no YAML: %v", err)
	case len(tree.Docs) > 1 && tree.Docs[1].Body != nil:
		return nil, p.mistake(lineOf(tree.Docs[1].Body), "a second document begins here, and there may be one")
	case len(tree.Docs) == 0 || isEmpty(tree.Docs[0].Body):
		return &configFile{path: path}, nil
	}
	return p.file(tree.Docs[0].Body)
}

// configParser makes a configFile of a tree.
type configParser struct {
	path     string
	commands []*cli.Command
}

// mistake says what is wrong in a line.
func (p *configParser) mistake(line int, format string, args ...any) error {
	sentence := fmt.Sprintf("%s:%d: %s", p.path, line, fmt.Sprintf(format, args...))
	if !strings.HasSuffix(sentence, "?") {
		sentence += "."
	}
	return &usageError{sentence, "grapevine config COMMAND shows all settings of a command, and grapevine config --check only checks the file"}
}

// pair is a key with its value.
type pair struct {
	key   string
	line  int
	value ast.Node
}

// pairs returns what a mapping holds, each key once. The node is that of what, for people.
func (p *configParser) pairs(node ast.Node, what string) ([]pair, error) {
	mapping, ok := node.(*ast.MappingNode)
	if !ok {
		return nil, p.mistake(lineOf(node), "%s is made of lines such as \"max-upload: 5Mbit/s\"", what)
	}
	seen := make(map[string]int)
	var out []pair
	for _, v := range mapping.Values {
		key, err := p.scalar(v.Key, "a key")
		if err != nil {
			return nil, err
		}
		if first, twice := seen[key.text]; twice {
			return nil, p.mistake(key.line, "%s is here a second time, after line %d", key.text, first)
		}
		seen[key.text] = key.line
		out = append(out, pair{key.text, key.line, v.Value})
	}
	return out, nil
}

// file reads the outermost mapping: flags, and a section for a command.
func (p *configParser) file(body ast.Node) (*configFile, error) {
	out := &configFile{path: p.path, all: make(map[string]configEntry), of: make(map[string]map[string]configEntry)}
	top, err := p.pairs(body, "a configuration file")
	if err != nil {
		return nil, err
	}
	var names []string // of flags and sections
	known := make(map[string]cli.Flag)
	sections := make(map[string]*cli.Command)
	for _, c := range p.commands {
		sections[c.Name] = c
		names = append(names, c.Name)
		for _, f := range configurable(c) {
			known[f.Names()[0]] = f
			names = append(names, f.Names()[0])
		}
	}
	for _, e := range top {
		if c := sections[e.key]; c != nil {
			if out.of[c.Name], err = p.section(c, e.value); err != nil {
				return nil, err
			}
			continue
		}
		f := known[e.key]
		if f == nil {
			return nil, p.mistake(e.line, "there is no setting %q%s", e.key, suggestion(e.key, names))
		}
		if out.all[e.key], err = p.entry(f, e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// section reads what is for one command.
func (p *configParser) section(c *cli.Command, node ast.Node) (map[string]configEntry, error) {
	if isEmpty(node) {
		return nil, nil
	}
	entries, err := p.pairs(node, "the section "+c.Name)
	if err != nil {
		return nil, err
	}
	own := make(map[string]cli.Flag)
	for _, f := range configurable(c) {
		own[f.Names()[0]] = f
	}
	out := make(map[string]configEntry)
	for _, e := range entries {
		f := own[e.key]
		if f == nil {
			return nil, p.mistake(e.line, "%s has no setting %q%s", c.Name, e.key, p.elsewhere(e.key, slices.Sorted(maps.Keys(own))))
		}
		if out[e.key], err = p.entry(f, e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// elsewhere says which commands have a setting that one lacks, or how one of its own is called.
func (p *configParser) elsewhere(name string, own []string) string {
	var has []string
	for _, c := range p.commands {
		if slices.ContainsFunc(configurable(c), func(f cli.Flag) bool { return f.Names()[0] == name }) {
			has = append(has, c.Name)
		}
	}
	if len(has) > 0 {
		return "; " + strings.Join(has, " and ") + " could have it"
	}
	return suggestion(name, own)
}

// entry reads the value of a flag, or the values of one that may be given more than once.
func (p *configParser) entry(f cli.Flag, e pair) (configEntry, error) {
	out := configEntry{line: e.line}
	if list, ok := e.value.(*ast.SequenceNode); ok {
		if _, several := f.(cli.DocGenerationSliceFlag); !several {
			return out, p.mistake(e.line, "%s takes one value, and no list", e.key)
		}
		out.list = true
		for _, node := range list.Values {
			v, err := p.scalar(node, e.key)
			if err != nil {
				return out, err
			}
			out.values = append(out.values, v)
		}
		return out, nil
	}
	if isEmpty(e.value) {
		return out, p.mistake(e.line, "%s has no value; write '' for an empty one", e.key)
	}
	v, err := p.scalar(e.value, e.key)
	out.values = []configValue{v}
	return out, err
}

// scalar returns a value as it is written, whatever YAML takes it for: 22:00 and 5M are for the
// flag to read.
func (p *configParser) scalar(node ast.Node, what string) (configValue, error) {
	v := configValue{line: lineOf(node)}
	switch n := node.(type) {
	case *ast.StringNode:
		v.text = n.Value
	case *ast.LiteralNode:
		v.text = strings.TrimSuffix(n.Value.Value, "\n")
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		v.text = node.GetToken().Value
	default:
		return v, p.mistake(v.line, "%s takes a plain value here", what)
	}
	return v, nil
}

func isEmpty(node ast.Node) bool {
	if node == nil {
		return true
	}
	switch node.(type) {
	case *ast.NullNode, *ast.CommentGroupNode:
		return true
	}
	return false
}

func lineOf(node ast.Node) int {
	if node == nil || node.GetToken() == nil {
		return 1
	}
	return node.GetToken().Position.Line
}

// configurable returns the flags of a command that a file may set.
func configurable(c *cli.Command) []cli.Flag {
	var out []cli.Flag
	for _, f := range c.Flags {
		if name := f.Names()[0]; name != configName && name != checkName && name != cli.HelpFlag.Names()[0] {
			out = append(out, f)
		}
	}
	return out
}

// suggestion names what may have been meant, "" if nothing is like it.
func suggestion(name string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	best := slices.MinFunc(names, func(a, b string) int { return cmp.Compare(distance(name, a), distance(name, b)) })
	if distance(name, best) > min(max(2, len(name)/3), len(name)-2) {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is Levenshtein's: how many letters are to be put in, taken out or replaced.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			row[j+1] = min(above+1, row[j]+1, before+boolInt(a[i] != b[j]))
			before = above
		}
	}
	return row[len(b)]
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
