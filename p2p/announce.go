package p2p

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// entryLife is for how long an entry says that a stream is on air: two renewals may be
	// lost. Entries are renewed every entryRenewal, and after firstRenewal: others may not have
	// taken one that came soon after a withdrawal.
	entryLife    = 12 * time.Minute
	entryRenewal = 4 * time.Minute
	firstRenewal = entryPause + 10*time.Second
	// onAirRound is how often to look whether a stream goes on.
	onAirRound = 2 * time.Second
	// offAirAfter is how long nothing may be published before the stream is withdrawn.
	offAirAfter = time.Minute
	// withdrawTimeout bounds the last words.
	withdrawTimeout = time.Second
)

// ErrNoDirectory is returned by a node that takes no part in the directory.
var ErrNoDirectory = errors.New("this node takes no part in the directory")

// Announce keeps the stream of the key in the directory while this node broadcasts it, until ctx
// ends, and then withdraws it. It returns at once if the texts cannot be an entry's, with an error
// that wraps [stream.ErrBadEntry].
func (n *Node) Announce(ctx context.Context, key stream.Key, title, description string) error {
	if n.directory == nil {
		return ErrNoDirectory
	}
	if _, err := key.SignEntry(stream.Entry{Title: title, Description: description, Issued: time.Now()}); err != nil {
		return err
	}
	s := n.swarm(key.ID())
	if s == nil || !s.publishing() {
		return fmt.Errorf("announce stream %s: this node does not broadcast it", key.ID().Short())
	}
	a := &announcement{d: n.directory, swarm: s, key: key, title: title, description: description}
	a.d.changeOwn(1)
	defer a.d.changeOwn(-1)
	a.d.want()
	a.run(ctx)
	return nil
}

// announcement is a stream that this node has in the directory.
type announcement struct {
	d                  *directory
	swarm              *Swarm
	key                stream.Key
	title, description string

	bytes   int64     // published, at the last look
	grown   time.Time // when that became more
	renewed time.Time // zero while the stream is not in the directory
	pause   time.Duration
}

func (a *announcement) run(ctx context.Context) {
	ticker := time.NewTicker(onAirRound)
	defer ticker.Stop()
	for {
		a.look(ctx, a.swarm.Stats().BytesPublished, time.Now())
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
			defer cancel()
			a.withdraw(last)
			return
		case <-a.swarm.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look renews the entry, or withdraws it, if that is due.
func (a *announcement) look(ctx context.Context, bytes int64, now time.Time) {
	if bytes > a.bytes {
		a.bytes, a.grown = bytes, now
	}
	onAir := !a.grown.IsZero() && now.Sub(a.grown) < offAirAfter
	switch {
	case !onAir:
		a.withdraw(ctx)
	case a.renewed.IsZero():
		if a.publish(ctx, entryLife) {
			a.renewed, a.pause = now, firstRenewal
		}
	case now.Sub(a.renewed) >= a.pause:
		if a.publish(ctx, entryLife) {
			a.renewed, a.pause = now, entryRenewal
		}
	}
}

func (a *announcement) withdraw(ctx context.Context) {
	if !a.renewed.IsZero() && a.publish(ctx, 0) {
		a.renewed = time.Time{}
	}
}

func (a *announcement) publish(ctx context.Context, life time.Duration) bool {
	e, err := a.entry(life)
	if err == nil {
		err = a.d.publish(ctx, e)
	}
	if err != nil && !errors.Is(err, errEntryEarly) { // who came back soon waits
		a.d.node.log.Warn("cannot announce the stream in the directory", "err", err)
	}
	return err == nil
}

func (a *announcement) entry(life time.Duration) (*stream.SignedEntry, error) {
	addrs := a.d.node.Addrs()
	return a.key.SignEntry(stream.Entry{
		Title:       a.title,
		Description: a.description,
		Issued:      time.Now(),
		Life:        life,
		Peers:       addrs[:min(len(addrs), stream.MaxEntryPeers)],
		Supply:      supplyPercent(a.swarm.Stats().Supply),
	})
}

// supplyPercent returns a supply as entries say it: what is known is 1 at least.
func supplyPercent(supply float64) int {
	if supply == 0 {
		return 0
	}
	return max(1, min(int(100*supply), stream.MaxEntrySupply))
}

// changeOwn counts the announcements that run.
func (d *directory) changeOwn(by int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.own += by
}
