package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
	"github.com/grapevine-live/grapevine/stream/ingest/origin"
)

// originSource is an HLS stream that is published again, with all of its renditions.
type originSource struct {
	*origin.Origin
	address string // as it may be shown
}

func (i namedInput) isOrigin() bool { return origin.Is(i.source) }

// originConfig says how an ingest's settings are meant for an origin.
func originConfig(cfg ingest.Config) origin.Config {
	return origin.Config{URL: cfg.Input, Segment: cfg.Segment, Part: cfg.Part, Loop: cfg.Loop, Logger: cfg.Logger}
}

// openOrigin fetches the playlists, before anybody is told of the stream.
func openOrigin(ctx context.Context, cfg ingest.Config, scr *screen) (*originSource, error) {
	o, err := origin.New(originConfig(cfg))
	if err != nil {
		return nil, &usageError{sentence: capital(err.Error()) + "."}
	}
	if err := o.Open(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &inputError{origin.Redact(cfg.Input), err}
	}
	var names []string
	for _, r := range o.Renditions() {
		names = append(names, r.Name())
	}
	if len(names) > 1 {
		scr.say("Its renditions are %s.", strings.Join(names, ", "))
	}
	if languages := o.Languages(); len(languages) > 1 {
		scr.say("Its languages are %s.", strings.Join(languages, ", "))
	}
	if left := o.LeftOut(); len(left) > 0 {
		scr.say("Left out: %s.", strings.Join(left, "; "))
	}
	return &originSource{o, origin.Redact(cfg.Input)}, nil
}

func (o *originSource) run(ctx context.Context, casts *casts) error {
	err := o.Run(ctx, func(name string) (func(stream.Part) error, error) { return casts.publisher(ctx, name) })
	if err != nil {
		return &inputError{o.address, err}
	}
	return nil
}

func (o *originSource) stats() *inputStats {
	st := o.Stats()
	in := &inputStats{Origin: &originStats{Retries: st.Retries, Lost: st.Lost, LeftOut: st.LeftOut, Restarts: st.Restarts, Silent: st.Silent}}
	addInput(in, st.Input)
	return in
}

// originLine is what there is to say of an origin, "" if all is well.
func originLine(s *originStats) string {
	if s == nil {
		return ""
	}
	var facts []string
	if s.Restarts > 0 {
		facts = append(facts, "the origin began anew "+count(int(s.Restarts), "time"))
	}
	if n := s.Lost + s.LeftOut; n > 0 {
		facts = append(facts, count(int(n), "segment")+" missing")
	}
	if s.Silent > 0 {
		facts = append(facts, count(int(s.Silent), "segment")+" without all of the sound")
	}
	return joinFacts(facts...)
}

// explainOrigin puts what is wrong with an origin into a sentence; "" if it is nothing
// that origins alone have.
func explainOrigin(e *inputError) (sentence, hint string) {
	const address = "--input takes the address of a playlist, as a player does: https://HOST/PATH/NAME.m3u8"
	var (
		status      *origin.StatusError
		unsupported *origin.UnsupportedError
		quiet       *origin.QuietError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		dns         *net.DNSError
	)
	failed := fmt.Sprintf("The stream at %s", e.input)
	switch {
	case errors.As(e.err, &quiet):
		sentence, hint = failed+" "+"had nothing new for "+quiet.For.String(), "start again once it goes on: viewers keep their link"
		if quiet.Err != nil {
			sentence += "; at last: " + system(quiet.Err)
		}
		return sentence + ".", hint
	case errors.As(e.err, &status) && (status.Code == http.StatusUnauthorized || status.Code == http.StatusForbidden):
		return fmt.Sprintf("%s is not for everybody: %s.", failed, status.Error()),
			"put user and password into the address, https://USER:PASSWORD@HOST/…, or get an address whose key is still valid"
	case errors.As(e.err, &status) && (status.Code == http.StatusNotFound || status.Code == http.StatusGone):
		return fmt.Sprintf("There is no stream at %s: %s.", e.input, status.Error()), address
	case errors.As(e.err, &status):
		return fmt.Sprintf("%s cannot be had: %s.", failed, status.Error()), "try again later, or ask whoever runs the server"
	case errors.As(e.err, &unsupported):
		return fmt.Sprintf("%s has %s, which is not supported.", failed, unsupported.What),
			"ffmpeg may know it: ffmpeg -re -i URL -c copy -f mpegts - | grapevine broadcast --input -"
	case errors.Is(e.err, origin.ErrLive):
		return failed + " is live, and cannot begin again at its end.", "leave --loop out"
	case errors.Is(e.err, origin.ErrNoPlaylist):
		return fmt.Sprintf("What %s answers with is no playlist that can be used: %s.", e.input, reason(e.err, origin.ErrNoPlaylist)), address
	case errors.Is(e.err, origin.ErrInsecure), errors.Is(e.err, origin.ErrScheme), errors.Is(e.err, origin.ErrRedirects):
		return fmt.Sprintf("%s cannot be had: %v.", failed, e.err), "use the address that it leads to, if you trust it"
	case errors.Is(e.err, origin.ErrSlow):
		return failed + " does not answer.", "check the address, and that this machine is online"
	case errors.Is(e.err, origin.ErrTooLarge):
		return fmt.Sprintf("What %s answers with is too large for a playlist.", e.input), address
	case errors.As(e.err, &certificate):
		return fmt.Sprintf("The certificate of %s cannot be trusted: %v.", e.input, certificate.Err),
			"check the address and this machine's clock; a server of your own needs a certificate that this machine knows"
	case errors.As(e.err, &record), errors.Is(e.err, http.ErrSchemeMismatch):
		return fmt.Sprintf("The server of %s does not speak https.", e.input), "try http://"
	case errors.As(e.err, &dns):
		return fmt.Sprintf("There is no host %s, or it cannot be found now.", dns.Name), "check the address, and that this machine is online"
	case errors.Is(e.err, syscall.ECONNREFUSED):
		return fmt.Sprintf("Nobody answers at %s.", e.input), "check the address, its port included"
	}
	return "", ""
}
