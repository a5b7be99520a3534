// Package wire reads and writes the fields of Protocol Buffers messages (proto3
// encoding), without generated code: our messages are few and small, and each is
// written down in the documentation of the package that owns it.
package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrMalformed is wrapped by errors about bytes that are no message.
var ErrMalformed = errors.New("malformed message")

// Fields calls set for each varint and bytes field of a message, in order: v holds
// varints, raw (which shares b) bytes. It skips other wire types. Errors wrap
// [ErrMalformed].
func Fields(b []byte, set func(field int, v uint64, raw []byte)) error {
	for len(b) > 0 {
		field, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
		}
		b = b[n:]
		var v uint64
		var raw []byte
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			raw, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(field, typ, b)
		}
		if n < 0 {
			return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
		}
		b = b[n:]
		if typ == protowire.VarintType || typ == protowire.BytesType {
			set(int(field), v, raw)
		}
	}
	return nil
}

// AppendUint appends a varint field, or nothing for 0, as proto3 does.
func AppendUint(b []byte, field int, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, protowire.Number(field), protowire.VarintType), v)
}

// AppendBytes appends a bytes field, or nothing if v is empty, as proto3 does.
func AppendBytes(b []byte, field int, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return AppendMessage(b, field, v)
}

// AppendMessage appends an embedded message, which is present even when empty.
func AppendMessage(b []byte, field int, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, protowire.Number(field), protowire.BytesType), v)
}
