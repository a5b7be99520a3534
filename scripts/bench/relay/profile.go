//go:build linux

package main

import (
	"errors"
	"os"
	"runtime/pprof"
)

// profile is a CPU profile of this process, and one of its heap when it stops.
type profile struct{ file *os.File }

func (p *profile) start(name string) (err error) {
	if p.file, err = os.Create(name); err != nil {
		return err
	}
	return pprof.StartCPUProfile(p.file)
}

func (p *profile) stop() error {
	if p.file == nil {
		return nil
	}
	pprof.StopCPUProfile()
	heap, err := os.Create(p.file.Name() + ".heap")
	if err != nil {
		return err
	}
	err = errors.Join(p.file.Close(), pprof.WriteHeapProfile(heap), heap.Close())
	p.file = nil
	return err
}
