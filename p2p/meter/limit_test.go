package meter

import (
	"testing"
	"time"
)

func TestLimitChanges(t *testing.T) {
	now := time.Now()
	m := New(Config{})
	if wait, ok := m.bytes(10<<20, now); !ok || wait > 0 {
		t.Fatalf("unbound, and %v to wait", wait)
	}
	m.Limit(Config{Upload: 800_000}) // 100,000 bytes per second
	m.bytes(100_000, now)
	slow, _ := m.bytes(100_000, now)
	if slow < 1500*time.Millisecond || slow > 2100*time.Millisecond {
		t.Errorf("200,000 bytes at 800 kbit/s wait %v", slow)
	}
	m.Limit(Config{Upload: 8_000_000})
	fast, _ := m.bytes(100_000, now)
	if fast < 200*time.Millisecond || fast > 320*time.Millisecond {
		t.Errorf("what is owed and 100,000 bytes more wait %v at 8 Mbit/s", fast)
	}
	m.Limit(Config{})
	if wait, ok := m.bytes(10<<20, now); !ok || wait > 0 {
		t.Errorf("unbound again, and %v to wait", wait)
	}
	if got := m.Totals().Sent; got != 20<<20+300_000 {
		t.Errorf("%d bytes sent", got)
	}
}
