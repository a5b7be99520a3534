package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/grapevine-live/grapevine/stream/wire"
)

const (
	// MaxInvited bounds the invites that one answer tells of, and MaxInvitedName their names in bytes.
	MaxInvited     = 64
	MaxInvitedName = 64
	// answerBlock is what an answer's length is a multiple of before it is sealed, so that it tells
	// little, and maxAnswerPlain bounds it: 64 invites of 130 bytes.
	answerBlock    = 512
	maxAnswerPlain = 20 * answerBlock
	// MaxModerationAnswer bounds a serialised answer in bytes.
	MaxModerationAnswer = maxAnswerPlain + hpkeOverhead + 256 + maxDelegation
	// answerContext separates the signatures and seals of answers from whatever else the same keys
	// sign and seal.
	answerContext = "grapevine moderation answer v1\n"
)

// Invited is an invite as a moderator is told of it.
type Invited struct {
	Invite  InviteID
	Name    string  // what the broadcaster calls it, one line of at most MaxInvitedName bytes
	State   Refusal // RefusedRevoked, RefusedExpired, or 0 if it holds
	Expires time.Time
	Uses    int // viewers that it is for
	Viewers int // that came by it
}

// ModerationAnswer is what the broadcaster says to a moderation.
type ModerationAnswer struct {
	// Refusal is 0, or RefusedUnknown where there is no such invite.
	Refusal Refusal
	Total   int       // invites that there are
	Invited []Invited // some of them, or the one that was taken back
}

// SealedAnswer is an answer on its way, whose signature was checked and which only the moderator can
// open. It must not be changed.
type SealedAnswer struct {
	Of     ModerationID
	stream ID
	sealed []byte
	raw    []byte
	by     *Delegation
}

// Delegation returns what lets who answered broadcast the stream; nil if the stream's own key did.
func (a *SealedAnswer) Delegation() *Delegation { return a.by }

// Bytes returns the serialised answer and signature, to be passed on. They must not be changed.
func (a *SealedAnswer) Bytes() []byte { return a.raw }

// Field numbers of messages SignedAnswer, SealedAnswer, ModerationAnswer and Invited, see the
// package's documentation. SignedAnswer's are none of SignedModeration's, so that both can travel
// the same way.
const (
	fieldSignedAnswer    = 4
	fieldAnswerSignature = 5
	fieldAnswerBy        = 6

	fieldAnswerOf     = 1
	fieldAnswerSealed = 2

	fieldAnswerRefusal = 1
	fieldAnswerTotal   = 2
	fieldAnswerInvited = 3

	fieldInvitedName    = 1
	fieldInvitedInvite  = 2
	fieldInvitedState   = 3
	fieldInvitedExpires = 4
	fieldInvitedUses    = 5
	fieldInvitedViewers = 6
)

// IsModerationAnswer reports whether bytes that travel as a moderation are an answer instead.
func IsModerationAnswer(raw []byte) bool { return len(raw) > 0 && raw[0] == fieldSignedAnswer<<3|2 }

// Answer signs what the key, which broadcasts, says to a moderation, and seals it to the moderator.
// Errors wrap [ErrBadModeration] or [ErrDelegationRole].
func (k Key) Answer(m *SignedModeration, answer ModerationAnswer) (*SealedAnswer, error) {
	if m.Stream != k.ID() {
		return nil, fmt.Errorf("%w: of another stream", ErrBadModeration)
	}
	if err := errors.Join(answer.validate(), k.may(RoleBroadcast)); err != nil {
		return nil, err
	}
	body := answer.marshal()
	plain := make([]byte, (len(body)+2+answerBlock-1)/answerBlock*answerBlock)
	binary.BigEndian.PutUint16(plain, uint16(len(body)))
	copy(plain[2:], body)
	sealed, err := hpkeSeal(m.answer, answerInfo(m), plain)
	if err != nil {
		return nil, fmt.Errorf("%w: its answer's key is none: %w", ErrBadModeration, err)
	}
	a := &SealedAnswer{Of: m.ID(), stream: m.Stream, sealed: sealed, by: k.by}
	a.raw = a.marshal(k.signMessage(a.message()), delegationOf(k.by))
	return a, nil
}

func answerInfo(m *SignedModeration) []byte {
	of := m.ID()
	return append(append([]byte(answerContext), m.Stream[:]...), of[:]...)
}

// OpenModerationAnswer reads an answer that is on its way, and checks that the stream's key signed
// it, or one to which that delegated to broadcast, byte for byte. It keeps raw. Errors wrap
// [ErrBadModeration] or [ErrModerationForged].
func OpenModerationAnswer(id ID, raw []byte) (*SealedAnswer, error) {
	return openModerationAnswer(id, raw, OpenDelegation)
}

func openModerationAnswer(id ID, raw []byte, delegation func(ID, []byte) (*Delegation, error)) (*SealedAnswer, error) {
	if len(raw) > MaxModerationAnswer {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrBadModeration, len(raw), MaxModerationAnswer)
	}
	var body, signature, delegated, of []byte
	err := wire.Fields(raw, func(field int, _ uint64, v []byte) {
		switch field {
		case fieldSignedAnswer:
			body = v
		case fieldAnswerSignature:
			signature = v
		case fieldAnswerBy:
			delegated = v
		}
	})
	a := &SealedAnswer{stream: id, raw: raw}
	if err == nil {
		err = wire.Fields(body, func(field int, _ uint64, v []byte) {
			switch field {
			case fieldAnswerOf:
				of = v
			case fieldAnswerSealed:
				a.sealed = v
			}
		})
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrBadModeration, err)
	case len(of) != len(a.Of) || len(a.sealed) < hpkeOverhead || (len(a.sealed)-hpkeOverhead)%answerBlock != 0:
		return nil, fmt.Errorf("%w: a field of another length", ErrBadModeration)
	}
	a.Of = ModerationID(of)
	if !bytes.Equal(raw, a.marshal(signature, delegated)) {
		return nil, fmt.Errorf("%w: not written as answers are", ErrBadModeration)
	}
	switch a.by, err = openDelegated(id, delegated, RoleBroadcast, delegation); {
	case errors.Is(err, ErrBadDelegation):
		return nil, fmt.Errorf("%w: %w", ErrBadModeration, err)
	case err != nil:
		return nil, fmt.Errorf("%w: its answer: %w", ErrModerationForged, err)
	case !verify(id, a.by, a.message(), signature):
		return nil, fmt.Errorf("%w: its answer", ErrModerationForged)
	}
	return a, nil
}

// body is what is signed.
func (a *SealedAnswer) body() []byte {
	return wire.AppendBytes(wire.AppendBytes(nil, fieldAnswerOf, a.Of[:]), fieldAnswerSealed, a.sealed)
}

func (a *SealedAnswer) message() []byte {
	b := append([]byte(answerContext), a.stream[:]...)
	return append(b, a.body()...)
}

func (a *SealedAnswer) marshal(signature, delegation []byte) []byte {
	b := wire.AppendBytes(nil, fieldSignedAnswer, a.body())
	b = wire.AppendBytes(b, fieldAnswerSignature, signature)
	return wire.AppendBytes(b, fieldAnswerBy, delegation)
}

// Open opens the answer to a moderation. Errors wrap [ErrBadModeration].
func (k *ModeratorKey) Open(m *SignedModeration, a *SealedAnswer) (*ModerationAnswer, error) {
	plain, err := hpkeOpen(k.key, answerInfo(m), a.sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: the answer does not open: %w", ErrBadModeration, err)
	}
	return parseAnswer(plain)
}

// validate checks what every answer must obey, whether read or about to be signed.
func (a *ModerationAnswer) validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrBadModeration}, args...)...)
	}
	switch {
	case a.Refusal != 0 && a.Refusal != RefusedUnknown:
		return bad("refusal %d", a.Refusal)
	case a.Total < 0 || a.Total > MaxViewers || len(a.Invited) > MaxInvited:
		return bad("%d of %d invites", len(a.Invited), a.Total)
	}
	for i := range a.Invited {
		v := &a.Invited[i]
		switch {
		case v.Name == "" || len(v.Name) > MaxInvitedName || !utf8.ValidString(v.Name) || !oneLine(v.Name):
			return bad("an invite's name %q", v.Name)
		case v.Invite == InviteID{}:
			return bad("an invite without a key")
		case v.State != 0 && v.State != RefusedRevoked && v.State != RefusedExpired:
			return bad("an invite's state %d", v.State)
		case v.Expires.Unix() < 0 || v.Expires.Unix() > maxInviteTime:
			return bad("an invite until %v", v.Expires)
		case v.Uses < 1 || v.Uses > MaxViewers || v.Viewers < 0 || v.Viewers > v.Uses:
			return bad("%d of %d viewers", v.Viewers, v.Uses)
		}
	}
	return nil
}

// oneLine reports whether a text can be shown in a line of its own.
func oneLine(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// marshal serialises a valid answer.
func (a *ModerationAnswer) marshal() []byte {
	b := wire.AppendUint(nil, fieldAnswerRefusal, uint64(a.Refusal))
	b = wire.AppendUint(b, fieldAnswerTotal, uint64(a.Total))
	for i := range a.Invited {
		b = wire.AppendMessage(b, fieldAnswerInvited, a.Invited[i].marshal())
	}
	return b
}

func (v *Invited) marshal() []byte {
	b := wire.AppendBytes(nil, fieldInvitedName, []byte(v.Name))
	b = wire.AppendBytes(b, fieldInvitedInvite, v.Invite[:])
	b = wire.AppendUint(b, fieldInvitedState, uint64(v.State))
	b = wire.AppendUint(b, fieldInvitedExpires, uint64(v.Expires.Unix()))
	b = wire.AppendUint(b, fieldInvitedUses, uint64(v.Uses))
	return wire.AppendUint(b, fieldInvitedViewers, uint64(v.Viewers))
}

// parseAnswer reads what was sealed. Errors wrap [ErrBadModeration].
func parseAnswer(plain []byte) (*ModerationAnswer, error) {
	if len(plain) < 2 || len(plain) > maxAnswerPlain || int(binary.BigEndian.Uint16(plain)) > len(plain)-2 {
		return nil, fmt.Errorf("%w: an answer's length", ErrBadModeration)
	}
	body := plain[2:][:binary.BigEndian.Uint16(plain)]
	a := &ModerationAnswer{}
	var invited [][]byte
	var refusal, total uint64
	err := wire.Fields(body, func(field int, v uint64, raw []byte) {
		switch field {
		case fieldAnswerRefusal:
			refusal = v
		case fieldAnswerTotal:
			total = v
		case fieldAnswerInvited:
			invited = append(invited, raw)
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrBadModeration, err)
	case refusal > 0xff || total > MaxViewers || len(invited) > MaxInvited: // before a conversion could wrap
		return nil, fmt.Errorf("%w: a number is out of bounds", ErrBadModeration)
	}
	a.Refusal, a.Total = Refusal(refusal), int(total)
	for _, raw := range invited {
		v, err := parseInvited(raw)
		if err != nil {
			return nil, err
		}
		a.Invited = append(a.Invited, v)
	}
	if err := a.validate(); err != nil {
		return nil, err
	}
	return a, nil
}

func parseInvited(raw []byte) (v Invited, err error) {
	var name, invite []byte
	var state, expires, uses, viewers uint64
	err = wire.Fields(raw, func(field int, n uint64, b []byte) {
		switch field {
		case fieldInvitedName:
			name = b
		case fieldInvitedInvite:
			invite = b
		case fieldInvitedState:
			state = n
		case fieldInvitedExpires:
			expires = n
		case fieldInvitedUses:
			uses = n
		case fieldInvitedViewers:
			viewers = n
		}
	})
	switch {
	case err != nil:
		return v, fmt.Errorf("%w: %w", ErrBadModeration, err)
	case len(invite) != len(v.Invite) || state > 0xff || expires > maxInviteTime || uses > MaxViewers || viewers > MaxViewers:
		return v, fmt.Errorf("%w: an invite out of bounds", ErrBadModeration)
	}
	return Invited{
		Invite: InviteID(invite), Name: string(name), State: Refusal(state),
		Expires: time.Unix(int64(expires), 0).UTC(), Uses: int(uses), Viewers: int(viewers),
	}, nil
}
