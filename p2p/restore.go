package p2p

import (
	"fmt"
	"time"
)

// restore begins the timelines of the renditions that the store's disk has from an earlier
// run, once, and reads into memory what a joiner asks for first. The exchange does not
// hear of them: what is older than what gossip brings is served by the fetch protocol.
func (s *Swarm) restore() error {
	var failed error
	s.restored.Do(func() {
		for _, name := range s.node.store.Renditions(s.id) {
			r, err := s.rendition(name)
			if err != nil {
				failed = fmt.Errorf("restore rendition %s: %w", name, err)
				return
			}
			if headers := r.timeline.Restore(time.Now()); len(headers) > 0 {
				s.node.store.Warm(r.timeline.Recent(joinSegments + 1))
			}
		}
	})
	return failed
}
