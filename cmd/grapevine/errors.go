package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/grapevine-live/grapevine/hls/record"
	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/disk"
	"github.com/grapevine-live/grapevine/stream/ingest"
	"github.com/grapevine-live/grapevine/stream/ingest/transcode"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a mistake in the command line, already in words.
type usageError struct{ sentence, hint string }

func (e *usageError) Error() string { return e.sentence }

// addressError is about an address that could not be listened on.
type addressError struct {
	flag, addr string
	err        error
}

func (e *addressError) Error() string { return fmt.Sprintf("listen on %s: %v", e.addr, e.err) }
func (e *addressError) Unwrap() error { return e.err }

// inputError is about the bytes that broadcast was to publish.
type inputError struct {
	input string
	err   error
}

func (e *inputError) Error() string { return fmt.Sprintf("read input %s: %v", e.input, e.err) }
func (e *inputError) Unwrap() error { return e.err }

// sameRenditionError says that two inputs would be published as one rendition.
type sameRenditionError struct{ name string }

func (e *sameRenditionError) Error() string { return "two inputs are rendition " + e.name }

// unnamedError says that an input has no height that could name its rendition.
type unnamedError struct{ input string }

func (e *unnamedError) Error() string { return "input " + e.input + " has no name" }

// encodeError is about making renditions with ffmpeg.
type encodeError struct{ err error }

func (e *encodeError) Error() string { return fmt.Sprintf("encode: %v", e.err) }
func (e *encodeError) Unwrap() error { return e.err }

// keyError is about a file with a private key.
type keyError struct {
	path string
	err  error
}

func (e *keyError) Error() string { return fmt.Sprintf("key %s: %v", e.path, e.err) }
func (e *keyError) Unwrap() error { return e.err }

// unreadable says that a key cannot be read, unless it is the home that is to blame.
func unreadable(path string, err error) error {
	if _, ok := errors.AsType[*homeError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*damagedError](err); ok {
		return err
	}
	return &keyError{path, err}
}

// homeError is about the directory that keeps keys and state.
type homeError struct {
	dir string
	err error
}

func (e *homeError) Error() string { return fmt.Sprintf("home %s: %v", e.dir, e.err) }
func (e *homeError) Unwrap() error { return e.err }

// damagedError is about a file of the home's that holds nothing of what it should.
type damagedError struct{ path, what, hint string }

func (e *damagedError) Error() string { return fmt.Sprintf("%s holds no %s", e.path, e.what) }

// recordError is about the directory of --record.
type recordError struct {
	dir string
	err error
}

func (e *recordError) Error() string { return fmt.Sprintf("record into %s: %v", e.dir, e.err) }
func (e *recordError) Unwrap() error { return e.err }

// errStreamBusy says that another process broadcasts the stream.
var errStreamBusy = errors.New("stream is being broadcast by another process")

// report tells the user about err, and returns the exit code.
func report(err error, stdout, stderr io.Writer, args []string) int {
	if err == nil || errors.Is(err, context.Canceled) {
		return 0
	}
	sentence, hint, code := explain(err)
	fmt.Fprintf(stderr, "error: %s\n", sentence)
	if hint != "" {
		fmt.Fprintf(stderr, "hint: %s\n", hint)
	}
	// The flag itself may not have been read when the error is about another one.
	if slices.Contains(args, "--json") || slices.Contains(args, "-json") {
		writeEvent(stdout, errorEvent{Event: "error", Error: sentence, Hint: hint})
	}
	return code
}

// explain puts an error into a sentence and, where there is something to do about it,
// a hint.
func explain(err error) (sentence, hint string, code int) {
	var (
		usage   *usageError
		address *addressError
		input   *inputError
		twice   *sameRenditionError
		unnamed *unnamedError
		encode  *encodeError
		slate   *slateError
		key     *keyError
		home    *homeError
		damaged *damagedError
		rec     *recordError
		cache   *cacheError
		export  *exportError
		figures *figuresError
		ledger  *ledgerError
		unwell  *healthError
		noKey   *noKeyError
		roles   *rolesError
	)
	switch {
	case errors.As(err, &usage):
		if usage.hint == "" {
			usage.hint = "see grapevine --help, or --help after a command"
		}
		return usage.sentence, usage.hint, exitUsage
	case errors.Is(err, stream.ErrNotALink):
		return "That is no link to a stream: " + reason(err, stream.ErrNotALink) + ".",
			"copy the whole link that the broadcaster prints, and put it in quotes: 'grapevine://…?peer=…'", exitUsage
	case errors.As(err, &roles):
		sentence, hint = explainRoles(roles)
	case errors.Is(err, p2p.ErrLinkRevoked):
		sentence = "The relays or origins of this link were named by a key that the stream's owner has revoked."
		hint = "ask the broadcaster for a new link"
	case errors.Is(err, p2p.ErrSuperseded):
		sentence = "The stream goes on from another machine, which began to broadcast it later than this one."
		hint = "only one broadcasts at a time; if that one is not yours, revoke its key: grapevine delegate revoke NAME"
	case errors.Is(err, stream.ErrRevoked), errors.Is(err, stream.ErrDelegationTime), errors.Is(err, stream.ErrDelegationRole):
		sentence, hint = explainDelegation(err)
	case errors.As(err, &address):
		sentence, hint = explainAddress(address)
	case errors.As(err, &twice):
		sentence = fmt.Sprintf("Two inputs would both be the rendition %s.", twice.name)
		hint = "name them: --input one=SOURCE --input other=SOURCE"
	case errors.As(err, &unnamed):
		sentence = fmt.Sprintf("The input %s has no picture whose height could name its rendition.", unnamed.input)
		hint = "name it: --input sound=" + unnamed.input
	case errors.As(err, &encode):
		sentence, hint = explainEncode(encode)
	case errors.As(err, &slate):
		sentence, hint = explainSlate(slate)
	case errors.As(err, &input):
		sentence, hint = explainInput(input)
	case errors.Is(err, errStreamBusy):
		sentence = "This stream is being broadcast from this machine already."
		hint = "stop the other one, or broadcast another stream with --key FILE"
	case errors.As(err, &damaged):
		sentence, hint = fmt.Sprintf("The file %s holds no %s.", damaged.path, damaged.what), damaged.hint
	case errors.As(err, &key):
		sentence, hint = explainKey(key)
	case errors.As(err, &home) && isAboutKeys(home.err):
		sentence, hint = explainSealed(home)
	case errors.As(err, &home):
		sentence = fmt.Sprintf("The directory %s for keys and state cannot be used: %s.", home.dir, system(home.err))
		hint = "choose one that you can write to with --home DIR"
	case errors.Is(err, errNoLedger):
		sentence = fmt.Sprintf("All %d identities of this home are in use, and a node without one cannot keep what it uses.", maxIdentities)
		hint = "end another node, or give this one a home of its own with --home DIR"
	case errors.As(err, &ledger):
		sentence = fmt.Sprintf("The record of what this node used, %s, cannot be read: %s.", ledger.path, system(ledger.err))
		hint = "delete it to count this month from nothing"
	case errors.As(err, &rec) && errors.Is(err, record.ErrBusy):
		sentence = fmt.Sprintf("Another node records into %s already.", rec.dir)
		hint = "choose another directory with --record DIR, or end the other node"
	case errors.As(err, &rec):
		sentence = fmt.Sprintf("The directory %s cannot be recorded into: %s.", rec.dir, system(rec.err))
		hint = "choose one that you can write to with --record DIR"
	case errors.As(err, &cache):
		sentence, hint = explainCache(cache)
	case errors.As(err, &unwell):
		sentence = fmt.Sprintf("The node at %s is not well: %s.", unwell.addr, system(unwell.err))
		hint = "name the address of its --http with --http ADDR, if it is another; its log says what is wrong with it"
	case errors.As(err, &figures):
		sentence, hint = explainFigures(figures)
	case errors.As(err, &noKey):
		sentence, hint = explainNoKey(noKey)
	case errors.Is(err, p2p.ErrConfined):
		sentence = "A stream with trusted relays cannot be joined beside others."
		hint = "run a node of its own for it: another process with --http 127.0.0.1:0"
	case errors.As(err, &export):
		sentence, hint = explainExport(export)
	default:
		// errors.Join puts each on a line of its own.
		sentence = capital(strings.ReplaceAll(err.Error(), "\n", "; ")) + "."
	}
	return sentence, hint, exitFailed
}

func explainAddress(e *addressError) (sentence, hint string) {
	switch {
	case isErrno(e.err, syscall.EADDRINUSE):
		sentence = fmt.Sprintf("The address %s is in use by another program.", e.addr)
	case isErrno(e.err, syscall.EACCES):
		sentence = fmt.Sprintf("You may not listen on %s.", e.addr)
	case isErrno(e.err, syscall.EADDRNOTAVAIL):
		sentence = fmt.Sprintf("%s is no address of this machine.", e.addr)
	default:
		sentence = fmt.Sprintf("Cannot listen on %s: %s.", e.addr, system(e.err))
	}
	switch e.flag {
	case "http":
		hint = "choose another with --http ADDR; --http 127.0.0.1:0 picks a free port"
	case "listen":
		hint = "choose another with --listen; port 0 picks a free one"
	default:
		hint = "choose another with --" + e.flag
	}
	return sentence, hint
}

// isErrno reports whether the system's error is behind err. libp2p joins the errors of
// several addresses as text and keeps nothing else.
func isErrno(err error, errno syscall.Errno) bool {
	return errors.Is(err, errno) || strings.Contains(err.Error(), errno.Error())
}

// inputKinds is the hint where an --input is not understood.
const inputKinds = "--input takes a file, - for standard input, tcp://ADDR, udp://ADDR, rtmp://ADDR/live, srt://ADDR, whip://ADDR/live or the https:// address of an HLS stream"

const keyframeHint = "have the encoder make a keyframe every 2 seconds: -g 50 at 25 frames per second in ffmpeg, \"Keyframe Interval\" in OBS"

func explainInput(e *inputError) (sentence, hint string) {
	const remux = "ffmpeg can make it: ffmpeg -re -i INPUT -c:v libx264 -g 50 -c:a aac -f mpegts - | grapevine broadcast --input -"
	var (
		codec   *ingest.UnsupportedCodecError
		version *transcode.VersionError
		encoder *transcode.EncoderError
	)
	if sentence, hint := explainOrigin(e); sentence != "" {
		return sentence, hint
	}
	switch {
	case errors.Is(e.err, fs.ErrNotExist):
		return fmt.Sprintf("There is no file %s.", e.input), inputKinds
	case errors.Is(e.err, fs.ErrPermission):
		return fmt.Sprintf("You may not read %s.", e.input), "check who owns the file and its mode"
	case errors.Is(e.err, syscall.EISDIR):
		return fmt.Sprintf("%s is a directory.", e.input), "--input takes one file"
	case errors.Is(e.err, transcode.ErrNoFFmpeg):
		return fmt.Sprintf("The file %s is not MPEG-TS, and ffmpeg, which may know it, is not installed here.", e.input),
			"install it (https://ffmpeg.org/download.html) with ffprobe"
	case errors.As(e.err, &version):
		return fmt.Sprintf("The file %s is not MPEG-TS, and the ffmpeg at %s is too old to read it: it is %s.", e.input, version.Path, version.Version),
			"install 5.1 or newer"
	case errors.Is(e.err, transcode.ErrUnreadable):
		return fmt.Sprintf("The file %s is neither MPEG-TS nor anything that ffmpeg can play.", e.input), "ffprobe FILE tells what it is"
	case errors.As(e.err, &encoder):
		return fmt.Sprintf("The file %s has to be encoded, and ffmpeg's encoder %s does not work here: %v.", e.input, encoder.Name, encoder.Err),
			"install an ffmpeg with libx264"
	case errors.Is(e.err, ingest.ErrNotMPEGTS):
		return fmt.Sprintf("The input %s is not MPEG-TS.", e.input), remux
	case errors.Is(e.err, ingest.ErrNoTracks):
		return fmt.Sprintf("The input %s has neither audio nor video.", e.input), remux
	case errors.Is(e.err, ingest.ErrNoKeyframe):
		return fmt.Sprintf("The input %s has shown no keyframe, so nobody could start to watch.", e.input),
			keyframeHint
	case errors.As(e.err, &codec):
		return fmt.Sprintf("The input %s cannot be streamed: %v.", e.input, codec),
			"video may be H.264 or HEVC, audio AAC, MP3, AC-3 or Opus; " + remux
	case errors.Is(e.err, syscall.EADDRINUSE), errors.Is(e.err, syscall.EADDRNOTAVAIL):
		return explainAddress(&addressError{flag: "input", addr: e.input, err: e.err})
	}
	return fmt.Sprintf("The input %s failed: %s.", e.input, system(e.err)), ""
}

func explainEncode(e *encodeError) (sentence, hint string) {
	const without = "leave --encode out to publish the input as it is"
	var (
		version *transcode.VersionError
		encoder *transcode.EncoderError
		small   *transcode.TooSmallError
		died    *transcode.DiedError
	)
	switch {
	case errors.Is(e.err, transcode.ErrNoPipes):
		return "--encode does not work on this system yet.", without
	case errors.Is(e.err, transcode.ErrNoFFmpeg):
		return "--encode needs ffmpeg, which is not installed here.", "install it (https://ffmpeg.org/download.html), or " + without
	case errors.As(e.err, &version):
		return fmt.Sprintf("The ffmpeg at %s is too old for --encode: it is %s.", version.Path, version.Version),
			"install 5.1 or newer, or " + without
	case errors.As(e.err, &encoder):
		return fmt.Sprintf("ffmpeg's encoder %s does not work here: %v.", encoder.Name, encoder.Err),
			"choose another with --encoder NAME (ffmpeg -encoders lists them), or leave --encoder out"
	case errors.Is(e.err, transcode.ErrNoVideo):
		return "The input has no picture that --encode could make renditions of.", without
	case errors.As(e.err, &small):
		return fmt.Sprintf("The input's picture of %dx%d is smaller than all renditions of --encode.", small.Width, small.Height),
			fmt.Sprintf("name smaller ones, such as --encode %s, or %s", transcode.Name(small.Lines&^1), without)
	case errors.As(e.err, &died):
		return fmt.Sprintf("ffmpeg died %d times: %v.", died.Times, died.Err),
			"--log-level debug shows all that it says; " + without
	}
	return fmt.Sprintf("Encoding failed: %s.", system(e.err)), without
}

func explainKey(e *keyError) (sentence, hint string) {
	const make = "a key looks as \"openssl genpkey -algorithm ed25519\" writes it; without --key, one is made and kept in the home directory"
	switch {
	case errors.Is(e.err, fs.ErrNotExist):
		return fmt.Sprintf("There is no key file %s.", e.path), make
	case errors.Is(e.err, fs.ErrPermission):
		return fmt.Sprintf("You may not read the key file %s.", e.path), "check who owns the file and its mode"
	}
	sentence = fmt.Sprintf("The file %s holds no key that can be used: %s.", e.path, system(e.err))
	name := filepath.Base(e.path)
	node, _ := filepath.Match("node*.key", name)
	switch {
	case errors.Is(e.err, errForeignSeal):
		return sentence, "put " + vaultFile + " back into the home, as it was when this was sealed: nobody can open it without"
	case node:
		return sentence, "remove it, and another is made: the node has another peer ID then"
	case name == viewerKeyFile:
		return sentence, "remove it, and another is made: for private streams this machine then needs new invites"
	}
	return sentence, make
}

// isAboutKeys reports whether a home can be used but for its passphrase, lock or version.
func isAboutKeys(err error) bool {
	_, version := errors.AsType[*versionError](err)
	return version || errors.Is(err, errNoPassphrase) || errors.Is(err, errPassphrase) || errors.Is(err, errHomeBusy)
}

func explainSealed(e *homeError) (sentence, hint string) {
	switch {
	case errors.Is(e.err, errNoPassphrase):
		return fmt.Sprintf("The keys in %s are under a passphrase.", e.dir),
			"give it with --" + passphraseFileName + " FILE or in " + passphraseVariable + ", or run this on a terminal, which asks for it"
	case errors.Is(e.err, errPassphrase):
		return fmt.Sprintf("That passphrase does not open the keys in %s.", e.dir), "nobody can open them without; with --home DIR another home has keys of its own"
	case errors.Is(e.err, errHomeBusy):
		return fmt.Sprintf("Another process uses the home %s, and its passphrase changes only while nobody does.", e.dir), "end the others first, or use another home with --home DIR"
	}
	return fmt.Sprintf("The home %s was written by a newer grapevine: %v.", e.dir, e.err), "use that one, or another home with --home DIR"
}

func explainCache(e *cacheError) (sentence, hint string) {
	var version *disk.VersionError
	switch {
	case errors.Is(e.err, disk.ErrBusy):
		return fmt.Sprintf("Another node keeps streams in %s already.", e.dir), "choose another directory with --cache-dir DIR, or end the other node"
	case errors.As(e.err, &version):
		return fmt.Sprintf("The cache in %s is of another version of grapevine: its file \"format\" says %q.", e.dir, version.Found),
			"choose another directory with --cache-dir DIR, or remove this one, which holds copies of streams only"
	}
	return fmt.Sprintf("Streams cannot be kept in %s: %s.", e.dir, system(e.err)), "choose a directory that you can write to with --cache-dir DIR"
}

// reason returns what err says beyond the sentinel that it wraps.
func reason(err, sentinel error) string {
	return strings.TrimPrefix(err.Error(), sentinel.Error()+": ")
}

// system returns what the operating system said, without the operation and the path
// that the sentence names already.
func system(err error) string {
	var path *fs.PathError
	var link *syscall.Errno
	switch {
	case errors.As(err, &path):
		return path.Err.Error()
	case errors.As(err, &link):
		return link.Error()
	}
	return err.Error()
}
