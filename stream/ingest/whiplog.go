package ingest

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// pionLogs has pion log as we do. What it says is for those who look for errors in it.
type pionLogs struct{ log *slog.Logger }

func (l pionLogs) NewLogger(scope string) logging.LeveledLogger {
	return pionLog{l.log.With("pion", scope)}
}

type pionLog struct{ log *slog.Logger }

func (l pionLog) say(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(format, args...))
	}
}

func (pionLog) Trace(string)                        {}
func (pionLog) Tracef(string, ...any)               {}
func (pionLog) Debug(string)                        {}
func (pionLog) Debugf(string, ...any)               {}
func (l pionLog) Info(msg string)                   { l.say("%s", msg) }
func (l pionLog) Infof(format string, args ...any)  { l.say(format, args...) }
func (l pionLog) Warn(msg string)                   { l.say("%s", msg) }
func (l pionLog) Warnf(format string, args ...any)  { l.say(format, args...) }
func (l pionLog) Error(msg string)                  { l.say("%s", msg) }
func (l pionLog) Errorf(format string, args ...any) { l.say(format, args...) }
