package hls

// InputStatus is a broadcaster's figures of its encoder. Counts are since the start.
type InputStatus struct {
	Bytes  int64   `json:"bytes"`            // of the encoder
	Rate   float64 `json:"rate"`             // bits per second
	Listen string  `json:"listen,omitempty"` // what the input is bound to
	// Of encoders that come and go.
	Breaks  uint64  `json:"breaks,omitempty"`   // times that an encoder broke off
	Gone    float64 `json:"gone,omitempty"`     // seconds for which one has been gone
	Refused uint64  `json:"refused,omitempty"`  // connections
	Slate   float64 `json:"slate,omitempty"`    // seconds of it that were published
	OnSlate bool    `json:"on_slate,omitempty"` // it is shown now
	LeftOut uint64  `json:"left_out,omitempty"` // frames that cannot be carried, or decoded
	LostRTP uint64  `json:"lost_rtp,omitempty"` // packets of WHIP publishers
	// Of timed ID3 and SCTE-35, tags and cues.
	Messages     uint64 `json:"messages,omitempty"`      // published
	MessagesLost uint64 `json:"messages_lost,omitempty"` // damaged, or of another time than the pictures
	// Segments for which a further audio track had no sound.
	AudioAbsent uint64 `json:"audio_absent,omitempty"`
	// Subtitles that came too late to be shown.
	CuesLost uint64 `json:"cues_lost,omitempty"`
	// Each, of a broadcaster that has several.
	Inputs []OneInputStatus `json:"inputs,omitempty"`
	// Of a broadcaster that encodes.
	Encoding *EncodingStatus `json:"encoding,omitempty"`
	// Of a broadcaster that publishes an HLS stream again.
	Origin *PublishedStatus `json:"origin,omitempty"`
}

// OneInputStatus is one of several inputs.
type OneInputStatus struct {
	Rendition  string `json:"rendition"` // that it is published as; "" if that is not known yet
	Source     string `json:"source"`    // as --input names it, without secrets
	Bytes      int64  `json:"bytes"`
	Listen     string `json:"listen,omitempty"` // what it is bound to
	Misaligned uint64 `json:"misaligned"`       // keyframes of others that it lacks
}

// EncodingStatus is the figures of ffmpeg. Times are in seconds.
type EncodingStatus struct {
	Encoder    string          `json:"encoder"` // ffmpeg's name of it
	Renditions []EncodedStatus `json:"renditions"`
	Speed      float64         `json:"speed"`        // seconds of the input a second; 0 if not known yet
	Waiting    float64         `json:"waiting"`      // of the input, not taken yet
	Behind     bool            `json:"behind"`       // too slow for the input
	Times      uint64          `json:"behind_times"` // that it was
	Restarts   uint64          `json:"restarts"`     // it died
	Lost       float64         `json:"lost"`         // of the input, meanwhile; at least
}

// EncodedStatus is one rendition that ffmpeg makes.
type EncodedStatus struct {
	Name   string `json:"name"`   // such as 720p
	Width  int    `json:"width"`  // in pixels
	Height int    `json:"height"` // likewise
	Bits   int    `json:"bits"`   // of the video, per second, as ffmpeg was told
	Bytes  uint64 `json:"bytes_published"`
	// Keyframes of other renditions that it lacks: its encoder does not do as it is told.
	Misaligned uint64 `json:"misaligned"`
}

// PublishedStatus is the figures of an HLS stream that is published again.
type PublishedStatus struct {
	Retries  uint64 `json:"retries"`           // of requests
	Lost     uint64 `json:"segments_lost"`     // gone before they could be fetched
	LeftOut  uint64 `json:"segments_left_out"` // missing at the origin, or no good
	Restarts uint64 `json:"restarts"`          // it began anew
	Silent   uint64 `json:"segments_silent"`   // whose sound is missing at the origin, or some of it
}

// misaligned returns how many keyframes of others are missing in all.
func (i *InputStatus) misaligned() (n uint64) {
	for _, one := range i.Inputs {
		n += one.Misaligned
	}
	if i.Encoding != nil {
		for _, r := range i.Encoding.Renditions {
			n += r.Misaligned
		}
	}
	return n
}
