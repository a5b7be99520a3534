//go:build linux

package cores

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestCPUsAreListed(t *testing.T) {
	for list, want := range map[string]string{"0": "0", "0-2,5": "0 1 2 5", "3,1": "3 1", "": "", "x-2": ""} {
		if got := strings.Join(parseCPUs(list), " "); got != want {
			t.Errorf("parseCPUs(%q) = %q, want %q", list, got, want)
		}
	}
}

func TestOfCountsAProcessAndItsThreads(t *testing.T) {
	before, err := Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
	}
	after, err := Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after <= before {
		t.Errorf("%v of CPU time after 0.1 s of work, %v before", after, before)
	}
	if _, err := Of(-1); err == nil {
		t.Error("a process that is not there has used CPU time")
	}
}
