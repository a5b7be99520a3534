//go:build linux

package main

import (
	"math/bits"
	"time"
)

// Pictures of the camera carry the time at which they were taken as black and white
// fields, so large that they survive encoding: 32 bits of milliseconds and 8 that check
// them, row by row, the highest bit first. hlsjs.html reads the same.
const (
	pictureWidth, pictureHeight = 320, 180
	fieldWidth, fieldHeight     = 40, 32
	fieldColumns, fieldRows     = pictureWidth / fieldWidth, 5
	stampCheck                  = 0xa5

	black, white = 16, 235
)

// stampOf returns what a picture of a time says.
func stampOf(t time.Time) uint64 {
	ms := uint32(t.UnixMilli())
	return uint64(ms)<<8 | uint64(checkOf(ms))
}

func checkOf(ms uint32) uint8 {
	return uint8(ms) ^ uint8(ms>>8) ^ uint8(ms>>16) ^ uint8(ms>>24) ^ stampCheck
}

// readStamp returns how old a picture with that stamp is, and whether it is one.
func readStamp(stamp uint64, now time.Time) (time.Duration, bool) {
	ms := uint32(stamp >> 8)
	if checkOf(ms) != uint8(stamp) || bits.Len64(stamp) > 40 {
		return 0, false
	}
	age := time.Duration(int32(uint32(now.UnixMilli())-ms)) * time.Millisecond
	return age, age >= 0
}

// drawStamp draws a grey picture.
func drawStamp(picture []byte, stamp uint64) {
	for i := range picture {
		picture[i] = black
	}
	for n := range fieldColumns * fieldRows {
		if stamp>>(fieldColumns*fieldRows-1-n)&1 == 0 {
			continue
		}
		x, y := n%fieldColumns*fieldWidth, n/fieldColumns*fieldHeight
		for row := y; row < y+fieldHeight; row++ {
			line := picture[row*pictureWidth+x:]
			for i := range fieldWidth {
				line[i] = white
			}
		}
	}
}

// seeStamp reads a picture, of which brightness returns the pixel at a place.
func seeStamp(brightness func(x, y int) byte) (stamp uint64) {
	for n := range fieldColumns * fieldRows {
		stamp <<= 1
		if brightness(n%fieldColumns*fieldWidth+fieldWidth/2, n/fieldColumns*fieldHeight+fieldHeight/2) >= (black+white)/2 {
			stamp |= 1
		}
	}
	return stamp
}
