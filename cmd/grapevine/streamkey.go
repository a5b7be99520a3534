package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const streamKeyFile = "stream.key"

// streamKey reads the key at path. An empty path means the home's own, which is made
// unless it is there.
func (h *home) streamKey(path string) (stream.Key, error) {
	kept := path == ""
	if kept {
		path = h.path(streamKeyFile)
	}
	read := h.readKeyFile
	if kept {
		read = func(string) ([]byte, error) { return h.readSecret(streamKeyFile) }
	}
	raw, err := read(path)
	if kept && errors.Is(err, fs.ErrNotExist) {
		key := stream.NewKey()
		err = h.createSecret(key.MarshalPEM(), streamKeyFile)
		if !errors.Is(err, fs.ErrExist) {
			return key, err
		}
		raw, err = read(path) // another process was first: one home, one stream
	}
	if err != nil {
		return stream.Key{}, unreadable(path, err)
	}
	key, err := stream.ParseKeyPEM(raw)
	if err != nil {
		return stream.Key{}, &keyError{path, err}
	}
	return key, nil
}

// claim makes this process the only one of the home that broadcasts the stream: two
// would write two truths under one signature. It fails with errStreamBusy.
func (h *home) claim(id stream.ID) (release func() error, err error) {
	release, ok, err := h.lock("streams", id.String()+".lock")
	if err == nil && !ok {
		err = errStreamBusy
	}
	return release, err
}

// nextEpochOf is nextEpoch for a key that may be a delegate's. Where a key was revoked, its thief may
// have begun a run that is as far ahead of the clock as nodes let it be; the next is later.
func (h *home) nextEpochOf(key stream.Key, now time.Time) (uint64, error) {
	revoked, err := h.revocations(key.ID())
	if err != nil {
		return 0, err
	}
	if revoked != nil {
		now = now.Add(stream.MaxEpochAhead)
	}
	return h.nextEpoch(key.ID(), now)
}

// nextEpoch returns an epoch larger than every earlier one of the stream, which must be
// claimed. It is on disk before it is returned, so that a crash cannot lead to its
// second use. The clock makes it larger than those of other homes with the same key.
func (h *home) nextEpoch(id stream.ID, now time.Time) (uint64, error) {
	name := id.String() + ".epoch"
	epoch := uint64(max(now.UnixMilli(), 1))
	raw, err := os.ReadFile(h.path("streams", name))
	if err == nil {
		last, err := strconv.ParseUint(string(bytes.TrimSpace(raw)), 10, 63)
		if err != nil {
			return 0, &damagedError{h.path("streams", name), "epoch", "remove it if the clock is right"}
		}
		epoch = max(epoch, last+1)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, &homeError{h.dir, err}
	}
	return epoch, h.replace(fmt.Appendln(nil, epoch), "streams", name)
}
