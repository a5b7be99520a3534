package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/grapevine-live/grapevine/stream"
)

func TestQRCode(t *testing.T) {
	link := stream.Link{Stream: stream.NewKey().ID(), Peers: []string{
		"/ip4/192.0.2.1/udp/4747/quic-v1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
	}}
	code, err := qrCode(link.String())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(code, "\n"), "\n")
	width := utf8.RuneCountInString(lines[0])
	modules := width - 2*quietZone
	// ISO/IEC 18004: 17 + 4 times the version modules a side.
	if (modules-17)%4 != 0 || modules > 80-2*quietZone {
		t.Errorf("%d modules a side", modules)
	}
	if want := (width + 1) / 2; len(lines) != want {
		t.Errorf("%d lines, want %d", len(lines), want)
	}
	for i, l := range lines {
		if utf8.RuneCountInString(l) != width {
			t.Errorf("line %d is %d wide", i, utf8.RuneCountInString(l))
		}
	}
	// The finder pattern in the corner, which tells a scanner where a code is.
	for i, want := range []string{"████ ▄▄▄▄▄ █", "████ █   █ █", "████ █▄▄▄█ █", "████▄▄▄▄▄▄▄█"} {
		if got := lines[quietZone/2+i]; !strings.HasPrefix(got, want) {
			t.Errorf("line %d begins %.40s", i, got)
		}
	}
	if _, err := qrCode(strings.Repeat("x", 3000)); err == nil {
		t.Error("a text too long for a QR code was drawn")
	}
}

func TestALinkThatIsTooLongForACodeIsNoError(t *testing.T) {
	var out strings.Builder
	scr := &screen{out: &out, width: func() int { return 80 }}
	scr.showCode(stream.Link{Stream: stream.NewKey().ID(), Peers: []string{strings.Repeat("x", 3000)}})
	if got := out.String(); got != "The link is too long for a QR code; pass it on as it is.\n" {
		t.Errorf("shown is %q", got)
	}
}
