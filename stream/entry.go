package stream

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/grapevine-live/grapevine/stream/wire"
)

// Bounds of a directory entry.
const (
	MaxTitle       = 128              // bytes
	MaxDescription = 1000             // bytes
	MaxEntryPeers  = 4                // addresses in an entry
	MaxEntryPeer   = 256              // bytes of each
	MaxEntryLife   = 15 * time.Minute // from when it is issued until it expires
	MaxEntryAhead  = 2 * time.Minute  // that it may be from the future, as clocks differ
	MaxEntrySupply = 10_000           // per cent
	MaxEntrySize   = 3 << 10          // bytes of a serialised SignedEntry
	maxEntryTime   = 253402300799999  // milliseconds: the end of the year 9999
)

// entryContext separates entries' signatures from whatever else the key signs.
const entryContext = "grapevine directory entry v1\n"

var (
	// ErrBadEntry is wrapped by errors about what is no directory entry.
	ErrBadEntry = errors.New("malformed directory entry")
	// ErrForgedEntry is wrapped by errors about entries that neither the stream's key signed nor
	// one to which it delegated that.
	ErrForgedEntry = errors.New("directory entry not signed by the stream's key")
	// ErrEntryTime is wrapped by errors about entries that have expired, or are from the future.
	ErrEntryTime = errors.New("directory entry of another time")
)

// Entry announces a public stream in the directory, until it expires or a later one takes its
// place. One of no life takes the stream out of the directory.
type Entry struct {
	Stream      ID
	Title       string        // one line that can be shown, not empty
	Description string        // one line that can be shown
	Issued      time.Time     // whole milliseconds
	Life        time.Duration // whole seconds; 0 withdraws
	Peers       []string      // multiaddrs that end in /p2p/<peer-id>; whoever dials checks them
	// Supply is the upload of those near the broadcaster, in per cent of what it takes to serve
	// them: who would lend a machine goes where it is least. 0 if it is not known.
	Supply int
}

// Link returns the link that leads to the stream.
func (e *Entry) Link() Link { return Link{Stream: e.Stream, Peers: e.Peers} }

// Expires returns when the entry is no longer of use.
func (e *Entry) Expires() time.Time { return e.Issued.Add(e.Life) }

// SignedEntry is an entry whose signature was checked, together with the bytes that carry
// it. It must not be changed.
type SignedEntry struct {
	Entry
	raw []byte
	by  *Delegation
}

// Delegation returns what let another key sign the entry; nil if the stream's own key did.
func (e *SignedEntry) Delegation() *Delegation { return e.by }

// Bytes returns the serialised entry and signature, to be passed on. They must not be
// changed.
func (e *SignedEntry) Bytes() []byte { return e.raw }

// Field numbers of message Entry, see the package's documentation.
const (
	fieldEntryStream = iota + 1
	fieldEntryTitle
	fieldEntryDescription
	fieldEntryIssued
	fieldEntryLife
	fieldEntryPeer
	fieldEntrySupply
)

// SignEntry signs an entry of the key's stream. Errors wrap [ErrBadEntry], [ErrDelegationTime]
// or [ErrDelegationRole] if the key may not sign it.
func (k Key) SignEntry(e Entry) (*SignedEntry, error) {
	e.Stream = k.ID()
	e.Issued, e.Life = e.Issued.Truncate(time.Millisecond), e.Life.Truncate(time.Second)
	if err := e.validate(); err != nil {
		return nil, err
	}
	body := e.marshal()
	if k.by != nil {
		if err := errors.Join(k.may(RoleBroadcast), k.by.HoldsAt(e.Issued)); err != nil {
			return nil, err
		}
	}
	signature := k.signMessage(append([]byte(entryContext), body...))
	return &SignedEntry{e, marshalSigned(body, signature, delegationOf(k.by)), k.by}, nil
}

// OpenEntry reads an entry, checks that its stream's key signed it, or one to which that delegated
// it, byte for byte, and that it and the delegation are of this time. It keeps raw. Errors wrap [ErrBadEntry], [ErrForgedEntry] or [ErrEntryTime].
func OpenEntry(raw []byte, now time.Time) (*SignedEntry, error) {
	if len(raw) > MaxEntrySize {
		return nil, fmt.Errorf("%w: %d bytes", ErrBadEntry, len(raw))
	}
	body, signature, delegated, err := parseSigned(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadEntry, err)
	}
	e, err := parseEntry(body)
	if err != nil {
		return nil, err
	}
	// One entry has one way to be written, or each other way would be news to gossip.
	if !bytes.Equal(raw, marshalSigned(e.marshal(), signature, delegated)) {
		return nil, fmt.Errorf("%w: not written as entries are", ErrBadEntry)
	}
	by, err := openDelegated(e.Stream, delegated, RoleBroadcast, OpenDelegation)
	switch {
	case errors.Is(err, ErrBadDelegation):
		return nil, fmt.Errorf("%w: %w", ErrBadEntry, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrForgedEntry, err)
	case !verify(e.Stream, by, append([]byte(entryContext), body...), signature):
		return nil, fmt.Errorf("%w: %s", ErrForgedEntry, e.Stream.Short())
	}
	if by != nil {
		if err := by.HoldsAt(now); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrEntryTime, err)
		}
	}
	switch {
	case e.Issued.After(now.Add(MaxEntryAhead)):
		return nil, fmt.Errorf("%w: it is issued at %v", ErrEntryTime, e.Issued)
	// Withdrawals are of use for as long as what they withdraw could be.
	case now.After(e.Issued.Add(MaxEntryLife)), e.Life > 0 && now.After(e.Expires()):
		return nil, fmt.Errorf("%w: it has expired", ErrEntryTime)
	}
	return &SignedEntry{*e, raw, by}, nil
}

// validate checks what every entry must obey, whether read or about to be signed.
func (e *Entry) validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrBadEntry}, args...)...)
	}
	switch {
	case strings.TrimSpace(e.Title) == "" || len(e.Title) > MaxTitle || !showable(e.Title):
		return bad("the title must be one line of 1 to %d bytes", MaxTitle)
	case len(e.Description) > MaxDescription || !showable(e.Description):
		return bad("the description must be one line of at most %d bytes", MaxDescription)
	case e.Issued.UnixMilli() < 0 || e.Issued.UnixMilli() > maxEntryTime:
		return bad("issued at %v", e.Issued)
	case e.Life < 0 || e.Life > MaxEntryLife:
		return bad("a life of %v", e.Life)
	case e.Supply < 0 || e.Supply > MaxEntrySupply:
		return bad("a supply of %d%%", e.Supply)
	case len(e.Peers) > MaxEntryPeers:
		return bad("%d peers", len(e.Peers))
	case slices.ContainsFunc(e.Peers, func(p string) bool { return p == "" || len(p) > MaxEntryPeer || !printable(p) }):
		return bad("peers %q", e.Peers)
	}
	return nil
}

// showable reports whether a text is one line that shows as what it is: without what changes the
// direction of the text around it.
func showable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// marshal serialises a valid entry.
func (e *Entry) marshal() []byte {
	b := wire.AppendBytes(nil, fieldEntryStream, e.Stream[:])
	b = wire.AppendBytes(b, fieldEntryTitle, []byte(e.Title))
	b = wire.AppendBytes(b, fieldEntryDescription, []byte(e.Description))
	b = wire.AppendUint(b, fieldEntryIssued, uint64(e.Issued.UnixMilli()))
	b = wire.AppendUint(b, fieldEntryLife, uint64(e.Life/time.Second))
	for _, p := range e.Peers {
		b = wire.AppendBytes(b, fieldEntryPeer, []byte(p))
	}
	if e.Supply > 0 {
		b = wire.AppendUint(b, fieldEntrySupply, uint64(e.Supply))
	}
	return b
}

// parseEntry reads what marshal writes.
func parseEntry(b []byte) (*Entry, error) {
	e := &Entry{}
	var id []byte
	var issued, life, supply uint64
	err := wire.Fields(b, func(field int, v uint64, raw []byte) {
		switch field {
		case fieldEntryStream:
			id = raw
		case fieldEntryTitle:
			e.Title = string(raw)
		case fieldEntryDescription:
			e.Description = string(raw)
		case fieldEntryIssued:
			issued = v
		case fieldEntryLife:
			life = v
		case fieldEntrySupply:
			supply = v
		case fieldEntryPeer:
			if len(e.Peers) <= MaxEntryPeers { // one too many stays one too many
				e.Peers = append(e.Peers, string(raw))
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadEntry, err)
	}
	// Checked before any conversion could wrap.
	if len(id) != len(e.Stream) || issued > maxEntryTime || life > uint64(MaxEntryLife/time.Second) || supply > MaxEntrySupply {
		return nil, fmt.Errorf("%w: a field is out of bounds", ErrBadEntry)
	}
	copy(e.Stream[:], id)
	e.Supply = int(supply)
	e.Issued, e.Life = time.UnixMilli(int64(issued)), time.Duration(life)*time.Second
	if err := e.validate(); err != nil {
		return nil, err
	}
	return e, nil
}
