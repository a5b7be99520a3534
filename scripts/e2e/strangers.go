//go:build linux

package main

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/quic-go/quic-go"
	"google.golang.org/protobuf/proto"
)

const (
	// strangersPerAddress is how many connect from one address: fewer than a node lets in.
	strangersPerAddress = 10
	// strangerTimeout bounds one attempt to connect.
	strangerTimeout = 5 * time.Second
	// gossip is the protocol by which forgeries go.
	gossip = string(pubsub.GossipSubID_v12)
)

// strangers are machines that a node does not know, each at an address of loopback's of its own
// other than 127.0.0.1. A node does not bound how fast connections come from loopback, as it does
// elsewhere.
type strangers struct {
	to   peer.AddrInfo
	next atomic.Int32 // address
}

// socket returns what connections from a new address go by.
func (s *strangers) socket() (*quicreuse.ConnManager, error) {
	n := s.next.Add(1)
	ip := net.IPv4(127, byte(1+n>>16), byte(n>>8), byte(n))
	var reset quic.StatelessResetKey
	var token quic.TokenGeneratorKey
	_, _ = crand.Read(reset[:]) // it never fails
	_, _ = crand.Read(token[:])
	q, err := quicreuse.NewConnManager(reset, token, quicreuse.OverrideListenUDP(func(string, *net.UDPAddr) (net.PacketConn, error) {
		return net.ListenUDP("udp4", &net.UDPAddr{IP: ip})
	}))
	if err != nil {
		return nil, fmt.Errorf("open a stranger's socket: %w", err)
	}
	return q, nil
}

// connect connects as somebody new.
func (s *strangers) connect(ctx context.Context, q *quicreuse.ConnManager) (transport.CapableConn, error) {
	key, _, err := crypto.GenerateEd25519Key(crand.Reader)
	if err != nil {
		return nil, err
	}
	t, err := libp2pquic.NewTransport(key, q, nil, nil, &network.NullResourceManager{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, strangerTimeout)
	defer cancel()
	return t.Dial(ctx, s.to.Addrs[0], s.to.ID)
}

// knock opens so many connections over a time, holds them until ctx ends, and returns how many
// were let in, and how many of those were held when all had been tried.
func (s *strangers) knock(ctx context.Context, connections int, over time.Duration, tried func()) (opened, held int, err error) {
	var mu sync.Mutex
	var in []transport.CapableConn
	var dials sync.WaitGroup
	var q *quicreuse.ConnManager
	for i := range connections {
		if i%strangersPerAddress == 0 {
			if q, err = s.socket(); err != nil {
				return 0, 0, err
			}
			defer q.Close()
		}
		if err := settle(ctx, over/time.Duration(connections)); err != nil {
			return 0, 0, err
		}
		q := q
		dials.Go(func() {
			if c, err := s.connect(ctx, q); err == nil {
				mu.Lock()
				defer mu.Unlock()
				in = append(in, c)
			}
		})
	}
	dials.Wait()
	for _, c := range in {
		if !c.IsClosed() {
			held++
		}
	}
	tried()
	<-ctx.Done()
	return len(in), held, nil
}

// forgeries are headers that no stream's key signed.
type forgeries struct{ header []byte }

// newForgeries makes them of a header of another stream's, which package stream has as a vector.
func newForgeries() (f forgeries, err error) {
	raw, err := os.ReadFile("stream/testdata/headers.json")
	if err != nil {
		return f, err
	}
	var vectors struct{ Valid []struct{ Signed string } }
	if err := json.Unmarshal(raw, &vectors); err != nil {
		return f, fmt.Errorf("read the vectors of headers: %w", err)
	}
	f.header, err = hex.DecodeString(vectors.Valid[0].Signed)
	return f, err
}

// next returns another one each time.
func (f forgeries) next() []byte {
	b := slices.Clone(f.header)
	_, _ = crand.Read(b[len(b)-32:]) // it never fails; half of the signature
	return b
}

// forgeriesAMessage is how many headers go in one message of gossipsub.
const forgeriesAMessage = 16

// flood has so many strangers send forged headers to a stream's topic at a rate in all, until ctx
// ends. Who is thrown out comes back as somebody else from elsewhere. It returns how many headers
// were sent, and as how many peers.
func (s *strangers) flood(ctx context.Context, id string, flooders, perSecond int) (headers, peers int64, err error) {
	forged, err := newForgeries()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	var sent, came atomic.Int64
	// due reports whether the rate wants more, and notes that it is sent.
	due := func() bool {
		if float64(sent.Load()) >= time.Since(began).Seconds()*float64(perSecond) {
			return false
		}
		sent.Add(forgeriesAMessage)
		return true
	}
	var running sync.WaitGroup
	for range flooders {
		running.Go(func() {
			for ctx.Err() == nil {
				q, err := s.socket()
				if err != nil {
					return
				}
				if c, err := s.connect(ctx, q); err == nil {
					came.Add(1)
					_ = forged.pour(ctx, c, topicOf(id), due) // it is thrown out
					_ = c.Close()
				}
				_ = q.Close()
			}
		})
	}
	running.Wait()
	return sent.Load(), came.Load(), nil
}

// topicOf is the topic of a stream's headers.
func topicOf(id string) string { return "gv1/" + id[:16] }

// pour sends forged headers by a connection as they are due, until it is closed or ctx ends.
func (f forgeries) pour(ctx context.Context, c transport.CapableConn, topic string, due func() bool) error {
	out, err := c.OpenStream(ctx)
	if err != nil {
		return err
	}
	if err := out.SetWriteDeadline(time.Now().Add(strangerTimeout)); err != nil {
		return err
	}
	var hello []byte
	for _, protocol := range []string{"/multistream/1.0.0", gossip} { // without waiting for the answer
		hello = append(binary.AppendUvarint(hello, uint64(len(protocol)+1)), protocol+"\n"...)
	}
	yes := true
	if hello, err = appendRPC(hello, &pb.RPC{Subscriptions: []*pb.RPC_SubOpts{{Topicid: &topic, Subscribe: &yes}}}); err != nil {
		return err
	}
	if _, err := out.Write(hello); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if !due() {
			if err := settle(ctx, time.Millisecond); err != nil {
				return err
			}
			continue
		}
		rpc := &pb.RPC{}
		for range forgeriesAMessage {
			rpc.Publish = append(rpc.Publish, &pb.Message{Data: f.next(), Topic: &topic})
		}
		raw, err := appendRPC(nil, rpc)
		if err != nil {
			return err
		}
		if _, err := out.Write(raw); err != nil {
			return err
		}
	}
	return nil
}

// appendRPC writes a message of gossipsub with its length before it.
func appendRPC(to []byte, rpc *pb.RPC) ([]byte, error) {
	raw, err := proto.Marshal(rpc)
	return append(binary.AppendUvarint(to, uint64(len(raw))), raw...), err
}
