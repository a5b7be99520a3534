package record

import (
	"fmt"
	"io"
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
	// Create makes a file, or empties it.
	Create(path string) (file, error)
	Rename(from, to string) error
	Remove(path string) error
}

type file interface {
	io.Writer
	Sync() error
	// Truncate cuts the file, and lets what is written next follow there.
	Truncate(size int64) error
	Close() error
}

// disk is the machine's own.
type disk struct{}

func (disk) MkdirAll(dir string) error { return os.MkdirAll(dir, dirMode) }

func (disk) Create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (disk) Rename(from, to string) error { return os.Rename(from, to) }
func (disk) Remove(path string) error     { return os.Remove(path) }

type diskFile struct{ *os.File }

func (f diskFile) Truncate(size int64) error {
	if err := f.File.Truncate(size); err != nil {
		return err
	}
	_, err := f.Seek(size, io.SeekStart)
	return err
}

// replace writes a file, whole or not at all, even if the power fails. One goroutine
// at a time writes into a directory.
func replace(fs files, path string, data []byte) error {
	temp := filepath.Join(filepath.Dir(path), ".new")
	if err := writeNew(fs, temp, data); err != nil {
		_ = fs.Remove(temp) // it would keep room from what is tried next
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	if err := fs.Rename(temp, path); err != nil {
		_ = fs.Remove(temp)
		return err
	}
	return nil
}

func writeNew(fs files, path string, data []byte) error {
	f, err := fs.Create(path)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
