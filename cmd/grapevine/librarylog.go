package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"
	"go.uber.org/zap/zapcore"
)

// libraryLevel is the least that libraries may log: below it they speak of single dials.
const libraryLevel = slog.LevelError

// routeLibraries has what libp2p and its DHT log go the way of the program's own lines. Both
// would write to standard error themselves otherwise, in a format of theirs.
func routeLibraries(to slog.Handler) {
	h := libraryHandler{to}
	gologshim.SetDefaultHandler(h)
	golog.SetPrimaryCore(zapToSlog{h})
}

// libraryHandler hands on what is at libraryLevel or above.
type libraryHandler struct{ slog.Handler }

func (h libraryHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= libraryLevel && h.Handler.Enabled(ctx, level)
}

func (h libraryHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return libraryHandler{h.Handler.WithAttrs(attrs)}
}

func (h libraryHandler) WithGroup(name string) slog.Handler {
	return libraryHandler{h.Handler.WithGroup(name)}
}

// zapToSlog is where the DHT's lines go, which come by way of zap.
type zapToSlog struct{ to slog.Handler }

var _ zapcore.Core = zapToSlog{}

func slogLevel(level zapcore.Level) slog.Level {
	switch {
	case level >= zapcore.ErrorLevel:
		return slog.LevelError
	case level >= zapcore.WarnLevel:
		return slog.LevelWarn
	case level >= zapcore.InfoLevel:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// Enabled implements zapcore.Core.
func (z zapToSlog) Enabled(level zapcore.Level) bool {
	return z.to.Enabled(context.Background(), slogLevel(level))
}

// Check implements zapcore.Core.
func (z zapToSlog) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if z.Enabled(e.Level) {
		return checked.AddCore(e, z)
	}
	return checked
}

// With implements zapcore.Core.
func (z zapToSlog) With(fields []zapcore.Field) zapcore.Core {
	return zapToSlog{z.to.WithAttrs(slogAttrs(fields))}
}

// Write implements zapcore.Core.
func (z zapToSlog) Write(e zapcore.Entry, fields []zapcore.Field) error {
	r := slog.NewRecord(e.Time, slogLevel(e.Level), e.Message, 0)
	r.AddAttrs(slog.String("logger", e.LoggerName))
	r.AddAttrs(slogAttrs(fields)...)
	return z.to.Handle(context.Background(), r)
}

// Sync implements zapcore.Core.
func (z zapToSlog) Sync() error { return nil }

func slogAttrs(fields []zapcore.Field) (out []slog.Attr) {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	for _, key := range slices.Sorted(maps.Keys(enc.Fields)) {
		out = append(out, slog.Any(key, enc.Fields[key]))
	}
	return out
}
