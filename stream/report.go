package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-live/grapevine/stream/wire"
)

// Bounds of a report.
const (
	// MaxReportedPlayers bounds the players of each kind that a report counts.
	MaxReportedPlayers = 10_000
	// MaxPlaying bounds the players of which a report says how they fare.
	MaxPlaying = 8
	// MaxReportedDelay bounds how far behind the broadcaster they are said to be.
	MaxReportedDelay = 24 * time.Hour
	// MaxReportWindow bounds the time of which a report tells.
	MaxReportWindow   = 10 * time.Minute
	MaxReportedBytes  = 1 << 48
	MaxReportedCount  = 1 << 14 // feeders, children and slots
	MaxReportVersion  = 64      // bytes
	maxReportedStalls = 1 << 10
)

// ErrBadReport is wrapped by errors about bytes that are no report.
var ErrBadReport = errors.New("malformed report")

// PlayerKind is what a player says that it is.
type PlayerKind uint8

// Kinds of players.
const (
	PlayerOther  PlayerKind = iota
	PlayerVLC               // VLC
	PlayerPage              // a browser: the node's page, or another
	PlayerMPV               // mpv
	PlayerFFmpeg            // ffmpeg, ffplay, and what uses its libraries
	PlayerGStreamer
	PlayerKinds // how many there are
)

// String names a kind as figures do.
func (k PlayerKind) String() string {
	if k >= PlayerKinds {
		k = PlayerOther
	}
	return [PlayerKinds]string{"other", "vlc", "page", "mpv", "ffmpeg", "gstreamer"}[k]
}

// Report says how a stream fares at one node, without saying at which: it has no address and no
// peer.
type Report struct {
	Relay   bool             // the node was set up as a relay
	Version string           // of its program, printable ASCII
	Players [PlayerKinds]int // now, by kind
	Playing []PlayerReport   // some of them

	// Window is the time, in whole seconds, of which the bytes are.
	Window time.Duration
	// Payload of the live stream by whom it came from, and payload given to peers.
	FromPeers, FromBroadcaster, FromOrigins, Given int64

	Feeders  int // neighbours that send it stripes unasked
	Children int // neighbours that get stripes unasked, each stripe of each counted
	Slots    int // children that its uplink feeds
}

// PlayerReport says how one player fares, as far as can be told from what it fetches. Durations
// are in whole milliseconds.
type PlayerReport struct {
	Kind  PlayerKind
	Delay time.Duration // that it is behind the broadcaster
	// Of the last minute:
	Watched time.Duration // since it began
	Stalled time.Duration // of that, without anything left to show
	Stalls  int
}

// Field numbers of messages Report and PlayerReport, see the package's documentation.
const (
	fieldReportRelay = iota + 1
	fieldReportVersion
	fieldReportPlayers
	fieldReportPlaying
	fieldReportWindow
	fieldReportFromPeers
	fieldReportFromBroadcaster
	fieldReportFromOrigins
	fieldReportGiven
	fieldReportFeeders
	fieldReportChildren
	fieldReportSlots

	fieldPlayerKind    = 1
	fieldPlayerDelay   = 2
	fieldPlayerWatched = 3
	fieldPlayerStalled = 4
	fieldPlayerStalls  = 5
)

// clamp cuts what is beyond a bound to it.
func (r *Report) clamp() {
	for k := range r.Players {
		r.Players[k] = max(0, min(r.Players[k], MaxReportedPlayers))
	}
	r.Playing = r.Playing[:min(len(r.Playing), MaxPlaying)]
	playing := make([]PlayerReport, len(r.Playing))
	for i, p := range r.Playing {
		p.Kind = min(p.Kind, PlayerKinds-1)
		p.Delay = max(0, min(p.Delay, MaxReportedDelay)).Truncate(time.Millisecond)
		p.Watched = max(0, min(p.Watched, MaxReportWindow)).Truncate(time.Millisecond)
		p.Stalled = max(0, min(p.Stalled, p.Watched)).Truncate(time.Millisecond)
		p.Stalls = max(0, min(p.Stalls, maxReportedStalls))
		playing[i] = p
	}
	r.Playing = playing
	if r.Version = r.Version[:min(len(r.Version), MaxReportVersion)]; !printable(r.Version) {
		r.Version = ""
	}
	r.Window = max(0, min(r.Window, MaxReportWindow)).Truncate(time.Second)
	for _, n := range []*int64{&r.FromPeers, &r.FromBroadcaster, &r.FromOrigins, &r.Given} {
		*n = max(0, min(*n, MaxReportedBytes))
	}
	for _, n := range []*int{&r.Feeders, &r.Children, &r.Slots} {
		*n = max(0, min(*n, MaxReportedCount))
	}
}

// validate checks what every report must obey, whether read or about to be signed.
func (r *Report) validate() error {
	bad := func(what string, value any) error { return fmt.Errorf("%w: %s: %v", ErrBadReport, what, value) }
	for _, n := range r.Players {
		if n > MaxReportedPlayers {
			return bad("players", n)
		}
	}
	for _, p := range r.Playing {
		if p.Kind >= PlayerKinds || p.Delay > MaxReportedDelay || p.Watched > MaxReportWindow || p.Stalled > p.Watched || p.Stalls > maxReportedStalls {
			return bad("a player", p)
		}
	}
	switch {
	case len(r.Playing) > MaxPlaying:
		return bad("players told of", len(r.Playing))
	case len(r.Version) > MaxReportVersion || !printable(r.Version):
		return bad("version", r.Version)
	case r.Window > MaxReportWindow:
		return bad("window", r.Window)
	case max(r.FromPeers, r.FromBroadcaster, r.FromOrigins, r.Given) > MaxReportedBytes:
		return bad("bytes", max(r.FromPeers, r.FromBroadcaster, r.FromOrigins, r.Given))
	case max(r.Feeders, r.Children, r.Slots) > MaxReportedCount:
		return bad("neighbours", max(r.Feeders, r.Children, r.Slots))
	}
	return nil
}

// marshal serialises a valid report.
func (r *Report) marshal() []byte {
	var relay uint64
	if r.Relay {
		relay = 1
	}
	b := wire.AppendUint(nil, fieldReportRelay, relay)
	b = wire.AppendBytes(b, fieldReportVersion, []byte(r.Version))
	var players []byte
	for _, n := range r.Players {
		players = binary.AppendUvarint(players, uint64(n))
	}
	b = wire.AppendBytes(b, fieldReportPlayers, players)
	for _, p := range r.Playing {
		b = wire.AppendMessage(b, fieldReportPlaying, p.marshal())
	}
	b = wire.AppendUint(b, fieldReportWindow, uint64(r.Window/time.Second))
	b = wire.AppendUint(b, fieldReportFromPeers, uint64(r.FromPeers))
	b = wire.AppendUint(b, fieldReportFromBroadcaster, uint64(r.FromBroadcaster))
	b = wire.AppendUint(b, fieldReportFromOrigins, uint64(r.FromOrigins))
	b = wire.AppendUint(b, fieldReportGiven, uint64(r.Given))
	b = wire.AppendUint(b, fieldReportFeeders, uint64(r.Feeders))
	b = wire.AppendUint(b, fieldReportChildren, uint64(r.Children))
	return wire.AppendUint(b, fieldReportSlots, uint64(r.Slots))
}

func (p *PlayerReport) marshal() []byte {
	b := wire.AppendUint(nil, fieldPlayerKind, uint64(p.Kind))
	b = wire.AppendUint(b, fieldPlayerDelay, uint64(p.Delay/time.Millisecond))
	b = wire.AppendUint(b, fieldPlayerWatched, uint64(p.Watched/time.Millisecond))
	b = wire.AppendUint(b, fieldPlayerStalled, uint64(p.Stalled/time.Millisecond))
	return wire.AppendUint(b, fieldPlayerStalls, uint64(p.Stalls))
}

// parseReport reads what marshal writes, and nothing else. What a later version adds is refused:
// it has a context of its own.
func parseReport(b []byte) (r Report, err error) {
	var inner error
	var players []byte
	// Numbers beyond any bound are one beyond the largest, so that no conversion wraps.
	small := func(v uint64) int64 { return int64(min(v, MaxReportedBytes+1)) }
	err = wire.Fields(b, func(field int, v uint64, raw []byte) {
		switch field {
		case fieldReportRelay:
			r.Relay = v != 0
		case fieldReportVersion:
			r.Version = string(raw)
		case fieldReportPlayers:
			players = raw
		case fieldReportPlaying:
			if len(r.Playing) > MaxPlaying || inner != nil {
				return // one too many stays one too many
			}
			var p PlayerReport
			p, inner = parsePlayerReport(raw)
			r.Playing = append(r.Playing, p)
		case fieldReportWindow:
			r.Window = time.Duration(min(v, uint64(MaxReportWindow/time.Second)+1)) * time.Second
		case fieldReportFromPeers:
			r.FromPeers = small(v)
		case fieldReportFromBroadcaster:
			r.FromBroadcaster = small(v)
		case fieldReportFromOrigins:
			r.FromOrigins = small(v)
		case fieldReportGiven:
			r.Given = small(v)
		case fieldReportFeeders:
			r.Feeders = int(small(v))
		case fieldReportChildren:
			r.Children = int(small(v))
		case fieldReportSlots:
			r.Slots = int(small(v))
		}
	})
	if err := errors.Join(err, inner); err != nil {
		return r, fmt.Errorf("%w: %w", ErrBadReport, err)
	}
	for k := range r.Players {
		v, n := binary.Uvarint(players)
		if n <= 0 || v > MaxReportedPlayers {
			return r, fmt.Errorf("%w: players", ErrBadReport)
		}
		r.Players[k], players = int(v), players[n:]
	}
	if err := r.validate(); err != nil {
		return r, err
	}
	if !bytes.Equal(b, r.marshal()) {
		return r, fmt.Errorf("%w: not written as reports are", ErrBadReport)
	}
	return r, nil
}

func parsePlayerReport(b []byte) (p PlayerReport, err error) {
	millis := func(v uint64) time.Duration {
		return time.Duration(min(v, uint64(MaxReportedDelay/time.Millisecond)+1)) * time.Millisecond
	}
	err = wire.Fields(b, func(field int, v uint64, _ []byte) {
		switch field {
		case fieldPlayerKind:
			p.Kind = PlayerKind(min(v, uint64(PlayerKinds)))
		case fieldPlayerDelay:
			p.Delay = millis(v)
		case fieldPlayerWatched:
			p.Watched = millis(v)
		case fieldPlayerStalled:
			p.Stalled = millis(v)
		case fieldPlayerStalls:
			p.Stalls = int(min(v, maxReportedStalls+1))
		}
	})
	return p, err
}
