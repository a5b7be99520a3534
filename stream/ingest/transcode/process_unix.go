//go:build unix

package transcode

import "syscall"

// ownGroup keeps a terminal's ctrl-c from ffmpeg: it shall finish what it has.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// hasPipes says whether a child can be given more files than the standard ones.
const hasPipes = true
