package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"filippo.io/age"
	"github.com/gofrs/flock"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
)

// defaultHomeText is how the help names what defaultHome returns.
const defaultHomeText = "the platform's directory for applications' data"

const (
	// homeVersion is that of the home's files: 1 had no version file, and no passphrase.
	homeVersion = 2
	versionFile = "version"
	// homeLock is held by all who use the home, or by one who changes all of it.
	homeLock = "home.lock"
)

// errHomeBusy says that another process uses the home, while it is to be changed as a whole.
var errHomeBusy = errors.New("another process uses it")

// home is the directory that keeps keys, epochs and locks; see the package's documentation.
type home struct {
	dir     string
	ask     askPassphrase // nil if there is no way to ask
	release func() error  // of the lock

	opened *age.X25519Identity // what opens the keys, once the passphrase was asked for
	notes  []string            // for the user to know
}

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

// openHome makes the directory unless it is there. An empty dir means the default. Others may
// use it at the same time; what they must not share has locks of its own.
func openHome(dir string, ask askPassphrase) (*home, error) {
	return enterHome(dir, ask, (*flock.Flock).TryRLock)
}

// openHomeAlone is openHome for who changes all of it: nobody else uses it meanwhile.
func openHomeAlone(dir string, ask askPassphrase) (*home, error) {
	return enterHome(dir, ask, (*flock.Flock).TryLock)
}

func enterHome(dir string, ask askPassphrase, try func(*flock.Flock) (bool, error)) (*home, error) {
	h, err := findHome(dir)
	if err != nil {
		return nil, err
	}
	h.ask = ask
	if err := os.MkdirAll(h.path("streams"), dirMode); err != nil {
		return nil, &homeError{h.dir, err}
	}
	lock := flock.New(h.path(homeLock), flock.SetPermissions(fileMode))
	if ok, err := try(lock); err != nil {
		return nil, &homeError{h.dir, err}
	} else if !ok {
		return nil, &homeError{h.dir, errHomeBusy}
	}
	h.release = lock.Close
	if err := h.upgrade(); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

// close lets go of the home.
func (h *home) close() error { return h.release() }

// tell says what the user should know of the home.
func (h *home) tell(scr *screen) {
	for _, note := range h.notes {
		scr.say("%s", note)
	}
	h.notes = nil
}

// tighten sees to it that nobody else on the machine can open what is at a path.
func (h *home) tighten(path string, mode fs.FileMode) {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0 {
		return // what is wrong shows when it is read; Windows has no such modes
	}
	if err := os.Chmod(path, mode); err != nil {
		h.notes = append(h.notes, fmt.Sprintf("Others on this machine may open %s, and that cannot be changed: %s.", path, system(err)))
		return
	}
	h.notes = append(h.notes, "Others on this machine could open "+path+"; they cannot any more.")
}

// versionError says that a newer program wrote the home.
type versionError struct{ version int }

func (e *versionError) Error() string {
	return fmt.Sprintf("its files are of version %d, and this program knows those up to %d", e.version, homeVersion)
}

// upgrade brings the home to this program's version.
func (h *home) upgrade() error {
	raw, err := os.ReadFile(h.path(versionFile))
	version := 1
	if err == nil {
		if version, err = strconv.Atoi(string(bytes.TrimSpace(raw))); err != nil || version < 1 {
			return &damagedError{h.path(versionFile), "version", "put it back from a backup; or, if no newer grapevine wrote this home, remove it, and it is made anew"}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return &homeError{h.dir, err}
	}
	switch {
	case version > homeVersion:
		return &homeError{h.dir, &versionError{version}}
	case version == homeVersion:
		return nil
	}
	// Of version 1 all is as it was; those who used it may have opened the directories.
	for _, dir := range []string{h.dir, h.path("streams")} {
		h.tighten(dir, dirMode)
	}
	return h.replace(fmt.Appendln(nil, homeVersion), versionFile)
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
	return &home{dir: dir}, nil
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

const (
	// awaitLockFor is how long to wait for another process that changes a file, and awaitLockPoll
	// how often to look.
	awaitLockFor  = 2 * time.Second
	awaitLockPoll = 10 * time.Millisecond
)

// awaitLock takes the lock with that name, for which it waits a while.
func (h *home) awaitLock(name string) (release func() error, err error) {
	for end := time.Now().Add(awaitLockFor); ; {
		release, ok, err := h.lock(name)
		switch {
		case err != nil:
			return nil, err
		case ok:
			return release, nil
		case time.Now().After(end):
			return nil, &homeError{h.dir, fmt.Errorf("another process keeps %s", name)}
		}
		time.Sleep(awaitLockPoll)
	}
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
	if err := publish(f.Name(), target); err != nil {
		return err
	}
	return syncDir(filepath.Dir(target))
}

// syncDir has a directory's new names outlive a power cut. Windows does that by itself, and
// some file systems know nothing of it.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
