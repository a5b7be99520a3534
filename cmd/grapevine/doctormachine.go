package main

import (
	"fmt"
	"os/exec"
)

const (
	// leastDisk is an hour of 4 Mbit/s, for who records, and leastFiles what a relay with as
	// many connections as it takes needs, with some for the rest.
	leastDisk  = 2 << 30
	leastFiles = 1024
)

// machineFacts are what a doctor knows of the machine itself.
type machineFacts struct {
	dir         string // the home directory
	free        int64  // bytes on its disk
	freeKnown   bool
	files       uint64 // that may be open at a time
	filesKnown  bool
	ffmpeg, vlc string // where they are, "" if they are not
}

func examineMachine(dir string) machineFacts {
	m := machineFacts{
		dir:    dir,
		ffmpeg: installed("ffmpeg"),
		vlc:    installed("vlc", "cvlc", "/Applications/VLC.app/Contents/MacOS/VLC", `C:\Program Files\VideoLAN\VLC\vlc.exe`),
	}
	m.free, m.freeKnown = freeDisk(dir)
	m.files, m.filesKnown = openFiles()
	return m
}

// installed returns the first of the programs that is there, "" if none is.
func installed(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func (m machineFacts) findings() []finding {
	return []finding{m.disk(), m.openFiles(), m.hasFFmpeg(), m.hasVLC()}
}

func (m machineFacts) disk() finding {
	left := "The disk of " + m.dir + " has " + formatBytes(m.free) + " left."
	switch {
	case !m.freeKnown:
		return finding{"disk", stateUntested, "How much room the disk has cannot be told on this system.", ""}
	case m.free < leastDisk:
		return finding{"disk", stateWarning, left, "make room before you record; nodes keep streams in memory and need none"}
	}
	return finding{"disk", stateOK, left, ""}
}

func (m machineFacts) openFiles() finding {
	switch {
	case !m.filesKnown:
		return finding{"files", stateUntested, "How many files and connections may be open cannot be told on this system.", ""}
	case m.files < leastFiles:
		return finding{"files", stateProblem, fmt.Sprintf("Only %d files and connections may be open at a time.", m.files),
			fmt.Sprintf("raise the limit: ulimit -n %d, or LimitNOFILE= of a systemd service", 4*leastFiles)}
	}
	return finding{"files", stateOK, fmt.Sprintf("%d files and connections may be open at a time.", m.files), ""}
}

func (m machineFacts) hasFFmpeg() finding {
	if m.ffmpeg == "" {
		return finding{"ffmpeg", stateWarning, "ffmpeg is not installed: files other than MPEG-TS, --encode and --slate need it.", "https://ffmpeg.org/download.html"}
	}
	return finding{"ffmpeg", stateOK, "ffmpeg is " + m.ffmpeg + ".", ""}
}

func (m machineFacts) hasVLC() finding {
	if m.vlc == "" {
		return finding{"vlc", stateWarning, "VLC was not found; any other player, or the node's page, shows streams as well.", "https://www.videolan.org/vlc/"}
	}
	return finding{"vlc", stateOK, "VLC is " + m.vlc + ".", ""}
}
