package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// delegationsVersion is that of the files with delegations.
	delegationsVersion = 1
	// maxDelegations bounds the delegations that a stream's file holds. Those that are over make
	// room.
	maxDelegations = 256
)

// delegationsFile is what streams/<id>.delegations holds: to whom the stream's key delegated. It has
// no secrets.
type delegationsFile struct {
	Version     int                `json:"version"`
	Delegations []*namedDelegation `json:"delegations"` // in the order in which they were made
}

type namedDelegation struct {
	Name    string     `json:"name"`
	Key     stream.ID  `json:"key"`
	Role    string     `json:"role"`
	Created time.Time  `json:"created"`
	Expires time.Time  `json:"expires"`
	Revoked *time.Time `json:"revoked,omitempty"`
}

// state says whether a delegation holds, has expired or was revoked.
func (d *namedDelegation) state(now time.Time) string {
	switch {
	case d.Revoked != nil:
		return "revoked"
	case !now.Before(d.Expires):
		return "expired"
	}
	return "holds"
}

func delegationsName(id stream.ID) string {
	return filepath.Join("streams", id.String()+".delegations")
}

// delegations returns what a stream's file of delegations holds; nothing if there is none.
func (h *home) delegations(id stream.ID) (*delegationsFile, error) {
	path := h.path(delegationsName(id))
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &delegationsFile{Version: delegationsVersion}, nil
	} else if err != nil {
		return nil, &homeError{h.dir, err}
	}
	file := &delegationsFile{}
	if err := json.Unmarshal(raw, file); err != nil || file.Version != delegationsVersion {
		return nil, &damagedError{path, "delegations that this version knows", "keys can be revoked without it, by their own text"}
	}
	return file, nil
}

// changeDelegations has f change a stream's delegations, while no other process does.
func (h *home) changeDelegations(id stream.ID, f func(*delegationsFile) error) error {
	release, err := h.awaitLock(delegationsName(id) + ".lock")
	if err != nil {
		return err
	}
	defer func() { _ = release() }() // the system does, if this does not
	file, err := h.delegations(id)
	if err != nil {
		return err
	}
	if err := f(file); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return fmt.Errorf("write delegations: %w", err)
	}
	return h.replace(append(raw, '\n'), delegationsName(id))
}

// add puts a delegation to the others, of which none that holds may have its name.
func (f *delegationsFile) add(d *namedDelegation, now time.Time) error {
	over := func(o *namedDelegation) bool { return o.state(now) != "holds" }
	if n := slices.IndexFunc(f.Delegations, func(o *namedDelegation) bool { return o.Name == d.Name && !over(o) && o.Key != d.Key }); n >= 0 {
		return &usageError{"There is a delegation " + quote(d.Name) + " to another key already.", "choose another --name, or revoke that one first: grapevine delegate revoke " + d.Name}
	}
	if slices.ContainsFunc(f.Delegations, func(o *namedDelegation) bool { return o.Key == d.Key && o.Revoked != nil }) {
		return &usageError{"That key was revoked, and is never trusted again.", "have the other machine make a new one: grapevine id --key FILE, with a key of openssl genpkey -algorithm ed25519"}
	}
	// Another one of the same key and name renews it.
	f.Delegations = slices.DeleteFunc(f.Delegations, func(o *namedDelegation) bool { return o.Name == d.Name })
	if len(f.Delegations) >= maxDelegations {
		f.Delegations = slices.DeleteFunc(f.Delegations, over)
	}
	if len(f.Delegations) >= maxDelegations {
		return &usageError{fmt.Sprintf("There are %d delegations that hold, which is as many as there may be.", maxDelegations), "revoke some"}
	}
	f.Delegations = append(f.Delegations, d)
	return nil
}

// revoke marks a name's delegation, or a key's, and returns the key.
func (f *delegationsFile) revoke(name string, now time.Time) (stream.ID, error) {
	at := now.UTC().Truncate(time.Second)
	key, err := stream.ParseID(name)
	if err != nil {
		key, err = relayKey(name)
	}
	if err != nil {
		n := slices.IndexFunc(f.Delegations, func(d *namedDelegation) bool { return d.Name == name })
		if n < 0 {
			return key, &usageError{"There is no delegation " + quote(name) + ".", "grapevine delegate list shows all; a key that is not among them can be named by its own text"}
		}
		key = f.Delegations[n].Key
	}
	for _, d := range f.Delegations {
		if d.Key == key && d.Revoked == nil {
			d.Revoked = &at
		}
	}
	return key, nil
}

// relayKey returns the key of a relay's peer ID.
func relayKey(s string) (key stream.ID, err error) {
	id, err := peer.Decode(s)
	if err != nil {
		return key, err
	}
	return stream.PeerKey(string(id))
}

// revokedKeys returns the keys of an issue that follows another, with one more. Those whose
// delegations expired first make room.
func (f *delegationsFile) revokedKeys(before *stream.Revocations, key stream.ID, now time.Time) ([]stream.ID, error) {
	var keys []stream.ID
	if before != nil {
		keys = slices.DeleteFunc(slices.Clone(before.Keys), func(k stream.ID) bool { return k == key })
	}
	for len(keys) >= stream.MaxRevocations {
		var oldest *namedDelegation
		for _, d := range f.Delegations {
			if slices.Contains(keys, d.Key) && now.After(d.Expires.Add(stream.DelegationSkew)) && (oldest == nil || d.Expires.Before(oldest.Expires)) {
				oldest = d
			}
		}
		if oldest == nil {
			return nil, &usageError{fmt.Sprintf("There are %d revoked keys whose delegations have not expired, which is as many as there may be.", stream.MaxRevocations), "wait until one expires, or begin a new stream"}
		}
		keys = slices.DeleteFunc(keys, func(k stream.ID) bool { return k == oldest.Key })
	}
	return append(keys, key), nil
}

func revocationsName(id stream.ID) string {
	return filepath.Join("streams", id.String()+".revocations")
}

// keptRevocations keeps in the home what streams' keys revoked.
type keptRevocations struct{ home *home }

var _ p2p.RevocationKeeper = keptRevocations{}

// RecallRevocations implements p2p.RevocationKeeper.
func (k keptRevocations) RecallRevocations(id stream.ID) ([]byte, error) {
	l, err := k.home.revocations(id)
	if l == nil {
		return nil, err
	}
	return l.Bytes(), nil
}

// KeepRevocations implements p2p.RevocationKeeper.
func (k keptRevocations) KeepRevocations(l *stream.Revocations) error {
	release, err := k.home.awaitLock(revocationsName(l.Stream) + ".lock")
	if err != nil {
		return err
	}
	defer func() { _ = release() }()
	if known, err := k.home.revocations(l.Stream); err == nil && known != nil && known.Issue >= l.Issue {
		return nil
	}
	return k.home.replace([]byte(l.String()+"\n"), revocationsName(l.Stream))
}

// revocations returns the newest revocations of a stream that this home knows, nil for none.
func (h *home) revocations(id stream.ID) (*stream.Revocations, error) {
	path := h.path(revocationsName(id))
	raw, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, &homeError{h.dir, err}
	}
	l, err := stream.ParseRevocations(string(raw))
	if err == nil && l.Stream != id {
		err = fmt.Errorf("%w: they are of another stream", stream.ErrBadRevocations)
	}
	if err != nil {
		return nil, &damagedError{path, "revocations of this stream: " + reason(err, stream.ErrBadRevocations), "put it back: grapevine delegate import FILE, once it is removed"}
	}
	return l, nil
}

// rolesFile is what passes from the machine of a stream's key to others: a line with a delegation,
// one with revocations, or both.
type rolesFile struct {
	delegation  *stream.Delegation
	revocations *stream.Revocations
}

// String writes the file.
func (f rolesFile) String() string {
	var b strings.Builder
	if f.delegation != nil {
		fmt.Fprintln(&b, f.delegation)
	}
	if f.revocations != nil {
		fmt.Fprintln(&b, f.revocations)
	}
	return b.String()
}

// rolesError is about a file that [rolesFile.String] wrote.
type rolesError struct {
	path string
	err  error
}

func (e *rolesError) Error() string { return fmt.Sprintf("file %s: %v", e.path, e.err) }
func (e *rolesError) Unwrap() error { return e.err }

var errNoRoles = errors.New("it holds neither a delegation nor revocations")

// readRoles reads what [rolesFile.String] writes. All of it is checked.
func readRoles(path string) (f rolesFile, err error) {
	raw, err := readBounded(path)
	if err != nil {
		return f, &rolesError{path, err}
	}
	for line := range bytes.Lines(bytes.TrimSpace(raw)) {
		text := string(line)
		if f.delegation == nil && f.revocations == nil {
			if d, err := stream.ParseDelegation(text); err == nil {
				f.delegation = d
				continue
			} else if errors.Is(err, stream.ErrDelegationForged) {
				return f, &rolesError{path, err}
			}
		}
		if f.revocations != nil {
			return f, &rolesError{path, errNoRoles}
		}
		if f.revocations, err = stream.ParseRevocations(text); err != nil {
			return f, &rolesError{path, errNoRoles}
		}
	}
	switch {
	case f.delegation == nil && f.revocations == nil:
		return f, &rolesError{path, errNoRoles}
	case f.delegation != nil && f.revocations != nil && f.delegation.Stream != f.revocations.Stream:
		return f, &rolesError{path, errNoRoles}
	}
	return f, nil
}

// writeRoles writes a file for other machines, which must not be there yet.
func writeRoles(path string, f rolesFile) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		_, err = out.WriteString(f.String())
		err = errors.Join(err, out.Close())
	}
	if err != nil {
		return &rolesError{path, err}
	}
	return nil
}

func explainRoles(e *rolesError) (sentence, hint string) {
	const make = "grapevine delegate create makes one, on the machine with the stream's key"
	switch {
	case errors.Is(e.err, fs.ErrExist):
		return fmt.Sprintf("There is a file %s already.", e.path), "name another with --out FILE, or remove it"
	case errors.Is(e.err, fs.ErrNotExist):
		return fmt.Sprintf("There is no file %s.", e.path), make
	case errors.Is(e.err, errNoRoles):
		return fmt.Sprintf("The file %s holds neither a delegation nor revocations.", e.path), "copy it once more, whole; " + make
	case errors.Is(e.err, stream.ErrDelegationForged):
		return fmt.Sprintf("The delegation in %s is not signed by the key of its stream.", e.path), "copy it once more, whole; " + make
	}
	return fmt.Sprintf("The file %s cannot be used: %s.", e.path, system(e.err)), ""
}

// explainDelegation says why this machine may not broadcast, or no more.
func explainDelegation(err error) (sentence, hint string) {
	const renew = "ask for another: grapevine delegate create, on the machine with the stream's key"
	why := func(sentinel error) string {
		_, text, _ := strings.Cut(err.Error(), sentinel.Error()+": ")
		return text
	}
	switch {
	case errors.Is(err, stream.ErrRevoked):
		return "The broadcasting key of this machine has been revoked.", "nobody takes anything of it any more; have another key delegated to"
	case errors.Is(err, stream.ErrDelegationTime):
		return "The delegation of this machine has expired, or has not begun: " + why(stream.ErrDelegationTime) + ".", renew + "; if it should hold, look at this machine's clock"
	}
	return "The delegation is not for this machine's key: " + why(stream.ErrDelegationRole) + ".", "grapevine id shows the key to delegate to; --key FILE uses another"
}

// under has a key act by the delegation in a file, and takes revocations that came with it. No file
// leaves the key as it is.
func (h *home) under(key stream.Key, path string, now time.Time) (stream.Key, error) {
	if path == "" {
		return key, nil
	}
	f, err := readRoles(path)
	if err != nil {
		return key, err
	}
	if f.delegation == nil {
		return key, &rolesError{path, errNoRoles}
	}
	if f.revocations != nil {
		if err := (keptRevocations{h}).KeepRevocations(f.revocations); err != nil {
			return key, err
		}
	}
	known, err := h.revocations(f.delegation.Stream)
	if err != nil {
		return key, err
	}
	roles := stream.NewRoles(f.delegation.Stream)
	if known != nil {
		roles.Adopt(known)
	}
	if err := roles.Holds(f.delegation, now); err != nil {
		return key, fmt.Errorf("broadcast by a delegation: %w", err)
	}
	if key, err = key.Under(f.delegation); err != nil {
		return key, fmt.Errorf("broadcast by a delegation: %w", err)
	}
	return key, nil
}

// followRevocations has the node heed and pass on what "grapevine delegate" puts into the home, until
// the session ends.
func (s *session) followRevocations(h *home) {
	ticker := time.NewTicker(statsEvery)
	defer ticker.Stop()
	for {
		for _, sw := range s.node.Swarms() {
			l, err := h.revocations(sw.ID())
			if err != nil {
				s.log.Warn("cannot read revocations", "err", err)
			}
			if known := sw.Revocations(); l == nil || known != nil && known.Issue >= l.Issue {
				continue
			}
			if heard, err := sw.Revoke(l); err == nil {
				s.log.Info("revocations passed on", "stream", sw.ID().Short(), "issue", l.Issue, "peers", heard)
			}
		}
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
