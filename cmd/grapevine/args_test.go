package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestFlagsFirst(t *testing.T) {
	commands := newApp(&environment{stdin: os.Stdin}).Commands
	for _, tt := range []struct{ args, want string }{
		{"grapevine", "grapevine"},
		{"grapevine --version", "grapevine --version"},
		{"grapevine sing --loud", "grapevine sing --loud"},
		{"grapevine watch LINK --open", "grapevine watch --open -- LINK"},
		{"grapevine watch LINK --http :0 --json", "grapevine watch --http :0 --json -- LINK"},
		{"grapevine relay A --listen=/ip4/1 B", "grapevine relay --listen=/ip4/1 -- A B"},
		{"grapevine relay -- --not-a-flag", "grapevine relay -- --not-a-flag"},
		{"grapevine broadcast --input - --loop", "grapevine broadcast --input - --loop --"},
		{"grapevine broadcast - --input", "grapevine broadcast --input -- -"},
	} {
		if got := strings.Join(flagsFirst(strings.Fields(tt.args), commands), " "); got != tt.want {
			t.Errorf("%q became %q, want %q", tt.args, got, tt.want)
		}
	}
}

// Every switch must be a cli.BoolFlag, or flagsFirst would take the link for its value.
func TestCommonFlagsOnEveryCommand(t *testing.T) {
	for _, c := range newApp(&environment{stdin: os.Stdin}).Commands {
		if slices.Contains(bareCommands, c.Name) || slices.Contains(nodeless, c.Name) {
			continue
		}
		var names []string
		for _, f := range c.Flags {
			names = append(names, f.Names()...)
		}
		for _, want := range []string{"home", "http", "listen", "no-mdns", "cache-memory", "max-upload", "json", "log-level"} {
			if !slices.Contains(names, want) {
				t.Errorf("%s has no --%s", c.Name, want)
			}
		}
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"256MB": 256e6, "1gb": 1e9, "1.5GiB": 3 << 29, "64 MiB": 64 << 20, "10B": 10, "1kB": 1000, "2TB": 2e12,
	} {
		if got, err := parseBytes(text); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "256", "MB", "-1MB", "1e30MB", "NaNMB", "infGB", "1MBB", "many"} {
		if got, err := parseBytes(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]int{
		"2Mbit/s": 2e6, "500kbit/s": 500e3, "500 kbit/s": 500e3, "1.5M": 15e5, "1.5m": 15e5, "800000": 8e5, "1Gbit/s": 1e9,
		"800000 bit/s": 8e5, "2mbps": 2e6, "2Mbps": 2e6, "3Mbits/s": 3e6, "2Mbit": 2e6, "0": 0, "1e6": 1e6,
	} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "M", "bit/s", "-1M", "1e30", "NaN", "inf", "many", "2MB/s", "2MBps", "2 megabit", "2Mb/s", "2MB", "2kB/s", "1M1", "2MBit/s", "2 M bit / h",
	} {
		if got, err := parseRate(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}

func TestFormat(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1 kB", 1540: "1.5 kB", 31_200_000: "31 MB", 999_600: "1 MB", 5_000_000_000_000: "5 TB",
	} {
		if got := formatBytes(n); got != want {
			t.Errorf("%d bytes are %q, want %q", n, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0 bit/s", 0.4: "0.4 bit/s", 2_512_345: "2.5 Mbit/s", 12e9: "12 Gbit/s"} {
		if got := formatRate(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}
