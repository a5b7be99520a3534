package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/stream/ingest"
)

const (
	// encoderKeyFile keeps the key that RTMP and WHIP encoders show, made at first.
	encoderKeyFile = "rtmp.key"
	// defaultReconnect is time enough to restart OBS.
	defaultReconnect = time.Minute
)

// encoderFlags are about encoders that connect by themselves.
func encoderFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "stream-key", Usage: "let in RTMP and WHIP encoders that show `KEY`", DefaultText: encoderKeyFile + " in the home directory, made at first"},
		&cli.DurationFlag{Name: "reconnect", Usage: "wait for `DURATION` for an encoder that broke off, or stopped, to come back; 0 ends the stream with it", DefaultText: "1m0s where encoders connect, else 0"},
	}
}

// readEncoder reads the flags into the command's settings.
func readEncoder(c *cli.Context, b *broadcast) error {
	b.reconnect, b.insists = defaultReconnect, c.IsSet("reconnect")
	if b.insists {
		b.reconnect = c.Duration("reconnect")
	}
	key := c.String("stream-key")
	b.ingest.StreamKey = key
	switch {
	case key == "":
		return nil
	case !slices.ContainsFunc(b.inputs, namedInput.takesKey) && givenOf(c)["stream-key"].kind != fromFlag:
		return nil // it is there for other inputs
	case !slices.ContainsFunc(b.inputs, namedInput.takesKey):
		return &usageError{"A --stream-key is for --input rtmp:// and whip:// only.", "leave --stream-key out, or listen for RTMP with --input rtmp://127.0.0.1:1935/live"}
	}
	if err := ingest.CheckStreamKey(key); err != nil {
		return &usageError{sentence: "That --stream-key cannot be used: " + err.Error() + ".", hint: "leave it out, and one is made and kept"}
	}
	return nil
}

func (i namedInput) takesKey() bool { return encoderServer(i.source) != nil }

// encoderKey returns the key that RTMP and WHIP encoders show, and makes it unless it is there.
func (h *home) encoderKey() (string, error) {
	key := rand.Text()
	err := h.createSecret([]byte(key+"\n"), encoderKeyFile)
	if !errors.Is(err, fs.ErrExist) {
		return key, err
	}
	raw, err := h.readSecret(encoderKeyFile)
	if err != nil {
		return "", unreadable(h.path(encoderKeyFile), err)
	}
	key = string(bytes.TrimSpace(raw))
	if err := ingest.CheckStreamKey(key); err != nil {
		return "", &damagedError{h.path(encoderKeyFile), "stream key", "remove it, and one is made"}
	}
	return key, nil
}

// encoderSettings are what to set in an encoder that publishes by RTMP or WHIP.
type encoderSettings struct {
	Server    string  `json:"server"`
	StreamKey string  `json:"stream_key"`
	Keyframes float64 `json:"keyframe_interval"` // seconds
	Page      string  `json:"page,omitempty"`    // that publishes from a browser, of WHIP
}

// encoderServer returns where encoders publish to, for an input that lets in those who
// show a key, and nil for others.
func encoderServer(input string) *encoderSettings {
	if server, ok := ingest.RTMPServer(input); ok {
		return &encoderSettings{Server: server}
	}
	if server, page, ok := ingest.WHIPServer(input); ok {
		return &encoderSettings{Server: server, Page: page}
	}
	return nil
}

// encoders returns what to set in those that publish by RTMP or WHIP, and has them show a key.
func (b *broadcast) encoders(h *home) (list []encoderSettings, err error) {
	for _, in := range b.inputs {
		settings := encoderServer(in.source)
		if settings == nil {
			continue
		}
		if b.ingest.StreamKey == "" {
			if b.ingest.StreamKey, err = h.encoderKey(); err != nil {
				return nil, err
			}
		}
		settings.StreamKey, settings.Keyframes = b.ingest.StreamKey, b.ingest.Segment.Seconds()
		if settings.Page != "" {
			settings.Page += "#" + settings.StreamKey // a browser does not send what follows #
		}
		list = append(list, *settings)
	}
	return list, nil
}

// byWHIP says whether the encoder publishes by WHIP, else it does by RTMP.
func (e encoderSettings) byWHIP() bool { return e.Page != "" }

// showEncoders tells what to set in OBS, and where to go with a browser.
func (s *session) showEncoders() {
	whip, rtmp := splitEncoders(s.encoders)
	if len(whip) > 0 {
		s.screen.say("Go live from a browser on this page, or from OBS with Settings, Stream, Service \"WHIP\":")
		for _, e := range whip {
			s.screen.field("go live", e.Page)
			s.screen.field("server", e.Server)
		}
		s.screen.field("token", whip[0].StreamKey)
	}
	if len(rtmp) > 0 {
		s.screen.say("In OBS, choose Settings, Stream, Service \"Custom…\"; the keyframe interval is in Settings, Output:")
		for _, e := range rtmp {
			s.screen.field("server", e.Server)
		}
		s.screen.field("key", rtmp[0].StreamKey)
		s.screen.field("keyframe", fmt.Sprintf("every %g s", rtmp[0].Keyframes))
	}
}

func splitEncoders(list []encoderSettings) (whip, rtmp []encoderSettings) {
	for _, e := range list {
		if e.byWHIP() {
			whip = append(whip, e)
		} else {
			rtmp = append(rtmp, e)
		}
	}
	return whip, rtmp
}

// tellRefused returns what logs why an encoder was refused, and what to change.
func tellRefused(log *slog.Logger) func(from string, why error) {
	return func(from string, why error) {
		sentence, hint := explainRefused(why)
		log.Warn(sentence, "hint", hint, "encoder", from)
	}
}

func explainRefused(why error) (sentence, hint string) {
	var codec *ingest.UnsupportedCodecError
	switch {
	case errors.Is(why, ingest.ErrBusy):
		return "A second encoder was refused: one is sending already.", "stop the other one first"
	case errors.Is(why, ingest.ErrStreamKey):
		return "An encoder was refused: its stream key is wrong.", "copy the key that broadcast prints into the encoder's settings"
	case errors.Is(why, ingest.ErrPath):
		return "An encoder was refused: it publishes elsewhere (" + why.Error() + ").", "copy the server's address that broadcast prints into the encoder's settings, and the key into its own field"
	case errors.Is(why, ingest.ErrPlays):
		return "A player was refused: encoders publish here.", "play the address that watch prints"
	case errors.Is(why, ingest.ErrNoMedia):
		return "An encoder was refused: its video did not come by UDP.", "let UDP through to the port of --input; if the encoder is on another machine, have --input listen on an address that it reaches"
	case errors.Is(why, ingest.ErrSRTRefused):
		return "The encoder that was called refused the connection: " + reason(why, ingest.ErrSRTRefused) + ".", "give --input the passphrase and streamid that the encoder expects, and see that nobody else calls it"
	case errors.Is(why, ingest.ErrPassphrase):
		return "An encoder was refused: " + why.Error() + ".", "give the encoder the passphrase that --input has, or both none"
	case errors.Is(why, ingest.ErrStreamID):
		return "An encoder was refused: its stream ID is wrong.", "give the encoder the streamid that --input has"
	case errors.As(why, &codec):
		return "An encoder was refused: " + codec.Error() + ".", "have it make H.264 or HEVC, and AAC, MP3, AC-3 or Opus; by WHIP, H.264 without B-frames, and Opus"
	case errors.Is(why, ingest.ErrNoKeyframe):
		return "An encoder was refused: it made no keyframe, so nobody could start to watch.", keyframeHint
	case errors.Is(why, ingest.ErrNotMPEGTS):
		return "An encoder was refused: it does not send MPEG-TS.", "have it send MPEG-TS: -f mpegts in ffmpeg, Container Format mpegts in OBS"
	case errors.Is(why, ingest.ErrNoTracks):
		return "An encoder was refused: it sends neither audio nor video.", "have it make H.264 or HEVC, and AAC, MP3, AC-3 or Opus"
	}
	return "An encoder was refused: " + system(why) + ".", ""
}
