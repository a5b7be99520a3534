package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	dirMode  = 0o755
	fileMode = 0o644
)

// files are the few operations that change a disk. Tests have them fail.
type files interface {
	MkdirAll(dir string) error
	// Create makes a file that must not be there yet.
	Create(path string) (file, error)
	// Change opens a file to be written into.
	Change(path string) (file, error)
	Rename(from, to string) error
	Remove(path string) error
}

type file interface {
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// machine is the machine's own files.
type machine struct{}

func (machine) MkdirAll(dir string) error { return os.MkdirAll(dir, dirMode) }

func (machine) Create(path string) (file, error) {
	return openFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
}

func (machine) Change(path string) (file, error) { return openFile(path, os.O_WRONLY) }

func (machine) Rename(from, to string) error { return os.Rename(from, to) }
func (machine) Remove(path string) error     { return os.Remove(path) }

// openFile returns no interface around a nil pointer.
func openFile(path string, flags int) (file, error) {
	f, err := os.OpenFile(path, flags, fileMode)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// checkVersion reads which version of the format a directory has, and writes this one's into
// one that has none.
func checkVersion(fsys files, dir string) error {
	path := filepath.Join(dir, formatName)
	text, err := os.ReadFile(path)
	switch {
	case err == nil && string(text) == format:
		return nil
	case err == nil:
		return &VersionError{Dir: dir, Found: firstLine(text)}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	temp := path + ".new"
	_ = fsys.Remove(temp) // of a run that was killed
	f, err := fsys.Create(temp)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt([]byte(format), 0); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		_ = fsys.Remove(temp)
		return err
	}
	return fsys.Rename(temp, path)
}

// firstLine returns the start of a text, for a sentence.
func firstLine(text []byte) string {
	const most = 40
	for i, c := range text {
		if c == '\n' || i == most {
			return string(text[:i])
		}
	}
	return string(text)
}
