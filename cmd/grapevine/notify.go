package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// tellManager tells systemd, if that has started the node and wants to know: see sd_notify(3).
func tellManager(state string, log *slog.Logger) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot tell systemd", "state", state, "err", err)
	}
}

// aliveEvery returns how often systemd wants to hear that the node is alive, 0 if it does not.
func aliveEvery(log *slog.Logger) time.Duration {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("cannot tell systemd that this node is alive", "err", err)
	}
	return limit / 2
}

// keepAlive tells systemd that the node is alive, as long as it answers for its figures, until ctx
// ends.
func (s *session) keepAlive(ctx context.Context) {
	every := aliveEvery(s.log)
	if every <= 0 {
		return
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.node.Stats()
			for _, sw := range s.node.Swarms() {
				s.server.Buffer(sw.ID())
			}
			tellManager(daemon.SdNotifyWatchdog, s.log)
		}
	}
}
