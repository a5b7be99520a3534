package p2p

import (
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

func TestAllNewcomersTogetherAreBounded(t *testing.T) {
	c, now := newNewcomers(), time.Unix(1, 0)
	c.settle("honest", now)
	looked := 0
	for i := range 50_000 { // as many peers, in a second
		if c.admit(peer.ID(rune(i)), 1, now.Add(time.Duration(i)*time.Second/50_000)) {
			looked++
		}
		if !c.admit("honest", 1, now) {
			t.Fatal("who is none is not looked at")
		}
	}
	if looked > newcomersBurst+newcomersRate || looked < newcomersBurst {
		t.Errorf("%d messages of newcomers were looked at within a second", looked)
	}
	c.forget("honest")
	if c.admit("honest", newcomersBurst, now.Add(time.Second)) {
		t.Error("who was cut off is no newcomer again")
	}
	if !c.admit("another", 0, now) {
		t.Error("what is no message needs no room")
	}
	for i := range 2 * maxSettled {
		c.settle(peer.ID(rune(1<<16+i)), now)
	}
	if len(c.settled) > maxSettled {
		t.Errorf("%d peers are remembered", len(c.settled))
	}
}

// Each peer says little, and there is another each time.
func TestAFloodOfManyPeersIsBounded(t *testing.T) {
	n := &Node{said: newAllowances(), newcomers: newNewcomers()}
	rpc := &pubsub.RPC{RPC: pb.RPC{Publish: make([]*pb.Message, 16)}}
	looked := 0
	for i := range 2 * newcomersBurst {
		if n.inspect(peer.ID(rune(i)), rpc) == nil {
			looked += len(rpc.GetPublish())
		}
	}
	// It takes well under a minute to say all that.
	if looked < newcomersBurst || looked > newcomersBurst+60*newcomersRate {
		t.Errorf("%d messages of %d were looked at", looked, 2*newcomersBurst*16)
	}
	if got := n.said.drops(); got < newcomersBurst/16 {
		t.Errorf("%d messages are counted as dropped", got)
	}
}
