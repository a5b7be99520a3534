package transcode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Oldest ffmpeg that knows all that is asked of it: -fps_mode came with 5.1.
const minMajor, minMinor = 5, 1

// askLimit bounds how long ffmpeg may take to say what it is.
const askLimit = 20 * time.Second

// ErrNoFFmpeg says that there is no program ffmpeg.
var ErrNoFFmpeg = errors.New("ffmpeg is not installed")

// VersionError says that ffmpeg is too old.
type VersionError struct {
	Path    string
	Version string // as it writes it
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("ffmpeg %s at %s is older than %d.%d", e.Version, e.Path, minMajor, minMinor)
}

// find looks for ffmpeg where programs are, and asks its version.
func find(ctx context.Context, name string) (path string, err error) {
	path, err = exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoFFmpeg, err)
	}
	out, err := ask(ctx, path, "-version")
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", path, err)
	}
	version, ok := readVersion(out)
	if !ok {
		return "", &VersionError{path, version}
	}
	return path, nil
}

// ask runs ffmpeg or ffprobe to its end and returns what it wrote to standard output.
func ask(ctx context.Context, path string, args ...string) (string, error) {
	return askFor(ctx, askLimit, path, args...)
}

// askFor does for what may take so long.
func askFor(ctx context.Context, limit time.Duration, path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v", limit))
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if said := lastLine(stderr.String()); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return "", err
	}
	return stdout.String(), nil
}

var versionLine = regexp.MustCompile(`(?m)^ffmpeg version (\S+)`)

// readVersion reads the version in ffmpeg's own words, and whether it is new enough. Those
// that people build from a checkout have none that can be compared: they are taken.
func readVersion(out string) (version string, ok bool) {
	m := versionLine.FindStringSubmatch(out)
	if m == nil {
		return "of no version", false
	}
	version = m[1]
	numbers := strings.SplitN(strings.TrimPrefix(version, "n"), ".", 3)
	major, err := strconv.Atoi(leadingDigits(numbers[0]))
	if err != nil {
		return version, true
	}
	minor := 0
	if len(numbers) > 1 {
		minor, _ = strconv.Atoi(leadingDigits(numbers[1]))
	}
	return version, major > minMajor || major == minMajor && minor >= minMinor
}

func leadingDigits(s string) string {
	return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
}

// lastLine returns the last line that is not empty.
func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
