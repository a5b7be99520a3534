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

func TestFieldsRefusesWhatIsNoMessage(t *testing.T) {
	for name, b := range map[string][]byte{
		"a tag cut short":                 {0x80},
		"field 0":                         {0x00, 1},
		"field 2^31":                      {0x80, 0x80, 0x80, 0x80, 0x40, 1},
		"a varint cut short":              {0x08, 0x80},
		"a varint of more than 64 bits":   {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2},
		"a varint of 11 bytes":            {0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0},
		"bytes cut short":                 {0x12, 3, 'a', 'b'},
		"bytes of almost 2^64":            {0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"four bytes cut short":            {0x0d, 1, 2, 3},
		"eight bytes cut short":           {0x09, 1, 2, 3, 4, 5, 6, 7},
		"a group without end":             {0x0b, 0x10, 1},
		"a group's end without a group":   {0x0c},
		"a group that ends as another":    {0x0b, 0x14},
		"a wire type that does not exist": {0x0e, 1},
	} {
		if err := Fields(b, func(int, uint64, []byte) {}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v, want one that wraps ErrMalformed", name, err)
		}
	}
}

func TestFieldsSkipsOtherWireTypes(t *testing.T) {
	b := []byte{0x0d, 1, 2, 3, 4}                     // field 1, four bytes
	b = append(b, 0x11, 1, 2, 3, 4, 5, 6, 7, 8)       // field 2, eight bytes
	b = append(b, 0x1b, 0x20, 5, 0x2b, 0x2c, 0x1c)    // field 3, a group that holds another
	b = AppendUint(b, 6, 1<<64-1)                     // kept
	b = AppendBytes(AppendUint(b, 7, 1), 7, []byte{}) // once: no bytes are left out
	var got []int
	if err := Fields(b, func(n int, _ uint64, _ []byte) { got = append(got, n) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0] != 6 || got[1] != 7 {
		t.Errorf("fields %v, want 6 and 7", got)
	}
}

func TestFieldsSharesTheMessage(t *testing.T) {
	b := AppendBytes(nil, 1, []byte("grape"))
	if err := Fields(b, func(_ int, _ uint64, raw []byte) { raw[0] = 'G' }); err != nil || string(b[2:]) != "Grape" {
		t.Errorf("message %q, %v, want its bytes handed out uncopied", b[2:], err)
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
