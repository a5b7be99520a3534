package meter

import (
	"bytes"
	"io"
	"math"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestSendsAtTheRate sends for ten seconds of virtual time as fast as it may.
func TestSendsAtTheRate(t *testing.T) {
	for _, bits := range []int{100_000, 2_000_000, 80_000_000} {
		synctest.Test(t, func(t *testing.T) {
			m := New(Config{Upload: bits})
			const packet, span = 1280, 10 * time.Second
			for start := time.Now(); time.Since(start) < span; {
				wait, ok := m.packet(packet, time.Now())
				if !ok {
					t.Fatal("a packet was dropped for one sender")
				}
				time.Sleep(wait)
			}
			most := int64(float64(bits)/8*span.Seconds()+m.up.depth) + packet
			if got := m.Totals().Sent; got > most || got < most*98/100-packet {
				t.Errorf("at %d bit/s %d bytes were sent, want %d", bits, got, most)
			}
		})
	}
}

// TestDropsWhatWaitsTooLong has more senders than the rate has room for.
func TestDropsWhatWaitsTooLong(t *testing.T) {
	m, now, passed := New(Config{Upload: 2_000_000}), time.Now(), 0
	for range 1000 {
		wait, ok := m.packet(1280, now)
		if wait > sendPatience {
			t.Fatalf("a packet waits for %v", wait)
		}
		if ok {
			passed += 1280
		}
	}
	got := m.Totals()
	if got.Sent != int64(passed) || got.SendDropped != int64(1000*1280-passed) || got.SendDropped == 0 {
		t.Errorf("%+v, though %d bytes passed", got, passed)
	}
}

// TestReadsAtTheRate reads for ten seconds of virtual time as fast as it may.
func TestReadsAtTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bits, packet, span = 2_000_000, 1280, 10 * time.Second
		m := New(Config{Download: bits})
		for start := time.Now(); time.Since(start) < span; {
			wait, ok := m.arrived(packet, time.Now())
			if !ok {
				t.Fatal("a packet was dropped")
			}
			time.Sleep(wait)
		}
		most := int64(receiveShare*bits/8*span.Seconds()+m.down.depth) + packet
		if got := m.Totals().Received; got > most || got < most*98/100 {
			t.Errorf("%d bytes were read, want %d", got, most)
		}
	})
}

func TestNothingPassesBeyondTheCeiling(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name          string
		ceiling       Ceiling
		sent, dropped int64
		hears         bool
	}{
		{"both ways", Ceiling{math.MaxInt64, 4500}, 4000, 2000, false},
		{"sent only", Ceiling{4500, math.MaxInt64}, 4000, 2000, true},
		{"none", NoCeiling, 6000, 0, true},
	} {
		m := New(Config{})
		m.Bound(c.ceiling)
		for range 6 {
			m.packet(1000, now)
		}
		if got := m.Totals(); got.Sent != c.sent || got.SendDropped != c.dropped {
			t.Errorf("%s: %+v, want %d sent, %d not", c.name, got, c.sent, c.dropped)
		}
		if _, hears := m.arrived(1000, now); hears != c.hears || m.Totals().Received != 1000 {
			t.Errorf("%s: received %t, %+v", c.name, hears, m.Totals())
		}
	}
	m := New(Config{})
	m.Shut(true)
	if _, ok := m.packet(1, now); ok {
		t.Error("something is sent by a meter that is shut")
	}
	if _, ok := m.arrived(1, now); ok {
		t.Error("something passed a meter that is shut")
	}
	m.Shut(false)
	if _, ok := m.arrived(1, now); !ok {
		t.Error("nothing passes a meter that is open again")
	}
}

func TestCountsPacketsWithTheirHeaders(t *testing.T) {
	for _, c := range []struct {
		network string
		ip      net.IP
		headers int64
	}{{"udp4", net.IPv4(127, 0, 0, 1), 28}, {"udp6", net.IPv6loopback, 48}} {
		from, to := New(Config{}), New(Config{})
		a, err := from.ListenUDP(c.network, &net.UDPAddr{IP: c.ip})
		if err != nil {
			t.Logf("no %s here: %v", c.network, err)
			continue
		}
		defer a.Close()
		b, err := to.ListenUDP(c.network, &net.UDPAddr{IP: c.ip})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if _, err := a.WriteTo(make([]byte, 1000), b.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if n, _, err := b.ReadFrom(make([]byte, 2000)); n != 1000 || err != nil {
			t.Fatalf("%d bytes arrived: %v", n, err)
		}
		if sent, received := from.Totals().Sent, to.Totals().Received; sent != 1000+c.headers || received != 1000+c.headers {
			t.Errorf("%s: sent %d, received %d", c.network, sent, received)
		}
	}
}

// TestCloseEndsWaiting closes a socket of which a packet waits for its turn.
func TestCloseEndsWaiting(t *testing.T) {
	m := New(Config{Upload: 100_000})
	c, err := m.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan error)
	go func() {
		var err error
		for err == nil {
			_, err = c.WriteTo(make([]byte, 20_000), c.LocalAddr())
		}
		written <- err
	}()
	for m.Totals().Sent < 40_000 { // the second waits
	}
	c.Close()
	if err := <-written; err == nil {
		t.Error("no error")
	}
}

// TestTCPAtTheRate sends over a real connection; the time that it takes is what the rate says.
func TestTCPAtTheRate(t *testing.T) {
	m := New(Config{Upload: 4_000_000})
	near, far := tcpPair(t)
	c := m.newConn(near)
	const size = 200_000
	received := make(chan int64)
	go func() {
		n, _ := io.Copy(io.Discard, far)
		received <- n
	}()
	began := time.Now()
	if n, err := c.Write(bytes.Repeat([]byte{1}, size)); n != size || err != nil {
		t.Fatal(n, err)
	}
	took := time.Since(began)
	c.Close()
	if n := <-received; n != size {
		t.Fatalf("%d bytes arrived", n)
	}
	sent := m.Totals().Sent
	if sent < size*103/100 || sent > size*105/100 {
		t.Errorf("%d bytes of payload count as %d", size, sent)
	}
	if least := time.Duration((float64(sent) - m.up.depth - tcpPiece) / 500_000 * float64(time.Second)); took < least {
		t.Errorf("it took %v, want %v at least", took, least)
	}
}
