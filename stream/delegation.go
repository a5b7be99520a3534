package stream

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/grapevine-live/grapevine/stream/wire"
)

const (
	// MaxDelegation bounds for how long a key may be delegated to, from its beginning to its end.
	MaxDelegation = 366 * 24 * time.Hour
	// DelegationSkew is how far this node's clock may be off where a delegation begins and ends:
	// what is live is refused so long after its end at the latest.
	DelegationSkew = 5 * time.Minute
	// maxDelegation bounds a serialised delegation in bytes.
	maxDelegation     = 160
	maxDelegationTime = maxProgramTime / 1_000_000
	// delegationContext separates the signatures of delegations from whatever else the key signs.
	delegationContext = "grapevine delegation v1\n"
	// delegationText begins a delegation that is written for people.
	delegationText = "grapevine-delegation"
)

var (
	// ErrBadDelegation is wrapped by errors about what is no delegation.
	ErrBadDelegation = errors.New("malformed delegation")
	// ErrDelegationForged is wrapped by errors about delegations that the stream's key did not
	// sign.
	ErrDelegationForged = errors.New("delegation not signed by the stream's key")
	// ErrDelegationRole is wrapped by errors about what a delegate may not do.
	ErrDelegationRole = errors.New("not what the delegation is for")
	// ErrDelegationTime is wrapped by errors about what a delegate did or would do before its
	// delegation begins or after it ended.
	ErrDelegationTime = errors.New("the delegation is of another time")
	// ErrRevoked is wrapped by errors about what a delegate signed that the stream's key has
	// revoked.
	ErrRevoked = errors.New("signed by a key that was revoked")
)

// Role is what a delegation lets a key do.
type Role uint8

const (
	// RoleBroadcast lets a key publish the stream: sign its headers, its directory entries, the
	// origins and the list of trusted relays of its links, and invites.
	RoleBroadcast Role = 1
	// RoleModerator lets a key see who is invited to a private stream, and take invites back.
	RoleModerator Role = 2
	// RoleRelay lets the node of a key be a trusted relay. It signs nothing.
	RoleRelay Role = 3
)

// roleNames are the roles that there are.
var roleNames = map[Role]string{RoleBroadcast: "broadcast", RoleModerator: "moderator", RoleRelay: "relay"}

// String returns the role's name, as commands take it.
func (r Role) String() string {
	if name, ok := roleNames[r]; ok {
		return name
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// ParseRole reads what [Role.String] writes. Errors wrap [ErrBadDelegation].
func ParseRole(s string) (Role, error) {
	for r, name := range roleNames {
		if s == name {
			return r, nil
		}
	}
	return 0, fmt.Errorf("%w: there is no role %q", ErrBadDelegation, s)
}

// Delegation is a stream's key's word that another key may act for it, for a while. It was
// verified, and must not be changed.
type Delegation struct {
	Stream    ID
	Delegate  ID // the other key's public half
	Role      Role
	NotBefore time.Time // whole seconds
	NotAfter  time.Time // whole seconds
	raw       []byte
}

// Field numbers of message Delegation, see the package's documentation.
const (
	fieldDelegate = iota + 1
	fieldDelegateRole
	fieldDelegateFrom
	fieldDelegateUntil
	fieldDelegateSign
)

// Delegate lets another key act for the key's stream, from a time on and until another.
// Errors wrap [ErrBadDelegation], or [ErrDelegationRole] if the key itself is a delegate.
func (k Key) Delegate(to ID, role Role, from, until time.Time) (*Delegation, error) {
	if k.by != nil {
		return nil, fmt.Errorf("%w: only the stream's own key delegates", ErrDelegationRole)
	}
	d := &Delegation{Stream: k.ID(), Delegate: to, Role: role, NotBefore: from.UTC().Truncate(time.Second), NotAfter: until.UTC().Truncate(time.Second)}
	if err := d.validate(); err != nil {
		return nil, err
	}
	d.raw = wire.AppendBytes(d.body(), fieldDelegateSign, ed25519.Sign(k.private, d.message()))
	return d, nil
}

// OpenDelegation reads a delegation, and checks that the stream's key signed it, byte for byte.
// It keeps raw. Errors wrap [ErrBadDelegation] or [ErrDelegationForged]. Whether it holds now, and
// was not revoked, is for who uses it.
func OpenDelegation(id ID, raw []byte) (*Delegation, error) {
	if len(raw) > maxDelegation {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrBadDelegation, len(raw), maxDelegation)
	}
	var delegate, signature []byte
	var role, from, until uint64
	err := wire.Fields(raw, func(field int, v uint64, b []byte) {
		switch field {
		case fieldDelegate:
			delegate = b
		case fieldDelegateRole:
			role = v
		case fieldDelegateFrom:
			from = v
		case fieldDelegateUntil:
			until = v
		case fieldDelegateSign:
			signature = b
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrBadDelegation, err)
	case len(delegate) != len(ID{}) || len(signature) != ed25519.SignatureSize:
		return nil, fmt.Errorf("%w: a key or a signature of another length", ErrBadDelegation)
	case role > 0xff || from > maxDelegationTime || until > maxDelegationTime: // before a conversion could wrap
		return nil, fmt.Errorf("%w: a number is out of bounds", ErrBadDelegation)
	}
	d := &Delegation{
		Stream: id, Delegate: ID(delegate), Role: Role(role),
		NotBefore: time.Unix(int64(from), 0).UTC(), NotAfter: time.Unix(int64(until), 0).UTC(), raw: raw,
	}
	if err := d.validate(); err != nil {
		return nil, err
	}
	// One delegation has one way to be written, as what carries it has.
	if !bytes.Equal(raw, wire.AppendBytes(d.body(), fieldDelegateSign, signature)) {
		return nil, fmt.Errorf("%w: not written as delegations are", ErrBadDelegation)
	}
	if !ed25519.Verify(id[:], d.message(), signature) {
		return nil, fmt.Errorf("%w: %s", ErrDelegationForged, id.Short())
	}
	return d, nil
}

// validate checks what every delegation must obey, whether read or about to be signed.
func (d *Delegation) validate() error {
	switch {
	case roleNames[d.Role] == "":
		return fmt.Errorf("%w: %v", ErrBadDelegation, d.Role)
	case d.Delegate == d.Stream:
		return fmt.Errorf("%w: to the stream's own key", ErrBadDelegation)
	case d.NotBefore.Unix() < 0 || d.NotAfter.Unix() > maxDelegationTime || !d.NotBefore.Before(d.NotAfter):
		return fmt.Errorf("%w: from %v until %v", ErrBadDelegation, d.NotBefore, d.NotAfter)
	case d.NotAfter.Sub(d.NotBefore) > MaxDelegation:
		return fmt.Errorf("%w: for more than %v", ErrBadDelegation, MaxDelegation)
	}
	return nil
}

// body is what is signed.
func (d *Delegation) body() []byte {
	b := make([]byte, 0, maxDelegation)
	b = wire.AppendBytes(b, fieldDelegate, d.Delegate[:])
	b = wire.AppendUint(b, fieldDelegateRole, uint64(d.Role))
	b = wire.AppendUint(b, fieldDelegateFrom, uint64(d.NotBefore.Unix()))
	return wire.AppendUint(b, fieldDelegateUntil, uint64(d.NotAfter.Unix()))
}

func (d *Delegation) message() []byte {
	m := append([]byte(delegationContext), d.Stream[:]...)
	return append(m, d.body()...)
}

// String writes the delegation for people to pass on: "grapevine-delegation", the stream's ID and
// the delegation in base64url without padding, with spaces between them.
func (d *Delegation) String() string {
	return delegationText + " " + d.Stream.String() + " " + base64.RawURLEncoding.EncodeToString(d.raw)
}

// ParseDelegation reads what [Delegation.String] writes, as [OpenDelegation] does.
func ParseDelegation(s string) (*Delegation, error) {
	id, raw, err := parseRoleText(delegationText, s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadDelegation, err)
	}
	return OpenDelegation(id, raw)
}

// errRoleText says that a text was cut, or is another one.
var errRoleText = errors.New("it was cut, or changed")

// parseRoleText reads a line of a kind, a stream's ID and bytes.
func parseRoleText(kind, s string) (id ID, raw []byte, err error) {
	words := strings.Fields(s)
	if len(words) != 3 || words[0] != kind {
		return id, nil, errRoleText
	}
	if id, err = ParseID(words[1]); err != nil {
		return id, nil, err
	}
	if raw, err = base64.RawURLEncoding.DecodeString(words[2]); err != nil {
		return id, nil, errRoleText
	}
	return id, raw, nil
}

// HoldsAt reports whether the delegation holds at a time of this node's clock, which may be
// [DelegationSkew] off. Errors wrap [ErrDelegationTime].
func (d *Delegation) HoldsAt(now time.Time) error {
	switch {
	case now.Before(d.NotBefore.Add(-DelegationSkew)):
		return fmt.Errorf("%w: it begins at %v", ErrDelegationTime, d.NotBefore)
	case now.After(d.NotAfter.Add(DelegationSkew)):
		return fmt.Errorf("%w: it ended at %v", ErrDelegationTime, d.NotAfter)
	}
	return nil
}

// covers checks that a header is one that the delegate may sign: its programme time is within the
// delegation, and so is its epoch, in milliseconds since 1970, not after it. So whoever has the
// key of one that ended can only tell of before.
func (d *Delegation) covers(h *Header) error {
	switch {
	case h.ProgramTime.Before(d.NotBefore) || h.ProgramTime.After(d.NotAfter):
		return fmt.Errorf("%w: part %v is of %v", ErrDelegationTime, h.Position, h.ProgramTime.UTC())
	case h.Epoch > uint64(d.NotAfter.UnixMilli()):
		return fmt.Errorf("%w: epoch %d", ErrDelegationTime, h.Epoch)
	}
	return nil
}

// Under returns a key that acts for the stream of a delegation: its ID is that stream, and all that
// it signs carries the delegation. Errors wrap [ErrDelegationRole]: the delegation is to another key,
// or a relay's, which signs nothing.
func (k Key) Under(d *Delegation) (Key, error) {
	if public := (Key{private: k.private}).ID(); d.Delegate != public {
		return Key{}, fmt.Errorf("%w: it is for the key %s, and this is %s", ErrDelegationRole, d.Delegate, public)
	}
	if d.Role == RoleRelay {
		return Key{}, fmt.Errorf("%w: its role is %v", ErrDelegationRole, d.Role)
	}
	return Key{k.private, d}, nil
}

// may checks that the key may sign what is a role's to sign, as the stream's own key may all. Errors
// wrap [ErrDelegationRole].
func (k Key) may(role Role) error {
	if k.by == nil {
		return nil
	}
	return k.by.is(role)
}

// is checks that the delegation is of a role. Errors wrap [ErrDelegationRole].
func (d *Delegation) is(role Role) error {
	if d.Role != role {
		return fmt.Errorf("%w: its role is %v, and this is for %v", ErrDelegationRole, d.Role, role)
	}
	return nil
}

// Delegation returns what lets the key act for its stream; nil for the stream's own key.
func (k Key) Delegation() *Delegation { return k.by }
