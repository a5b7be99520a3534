package p2p

import (
	"context"
	"errors"
	"log/slog"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

// DefaultPort is the UDP and TCP port that a node listens on unless told otherwise.
// If it is taken, a free one is used.
const DefaultPort = 4747

// Config configures a [Node]. The zero value is a node with a fresh identity on the
// default port of all interfaces.
type Config struct {
	// Identity is the node's own key, by which peers know it. nil makes a fresh one.
	Identity crypto.PrivKey
	// Listen are the multiaddrs to listen on. Empty means QUIC and TCP on
	// [DefaultPort], or on a free port if that one is taken.
	Listen []string
	// Store keeps the chunks. nil makes one of the default size.
	Store *stream.Store
	// MDNS finds peers on the local network, and lets them find this one.
	MDNS bool
	// Host is used instead of one made from Identity and Listen. The node does not
	// close it. The simulator uses it.
	Host host.Host
	// Logger gets what an operator needs to know. nil discards it.
	Logger *slog.Logger
}

// Node is one peer of any number of streams.
type Node struct{}

// New checks the configuration. It starts nothing.
func New(cfg Config) (*Node, error) { return nil, errors.New("x") }

// Start listens and starts all services. ctx bounds the start only.
func (n *Node) Start(ctx context.Context) error { return nil }

// Close leaves all streams, ends all services and waits for them.
func (n *Node) Close() error { return nil }

// ID returns the node's peer ID.
func (n *Node) ID() peer.ID { return "" }

// Addrs returns the multiaddrs, with /p2p/, at which this machine says it can be
// reached, those that other machines can use first.
func (n *Node) Addrs() []string { return nil }

// FellBack reports whether the default port was taken and a free one is used.
func (n *Node) FellBack() bool { return false }

// Stats returns the node's figures.
func (n *Node) Stats() Stats { return Stats{} }

// Store returns the store of all streams.
func (n *Node) Store() *stream.Store { return nil }

// Swarms returns the streams of the node in the order in which they were joined.
func (n *Node) Swarms() []*Swarm { return nil }

// Join joins a stream to keep it and pass it on, and dials the link's peers in the
// background, again and again while it has no neighbour. Joining twice returns the
// same swarm and adds the link's peers.
func (n *Node) Join(link stream.Link) (*Swarm, error) { return nil, nil }

// Broadcast joins the stream of the key as its broadcaster, with one rendition.
func (n *Node) Broadcast(key stream.Key, rendition string, epoch uint64) (*Broadcast, error) {
	return nil, nil
}

// Swarm is a node's part in one stream.
type Swarm struct{}

// ID returns the stream.
func (s *Swarm) ID() stream.ID { return stream.ID{} }

// Link returns the link that leads to this node.
func (s *Swarm) Link() stream.Link { return stream.Link{} }

// Timelines returns the timelines of the renditions known so far, sorted by name.
func (s *Swarm) Timelines() []*stream.Timeline { return nil }

// Stats returns the figures of the stream at this node.
func (s *Swarm) Stats() SwarmStats { return SwarmStats{} }

// Broadcast publishes one rendition of a stream.
type Broadcast struct{}

// Publish signs the part and hands it to the swarm. It blocks only for the signature
// and the node's own queue. It keeps part.Data.
func (b *Broadcast) Publish(ctx context.Context, part stream.Part) error { return nil }

// End publishes the end of the stream and waits until neighbours could take it and
// what they still want, bounded by ctx.
func (b *Broadcast) End(ctx context.Context) error { return nil }

// Swarm returns the broadcaster's own swarm.
func (b *Broadcast) Swarm() *Swarm { return nil }
