package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/stream/ingest"
)

const (
	// encoderKeyFile keeps the key that RTMP encoders show, made at first.
	encoderKeyFile = "rtmp.key"
	// defaultReconnect is time enough to restart OBS.
	defaultReconnect = time.Minute
)

// encoderFlags are about encoders that connect by themselves.
func encoderFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "stream-key", Usage: "let in RTMP encoders that show `KEY`", EnvVars: []string{"GRAPEVINE_STREAM_KEY"}, DefaultText: encoderKeyFile + " in the home directory, made at first"},
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
	case !slices.ContainsFunc(b.inputs, namedInput.isRTMP) && os.Getenv("GRAPEVINE_STREAM_KEY") == key:
		return nil // it is there for other inputs
	case !slices.ContainsFunc(b.inputs, namedInput.isRTMP):
		return &usageError{"A --stream-key is for --input rtmp:// only.", "leave --stream-key out, or listen for RTMP with --input rtmp://127.0.0.1:1935/live"}
	}
	if err := ingest.CheckStreamKey(key); err != nil {
		return &usageError{sentence: "That --stream-key cannot be used: " + err.Error() + ".", hint: "leave it out, and one is made and kept"}
	}
	return nil
}

func (i namedInput) isRTMP() bool {
	_, is := ingest.RTMPServer(i.source)
	return is
}

// encoderKey returns the key that RTMP encoders show, and makes it unless it is there.
func (h *home) encoderKey() (string, error) {
	key := rand.Text()
	err := h.create([]byte(key+"\n"), encoderKeyFile)
	if !errors.Is(err, fs.ErrExist) {
		return key, err
	}
	raw, err := os.ReadFile(h.path(encoderKeyFile))
	if err != nil {
		return "", &homeError{h.dir, err}
	}
	key = string(bytes.TrimSpace(raw))
	if err := ingest.CheckStreamKey(key); err != nil {
		return "", &homeError{h.dir, fmt.Errorf("%s holds no stream key; remove it, and one is made", h.path(encoderKeyFile))}
	}
	return key, nil
}

// encoderSettings are what to set in an encoder that publishes by RTMP.
type encoderSettings struct {
	Server    string  `json:"server"`
	StreamKey string  `json:"stream_key"`
	Keyframes float64 `json:"keyframe_interval"` // seconds
}

// encoders returns what to set in those that publish by RTMP, and has them show a key.
func (b *broadcast) encoders(h *home) (list []encoderSettings, err error) {
	for _, in := range b.inputs {
		server, isRTMP := ingest.RTMPServer(in.source)
		if !isRTMP {
			continue
		}
		if b.ingest.StreamKey == "" {
			if b.ingest.StreamKey, err = h.encoderKey(); err != nil {
				return nil, err
			}
		}
		list = append(list, encoderSettings{server, b.ingest.StreamKey, b.ingest.Segment.Seconds()})
	}
	return list, nil
}

// showEncoders tells what to set in OBS.
func (s *session) showEncoders() {
	if len(s.encoders) == 0 {
		return
	}
	s.screen.say("In OBS, choose Settings, Stream, Service \"Custom…\"; the keyframe interval is in Settings, Output:")
	for _, e := range s.encoders {
		s.screen.field("server", e.Server)
	}
	s.screen.field("key", s.encoders[0].StreamKey)
	s.screen.field("keyframe", fmt.Sprintf("every %g s", s.encoders[0].Keyframes))
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
	case errors.Is(why, ingest.ErrSRTRefused):
		return "The encoder that was called refused the connection: " + reason(why, ingest.ErrSRTRefused) + ".", "give --input the passphrase and streamid that the encoder expects, and see that nobody else calls it"
	case errors.Is(why, ingest.ErrPassphrase):
		return "An encoder was refused: " + why.Error() + ".", "give the encoder the passphrase that --input has, or both none"
	case errors.Is(why, ingest.ErrStreamID):
		return "An encoder was refused: its stream ID is wrong.", "give the encoder the streamid that --input has"
	case errors.As(why, &codec):
		return "An encoder was refused: " + codec.Error() + ".", "have it make H.264 or HEVC, and AAC, MP3, AC-3 or Opus"
	case errors.Is(why, ingest.ErrNoKeyframe):
		return "An encoder was refused: it made no keyframe, so nobody could start to watch.", keyframeHint
	case errors.Is(why, ingest.ErrNotMPEGTS):
		return "An encoder was refused: it does not send MPEG-TS.", "have it send MPEG-TS: -f mpegts in ffmpeg, Container Format mpegts in OBS"
	case errors.Is(why, ingest.ErrNoTracks):
		return "An encoder was refused: it sends neither audio nor video.", "have it make H.264 or HEVC, and AAC, MP3, AC-3 or Opus"
	}
	return "An encoder was refused: " + system(why) + ".", ""
}
