package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The demo is three nodes and a server: what it leaves behind, any command would.
func TestNothingOutlivesTheDemo(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	ctx, cancel := context.WithTimeout(t.Context(), processLimit)
	defer cancel()
	out, in := io.Pipe()
	env := &environment{stdin: os.Stdin, stdout: in, stderr: io.Discard}
	done := make(chan error, 1)
	go func() {
		defer in.Close()
		done <- runDemo(ctx, settings{http: "127.0.0.1:0", cache: minCache, json: true}, false, newScreen(env, true))
	}()
	var ready readyEvent
	lines := bufio.NewScanner(out)
	for ready.Event == "" && lines.Scan() {
		if err := json.Unmarshal(lines.Bytes(), &ready); err != nil {
			t.Fatal(err)
		}
	}
	if ready.Event != "ready" || ready.Role != roleDemo {
		t.Fatalf("the first event is %+v", ready)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(ready.HLS)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("the playlist answers %s", res.Status)
	}
	cancel()
	for lines.Scan() { // until it has ended
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	// libp2p's meters of bandwidth share one goroutine per process, which never ends.
	meters := goleak.IgnoreAnyFunction("github.com/libp2p/go-flow-metrics.(*sweeper).run")
	goleak.VerifyNone(t, leaks, meters)
}
