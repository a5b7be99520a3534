package hls

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// attackers are slow clients, of four kinds, and more than there is room for.
	attackers = maxConns + 100
	// attackFor is how long a player plays among them, with a segment each attackSegment; they
	// do something each attackPace.
	attackFor     = 8 * time.Second
	attackSegment = 250 * time.Millisecond
	attackPace    = time.Second
	// attackPatience is what the player's request may take on a machine that is busy with
	// other tests, too. By a room that nobody leaves it would wait for ever.
	attackPatience = 15 * time.Second
	// attackMemory bounds what an attacker costs, its own side in this process included.
	attackMemory = 64 << 10
)

// TestSlowClientsDisturbNobody has a player play among slow clients and endless requests.
func TestSlowClientsDisturbNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes ten seconds")
	}
	b := newBroadcast(t, 0)
	for range 3 {
		b.air(2 * time.Second)
	}
	base := onLoopback(t, b)
	at, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	before := memory()
	var attack sync.WaitGroup
	defer attack.Wait()
	done := make(chan struct{})
	defer close(done)
	for i := range attackers {
		attack.Go(func() { attackOnce(at.Host, b, i, done) })
	}
	// The player, of a new connection for each request, as VLC does.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: attackPatience}
	slowest, served, most := time.Duration(0), 0, uint64(0)
	for began := time.Now(); time.Since(began) < attackFor; time.Sleep(attackSegment) {
		shot := b.air(2 * time.Second)
		for _, path := range []string{b.path("index.m3u8"), b.path(shot.name)} {
			asked := time.Now()
			body, err := get(&client, base+path)
			if err != nil {
				t.Fatalf("after %v: %v", time.Since(began), err)
			}
			if strings.HasSuffix(path, ".ts") && body != len(shot.data) {
				t.Errorf("%s has %d bytes, want %d", path, body, len(shot.data))
			}
			slowest, served = max(slowest, time.Since(asked)), served+1
		}
		most = max(most, memory())
	}
	each := (int64(most) - int64(before)) / attackers
	t.Logf("%d requests, the slowest took %v; %d attackers cost %d bytes each", served, slowest, attackers, each)
	if each > attackMemory {
		t.Errorf("an attacker costs %d bytes, want %d at most", each, attackMemory)
	}
}

// memory returns what the process has in use.
func memory() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// get fetches a URL and returns how many bytes it has.
func get(client *http.Client, url string) (int, error) {
	res, err := client.Get(url)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, res.Status)
	}
	return int(n), err
}

// attackOnce is a slow client, by its number one that sends its header, its header or its
// body without an end, or takes the answer byte by byte. It comes back when it is cut off.
func attackOnce(host string, b *broadcast, number int, done <-chan struct{}) {
	begin, more, reads := "", "", false
	switch request := "GET " + b.path("1-2.ts") + " HTTP/1.1\r\nHost: " + host + "\r\n"; number % 4 {
	case 0:
		begin, more = request, "x"
	case 1:
		begin, more = request, "X-More: "+strings.Repeat("x", 1000)+"\r\n"
	case 2:
		begin, more = request+"Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"
	case 3:
		begin, reads = request+"\r\n", true
	}
	tick := time.NewTicker(attackPace)
	defer tick.Stop()
	one := make([]byte, 1)
	var conn net.Conn
	for {
		select {
		case <-done:
			if conn != nil {
				_ = conn.Close()
			}
			return
		case <-tick.C:
		}
		var err error
		switch {
		case conn == nil:
			if conn, err = net.DialTimeout("tcp", host, time.Second); err != nil {
				conn = nil
				continue
			}
			_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10) // so that the server feels it
			_, err = io.WriteString(conn, begin)
		case reads:
			_ = conn.SetReadDeadline(time.Now().Add(attackPace))
			_, err = conn.Read(one)
		default:
			_, err = io.WriteString(conn, more)
		}
		if err != nil {
			_ = conn.Close()
			conn = nil
		}
	}
}
