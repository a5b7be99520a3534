package p2p_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// lines is a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// with returns the lines with a text.
func (l *lines) with(text string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, text) {
			out = append(out, line)
		}
	}
	return out
}

// siege is a broadcaster (host 0), two viewers (1 and 2), and an attacker (3) that knows all.
type siege struct {
	net      *p2ptest.Network
	src      *p2ptest.Source
	attacker *p2ptest.Attacker
	logs     [3]lines
	viewer   *p2p.Swarm // of host 1
}

// attacked broadcasts for so long, has the attack begin 5 s later, and returns when
// all is over. Whatever the attacker does, viewers hold what was broadcast and nothing else, and
// pass on nothing else.
func attacked(t *testing.T, attack func(key stream.Key) p2ptest.Attack, after, lasts time.Duration, check func(s *siege)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &siege{net: p2ptest.New(t, latency), src: &p2ptest.Source{Key: stream.NewKey(), Epoch: 2, Rate: 500_000}}
		for i := range s.logs {
			s.net.AddNodeWith(p2ptest.Link{}, p2p.Config{Logger: slog.New(slog.NewTextHandler(&s.logs[i], nil))})
		}
		s.attacker = s.net.AddAttacker(p2ptest.Link{}, s.src.Key.ID(), attack(s.src.Key))
		old, err := stream.NewPublisher(s.src.Key, "main", 1)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			h, _, err := old.Publish(stream.Part{StartsSegment: true, EndsSegment: true, Duration: time.Second, ProgramTime: time.Now().Add(-time.Hour), Data: []byte("old")})
			if err != nil {
				t.Fatal(err)
			}
			s.attacker.Record(h.Bytes())
		}
		var heard sync.Map // what honest nodes sent the attacker: header or chunk
		s.attacker.OnHeard(func(b []byte, chunk bool, p stream.Position) {
			if !chunk {
				heard.Store(string(b), true)
			}
		})
		s.net.Start()
		defer s.net.Close()
		link := s.net.Link(s.src.Key.ID(), 0)
		s.viewer = join(t, s.net, 1, link)
		other := join(t, s.net, 2, link)
		for i := range 3 {
			s.net.Connect(3, i)
		}
		s.net.Connect(1, 2)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan map[stream.Position][]byte)
		go func() { done <- s.src.Run(ctx, t, s.net.Node(0), 1000, false) }()
		time.Sleep(after)
		s.attacker.Attack()
		time.Sleep(lasts)
		check(s)
		cancel()
		sent := <-done
		time.Sleep(3 * time.Second)
		for i, swarm := range []*p2p.Swarm{s.viewer, other} {
			if missing := p2ptest.Missing(s.net.Node(i+1), s.src.Key.ID(), sent); len(missing) > 0 {
				t.Errorf("viewer %d lacks %d of %d parts, or has others: %v", i+1, len(missing), len(sent), missing)
			}
			for _, h := range swarm.Timelines()[0].From(stream.Position{}) {
				if data, ok := sent[h.Position]; ok && h.Size != len(data) || !ok && swarm.Stats().Equivocations == 0 {
					t.Errorf("viewer %d has a header that was not broadcast: %v", i+1, h.Position)
				}
			}
		}
		heard.Range(func(raw, _ any) bool {
			h, err := stream.OpenHeader(s.src.Key.ID(), []byte(raw.(string)))
			if err != nil {
				t.Errorf("a forgery was passed on: %v", err)
			} else if data, ok := sent[h.Position]; !ok || h.Size != len(data) && s.viewer.Stats().Equivocations == 0 {
				t.Errorf("a header was passed on that was not broadcast: %v", h.Position)
			}
			return true
		})
	})
}

// cutOff checks that all three nodes cut the attacker off within 10 s, said so once in one
// line, and let it in no more.
func (s *siege) cutOff(t *testing.T, why p2p.Misconduct) {
	t.Helper()
	st := s.attacker.Stats()
	if len(st.CutOff) != 3 || len(st.Spared) > 0 {
		t.Errorf("%d of 3 nodes cut the attacker off: %+v", len(st.CutOff), st)
	}
	for _, d := range st.CutOff {
		if d > 10*time.Second {
			t.Errorf("cut off after %v, want 10 s at most", d)
		}
	}
	for i := range s.logs {
		want := "peer=" + s.net.Host(3).ID().String() + " addr=1.0.0.4 reason=" + string(why) + " for=1m0s"
		if got := s.logs[i].with("peer cut off"); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("node %d logged %q, want one line with %q", i, got, want)
		}
		if n := s.net.Node(i).Stats().CutOff[why]; n != 1 {
			t.Errorf("node %d counts %d peers cut off for %s, want 1", i, n, why)
		}
	}
}

// noKey is an attack for which nobody has to have the stream's key.
func noKey(a p2ptest.Attack) func(stream.Key) p2ptest.Attack {
	return func(stream.Key) p2ptest.Attack { return a }
}
