package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// guestsVersion is that of the files with invites.
	guestsVersion = 1
	// maxInvites bounds the invites that a stream's file holds. Those that are over make room.
	maxInvites = stream.MaxViewers
)

// guestsFile is what streams/<id>.invites holds: whom a broadcaster invited to a private stream,
// and who came. It has no invite's secret.
type guestsFile struct {
	Version int             `json:"version"`
	Invites []*guestsInvite `json:"invites"` // in the order in which they were made
}

type guestsInvite struct {
	Name    string        `json:"name"`
	Invite  string        `json:"invite"` // its public key
	Created time.Time     `json:"created"`
	Expires time.Time     `json:"expires"`
	Uses    int           `json:"uses"`
	Revoked *time.Time    `json:"revoked,omitempty"`
	Viewers []guestViewer `json:"viewers,omitempty"`
}

type guestViewer struct {
	Viewer string    `json:"viewer"`
	Since  time.Time `json:"since"`
}

// state is why nobody watches by an invite any more; 0 if who came with it may.
func (i *guestsInvite) state(now time.Time) stream.Refusal {
	switch {
	case i.Revoked != nil:
		return stream.RefusedRevoked
	case !now.Before(i.Expires):
		return stream.RefusedExpired
	}
	return 0
}

func (i *guestsInvite) has(viewer string) bool {
	return slices.ContainsFunc(i.Viewers, func(v guestViewer) bool { return v.Viewer == viewer })
}

// guests are the invites of a private stream. Each call reads what the file holds, so that a
// broadcaster that runs follows what the invite command does.
type guests struct {
	home *home
	id   stream.ID
	// limit is how many viewers there may be.
	limit int

	known   *guestsFile // as it was read last; one goroutine's
	changed time.Time   // of the file then
	size    int64
}

var _ p2p.Guests = (*guests)(nil)

func newGuests(h *home, id stream.ID) *guests {
	return &guests{home: h, id: id, limit: stream.MaxViewers}
}

func (g *guests) name() string { return filepath.Join("streams", g.id.String()+".invites") }

// read returns what the file holds; nothing if there is none.
func (g *guests) read() (*guestsFile, error) {
	path := g.home.path(g.name())
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &guestsFile{Version: guestsVersion}, nil
	case err != nil:
		return nil, &homeError{g.home.dir, err}
	case g.known != nil && info.ModTime().Equal(g.changed) && info.Size() == g.size:
		return g.known, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, &homeError{g.home.dir, err}
	}
	file := &guestsFile{}
	if err := json.Unmarshal(raw, file); err != nil || file.Version != guestsVersion {
		return nil, &damagedError{path, "invites that this version knows", "remove it to begin without any"}
	}
	g.known, g.changed, g.size = file, info.ModTime(), info.Size()
	return file, nil
}

// change has f change what the file holds, while no other process does.
func (g *guests) change(f func(*guestsFile) (bool, error)) error {
	release, err := g.home.awaitLock(g.name() + ".lock")
	if err != nil {
		return err
	}
	defer func() { _ = release() }() // the system does, if this does not
	g.known = nil                    // two changes may have come within one tick of the file's clock
	file, err := g.read()
	if err != nil {
		return err
	}
	g.known = nil
	if changed, err := f(file); err != nil || !changed {
		return err
	}
	raw, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return fmt.Errorf("write invites: %w", err)
	}
	return g.home.replace(append(raw, '\n'), g.name())
}

// Viewers implements p2p.Guests.
func (g *guests) Viewers(now time.Time) ([]stream.ViewerID, error) {
	file, err := g.read()
	if err != nil {
		return nil, err
	}
	return viewersOf(file, now), nil
}

// viewersOf returns all who came with an invite that holds.
func viewersOf(file *guestsFile, now time.Time) (out []stream.ViewerID) {
	seen := make(map[stream.ViewerID]bool)
	for _, i := range file.Invites {
		if i.state(now) != 0 {
			continue
		}
		for _, v := range i.Viewers {
			id, err := stream.ParseViewerID(v.Viewer)
			if err == nil && !seen[id] && len(out) < stream.MaxViewers {
				seen[id] = true
				out = append(out, id)
			}
		}
	}
	return out
}

// Enrol implements p2p.Guests.
func (g *guests) Enrol(asks []p2p.Enrolling, now time.Time) ([]stream.Refusal, error) {
	refusals := make([]stream.Refusal, len(asks))
	err := g.change(func(file *guestsFile) (changed bool, _ error) {
		total := len(viewersOf(file, now))
		for n, a := range asks {
			came := false
			refusals[n], came = file.enrol(a, total >= g.limit, now)
			if came {
				total++
				changed = true
			}
		}
		return changed, nil
	})
	return refusals, err
}

// enrol lets a viewer in, or says why not. came says that it was not in before.
func (f *guestsFile) enrol(a p2p.Enrolling, full bool, now time.Time) (refusal stream.Refusal, came bool) {
	n := slices.IndexFunc(f.Invites, func(i *guestsInvite) bool { return i.Invite == a.Invite.String() })
	if n < 0 {
		return stream.RefusedUnknown, false
	}
	i, viewer := f.Invites[n], a.Viewer.String()
	switch refusal := i.state(now); {
	case refusal != 0:
		return refusal, false
	case i.has(viewer):
		return 0, false
	case len(i.Viewers) >= i.Uses:
		return stream.RefusedUsed, false
	case full:
		return stream.RefusedFull, false
	}
	i.Viewers = append(i.Viewers, guestViewer{viewer, now.UTC().Truncate(time.Second)})
	return 0, true
}
