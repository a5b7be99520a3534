package disk

import (
	"maps"
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// catalogue is what there is of one stream, and where. Store.mu guards it but for growing.
type catalogue struct {
	id      stream.ID
	roles   *stream.Roles // remembers delegations
	dir     string
	used    time.Time           // when this run last wrote of it, read of it or joined it
	parts   map[string][]entry  // by rendition, in order
	volumes []*volume           // oldest first
	bytes   int64               // in all of them
	next    uint64              // number of the next volume
	growing *growing            // of the writer; nil if there is none
	recent  map[string]*verdict // headers that were verified, by rendition the last one
}

// entry is a part. There is one for each part on disk, so it is kept small.
type entry struct {
	position  stream.Position
	volume    *volume
	offset    int64
	headerAt  uint32
	headerLen uint16
	last, end bool
	size      int32
	chunkSize int32
	bad       stream.Bitmap // chunks found damaged; nil for none
}

// verdict is a header that was read and verified.
type verdict struct {
	volume *volume
	at     uint32
	header *stream.SignedHeader
}

func newCatalogue(id stream.ID, dir string) *catalogue {
	return &catalogue{id: id, roles: stream.NewRoles(id), dir: dir, parts: make(map[string][]entry), recent: make(map[string]*verdict)}
}

func (e *entry) chunks() int {
	if e.end {
		return 0
	}
	return int((e.size + e.chunkSize - 1) / e.chunkSize)
}

// have returns which chunks are there as far as is known.
func (e *entry) have() stream.Bitmap {
	b := stream.NewBitmap(e.chunks())
	for i := range e.chunks() {
		if !e.bad.Get(i) {
			b.Set(i)
		}
	}
	return b
}

func (e *entry) whole() bool { return e.bad == nil }

// add notes a part, unless it is known.
func (c *catalogue) add(r *record, v *volume) {
	list := c.parts[r.rendition]
	i, known := find(list, r.position)
	if known {
		return
	}
	c.parts[r.rendition] = slices.Insert(list, i, entry{
		position:  r.position,
		volume:    v,
		offset:    r.offset,
		headerAt:  uint32(r.headerAt),
		headerLen: uint16(len(r.header)),
		last:      r.last,
		end:       r.end,
		size:      int32(r.size),
		chunkSize: int32(r.chunkSize),
	})
}

func find(list []entry, p stream.Position) (int, bool) {
	return slices.BinarySearchFunc(list, p, func(e entry, p stream.Position) int { return e.position.Compare(p) })
}

// entry returns what is known of a part, nil if there is none of it. It is valid until the
// lock is let go.
func (c *catalogue) entry(rendition string, p stream.Position) *entry {
	list := c.parts[rendition]
	if i, ok := find(list, p); ok {
		return &list[i]
	}
	return nil
}

// forget removes a part whose header cannot be read.
func (c *catalogue) forget(rendition string, p stream.Position) {
	if i, ok := find(c.parts[rendition], p); ok {
		c.parts[rendition] = slices.Delete(c.parts[rendition], i, i+1)
	}
}

// forgetVolume removes all parts of a volume.
func (c *catalogue) forgetVolume(v *volume) {
	for name, list := range c.parts {
		list = slices.DeleteFunc(list, func(e entry) bool { return e.volume == v })
		switch {
		case len(list) == 0:
			delete(c.parts, name)
		case len(list) < cap(list)/2:
			c.parts[name] = slices.Clone(list) // what is gone takes no memory
		default:
			c.parts[name] = list
		}
	}
	c.recent = make(map[string]*verdict)
}

// renditions returns the names of those of which there is anything.
func (c *catalogue) renditions() []string { return slices.Sorted(maps.Keys(c.parts)) }

// held returns the runs of segments of which all parts are whole and in volumes numbered from
// first on.
func (c *catalogue) held(rendition string, first uint64) []stream.Span {
	var spans []stream.Span
	list := c.parts[rendition]
	for i := 0; i < len(list); {
		n, whole := segmentAt(list[i:], first)
		if p := list[i].position; whole {
			if k := len(spans); k > 0 && spans[k-1].Epoch == p.Epoch && spans[k-1].Last+1 == p.Segment {
				spans[k-1].Last++
			} else {
				spans = append(spans, stream.Span{Epoch: p.Epoch, First: p.Segment, Last: p.Segment})
			}
		}
		i += n
	}
	return spans
}

// segmentAt returns how many of the first parts are of one segment, and whether these are all
// that it has, and whole.
func segmentAt(list []entry, first uint64) (n int, whole bool) {
	p := list[0].position
	whole = true
	for n < len(list) && list[n].position.Epoch == p.Epoch && list[n].position.Segment == p.Segment {
		e := &list[n]
		whole = whole && !e.end && int(e.position.Part) == n && e.whole() && e.volume.number >= first
		n++
	}
	return n, whole && list[n-1].last
}
