package hls

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	hours     = flag.Duration("hours", 2*time.Minute, "`time` of stream that each kind of playlist goes through")
	seed      = flag.Uint64("seed", 1, "a `number` for another order of what befalls streams")
	playlists = flag.String("playlists", "", "a `directory` for the playlists that players read in TestConformance; none if empty")
)

// TestConformanceOverHours has each kind of playlist go through all faults, again and again
// in any order, for as long as -hours says.
func TestConformanceOverHours(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			m.play(t, func(st *stage, v *viewer) {
				befallen := make(map[string]int)
				for began := time.Now(); time.Since(began) < *hours && len(v.failed()) == 0; {
					f := faults[st.random.IntN(len(faults))]
					if !f.befalls(m) {
						continue
					}
					befallen[f.name]++
					f.befall(st)
					st.air(st.random.IntN(40))
					if violations := v.failed(); len(violations) > 0 {
						t.Errorf("after %v, with %s:\n%v", time.Since(began), f.name, violations)
					}
				}
				t.Logf("%d reloads, %d segments, faults: %v", v.reloads(), len(st.renditions[0].order), befallen)
				for _, f := range faults {
					if f.befalls(m) && befallen[f.name] == 0 && *hours >= 6*time.Hour {
						t.Errorf("%s did not come in %v", f.name, *hours)
					}
				}
			})
		})
	}
}

// keeper writes each playlist that it gets to a file of its own, once.
func keeper(t testing.TB, m mode) func(text string) {
	if *playlists == "" {
		return nil
	}
	seen := make(map[[sha256.Size]byte]bool)
	return func(text string) {
		sum := sha256.Sum256([]byte(text))
		if seen[sum] || strings.Contains(text, "EXT-X-SKIP") {
			return // a delta is no playlist by itself
		}
		seen[sum] = true
		name := fmt.Sprintf("%s-%x.m3u8", m.name, sum[:8])
		if err := os.WriteFile(filepath.Join(*playlists, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
