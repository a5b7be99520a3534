package meter

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestHTTPIsCountedAndShut(t *testing.T) {
	const size = 300_000
	serving, asking := New(Config{}), New(Config{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, size)) // the client counts
	}))
	server.Listener = serving.Listener(server.Listener)
	server.Start()
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return asking.Conn(c)
	}}}
	defer client.CloseIdleConnections()
	get := func() (int64, error) {
		resp, err := client.Get(server.URL)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		return io.Copy(io.Discard, resp.Body)
	}
	if n, err := get(); n != size || err != nil {
		t.Fatal(n, err)
	}
	if sent, received := serving.Totals().Sent, asking.Totals().Received; sent < size*103/100 || sent > size*106/100 || received < size*103/100 {
		t.Errorf("%d bytes of payload count as %d sent and %d received", size, sent, received)
	}
	serving.Shut(true)
	before := serving.Totals().Sent
	if n, err := get(); err == nil {
		t.Errorf("%d bytes passed", n)
	}
	if sent := serving.Totals().Sent - before; sent > 1000 { // acknowledgements
		t.Errorf("%d bytes were sent", sent)
	}
}

func TestOnlyTheInternetsConnections(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if _, err := New(Config{}).Conn(near); err == nil {
		t.Error("a pipe is counted")
	}
}
