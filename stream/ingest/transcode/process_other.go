//go:build !unix

package transcode

import "syscall"

func ownGroup() *syscall.SysProcAttr { return nil }

// hasPipes says whether a child can be given more files than the standard ones.
const hasPipes = false
