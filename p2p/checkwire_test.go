package p2p

import (
	"bytes"
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

func FuzzCheckMessages(f *testing.F) {
	f.Add(marshalCheck(3))
	f.Add(checked{seen: []byte{4, 127, 0, 0, 1}, clock: time.Unix(1, 2), upload: 3}.marshal())
	f.Add(marshalReceived(1, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := parseCheck(b); err == nil && n > maxCheckUpload {
			t.Errorf("%d bytes to send", n)
		}
		if c, err := parseChecked(b); err == nil && c.upload > maxCheckUpload {
			t.Errorf("%d bytes may be sent", c.upload)
		}
		if n, took, err := parseReceived(b); err == nil && (n > maxCheckUpload || took > 2*checkFor) {
			t.Errorf("%d bytes in %v", n, took)
		}
	})
}
