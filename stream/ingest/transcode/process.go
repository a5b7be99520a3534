package transcode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	// writeLimit is for how long ffmpeg may take nothing before it counts as hung: longer
	// than hardware takes to start.
	writeLimit = 20 * time.Second
	// finishLimit is how long it may take to encode what it has, once nothing follows.
	finishLimit = 10 * time.Second
	// maxSaid bounds what is kept of its standard error.
	maxSaid = 4 << 10
)

// process is one ffmpeg that runs.
type process struct {
	stdin   *os.File
	outputs []*os.File // to read from, one per rendition; whoever reads closes them
	said    *said
	kill    context.CancelFunc
	done    chan struct{} // closed when it has ended
	err     error         // how, valid once done is closed
	started time.Time
}

// start runs ffmpeg until ctx is done, it is finished or it dies.
func start(ctx context.Context, ffmpeg string, c command, log *slog.Logger) (*process, error) {
	ctx, kill := context.WithCancel(ctx)
	p := &process{said: &said{log: log}, kill: kill, done: make(chan struct{}), started: time.Now()}
	var theirs []*os.File
	closeAll := func(files ...*os.File) {
		for _, f := range files {
			f.Close()
		}
	}
	defer func() { closeAll(theirs...) }() // it has its own copies
	fail := func(err error) (*process, error) {
		kill()
		closeAll(p.outputs...)
		if p.stdin != nil {
			p.stdin.Close()
		}
		return nil, fmt.Errorf("start ffmpeg: %w", err)
	}
	stdin, ours, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	theirs, p.stdin = append(theirs, stdin), ours
	cmd := exec.CommandContext(ctx, ffmpeg, c.live()...)
	cmd.Stdin, cmd.Stderr = stdin, p.said
	cmd.SysProcAttr = ownGroup()
	cmd.WaitDelay = time.Second
	for range c.renditions {
		ours, out, err := os.Pipe()
		if err != nil {
			return fail(err)
		}
		p.outputs, theirs = append(p.outputs, ours), append(theirs, out)
		cmd.ExtraFiles = append(cmd.ExtraFiles, out)
	}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// write hands it more of the input.
func (p *process) write(b []byte) error {
	if err := p.stdin.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	_, err := p.stdin.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("it took nothing for %v", writeLimit)
	}
	return err
}

// finish lets it encode what it has, and returns how it ended.
func (p *process) finish() error {
	p.stdin.Close()
	t := time.NewTimer(finishLimit)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		p.kill()
		<-p.done
		return fmt.Errorf("it did not end within %v", finishLimit)
	}
	p.kill() // releases the context
	return p.err
}

// abandon ends it at once, and returns why it was to be: what it said if it died, else
// the error of a write.
func (p *process) abandon(err error) error {
	p.stdin.Close()
	p.kill()
	<-p.done
	if last := p.said.last(); last != "" {
		return errors.New(last)
	}
	return err
}

// said keeps the end of what ffmpeg says, and logs it line by line. It is safe for
// concurrent use.
type said struct {
	log *slog.Logger
	mu  sync.Mutex
	end []byte // guarded by mu
}

func (s *said) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		s.log.Debug("ffmpeg says", "line", strings.TrimSpace(line))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = append(s.end, b...)
	s.end = s.end[max(0, len(s.end)-maxSaid):]
	return len(b), nil
}

func (s *said) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return lastLine(string(s.end))
}
