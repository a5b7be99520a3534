package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/grapevine-live/grapevine/hls"
)

func TestFiguresAddress(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:8787":           "http://127.0.0.1:8787/api/v1/status",
		":8787":                    "http://127.0.0.1:8787/api/v1/status",
		"[::1]:8787":               "http://[::1]:8787/api/v1/status",
		"localhost:80":             "http://localhost:80/api/v1/status",
		"http://127.0.0.1:8787/":   "http://127.0.0.1:8787/api/v1/status",
		"https://node.example":     "https://node.example/api/v1/status",
		"":                         "",
		"8787":                     "",
		"127.0.0.1":                "",
		"ftp://127.0.0.1:21":       "",
		"http://127.0.0.1:87 87/x": "",
	} {
		c, err := newFiguresClient(addr)
		if (err != nil) != (want == "") || err == nil && c.url != want {
			t.Errorf("%q: %+v, %v", addr, c, err)
		}
		var usage *usageError
		if err != nil && !errors.As(err, &usage) {
			t.Errorf("%q: %v is no wrong usage", addr, err)
		}
	}
}

func TestFiguresErrors(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	serve := func(code int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	for addr, want := range map[string]string{
		closed.Addr().String(): "No node answers at %s.",
		serve(200, "<html>"):   "What answers at %s is no grapevine node.",
		serve(200, "{}"):       "What answers at %s is no grapevine node.",
		serve(404, ""):         "What answers at %s is no grapevine node.",
		serve(403, ""):         "The node at %s does not tell its figures to you: Forbidden.",
		serve(500, ""):         "The node at %s answers with an error: 500 Internal Server Error.",
		serve(200, `{"public":true,"streams":[]}`): "At %s is a node's gateway, which tells nothing of the node.",
	} {
		c, err := newFiguresClient(addr)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.figures(t.Context())
		sentence, hint, code := explain(err)
		if sentence != fmt.Sprintf(want, addr) || hint == "" || code != exitFailed {
			t.Errorf("%v: %q, %q, %d", err, sentence, hint, code)
		}
	}
}

// TestStatusLive runs the live view as a terminal would, with a node that goes and comes back.
func TestStatusLive(t *testing.T) {
	f := crowded(2, 3, "Keynote")
	asked := make(chan error, 1)
	m := statusModel{view: statusView{}, ask: func() (*hls.Figures, error) { return f, <-asked }}
	m.view.take(f, time.Now())
	in, keys := io.Pipe()
	var out screenBuffer
	p := tea.NewProgram(m, tea.WithContext(t.Context()), tea.WithInput(in), tea.WithOutput(&out), tea.WithWindowSize(80, 24), tea.WithoutSignalHandler())
	ended := make(chan error, 1)
	var last tea.Model
	go func() {
		var err error
		last, err = p.Run()
		ended <- err
	}()
	out.await(t, "grapevine relay")
	asked <- errors.New("it was stopped")
	out.await(t, "answer any more")
	asked <- nil
	if _, err := keys.Write([]byte("lq")); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(processLimit):
		t.Fatal("q does not end it")
	}
	if chosen := last.(statusModel).view.chosen; chosen != 1 {
		t.Errorf("stream %d was chosen, want 1", chosen)
	}
	close(asked) // whoever asks still
	_ = keys.Close()
}

// screenBuffer is what a program wrote to its terminal.
type screenBuffer struct {
	mu   sync.Mutex // guards all following
	text bytes.Buffer
}

func (b *screenBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// await waits until a text was written.
func (b *screenBuffer) await(t *testing.T, want string) {
	t.Helper()
	for limit := time.Now().Add(processLimit); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		b.mu.Lock()
		text := b.text.String()
		b.mu.Unlock()
		if strings.Contains(text, want) {
			return
		}
	}
	t.Fatalf("it never wrote %q: %q", want, b.text.String())
}

// TestStatusReadsWhatNodesSay checks that figures survive their way to another process.
func TestStatusReadsWhatNodesSay(t *testing.T) {
	f := crowded(2, 3, "Keynote")
	f.Gateway = &hls.GatewayStatus{Viewers: 3}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(f) }))
	defer s.Close()
	c, err := newFiguresClient(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.figures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want, _ := json.Marshal(f)
	if text, _ := json.Marshal(got); !bytes.Equal(text, want) {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}
