package origin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
)

// DefaultPatience is Config.Patience where that is 0: time enough to restart an origin.
const DefaultPatience = time.Minute

// Config says what to take and how to cut it.
type Config struct {
	// URL is a playlist's, http or https. A user and a password in it are shown to its host.
	URL string
	// Segment is the target duration of segments that are made of fragmented MP4, and Part
	// that of all parts, as in [ingest.Config]. Segments that are MPEG-TS stay as they are.
	Segment, Part time.Duration
	// Loop starts an ended playlist again at its end.
	Loop bool
	// Patience is for how long nothing new may come before a rendition ends with an error;
	// 0 means DefaultPatience.
	Patience time.Duration
	// Transport carries the requests; nil takes connections of its own.
	Transport http.RoundTripper
	// Logger receives what is odd about the origin; nil discards.
	Logger *slog.Logger
}

// Origin is an HLS stream that is published again. It is made by [New], opened once, and
// its renditions run once each.
type Origin struct {
	cfg    Config
	url    *url.URL
	client *client
	log    *slog.Logger

	renditions []*Rendition
	sounds     []*sound
	asides     []*aside // of the best rendition
	captions   []*captions
	leftOut    []string
	clock      clock
}

// ErrLive says that a playlist that has not ended cannot loop.
var ErrLive = errors.New("it is live, and cannot loop")

// New validates cfg. It fetches nothing.
func New(cfg Config) (*Origin, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is no address of a playlist", redact(cfg.URL))
	}
	if err := checkURL(u); err != nil {
		return nil, err
	}
	// What an ingest demands of the durations holds here, too.
	if _, err := ingest.New(ingest.Config{Input: "sample:", Segment: cfg.Segment, Part: cfg.Part}); err != nil {
		return nil, err
	}
	if cfg.Patience == 0 {
		cfg.Patience = DefaultPatience
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Origin{cfg: cfg, url: u, client: newClient(cfg.Transport), log: cfg.Logger}, nil
}

// Is reports whether an input names an origin.
func Is(input string) bool {
	u, err := url.Parse(input)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https")
}

// Redact returns an input as it may be shown: without a password.
func Redact(input string) string { return redact(input) }

// Open fetches the playlists and finds the renditions. Errors wrap [ErrNoPlaylist],
// [ErrInsecure], [ErrScheme], [ErrRedirects], [ErrSlow], [ErrTooLarge], [ErrLive], or are a
// [*StatusError], an [*UnsupportedError] or those of the network.
func (o *Origin) Open(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			o.client.close()
		}
	}()
	text, at, err := o.client.text(ctx, o.url.String(), 0)
	if err != nil {
		return err
	}
	if !isMultivariant(text) {
		r := &Rendition{origin: o, name: single, url: o.url.String()}
		if err := r.check(text, at); err != nil {
			return err
		}
		o.renditions = []*Rendition{r}
		return nil
	}
	m, err := parseMultivariant(text, at)
	if err != nil {
		return err
	}
	o.leftOut = m.leftOut
	variants, err := o.openVariants(ctx, m)
	if err != nil {
		return err
	}
	if err := o.openSounds(ctx, variants); err != nil {
		return err
	}
	return o.openCaptions(ctx, variants[0].texts)
}

// openVariants keeps those variants that can be published, and returns them.
func (o *Origin) openVariants(ctx context.Context, m *multivariant) (kept []variant, err error) {
	var errs []error
	for _, v := range m.variants {
		r := &Rendition{origin: o, name: v.name, url: v.url}
		err := o.openPlaylist(ctx, r)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			errs = append(errs, err)
			o.leftOut = append(o.leftOut, fmt.Sprintf("%s (%v)", v.name, err))
			continue
		}
		o.renditions, kept = append(o.renditions, r), append(kept, v)
	}
	if len(o.renditions) == 0 {
		return nil, errs[0]
	}
	return kept, nil
}

// openPlaylist fetches a rendition's first playlist.
func (o *Origin) openPlaylist(ctx context.Context, r *Rendition) error {
	text, at, err := o.client.text(ctx, r.url, 0)
	if err != nil {
		return err
	}
	return r.check(text, at)
}

// Renditions returns what can be published, the best first. It is empty before Open.
func (o *Origin) Renditions() []*Rendition { return o.renditions }

// Languages returns what sound there is to choose from, the default first.
func (o *Origin) Languages() []string {
	names := []string{title(o.renditions[0].label)}
	for _, a := range o.asides {
		names = append(names, title(a.sound.Media()))
	}
	return names
}

func title(m stream.Media) string { return cmp.Or(m.Name, m.Language, "unknown") }

// LeftOut describes what of the origin is not published.
func (o *Origin) LeftOut() []string { return o.leftOut }

// Run publishes all renditions side by side, each with what publisher returns for its name,
// which is called before any runs. It returns when all have ended: nil unless all failed,
// what ends ctx, or what publishing fails with.
func (o *Origin) Run(ctx context.Context, publisher func(name string) (func(stream.Part) error, error)) error {
	defer o.client.close()
	publish := make([]func(stream.Part) error, len(o.renditions))
	for i, r := range o.renditions {
		var err error
		if publish[i], err = publisher(r.name); err != nil {
			return err
		}
	}
	if err := errors.Join(o.openAsides(publisher), o.nameCaptions(publisher)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	beside := o.runBeside(ctx, cancel)
	errs := make([]error, len(o.renditions))
	var running sync.WaitGroup
	for i, r := range o.renditions {
		running.Go(func() {
			errs[i] = r.run(ctx, publish[i])
			var failed *publishError
			if errors.As(errs[i], &failed) {
				cancel(failed.err)
			} else if errs[i] != nil && ctx.Err() == nil && len(errs) > 1 {
				o.log.Warn("a rendition ends", "rendition", r.name, "err", errs[i])
			}
		})
	}
	running.Wait()
	beside()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, err := range errs {
		if err == nil {
			return nil
		}
	}
	return errs[0]
}

// publishError is publish's, and none of the origin's.
type publishError struct{ err error }

func (e *publishError) Error() string { return e.err.Error() }
func (e *publishError) Unwrap() error { return e.err }
