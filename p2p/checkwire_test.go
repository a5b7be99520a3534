package p2p

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

func TestCheckMessages(t *testing.T) {
	if n, err := parseCheck(marshalCheck(1 << 40)); err != nil || n != maxCheckUpload {
		t.Errorf("upload %d, %v; want it cut to %d", n, err, maxCheckUpload)
	}
	in := checked{seen: []byte{4, 127, 0, 0, 1}, clock: time.Unix(1_700_000_000, 5), upload: 7}
	out, err := parseChecked(in.marshal())
	if err != nil || !bytes.Equal(out.seen, in.seen) || !out.clock.Equal(in.clock) || out.upload != in.upload {
		t.Errorf("%+v became %+v: %v", in, out, err)
	}
	if n, took, err := parseReceived(marshalReceived(9, time.Second)); err != nil || n != 9 || took != time.Second {
		t.Errorf("9 bytes in 1s became %d in %v: %v", n, took, err)
	}
}

func TestDialledAnswers(t *testing.T) {
	// As libp2p's AutoNAT v2 writes them: status, the address's index, outcome.
	for _, c := range []struct {
		name    string
		answer  []byte
		reached bool
		err     error
	}{
		{"spoken to", []byte{0x12, 6, 0x08, 0xc8, 0x01, 0x18, 0xc8, 0x01}, true, nil},
		{"connected", []byte{0x12, 5, 0x08, 0xc8, 0x01, 0x18, 0x65}, true, nil},
		{"not connected", []byte{0x12, 5, 0x08, 0xc8, 0x01, 0x18, 0x64}, false, nil},
		{"refused", []byte{0x12, 2, 0x08, 0x65}, false, ErrNotDialled},
		{"asked too often", []byte{0x12, 2, 0x08, 0x64}, false, ErrNotDialled},
		{"a failure of its own", []byte{0x12, 0}, false, ErrNotDialled},
		{"asked for data first", []byte{0x1a, 2, 0x10, 0x01}, false, ErrNotDialled},
		{"cut off", []byte{0x12, 9, 0x08}, false, errWire},
		{"cut off within", []byte{0x12, 1, 0x08}, false, errWire},
	} {
		if reached, err := parseDialled(c.answer); reached != c.reached || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %v", c.name, reached, err)
		}
	}
}

func FuzzCheckMessages(f *testing.F) {
	f.Add(marshalCheck(3))
	f.Add(checked{seen: []byte{4, 127, 0, 0, 1}, clock: time.Unix(1, 2), upload: 3}.marshal())
	f.Add(marshalReceived(1, 2))
	f.Add([]byte{0x12, 5, 0x08, 0xc8, 0x01, 0x18, 0x64})
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := parseCheck(b); err == nil && n > maxCheckUpload {
			t.Errorf("%d bytes to send", n)
		}
		if c, err := parseChecked(b); err == nil && c.upload > maxCheckUpload {
			t.Errorf("%d bytes may be sent", c.upload)
		}
		if reached, err := parseDialled(b); err != nil && reached {
			t.Errorf("reached, and %v", err)
		}
		if n, took, err := parseReceived(b); err == nil && (n > maxCheckUpload || took > 2*checkFor) {
			t.Errorf("%d bytes in %v", n, took)
		}
	})
}
