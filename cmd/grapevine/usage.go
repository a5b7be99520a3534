package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/grapevine-live/grapevine/p2p/policy"
)

const (
	// usageVersion is that of the files with what was used.
	usageVersion = 1
	// maxMonths bounds the months of a file: the newest.
	maxMonths = 24
	// maxUsageFile bounds what is read: more than all that is written.
	maxUsageFile = 16 << 10
	usageSuffix  = ".usage"
)

// usageFile is what node.usage holds, a file for each identity of the home.
type usageFile struct {
	Version int                         `json:"version"`
	Months  map[policy.Month]monthUsage `json:"months"`
}

// monthUsage is in bytes on the wire. A node that runs writes what it may use within the next
// seconds along, so that a power cut makes it more than was used, never less.
type monthUsage struct {
	Sent     int64 `json:"sent"`
	Received int64 `json:"received"`
}

// ledgerError says that a record of use cannot be read.
type ledgerError struct {
	path string
	err  error
}

func (e *ledgerError) Error() string { return fmt.Sprintf("record of use %s: %v", e.path, e.err) }
func (e *ledgerError) Unwrap() error { return e.err }

// ledger keeps in the home what was sent and received in each month.
type ledger struct {
	home *home
	name string // of this node's own file; "" if it has none, as its identity does not last
	own  map[policy.Month]policy.Usage
}

// openLedger reads what the identity used so far.
func openLedger(h *home, id *identity) (*ledger, error) {
	l := &ledger{home: h, own: make(map[policy.Month]policy.Usage)}
	if id.file == "" {
		return l, nil
	}
	l.name = strings.TrimSuffix(filepath.Base(id.file), ".key") + usageSuffix
	own, err := readUsage(h.path(l.name))
	if err != nil {
		return nil, err
	}
	l.own = own
	return l, nil
}

// others returns what the home's other nodes used in a month.
func (l *ledger) others(month policy.Month) (sum policy.Usage, err error) {
	names, err := filepath.Glob(l.home.path("node*" + usageSuffix))
	if err != nil {
		return sum, &homeError{l.home.dir, err}
	}
	for _, name := range names {
		if filepath.Base(name) == l.name {
			continue
		}
		months, err := readUsage(name)
		if err != nil {
			return sum, err
		}
		sum = sum.Plus(months[month])
	}
	return sum, nil
}

// write keeps what this node used, and what it may use of the month before it writes again.
func (l *ledger) write(month policy.Month, claim int64) error {
	if l.name == "" {
		return nil
	}
	for len(l.own) > maxMonths {
		delete(l.own, slices.Min(slices.Collect(maps.Keys(l.own))))
	}
	file := usageFile{usageVersion, make(map[policy.Month]monthUsage)}
	for m, u := range l.own {
		file.Months[m] = monthUsage(u)
	}
	if claim > 0 {
		u := l.own[month]
		file.Months[month] = monthUsage{u.Sent + claim, u.Received}
	}
	raw, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	return l.home.replace(append(raw, '\n'), l.name)
}

// readUsage reads what write writes; nothing if there is no file.
func readUsage(path string) (map[policy.Month]policy.Usage, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return make(map[policy.Month]policy.Usage), nil
	} else if err != nil {
		return nil, &ledgerError{path, err}
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxUsageFile))
	if err != nil {
		return nil, &ledgerError{path, err}
	}
	months, err := parseUsage(raw)
	if err != nil {
		return nil, &ledgerError{path, err}
	}
	return months, nil
}

func parseUsage(raw []byte) (map[policy.Month]policy.Usage, error) {
	var file usageFile
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if file.Version != usageVersion {
		return nil, fmt.Errorf("it is of another version: %d", file.Version)
	}
	months := make(map[policy.Month]policy.Usage, len(file.Months))
	for m, u := range file.Months {
		if u.Sent < 0 || u.Received < 0 {
			return nil, fmt.Errorf("it is damaged: %s has less than nothing", m)
		}
		months[m] = policy.Usage(u)
	}
	return months, nil
}
