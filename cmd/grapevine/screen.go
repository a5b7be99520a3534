package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// statusEvery is how often a status line that only changed its figures is repeated
// where it cannot be overwritten: in a file, a pipe or a service's log.
const statusEvery = 5 * time.Second

// screen is how a command talks: to people line by line with a status line that is
// overwritten in place on a terminal, to programs with an object a line. It is safe for
// concurrent use, and a writer for logs that leaves the status line whole.
type screen struct {
	out, err io.Writer
	json     bool // objects only
	terminal bool // out is one, and so lines can be overwritten
	colour   bool
	width    func() int
	level    slog.LevelVar // of logs

	mu     sync.Mutex // guards all following
	status string     // the status line shown now, on a terminal
	last   string     // the last that was printed elsewhere
	lastAt time.Time
}

func newScreen(env *environment, json bool) *screen {
	s := &screen{out: env.stdout, err: env.stderr, json: json, width: func() int { return 80 }}
	if f, ok := env.stdout.(*os.File); ok && !json && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		s.terminal = true
		// https://no-color.org: any value but the empty one.
		s.colour = os.Getenv("NO_COLOR") == ""
		s.width = func() int {
			if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
				return w
			}
			return 80
		}
	}
	return s
}

// setLevel has logs begin at a level; nil is for what suits where they go.
func (s *screen) setLevel(level *slog.Level) {
	least := slog.LevelInfo
	if f, ok := s.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		least = slog.LevelWarn
	}
	if level != nil {
		least = *level
	}
	s.level.Set(least)
}

// say prints a line for people.
func (s *screen) say(format string, args ...any) {
	if s.json {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clearLocked()
	fmt.Fprintf(s.out, format+"\n", args...)
	s.drawLocked()
}

// field prints a name and a value that people copy.
func (s *screen) field(name, value string) {
	s.say("  %s  %s", s.dim(fmt.Sprintf("%-8s", name)), value)
}

// show makes text the status line. Elsewhere than on a terminal it is printed at most
// every few seconds, unless it is news.
func (s *screen) show(text string, news bool) {
	if s.json {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal {
		s.clearLocked()
		s.status = text
		s.drawLocked()
		return
	}
	if now := time.Now(); text != s.last && (news || now.Sub(s.lastAt) >= statusEvery) {
		fmt.Fprintln(s.out, text)
		s.last, s.lastAt = text, now
	}
}

// settle ends the status line, which stays as it is.
func (s *screen) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != "" {
		fmt.Fprintln(s.out)
		s.status = ""
	}
}

// event writes an object for programs.
func (s *screen) event(v any) {
	if !s.json {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	writeEvent(s.out, v)
}

// writeEvent writes an object and a line feed at once.
func writeEvent(w io.Writer, v any) {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // links have ampersands, and people read them too
	// What fails is the writing, to a reader that has gone; there is nobody to tell.
	_ = encoder.Encode(v)
}

// Write prints log lines to standard error.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clearLocked()
	n, err := s.err.Write(p)
	s.drawLocked()
	return n, err
}

func (s *screen) clearLocked() {
	if s.status != "" {
		io.WriteString(s.out, "\r\x1b[K")
	}
}

// drawLocked draws the status line, cut to the width: one that wraps cannot be cleared.
func (s *screen) drawLocked() {
	if s.status != "" {
		io.WriteString(s.out, cut(s.status, s.width()-1))
	}
}

// cut shortens plain text to n characters.
func cut(text string, n int) string {
	if n < 1 || utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

func (s *screen) bold(text string) string { return s.paint("1", text) }
func (s *screen) dim(text string) string  { return s.paint("2", text) }

func (s *screen) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// joinFacts puts the facts of a status line together, leaving out empty ones.
func joinFacts(facts ...string) string {
	var some []string
	for _, f := range facts {
		if f != "" {
			some = append(some, f)
		}
	}
	return strings.Join(some, " · ")
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
