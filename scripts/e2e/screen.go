//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// glanceEvery is how often a screen is looked at.
const glanceEvery = 10 * time.Millisecond

// screen is an X display of the pictures' size without a monitor, whose memory is a file
// (XWDFile.h).
type screen struct {
	*process
	display string
	memory  *os.File
	start   int64 // of the pixels
	line    int64 // bytes
}

// screen starts one. Players need not be of the same user.
func (b *bench) screen(ctx context.Context) (*screen, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("screen-%d", len(b.processes)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	// It picks a free display itself, and tells when it is ready.
	told, tell, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer told.Close()
	cmd := exec.Command("Xvfb", "-displayfd", "3", "-ac", "-nolisten", "tcp",
		"-screen", "0", fmt.Sprintf("%dx%dx24", pictureWidth, pictureHeight), "-fbdir", dir)
	cmd.ExtraFiles = []*os.File{tell}
	s := &screen{}
	s.process, err = b.start("screen", cmd)
	tell.Close()
	if err != nil {
		return nil, err
	}
	go s.reap()
	if deadline, ok := ctx.Deadline(); ok {
		if err := told.SetReadDeadline(deadline); err != nil {
			return nil, err
		}
	}
	number, err := bufio.NewReader(told).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the screen does not say its display: %w", err)
	}
	s.display = ":" + strings.TrimSpace(number)
	if s.memory, err = os.Open(filepath.Join(dir, "Xvfb_screen0")); err != nil {
		return nil, err
	}
	b.cleanups = append(b.cleanups, func() { s.memory.Close() })
	var head [25]uint32
	raw := make([]byte, 4*len(head))
	if _, err := s.memory.ReadAt(raw, 0); err != nil {
		return nil, fmt.Errorf("read the screen's header: %w", err)
	}
	for i := range head {
		head[i] = binary.BigEndian.Uint32(raw[4*i:])
	}
	const size, depth, bytesPerLine, colours, colour = 0, 11, 12, 19, 12
	if head[depth] != 32 {
		return nil, fmt.Errorf("the screen has %d bits a pixel, want 32", head[depth])
	}
	s.start, s.line = int64(head[size]+colour*head[colours]), int64(head[bytesPerLine])
	return s, nil
}

// glance returns the stamp on the screen.
func (s *screen) glance() uint64 {
	return seeStamp(func(x, y int) byte {
		var pixel [1]byte // blue
		_, _ = s.memory.ReadAt(pixel[:], s.start+int64(y)*s.line+int64(x)*4)
		return pixel[0]
	})
}

// watch hands each new picture's age to see, until see is content.
func (s *screen) watch(ctx context.Context, p *process, see func(age time.Duration) (content bool)) error {
	ticker := time.NewTicker(glanceEvery)
	defer ticker.Stop()
	var last uint64
	for {
		stamp := s.glance()
		if age, ok := readStamp(stamp, time.Now()); ok && stamp != last {
			last = stamp
			if see(age) {
				return nil
			}
		}
		select {
		case <-ticker.C:
		case <-p.done:
			return fmt.Errorf("%s ended: %v", p.name, p.err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
