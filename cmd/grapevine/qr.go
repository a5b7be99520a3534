package main

import (
	"fmt"
	"image/color"
	"strings"

	"github.com/boombuler/barcode/qr"

	"github.com/grapevine-live/grapevine/stream"
)

// quietZone is the empty border that scanners need (ISO/IEC 18004, section 9.1).
const quietZone = 4

// maxQRPeers is how many peers' addresses a QR code holds: with two it fits on a terminal
// of 45 lines.
const maxQRPeers = 2

// qrCode draws text as a QR code for a terminal, two modules a character. Light modules
// are drawn and dark ones left out, as most terminals are dark; scanners read both.
func qrCode(text string) (string, error) {
	// The lowest level of correction: a screen has no dirt, and a link is long.
	code, err := qr.Encode(text, qr.L, qr.Auto)
	if err != nil {
		return "", fmt.Errorf("draw the link as a QR code: %w", err)
	}
	size := code.Bounds().Dx()
	light := func(x, y int) bool {
		if y >= size+quietZone {
			return false // the half line below an odd number of rows
		}
		return x < 0 || y < 0 || x >= size || y >= size || code.At(x, y) == color.White
	}
	var b strings.Builder
	for y := -quietZone; y < size+quietZone; y += 2 {
		for x := -quietZone; x < size+quietZone; x++ {
			switch above, below := light(x, y), light(x, y+1); {
			case above && below:
				b.WriteRune('█')
			case above:
				b.WriteRune('▀')
			case below:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// showQR shows a link as a QR code if that is asked for.
func (s *session) showQR(asked bool, link stream.Link) {
	if !asked || s.screen.json {
		return
	}
	// A code of all addresses may be larger than the screen; the first are the best.
	link.Peers = link.Peers[:min(len(link.Peers), maxQRPeers)]
	s.screen.showCode(link)
}

// showCode shows a link as a QR code, if one can hold it: those of many trusted relays are too long.
func (s *screen) showCode(link stream.Link) {
	code, err := qrCode(link.String())
	if err != nil {
		s.say("The link is too long for a QR code; pass it on as it is.")
		return
	}
	s.say("%s", code)
}
