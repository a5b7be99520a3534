package ingest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/message"
)

const (
	defaultRTMPPort = "1935"
	defaultRTMPPath = "/live"
	// maxRTMPGreeting bounds what is read of a publisher before its stream key: encoders
	// need 5 KB.
	maxRTMPGreeting = 64 << 10
	// statusChunkStream is not the one that gortmplib writes the publisher's status to,
	// which may not have been sent.
	statusChunkStream = 7
)

// streamKeys are made of what no encoder and no URL gives another meaning.
var streamKeys = regexp.MustCompile(`^[A-Za-z0-9_.-]{8,128}$`)

// CheckStreamKey says what is wrong with a key for RTMP and WHIP publishers, if anything.
func CheckStreamKey(key string) error {
	if !streamKeys.MatchString(key) {
		return errors.New("a stream key has 8 to 128 letters, digits, dots, dashes or underscores")
	}
	return nil
}

// parseRTMP reads rtmp://host[:port][/path].
func parseRTMP(s string) (input, error) {
	u, err := url.Parse(s)
	if err != nil {
		return input{}, fmt.Errorf("input %q: %w", s, err)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return input{}, fmt.Errorf("input %q is not rtmp://host:port/path", s)
	}
	in := input{kind: inputRTMP, addr: net.JoinHostPort(u.Hostname(), u.Port()), path: path.Clean("/" + u.Path)}
	if u.Port() == "" {
		in.addr = net.JoinHostPort(u.Hostname(), defaultRTMPPort)
	}
	if in.path == "/" {
		in.path = defaultRTMPPath
	}
	return in, nil
}

// RTMPServer returns what an encoder is to be told as its server, for an Input that
// listens for RTMP publishers, and false for others. A host that is not told is this
// machine.
func RTMPServer(input string) (string, bool) {
	in, err := parseInput(input)
	if err != nil || in.kind != inputRTMP {
		return "", false
	}
	host, port, err := net.SplitHostPort(in.addr)
	if err != nil {
		return "", false
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "rtmp://" + net.JoinHostPort(host, port) + in.path, true
}

// rtmpGreeter lets in publishers that name its path and show its key.
type rtmpGreeter struct{ path, key string }

func (g rtmpGreeter) greet(r *reception, c *net.TCPConn) error {
	rw := &greetingConn{conn: c, left: maxRTMPGreeting}
	rw.out = bufio.NewWriter(c)
	server := &gortmplib.ServerConn{RW: rw}
	if err := server.Initialize(); err != nil {
		return fmt.Errorf("RTMP handshake: %w", err)
	}
	if err := server.Accept(); err != nil {
		return fmt.Errorf("RTMP handshake: %w", err)
	}
	if err := g.check(server); err != nil {
		return rw.deny(server, err)
	}
	if err := r.busy(); err != nil {
		return rw.deny(server, err)
	}
	if err := rw.letIn(); err != nil {
		return err
	}
	feed := &rtmpFeed{conn: c, messages: server, log: r.i.log, leftOut: func() {
		r.i.connection(func(s *Stats) { s.LeftOut++ })
	}}
	return r.enter(&encoder{ReadCloser: feed, from: c.RemoteAddr().String(), whole: true, heldFor: feed.heldFor})
}

// check returns why a publisher may not publish.
func (g rtmpGreeter) check(server *gortmplib.ServerConn) error {
	if !server.Publish {
		return ErrPlays
	}
	dir, key := path.Split(server.URL.Path)
	if dir = path.Clean(dir); dir != g.path {
		// Those who have the key twice in their settings shall not have it in a log.
		return fmt.Errorf("%w: %s", ErrPath, strings.ReplaceAll(dir, g.key, "…"))
	}
	if !equalSecrets(key, g.key) {
		return ErrStreamKey
	}
	return nil
}

// greetingConn is a connection that is not let in yet. It bounds what is read, and keeps
// what is written until more is read: gortmplib tells a publisher that it may begin before
// the key can be looked at, and encoders show their users only what comes instead.
type greetingConn struct {
	conn  net.Conn
	left  int
	out   *bufio.Writer
	letin bool
}

func (g *greetingConn) Read(b []byte) (int, error) {
	if g.letin {
		return g.conn.Read(b)
	}
	if err := g.out.Flush(); err != nil {
		return 0, err
	}
	if g.left == 0 {
		return 0, fmt.Errorf("no stream key within %d bytes", maxRTMPGreeting)
	}
	n, err := g.conn.Read(b[:min(len(b), g.left)])
	g.left -= n
	return n, err
}

func (g *greetingConn) Write(b []byte) (int, error) {
	n, err := g.out.Write(b)
	if g.letin && err == nil {
		err = g.out.Flush()
	}
	return n, err
}

// letIn sends what was kept, and ends the bounds.
func (g *greetingConn) letIn() error {
	g.letin = true
	return errors.Join(g.out.Flush(), g.conn.SetDeadline(time.Time{}))
}

// deny forgets what was kept, and tells the publisher why it is refused. It returns why.
func (g *greetingConn) deny(server *gortmplib.ServerConn, why error) error {
	g.out.Reset(g.conn)
	code := "NetStream.Publish.BadName"
	if errors.Is(why, ErrStreamKey) || errors.Is(why, ErrPath) {
		code = "NetStream.Publish.Denied"
	}
	err := server.Write(&message.CommandAMF0{
		ChunkStreamID:   statusChunkStream,
		MessageStreamID: 0x1000000,
		Name:            "onStatus",
		Arguments: []any{nil, amf0.Object{
			{Key: "level", Value: "error"},
			{Key: "code", Value: code},
			{Key: "description", Value: why.Error()},
		}},
	})
	if err == nil {
		// If it cannot be told, it finds out when the connection closes.
		_ = g.out.Flush()
	}
	return why
}
