package ingest

// maxTold bounds the parts that a sidecar is behind: a minute of them.
const maxTold = 128

// Sidecar is a rendition that has a [Splitter]'s segments: an [Aside] or [Captions].
type Sidecar interface {
	// Close tells that the splitter has nothing more.
	Close()
	tell(s sidecarSpan)
}

// sidecar has the splitter's parts wait until the rendition gets to them.
type sidecar struct {
	told chan sidecarSpan
	over chan struct{} // closed when the rendition has ended
}

// sidecarSpan is a part of the splitter's, in its time.
type sidecarSpan struct {
	span
	shift int64 // by which that is later than the origin's
}

func newSidecar() sidecar {
	return sidecar{told: make(chan sidecarSpan, maxTold), over: make(chan struct{})}
}

// Close tells that the splitter has nothing more.
func (s sidecar) Close() { close(s.told) }

func (s sidecar) tell(part sidecarSpan) {
	select {
	case s.told <- part:
	case <-s.over:
	}
}
