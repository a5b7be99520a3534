package p2ptest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// TestLiarsAreBelieved checks that what liars say is understood: else they would be no
// danger, and scenarios with them would prove nothing.
func TestLiarsAreBelieved(t *testing.T) {
	for name, forge := range map[string]bool{"silent": false, "forging": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 500_000}
				net := p2ptest.New(t, 10*time.Millisecond)
				const viewers = 4
				for range 1 + viewers {
					net.AddNode(p2ptest.Link{})
				}
				liar := net.AddLiar(p2ptest.Link{}, src.Key.ID(), forge)
				net.Start()
				defer net.Close()
				var victims []*p2p.Swarm
				for i := range viewers {
					victim, err := net.Node(i + 1).Join(net.Link(src.Key.ID(), i))
					if err != nil {
						t.Fatal(err)
					}
					victims = append(victims, victim)
					net.Connect(1+viewers, i+1)
				}
				time.Sleep(3 * time.Second)
				liar.Lie()
				sent := src.Run(context.Background(), t, net.Node(0), 3, false)
				time.Sleep(2 * time.Second)
				if liar.Stats().Asked == 0 {
					t.Error("nobody asked the liar")
				}
				var refused int64
				for i, victim := range victims {
					refused += victim.Stats().ChunksRefused
					if missing := p2ptest.Missing(net.Node(i+1), src.Key.ID(), sent); len(missing) > 0 {
						t.Errorf("victim %d lacks %v", i, missing)
					}
				}
				if forge != (refused > 0) {
					t.Errorf("%d forged chunks were refused", refused)
				}
			})
		})
	}
}
