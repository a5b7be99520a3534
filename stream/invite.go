package stream

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-live/grapevine/stream/wire"
)

const (
	// grantContext and enrolmentContext separate what invites are about from whatever else the
	// same keys sign.
	grantContext     = "grapevine invite v1\n"
	enrolmentContext = "grapevine enrolment v1\n"
	// maxInvite bounds an invite in bytes, maxInviteTime when it expires: the year 9999.
	maxInvite     = 256 + maxDelegation
	maxInviteTime = maxProgramTime / 1_000_000
)

var (
	// ErrBadInvite is wrapped by errors about what is no invite.
	ErrBadInvite = errors.New("malformed invite")
	// ErrInviteForged says that neither the stream's key signed an invite nor one to which it
	// delegated that.
	ErrInviteForged = errors.New("the invite is not signed by the stream's broadcaster")
)

// InviteID is an invite's Ed25519 public key.
type InviteID [ed25519.PublicKeySize]byte

// String writes the ID in base64url without padding, 43 characters.
func (i InviteID) String() string { return base64.RawURLEncoding.EncodeToString(i[:]) }

// ParseInviteID reads what [InviteID.String] writes. Errors wrap [ErrBadInvite].
func ParseInviteID(s string) (i InviteID, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) != len(i) {
		return i, fmt.Errorf("%w: %q", ErrBadInvite, s)
	}
	return InviteID(raw), nil
}

// Grant is the public half of an invite, which the broadcaster signs: that who has its key may
// enrol that many viewers until it expires. Relays check enrolments by it.
type Grant struct {
	Stream    ID
	Invite    InviteID
	Expires   time.Time // whole seconds
	Uses      int       // viewers, at most MaxViewers
	Confined  bool      // to trusted relays: a link that names none is not the broadcaster's
	enrol     [32]byte  // the broadcaster's X25519 key for enrolments
	signature []byte
	by        *Delegation
}

// Delegation returns what let another key sign the grant; nil if the stream's own key did.
func (g *Grant) Delegation() *Delegation { return g.by }

// Field numbers of messages Grant and Invite, see the package's documentation.
const (
	fieldGrantInvite  = 1
	fieldGrantExpires = 2
	fieldGrantUses    = 3
	fieldGrantEnrol   = 4
	fieldGrantSign    = 5
	fieldInviteSecret = 6
	fieldGrantFlags   = 7
	fieldGrantBy      = 8

	grantConfined = 1 // a flag
)

// body is what is signed.
func (g *Grant) body() []byte {
	b := wire.AppendBytes(nil, fieldGrantInvite, g.Invite[:])
	b = wire.AppendUint(b, fieldGrantExpires, uint64(g.Expires.Unix()))
	b = wire.AppendUint(b, fieldGrantUses, uint64(g.Uses))
	b = wire.AppendBytes(b, fieldGrantEnrol, g.enrol[:])
	return wire.AppendUint(b, fieldGrantFlags, g.flags())
}

func (g *Grant) flags() uint64 {
	if g.Confined {
		return grantConfined
	}
	return 0
}

func (g *Grant) message() []byte {
	m := append([]byte(grantContext), g.Stream[:]...)
	return append(m, g.body()...)
}

func (g *Grant) marshal() []byte {
	b := wire.AppendBytes(g.body(), fieldGrantSign, g.signature)
	return wire.AppendBytes(b, fieldGrantBy, delegationOf(g.by))
}

// parseGrant reads a grant, and checks that the stream's key signed it, or one to which that
// delegated it.
func parseGrant(id ID, raw []byte, delegation func(ID, []byte) (*Delegation, error)) (*Grant, error) {
	g := &Grant{Stream: id}
	var invite, enrol, delegated []byte
	var expires, uses, flags uint64
	err := wire.Fields(raw, func(field int, v uint64, raw []byte) {
		switch field {
		case fieldGrantInvite:
			invite = raw
		case fieldGrantExpires:
			expires = v
		case fieldGrantUses:
			uses = v
		case fieldGrantEnrol:
			enrol = raw
		case fieldGrantSign:
			g.signature = raw
		case fieldGrantFlags:
			flags = v
		case fieldGrantBy:
			delegated = raw
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrBadInvite, err)
	case len(invite) != len(g.Invite) || len(enrol) != len(g.enrol) || len(g.signature) != ed25519.SignatureSize:
		return nil, fmt.Errorf("%w: a key or a signature of another length", ErrBadInvite)
	case expires > maxInviteTime || uses < 1 || uses > MaxViewers || flags > grantConfined:
		return nil, fmt.Errorf("%w: for %d viewers until %d", ErrBadInvite, uses, expires)
	}
	g.Invite, g.enrol = InviteID(invite), [32]byte(enrol)
	g.Expires, g.Uses, g.Confined = time.Unix(int64(expires), 0), int(uses), flags&grantConfined != 0
	switch g.by, err = openDelegated(id, delegated, RoleBroadcast, delegation); {
	case errors.Is(err, ErrBadDelegation):
		return nil, fmt.Errorf("%w: %w", ErrBadInvite, err)
	case err != nil, !verify(id, g.by, g.message(), g.signature):
		return nil, ErrInviteForged
	}
	return g, nil
}

// Invite lets whoever has it enrol as a viewer of a private stream. It is a secret.
type Invite struct {
	Grant
	secret ed25519.PrivateKey
}

// NewInvite makes an invite to the key's stream for so many viewers, who are confined to its
// trusted relays or not. Errors wrap [ErrBadInvite] or [ErrDelegationRole].
func (k Key) NewInvite(expires time.Time, uses int, confined bool) (*Invite, error) {
	if uses < 1 || uses > MaxViewers || expires.Unix() < 0 || expires.Unix() > maxInviteTime {
		return nil, fmt.Errorf("%w: for %d viewers until %v", ErrBadInvite, uses, expires)
	}
	if err := k.may(RoleBroadcast); err != nil {
		return nil, err
	}
	public, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an invite's key: %w", err)
	}
	i := &Invite{Grant{Stream: k.ID(), Invite: InviteID(public), Expires: expires.Truncate(time.Second), Uses: uses, Confined: confined, by: k.by}, secret}
	_, i.enrol = k.enrolKey()
	i.signature = k.signMessage(i.message())
	return i, nil
}

// String writes the invite as links carry it, in base64url without padding.
func (i *Invite) String() string {
	// Its public key follows from the secret one.
	b := wire.AppendUint(nil, fieldGrantExpires, uint64(i.Expires.Unix()))
	b = wire.AppendUint(b, fieldGrantUses, uint64(i.Uses))
	b = wire.AppendBytes(b, fieldGrantEnrol, i.enrol[:])
	b = wire.AppendBytes(b, fieldGrantSign, i.signature)
	b = wire.AppendBytes(b, fieldInviteSecret, i.secret.Seed())
	b = wire.AppendUint(b, fieldGrantFlags, i.flags())
	b = wire.AppendBytes(b, fieldGrantBy, delegationOf(i.by))
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseInvite reads what [Invite.String] writes, and checks that the stream's key signed it, or one
// to which that delegated it.
// Errors wrap [ErrBadInvite] or [ErrInviteForged].
func ParseInvite(id ID, s string) (*Invite, error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) > maxInvite {
		return nil, fmt.Errorf("%w: it was cut, or changed", ErrBadInvite)
	}
	var seed []byte
	err = wire.Fields(raw, func(field int, _ uint64, v []byte) {
		if field == fieldInviteSecret {
			seed = v
		}
	})
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%w: it was cut, or changed", ErrBadInvite)
	}
	secret := ed25519.NewKeyFromSeed(seed)
	public := secret.Public().(ed25519.PublicKey)
	g, err := parseGrant(id, append(wire.AppendBytes(nil, fieldGrantInvite, public), raw...), OpenDelegation)
	if err != nil {
		return nil, err
	}
	return &Invite{*g, secret}, nil
}
