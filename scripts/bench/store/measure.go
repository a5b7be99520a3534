//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-live/grapevine/scripts/bench/cores"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	partLength = 500 * time.Millisecond
	// readEvery is how many parts are kept for each that is read.
	readEvery = 4
	// heldShare is the part of the bound that is surely held: what is drawn is of it.
	heldShare = 0.75
)

// figures are those of one keeper. Bytes, and seconds.
type figures struct {
	Payload    int64   `json:"payload"` // of chunks
	Written    int64   `json:"written"` // to the disk
	Files      int64   `json:"files"`   // when all is written
	Held       int64   `json:"held"`    // of that, kept
	Seconds    float64 `json:"seconds"`
	CPU        float64 `json:"cpu"`
	Resident   int64   `json:"resident"` // at most
	Append     float64 `json:"append"`   // the longest
	ReadMedian float64 `json:"read_median"`
	Read99     float64 `json:"read_99"`

	Open         float64 `json:"open"`
	OpenResident int64   `json:"open_resident"`
}

type result struct {
	Streams int                `json:"streams"`
	Rate    int                `json:"rate"`
	Size    int64              `json:"size"`
	Of      map[string]figures `json:"of"`
}

// measureAll runs each keeper in processes of its own.
func measureAll(o options) (result, error) {
	res := result{o.streams, o.rate, o.size, make(map[string]figures)}
	for _, name := range []string{"none", "files", "bbolt"} {
		f, err := measureOne(name, o)
		if err != nil {
			return res, fmt.Errorf("%s: %w", name, err)
		}
		res.Of[name] = f
	}
	return res, nil
}

func measureOne(name string, o options) (f figures, err error) {
	o.dir, err = os.MkdirTemp(o.dir, "store-bench-")
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(o.dir)
	if err := inChild("write-"+name, o, &f); err != nil {
		return f, err
	}
	var again figures
	if err := inChild("open-"+name, o, &again); err != nil {
		return f, err
	}
	f.Open, f.OpenResident = again.Open, again.OpenResident
	return f, nil
}

func inChild(role string, o options, f *figures) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(program, "--role", role, "--dir", o.dir, "--streams", strconv.Itoa(o.streams), "--rate", strconv.Itoa(o.rate), "--size", strconv.FormatInt(o.size, 10))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", role, err)
	}
	return json.Unmarshal(out, f)
}

func child(role string, o options) error {
	phase, name, _ := strings.Cut(role, "-")
	open := keepers[name]
	if open == nil {
		return fmt.Errorf("no role %q", role)
	}
	var f figures
	var err error
	if phase == "write" {
		f, err = write(open, o)
	} else {
		f, err = reopen(open, o)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(f)
}

// source publishes parts of several streams.
type source struct {
	publishers []*stream.Publisher
	random     *rand.Rand
	data       []byte
	n          int
}

func newSource(o options) (*source, error) {
	s := &source{random: rand.New(rand.NewPCG(1, 2)), data: make([]byte, o.rate/8*int(partLength/time.Millisecond)/1000)}
	for i := range s.data {
		s.data[i] = byte(s.random.Uint32())
	}
	for range o.streams {
		p, err := stream.NewPublisher(stream.NewKey(), "main", 1)
		if err != nil {
			return nil, err
		}
		s.publishers = append(s.publishers, p)
	}
	return s, nil
}

func (s *source) next() (part, error) {
	i := s.n / len(s.publishers)
	s.data[i%len(s.data)]++
	h, chunks, err := s.publishers[s.n%len(s.publishers)].Publish(stream.Part{
		StartsSegment: i%4 == 0, EndsSegment: i%4 == 3, Independent: i%4 == 0, Duration: partLength,
		Media: stream.Media{Codecs: "avc1.64001f"}, Data: slices.Clone(s.data),
	})
	s.n++
	p := part{header: h}
	for _, c := range chunks {
		p.chunks = append(p.chunks, c.Data())
	}
	return p, err
}

// write keeps parts until the bound has been filled so often.
func write(open func(string, int64) (keeper, error), o options) (f figures, err error) {
	k, err := open(o.dir, o.size)
	if err != nil {
		return f, err
	}
	src, err := newSource(o)
	if err != nil {
		return f, err
	}
	written, cpu, began := writtenBytes(), processTime(), time.Now()
	var ids []stream.PartID
	var reads []time.Duration
	recent := int(heldShare * float64(o.size) / float64(len(src.data)))
	for f.Payload < int64(o.fill*float64(o.size)) {
		p, err := src.next()
		if err != nil {
			return f, err
		}
		at := time.Now()
		if err := k.keep(p); err != nil {
			return f, err
		}
		f.Append = max(f.Append, time.Since(at).Seconds())
		ids = append(ids, p.header.ID())
		f.Payload += int64(p.header.Size)
		if len(ids)%readEvery > 0 || len(ids) < 64 {
			continue
		}
		// Not the newest: those may still wait.
		id := ids[len(ids)-64-src.random.IntN(min(recent, len(ids))-63)]
		at = time.Now()
		chunks, err := k.read(id)
		if _, none := k.(nobody); err != nil || chunks == nil && !none {
			return f, fmt.Errorf("%w: %v of %v: %w", errNotHeld, id.Position, p.header.Position, err)
		}
		reads = append(reads, time.Since(at))
	}
	if err := k.flush(); err != nil {
		return f, err
	}
	f.Seconds = time.Since(began).Seconds()
	f.CPU = (processTime() - cpu).Seconds()
	f.Written = writtenBytes() - written
	f.Resident = memory("VmHWM")
	f.Held = k.held()
	slices.Sort(reads)
	f.ReadMedian, f.Read99 = reads[len(reads)/2].Seconds(), reads[len(reads)*99/100].Seconds()
	f.Files, err = filesIn(o.dir)
	return f, err
}

func reopen(open func(string, int64) (keeper, error), o options) (f figures, err error) {
	began := time.Now()
	if _, err := open(o.dir, o.size); err != nil {
		return f, err
	}
	f.Open = time.Since(began).Seconds()
	f.OpenResident = memory("VmRSS")
	return f, nil
}

// filesIn returns the bytes that a directory's files take on the disk.
func filesIn(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

func processTime() time.Duration {
	d, err := cores.Of(os.Getpid())
	if err != nil {
		panic(err) // not Linux
	}
	return d
}

// writtenBytes returns what this process had the kernel send to disks (proc(5), write_bytes).
func writtenBytes() int64 {
	io, err := os.ReadFile("/proc/self/io")
	if err != nil {
		panic(err)
	}
	n, err := strconv.ParseInt(cores.StatusField(string(io), "write_bytes"), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// memory returns a field of the process's status, which is in kB.
func memory(field string) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(cores.StatusField(string(status), field), " kB"), 10, 64)
	if err != nil {
		panic(err)
	}
	return n << 10
}
