package transcode

import (
	"io"
	"os"

	"github.com/grapevine-live/grapevine/stream/ingest"
)

// joint reads one rendition from one ffmpeg after the other.
type joint struct {
	next  chan *os.File // closed when no more follow
	now   *os.File      // nil between two
	begun bool
}

func newJoint() *joint { return &joint{next: make(chan *os.File, 1)} }

// Read implements io.Reader. Between two outputs it returns [ingest.ErrBreak].
func (j *joint) Read(b []byte) (int, error) {
	for {
		if j.now == nil {
			f, ok := <-j.next
			if !ok {
				return 0, io.EOF
			}
			j.now = f
			if j.begun {
				return 0, ingest.ErrBreak
			}
			j.begun = true
		}
		n, err := j.now.Read(b)
		if err != nil {
			// Whatever it is, this ffmpeg is over; the ladder knows how it ended.
			j.now.Close()
			j.now = nil
		}
		if n > 0 {
			return n, nil
		}
	}
}
