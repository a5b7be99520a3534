package p2p_test

import (
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
)

// fail2ban reads the failregex of scripts/fail2ban as fail2ban does: <ADDR> stands for an address,
// and the time that it finds in a line is taken out before.
func fail2ban(t *testing.T) (match func(line string) (addr string)) {
	t.Helper()
	conf, err := os.ReadFile("../scripts/fail2ban/grapevine.conf")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^failregex = (.*)$`).FindSubmatch(conf)
	if found == nil {
		t.Fatal("the filter has no failregex")
	}
	re, err := regexp.Compile(strings.ReplaceAll(string(found[1]), "<ADDR>", `(?P<addr>[0-9a-fA-F:.]+)`))
	if err != nil {
		t.Fatal(err)
	}
	date := regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)`)
	return func(line string) string {
		m := re.FindStringSubmatch(date.ReplaceAllString(strings.TrimSpace(line), ""))
		if m == nil {
			return ""
		}
		return m[re.SubexpIndex("addr")]
	}
}

// What nodes write when they cut an attacker off is what the filter finds, in the journal, too.
func TestFail2banReadsWhoIsCutOff(t *testing.T) {
	match := fail2ban(t)
	attacked(t, noKey(p2ptest.ForgeHeaders(5)), 5*time.Second, 10*time.Second, func(s *siege) {
		for i := range s.logs {
			var found []string
			for _, line := range s.logs[i].with("") {
				if addr := match(line); addr != "" {
					found = append(found, addr)
				}
				if addr := match("Nov 22 23:12:02 relay grapevine[12]: " + line); addr != "" {
					found = append(found, addr)
				}
			}
			if len(found) != 2 || found[0] != "1.0.0.4" || found[1] != "1.0.0.4" {
				t.Errorf("the filter finds %q in the log of node %d, want the attacker's address once: %q", found, i, s.logs[i].with(""))
			} else if _, err := netip.ParseAddr(found[0]); err != nil {
				t.Error(err)
			}
		}
	})
}

// Who withholds may have lost its network, and a relay is not to blame for who comes through it.
func TestFail2banLeavesOthersAlone(t *testing.T) {
	match := fail2ban(t)
	const line = `time=2030-01-31T20:15:00.000Z level=WARN msg="peer cut off" peer=12D3KooW addr=ADDR reason=WHY for=1m0s`
	for _, c := range []struct{ addr, why, want string }{
		{"192.0.2.7", "forged", "192.0.2.7"},
		{"2001:db8::7", "flood", "2001:db8::7"},
		{"unknown", "forged", ""},
		{"192.0.2.7", "withheld", ""},
	} {
		l := strings.NewReplacer("ADDR", c.addr, "WHY", c.why).Replace(line)
		if got := match(l); got != c.want {
			t.Errorf("found %q in %s, want %q", got, l, c.want)
		}
		// Somebody's words in another line.
		if got := match(`time=2030-01-31T20:15:00.000Z level=INFO msg="cannot dial" err="` + strings.ReplaceAll(l, `"`, `\"`) + `"`); got != "" {
			t.Errorf("found %q where somebody else is quoted", got)
		}
	}
}
