package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/grapevine-live/grapevine/stream/ingest"
)

// Every reason to refuse an encoder becomes a sentence, and says what to change.
func TestExplainRefused(t *testing.T) {
	for _, why := range []error{
		ingest.ErrBusy, ingest.ErrStreamKey, ingest.ErrPath, ingest.ErrPlays, ingest.ErrPassphrase, ingest.ErrStreamID, ingest.ErrNoMedia,
		ingest.ErrNotMPEGTS, ingest.ErrNoTracks, ingest.ErrNoKeyframe, &ingest.UnsupportedCodecError{Kind: "video", Codec: "AV1"},
		fmt.Errorf("%w: %w", ingest.ErrSRTRefused, ingest.ErrPassphrase),
	} {
		sentence, hint := explainRefused(fmt.Errorf("%w", why))
		if !strings.HasSuffix(sentence, ".") || strings.Contains(sentence, "..") || hint == "" {
			t.Errorf("%v: %q, %q", why, sentence, hint)
		}
	}
	if sentence, _ := explainRefused(errors.New("it is Monday")); sentence != "An encoder was refused: it is Monday." {
		t.Errorf("%q", sentence)
	}
}
