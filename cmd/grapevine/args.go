package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// flagsFirst moves a command's flags before its arguments, because the library reads
// no flags after the first argument and people write "watch LINK --open".
func flagsFirst(args []string, commands []*cli.Command) []string {
	if len(args) < 2 {
		return args
	}
	i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[1]) })
	if i < 0 || commands[i].SkipFlagParsing {
		return args
	}
	var flags, rest []string
	for tail := args[2:]; len(tail) > 0; tail = tail[1:] {
		arg := tail[0]
		switch {
		case arg == "--":
			rest = append(rest, tail[1:]...)
			tail = tail[:1]
		case arg == "-" || !strings.HasPrefix(arg, "-"):
			rest = append(rest, arg)
		default:
			flags = append(flags, arg)
			if len(tail) > 1 && takesValue(commands[i], arg) {
				flags = append(flags, tail[1])
				tail = tail[1:]
			}
		}
	}
	out := append(slices.Clone(args[:2]), flags...)
	// The library drops one "--"; after it, nothing is read as a flag.
	return append(append(out, "--"), rest...)
}

// takesValue reports whether arg is a flag of the command whose value is the next argument.
func takesValue(c *cli.Command, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	if strings.Contains(name, "=") {
		return false
	}
	for _, f := range c.Flags {
		if slices.Contains(f.Names(), name) {
			_, isSwitch := f.(*cli.BoolFlag)
			return !isSwitch
		}
	}
	return false
}

// byteUnits are the suffixes of byteSize, longest first.
var byteUnits = []struct {
	suffix string
	bytes  float64
}{
	{"KIB", 1 << 10}, {"MIB", 1 << 20}, {"GIB", 1 << 30}, {"TIB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"B", 1},
}

// maxByteSize keeps a typo from overflowing; 1 PB is more than any machine caches.
const maxByteSize = 1e15

// parseBytes reads a number of bytes with a unit, such as 256MB or 1.5GiB.
func parseBytes(s string) (int64, error) {
	t := strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(s), " ", ""))
	for _, u := range byteUnits {
		number, found := strings.CutSuffix(t, u.suffix)
		if !found {
			continue
		}
		v, err := strconv.ParseFloat(number, 64)
		// The comparison is false for NaN too.
		if err != nil || !(v >= 0 && v*u.bytes <= maxByteSize) {
			break
		}
		return int64(v * u.bytes), nil
	}
	return 0, fmt.Errorf("%q is no amount of bytes such as 256MB or 1GiB", s)
}

// rateUnits are the prefixes of a rate, and rateNames what may follow.
var (
	rateUnits = map[string]float64{"": 1, "k": 1e3, "m": 1e6, "g": 1e9}
	rateNames = []string{"bit/s", "bits/s", "bps", "bit", ""}
)

// maxRate keeps a typo from overflowing; 1 Tbit/s is more than any machine sends.
const maxRate = 1e12

// parseRate reads bits per second, such as 2Mbit/s, 500kbit/s, 1.5M or 800000. Bytes
// per second are refused: an uplink's rate is in bits wherever one is told it.
func parseRate(s string) (int, error) {
	t := strings.ReplaceAll(strings.TrimSpace(s), " ", "")
	digits := strings.TrimRight(t, "/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit := t[len(digits):]
	v, err := strconv.ParseFloat(digits, 64)
	for _, name := range rateNames {
		prefix, found := strings.CutSuffix(strings.ToLower(unit), name)
		factor, known := rateUnits[prefix]
		// A B is for bytes, whatever it is called otherwise.
		if !found || !known || name != "" && strings.Contains(unit, "B") {
			continue
		}
		// The comparison is false for NaN too.
		if err != nil || !(v >= 0 && v*factor <= maxRate) {
			break
		}
		return int(math.Round(v * factor)), nil
	}
	return 0, fmt.Errorf("%q is no rate such as 2Mbit/s or 500kbit/s", s)
}

// formatBytes writes a number of bytes for people, in decimal units.
func formatBytes(n int64) string {
	v := float64(n)
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if v < 999.5 {
			return formatQuantity(v, unit)
		}
		v /= 1000
	}
	return formatQuantity(v, "TB")
}

// formatRate writes bits per second for people.
func formatRate(bits float64) string {
	for _, unit := range []string{"bit/s", "kbit/s", "Mbit/s"} {
		if bits < 999.5 {
			return formatQuantity(bits, unit)
		}
		bits /= 1000
	}
	return formatQuantity(bits, "Gbit/s")
}

func formatQuantity(v float64, unit string) string {
	if v < 9.95 {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + " " + unit
	}
	return fmt.Sprintf("%.0f %s", v, unit)
}

// capital makes s the start of a sentence.
func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// quote is how sentences show what the user wrote.
func quote(s string) string { return strconv.Quote(s) }

// commandNames lists the commands for a sentence.
func commandNames(app *cli.App) string {
	var names []string
	for _, c := range app.Commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
