package disk

import (
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// usedFor is how long a stream counts as used after the last time.
const usedFor = 24 * time.Hour

// standing is how much a stream has while it is decided what to let go.
type standing struct {
	of    *catalogue
	left  []*volume // oldest first
	bytes int64
}

func (s *Store) standingsLocked() []standing {
	out := make([]standing, 0, len(s.streams))
	for _, c := range s.streams {
		out = append(out, standing{c, c.volumes, c.bytes})
	}
	return out
}

// victim chooses the stream that lets go of its oldest volume: the one that is unused for longest
// if there are such, else the one with most. So all streams that are used end up with as
// much, but for those that need less. It is nil if there is nothing but one volume.
func victim(all []standing, but *volume, now time.Time) *standing {
	var chosen *standing
	for i := range all {
		c := &all[i]
		if len(c.left) > 0 && c.left[0] != but && (chosen == nil || c.before(chosen, now)) {
			chosen = c
		}
	}
	return chosen
}

// before reports whether a stream lets go of something before another does.
func (c *standing) before(o *standing, now time.Time) bool {
	unused, other := now.Sub(c.of.used) > usedFor, now.Sub(o.of.used) > usedFor
	switch longer := c.of.used.Compare(o.of.used); {
	case unused != other:
		return unused
	case unused && longer != 0:
		return longer < 0
	case c.bytes != o.bytes:
		return c.bytes > o.bytes
	default:
		return longer < 0
	}
}

// makeRoom lets go of volumes until so many bytes more fit, but not of the one that they are
// for. Only the writer calls it.
func (s *Store) makeRoom(bytes int64, but *volume) error {
	for {
		s.mu.Lock()
		var v *volume
		var c *catalogue
		if s.bytes+bytes > s.cfg.Size {
			if chosen := victim(s.standingsLocked(), but, time.Now()); chosen != nil {
				c, v = chosen.of, chosen.left[0]
				c.forgetVolume(v)
				clear(s.leaving)
			}
		}
		s.mu.Unlock()
		if v == nil {
			return nil
		}
		if c.growing != nil && c.growing.volume == v {
			_ = c.growing.close()
			c.growing = nil
		}
		if err := v.remove(s.cfg.files); err != nil {
			return err // it is the next to go again
		}
		s.mu.Lock()
		c.volumes = c.volumes[1:]
		c.bytes -= v.bytes()
		s.bytes -= v.bytes()
		s.stats.Evicted += v.bytes()
		empty := len(c.volumes) == 0
		if empty {
			delete(s.streams, c.id)
		}
		s.mu.Unlock()
		if empty {
			_ = s.cfg.files.Remove(c.dir) // unless somebody keeps something else there
		}
	}
}

// firstLastingLocked returns the number of a stream's first volume that will still be there
// when parts of a share of the bound have come.
func (s *Store) firstLastingLocked(id stream.ID, share float64) uint64 {
	if share <= 0 {
		return 0
	}
	first := s.leaving[share]
	if first == nil {
		first = s.firstLasting(share)
		s.leaving[share] = first
	}
	return first[id]
}

func (s *Store) firstLasting(share float64) map[stream.ID]uint64 {
	first := make(map[stream.ID]uint64)
	all, now := s.standingsLocked(), time.Now()
	// A volume more, as they go as a whole.
	need := s.bytes + int64(share*float64(s.cfg.Size)) + s.volumeSize - s.cfg.Size
	for need > 0 {
		c := victim(all, nil, now)
		if c == nil {
			break
		}
		v := c.left[0]
		c.left = c.left[1:]
		c.bytes -= v.bytes()
		need -= v.bytes()
		first[c.of.id] = v.number + 1
	}
	return first
}
