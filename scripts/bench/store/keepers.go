//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/disk"
)

// keeper is one way to keep parts. Its methods are not called concurrently.
type keeper interface {
	// keep takes a part; it may be written later.
	keep(p part) error
	// flush returns when all that was taken can be read.
	flush() error
	// read returns the verified chunks of a part, nil if it is not held.
	read(id stream.PartID) ([][]byte, error)
	// held returns the bytes of chunks that it holds, and how many parts ago it let go.
	held() int64
}

// part is one that was published.
type part struct {
	header *stream.SignedHeader
	chunks [][]byte
}

// keepers are all, by name.
var keepers = map[string]func(dir string, size int64) (keeper, error){
	"none":  func(string, int64) (keeper, error) { return nobody{}, nil },
	"files": openFiles,
	"bbolt": openBolt,
}

type nobody struct{}

func (nobody) keep(part) error                      { return nil }
func (nobody) flush() error                         { return nil }
func (nobody) read(stream.PartID) ([][]byte, error) { return nil, nil }
func (nobody) held() int64                          { return 0 }

// files is package disk.
type files struct{ *disk.Store }

func openFiles(dir string, size int64) (keeper, error) {
	s, err := disk.Open(disk.Config{Dir: dir, Size: size})
	if err != nil {
		return nil, err
	}
	go func() { _ = s.Run(context.Background()) }() // until the process ends
	return files{s}, nil
}

// mostWaiting keeps the store from leaving parts out because they come faster than live.
const mostWaiting = 16 << 20

func (f files) keep(p part) error {
	for f.Stats().Waiting > mostWaiting {
		time.Sleep(100 * time.Microsecond)
	}
	f.Keep(p.header, p.chunks)
	return nil
}

func (f files) flush() error {
	for f.Stats().Waiting > 0 {
		time.Sleep(100 * time.Microsecond)
	}
	if st := f.Stats(); st.Slow+st.Failed+st.Damaged > 0 {
		return fmt.Errorf("not all was kept: %+v", st)
	}
	return nil
}

func (f files) read(id stream.PartID) ([][]byte, error) {
	if !f.Lasting(id, 0) {
		return nil, nil
	}
	return f.Read(id, f.Have(id)), nil
}

func (f files) held() int64 { return f.Stats().Bytes }

// bolt is a database: a bucket for each stream, by position the header and the chunks.
type bolt struct {
	db      *bbolt.DB
	size    int64
	bytes   int64
	waiting []part
	order   []stream.PartID // held, oldest first
	sizes   []int64
}

// boltBatch is how many parts go into one transaction, each of which waits for the disk.
const boltBatch = 8

func openBolt(dir string, size int64) (keeper, error) {
	db, err := bbolt.Open(filepath.Join(dir, "parts.db"), 0o644, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	return &bolt{db: db, size: size}, nil
}

func boltKey(id stream.PartID) []byte {
	b := binary.BigEndian.AppendUint64(nil, id.Epoch)
	b = binary.BigEndian.AppendUint64(b, id.Segment)
	b = binary.BigEndian.AppendUint32(b, id.Part)
	return append(b, id.Rendition...)
}

func (b *bolt) keep(p part) error {
	if b.waiting = append(b.waiting, p); len(b.waiting) < boltBatch {
		return nil
	}
	return b.flush()
}

func (b *bolt) flush() error {
	return b.db.Update(func(tx *bbolt.Tx) error {
		for _, p := range b.waiting {
			id := p.header.ID()
			bucket, err := tx.CreateBucketIfNotExists(id.Stream[:])
			if err != nil {
				return err
			}
			value := binary.LittleEndian.AppendUint16(make([]byte, 0, p.header.Size+2048), uint16(len(p.header.Bytes())))
			value = append(value, p.header.Bytes()...)
			for _, c := range p.chunks {
				value = append(value, c...)
			}
			if err := bucket.Put(boltKey(id), value); err != nil {
				return err
			}
			b.order, b.sizes = append(b.order, id), append(b.sizes, int64(len(value)))
			b.bytes += int64(len(value))
		}
		b.waiting = nil
		for b.bytes > b.size {
			if err := tx.Bucket(b.order[0].Stream[:]).Delete(boltKey(b.order[0])); err != nil {
				return err
			}
			b.bytes -= b.sizes[0]
			b.order, b.sizes = b.order[1:], b.sizes[1:]
		}
		return nil
	})
}

func (b *bolt) read(id stream.PartID) (chunks [][]byte, err error) {
	err = b.db.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(id.Stream[:])
		if bucket == nil {
			return nil
		}
		value := bucket.Get(boltKey(id))
		if value == nil {
			return nil
		}
		chunks, err = openValue(id.Stream, append([]byte(nil), value...)) // it is the database's
		return err
	})
	return chunks, err
}

// openValue verifies a header and the chunks behind it, as package disk does.
func openValue(id stream.ID, value []byte) ([][]byte, error) {
	n := 2 + int(binary.LittleEndian.Uint16(value))
	h, err := stream.OpenHeader(id, value[2:n])
	if err != nil {
		return nil, err
	}
	chunks := make([][]byte, len(h.Chunks))
	for i, at := 0, n; i < len(chunks); i++ {
		c, err := stream.OpenChunk(h, i, value[at:at+h.ChunkLen(i)])
		if err != nil {
			return nil, err
		}
		chunks[i] = c.Data()
		at += len(chunks[i])
	}
	return chunks, nil
}

func (b *bolt) held() int64 { return b.bytes }

var errNotHeld = errors.New("a part that should be held is not")
