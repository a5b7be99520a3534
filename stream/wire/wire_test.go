package wire

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

func TestFieldsReadWhatAppendWrites(t *testing.T) {
	b := AppendUint(nil, 1, 0) // left out
	b = AppendUint(b, 2, 300)
	b = AppendBytes(b, 3, nil) // left out
	b = AppendBytes(b, 4, []byte("grape"))
	b = AppendMessage(b, 5, nil) // kept
	b = protowire.AppendFixed32(protowire.AppendTag(b, 6, protowire.Fixed32Type), 7)
	b = AppendUint(b, 7, 1)

	type field struct {
		number int
		v      uint64
		raw    string
	}
	var got []field
	if err := Fields(b, func(n int, v uint64, raw []byte) { got = append(got, field{n, v, string(raw)}) }); err != nil {
		t.Fatal(err)
	}
	want := []field{{2, 300, ""}, {4, 0, "grape"}, {5, 0, ""}, {7, 1, ""}}
	if len(got) != len(want) {
		t.Fatalf("fields = %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("field %d = %v, want %v", i, got[i], want[i])
		}
	}
	for n := range b {
		err := Fields(b[:n], func(int, uint64, []byte) {})
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("cut at %d: error %v does not wrap ErrMalformed", n, err)
		}
	}
}

func FuzzFields(f *testing.F) {
	f.Add(AppendBytes(AppendUint(nil, 1, 9), 2, []byte("x")))
	f.Add([]byte{0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		rewrite := func(b []byte) (out []byte, err error) {
			err = Fields(b, func(n int, v uint64, raw []byte) {
				if raw == nil {
					out = protowire.AppendVarint(protowire.AppendTag(out, protowire.Number(n), protowire.VarintType), v)
				} else {
					out = AppendMessage(out, n, raw)
				}
			})
			return out, err
		}
		once, err := rewrite(b)
		if err != nil {
			return
		}
		if twice, err := rewrite(once); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("not stable: %x, %x, %v", once, twice, err)
		}
	})
}
