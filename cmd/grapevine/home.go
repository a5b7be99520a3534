package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gofrs/flock"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
)

// defaultHomeText is how the help names what defaultHome returns.
const defaultHomeText = "the platform's directory for applications' data"

// home is the directory that keeps keys, epochs and locks; see the package's documentation.
type home struct{ dir string }

// defaultHome returns the home directory by the platform's convention.
func defaultHome() (string, error) {
	switch runtime.GOOS {
	case "windows": // %LocalAppData%: keys do not roam
		dir, err := os.UserCacheDir()
		return filepath.Join(dir, "grapevine"), err
	case "darwin", "ios":
		dir, err := os.UserConfigDir() // ~/Library/Application Support
		return filepath.Join(dir, "grapevine"), err
	}
	// XDG Base Directory Specification: keys are data, neither configuration nor
	// state that one could lose. A relative path is to be ignored.
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "grapevine"), nil
	}
	dir, err := os.UserHomeDir()
	return filepath.Join(dir, ".local", "share", "grapevine"), err
}

// openHome makes the directory unless it is there. An empty dir means the default.
func openHome(dir string) (*home, error) {
	h, err := findHome(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(h.path("streams"), dirMode); err != nil {
		return nil, &homeError{h.dir, err}
	}
	return h, nil
}

// findHome is openHome for who only looks whether something is there.
func findHome(dir string) (*home, error) {
	if dir == "" {
		var err error
		if dir, err = defaultHome(); err != nil {
			return nil, &homeError{"(default)", err}
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, &homeError{dir, err}
	}
	return &home{dir}, nil
}

func (h *home) path(name ...string) string {
	return filepath.Join(append([]string{h.dir}, name...)...)
}

// lock takes the lock with that name, or reports false if another process has it.
// The system releases it if the process dies.
func (h *home) lock(name ...string) (release func() error, ok bool, err error) {
	l := flock.New(h.path(name...), flock.SetPermissions(fileMode))
	ok, err = l.TryLock()
	if err != nil {
		return nil, false, &homeError{h.dir, err}
	}
	return l.Close, ok, nil
}

// create writes a file that must not be there yet, whole or not at all. It returns
// fs.ErrExist if somebody else was first.
func (h *home) create(data []byte, name ...string) error {
	return h.write(data, os.Link, name...)
}

// replace writes a file, whole or not at all.
func (h *home) replace(data []byte, name ...string) error {
	return h.write(data, os.Rename, name...)
}

func (h *home) write(data []byte, publish func(from, to string) error, name ...string) (err error) {
	defer func() {
		if err != nil && !errors.Is(err, fs.ErrExist) {
			err = &homeError{h.dir, err}
		}
	}()
	target := h.path(name...)
	// CreateTemp makes files 0600.
	f, err := os.CreateTemp(filepath.Dir(target), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already if it was renamed
	_, err = f.Write(data)
	// What was promised must outlive a power cut: an epoch that is used twice is lost.
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return publish(f.Name(), target)
}
