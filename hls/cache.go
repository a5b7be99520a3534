package hls

import (
	"fmt"
	"net/http"
	"time"
)

const (
	// A year, the most that RFC 9111 finds useful; segments never change.
	cacheForever = "public, max-age=31536000, immutable"
	// Each reload must ask: a cached playlist freezes players.
	cacheNever = "no-cache"
	// blockedTargets is for how many target durations a CDN may keep the answer to a reload
	// that was held: its address names what it waited for, so nobody gets it in place of
	// another (draft-pantos-hls-rfc8216bis, appendix B.1).
	blockedTargets = 6
	// leastTarget stands for a target duration that is not known yet.
	leastTarget = 2 * time.Second
)

// cachePlaylist says for how long a playlist may be cached: of a gateway for half a target
// duration (ibid.), so that a CDN asks once for all who watch. blocked is for an answer to
// a reload that named what it waits for.
func cachePlaylist(w http.ResponseWriter, r *http.Request, target time.Duration, blocked bool) {
	switch {
	case gatewayOf(r) == nil:
		w.Header().Set("Cache-Control", cacheNever)
	case blocked:
		w.Header().Set("Cache-Control", cacheFor(blockedTargets*max(target, leastTarget/2)))
	default:
		w.Header().Set("Cache-Control", cacheFor(max(target, leastTarget)/2))
	}
}

// cacheFor lets everybody cache an answer, for whole seconds.
func cacheFor(d time.Duration) string { return fmt.Sprintf("public, max-age=%d", int(d.Seconds())) }
