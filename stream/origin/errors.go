package origin

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

var (
	errMalformed = errors.New("answer is not an origin's")
	errRedirect  = errors.New("leads elsewhere, which is not followed")
	errSlow      = errors.New("answer does not come")
)

// statusError says that an origin answered with another status than success.
type statusError struct {
	code int
	wait time.Duration
}

func (e *statusError) Error() string {
	return fmt.Sprintf("answers %d %s", e.code, http.StatusText(e.code))
}

// Error is why an origin did not answer as it should.
type Error struct {
	path string
	err  error
}

func (e *Error) Error() string { return fmt.Sprintf("fetch %s: %v", e.path, e.err) }

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.err }

// Reason names the kind of failure, by which it is counted: "missing" (404 or 410), "busy"
// (429 or 503), "status" (any other), "redirect", "slow", "malformed", or "failed" if
// there was no answer.
func (e *Error) Reason() string {
	var status *statusError
	switch {
	case errors.As(e.err, &status):
		switch status.code {
		case http.StatusNotFound, http.StatusGone:
			return "missing"
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			return "busy"
		}
		return "status"
	case errors.Is(e.err, errRedirect):
		return "redirect"
	case errors.Is(e.err, errSlow):
		return "slow"
	case errors.Is(e.err, errMalformed):
		return "malformed"
	}
	return "failed"
}

// Wait returns for how long the origin said not to be asked again, 0 if it did not.
func (e *Error) Wait() time.Duration {
	var status *statusError
	if errors.As(e.err, &status) {
		return status.wait
	}
	return 0
}
