package hls

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// onLoopback runs a server on a loopback connection, and returns its address.
func onLoopback(t testing.TB, b *broadcast) (base string) {
	s, err := NewServer(Config{Node: b})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- s.Run(ctx) }()
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	if err := s.WaitPlayable(ctx, b.key.ID()); err != nil {
		t.Fatal(err)
	}
	return "http://" + l.Addr().String()
}

// TestSegmentsOverTCP asks for whole segments and for ranges that begin and end anywhere
// in their chunks, over one connection.
func TestSegmentsOverTCP(t *testing.T) {
	b := newBroadcast(t, 0)
	for range startSegments {
		b.air(2 * time.Second)
	}
	base := onLoopback(t, b)
	shot := b.order[1]
	chunk := stream.ChunkSizeFor(len(shot.data) / len(shot.headers))
	for _, r := range [][2]int{
		{0, len(shot.data)}, {0, 1}, {0, 511}, {0, 512}, {0, 513}, {0, chunk}, {1, chunk + 1}, {chunk - 1, 2*chunk + 1},
		{600, 4 * chunk}, {len(shot.data) - 1, len(shot.data)}, {3, len(shot.data) - 3}, {0, len(shot.data)},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+b.path(shot.name), nil)
		if err != nil {
			t.Fatal(err)
		}
		code := http.StatusOK
		if r[1]-r[0] < len(shot.data) {
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", r[0], r[1]-1))
			code = http.StatusPartialContent
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != code || !bytes.Equal(got, shot.data[r[0]:r[1]]) {
			t.Errorf("bytes %d to %d: %s, %d bytes, %v", r[0], r[1], res.Status, len(got), err)
		}
	}
}

// countingConn counts the writes of a connection.
type countingConn struct {
	net.Conn
	writes int
	bytes.Buffer
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.writes++
	return c.Buffer.Write(p)
}

func (c *countingConn) Read(p []byte) (int, error) { return c.Buffer.Read(p) }

// TestAnswersAreNotCopiedTogether gives a connection the rest of an answer as net/http
// does.
func TestAnswersAreNotCopiedTogether(t *testing.T) {
	b := newBroadcast(t, 0)
	shot := b.air(2 * time.Second)
	var a assembly
	if !a.gather(b.timeline.Segments(stream.Position{})[0], b.store) {
		t.Fatal("not whole")
	}
	r := a.body.reader()
	if _, err := io.CopyN(io.Discard, r, 512); err != nil {
		t.Fatal(err)
	}
	c := &countingConn{}
	rest := &io.LimitedReader{R: r, N: int64(len(shot.data)) - 512}
	if n, err := (&limitedConn{Conn: c, room: newRoom(1, 1, &roomCounts{})}).ReadFrom(rest); err != nil || n != int64(len(shot.data))-512 || rest.N != 0 {
		t.Fatalf("%d bytes, %d left, %v", n, rest.N, err)
	}
	if !bytes.Equal(c.Bytes(), shot.data[512:]) {
		t.Error("other bytes")
	}
	if c.writes != len(a.body.chunks) {
		t.Errorf("%d writes of %d chunks", c.writes, len(a.body.chunks))
	}
	// What is no segment goes through as it is.
	c = &countingConn{}
	if n, err := (&limitedConn{Conn: c, room: newRoom(1, 1, &roomCounts{})}).ReadFrom(strings.NewReader("playlist")); n != 8 || err != nil || c.String() != "playlist" {
		t.Errorf("%d bytes, %v: %q", n, err, c)
	}
}

// BenchmarkServeSegment fetches one over loopback, the client included.
func BenchmarkServeSegment(b *testing.B) {
	cast := newBroadcast(b, 0)
	for range startSegments {
		cast.air(2 * time.Second)
	}
	url := onLoopback(b, cast) + cast.path(cast.order[1].name)
	b.SetBytes(int64(len(cast.order[1].data)))
	b.ReportAllocs()
	for b.Loop() {
		res, err := http.Get(url)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			b.Fatal(err)
		}
		res.Body.Close()
	}
}
