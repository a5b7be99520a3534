package p2p

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-live/grapevine/p2p/discovery"
	"github.com/grapevine-live/grapevine/p2p/meter"
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
	// History is for how long headers are kept at least, within [stream.MaxHistory] and
	// [stream.MaxHistoryBytes]; others are kept as long as the store holds their parts.
	History time.Duration
	// MDNS finds peers on the local network, and lets them find this one.
	MDNS bool
	// DHT finds peers by a bare stream ID and announces the streams of this node. nil takes
	// part in none, and dials nobody for it.
	DHT *DHT
	// Directory keeps and passes on the entries of public streams. It dials nobody for that, but
	// by the DHT when this node announces a stream or is asked for the directory.
	Directory bool
	// Memory keeps who served streams for the next run. nil keeps nothing.
	Memory Memory
	// Revocations keeps what streams' keys revoked for the next run. nil keeps nothing.
	Revocations RevocationKeeper
	// Peers are multiaddrs, with /p2p/, of nodes to stay connected to whatever streams there
	// are: relays through which others reach this one, above all.
	Peers []string
	// PortMapping asks the router, by UPnP or NAT-PMP, to let others reach the node.
	PortMapping bool
	// Relay has the node, once it is found to be reachable, help others that are not to be
	// reached. nil does not.
	Relay *RelayConfig
	// Browsers has the node listen for WebTransport and WebRTC, too, on the ports of QUIC, so that
	// programs in browsers can connect to it.
	Browsers bool
	// Host is used instead of one made from Identity and Listen. The node does not
	// close it. The simulator uses it.
	Host host.Host
	// Guard is that of Host. nil leaves Host's connections alone: who was cut off may come back.
	Guard *Guard
	// Bandwidth is the reporter of Host, for Stats. nil reports nothing.
	Bandwidth metrics.Reporter
	// MaxUpload is the node's uplink in bits per second, to which all that it sends is held, with
	// all headers; chunks are to what the rest leaves. 0 means that it is not known, and measured.
	MaxUpload int
	// AsideUpload is how much of MaxUpload is left for what goes by [Node.Listener].
	AsideUpload int
	// Origins connects to an HTTP origin by connections that dial makes, see [Swarm.UseOrigins].
	// nil has none used, whatever links name.
	Origins func(address string, dial Dial) (Origin, error)
	// MaxDownload is what the node receives at most, likewise. 0 means no bound.
	MaxDownload int
	// MaxPeers is how many peers are connected at most, those included that only answer in a DHT.
	// 0 means as many as are of use.
	MaxPeers int
	// Allowed says which streams may be joined. nil allows all.
	Allowed func(stream.ID) bool
	// Paused has the node begin as after [Node.Pause].
	Paused bool
	// ClockOff is how far this machine's clock is off, positive if it is ahead, where the times of
	// headers, invites, delegations and key blocks are held against it or taken from it. nil means
	// not at all. The simulator sets clocks by it.
	ClockOff func() time.Duration
	// Metrics gets libp2p's own metrics: of connections, streams, dials and resources, if the host is
	// the node's own. nil has none made.
	Metrics prometheus.Registerer
	// Report says how a stream fares at this node's players, and has the node tell its broadcaster,
	// who asks; what p2p itself knows is filled in. It returns false if the owner does not agree.
	// nil has nothing reported, whoever asks.
	Report func(stream.ID) (stream.Report, bool)
	// Observer is told what happens, if not nil.
	Observer Observer
	// Logger gets what an operator needs to know. nil discards it.
	Logger *slog.Logger
}

// Observer is told of events as they happen, on a swarm's loop: it must not block.
type Observer interface {
	// ChunkReceived is called for each chunk that was verified and is new.
	ChunkReceived(h *stream.SignedHeader, index int)
}

// Node is one peer of any number of streams.
type Node struct {
	cfg    Config
	log    *slog.Logger
	store  *stream.Store
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// Set by Start, constant afterwards.
	host        host.Host
	ownHost     bool
	fellBack    bool
	bandwidth   metrics.Reporter
	ps          *pubsub.PubSub
	fetches     *fetchServer
	readers     readers
	uplink      *uplink
	mdns        *localDiscovery // nil unless it is searched now
	dht         *discovery.DHT  // nil unless configured
	directory   *directory      // nil unless configured
	reach       *reach          // nil with Config.Host
	router      router
	own         ownAddrs
	sockets     *sockets // nil with Config.Host
	gate        *gate
	outbound    outbound
	faults      *faults
	said        *allowances // by gossipsub
	newcomers   *newcomers
	whereabouts whereabouts

	mdnsFound atomic.Int64

	subscriptions subscriptions
	answered      atomic.Bool // an origin did, since watchSilence last looked: this node has a network

	joining sync.Mutex // held while topics are joined or left
	pausing sync.Mutex // held while the node leaves the mesh or comes back; guards mdns

	mu      sync.Mutex        // guards all following
	swarms  map[string]*Swarm // by topicName
	order   []*Swarm
	records map[peer.ID][]byte // signed envelopes of connected peers, with their addresses
	closed  bool
	leaving map[string]chan struct{} // by topicName, closed when the swarm is gone
	limits  Limits
	allowed func(stream.ID) bool // nil for all
	dropped int64
	silent  int64 // connections closed
}

// New checks the configuration. It starts nothing.
func New(cfg Config) (*Node, error) {
	if cfg.Identity == nil && cfg.Host == nil {
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make identity: %w", err)
		}
		cfg.Identity = key
	}
	for _, s := range cfg.Listen {
		if _, err := multiaddr.NewMultiaddr(s); err != nil {
			return nil, fmt.Errorf("%w on %q: %w", ErrListen, s, err)
		}
	}
	peers, err := parsePeers(cfg.Peers)
	if err != nil {
		return nil, err
	}
	if cfg.Store == nil {
		cfg.Store = stream.NewStore(0)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{cfg: cfg, log: cfg.Logger, store: cfg.Store, swarms: make(map[string]*Swarm), leaving: make(map[string]chan struct{}), records: make(map[peer.ID][]byte), faults: newFaults(), said: newAllowances(), newcomers: newNewcomers()}
	n.subscriptions.directory = cfg.Directory
	n.subscriptions.topics = make(map[peer.ID]map[string]struct{})
	n.fetches = newFetchServer(n)
	if cfg.Host == nil {
		n.reach = newReach(n, peers)
	}
	n.limits, n.allowed = cfg.limits(), cfg.Allowed
	n.uplink = newUplink(n.limits.Upload - n.limits.AsideUpload)
	n.gate = newGate()
	if cfg.Guard != nil {
		n.gate = cfg.Guard.gate
	}
	n.gate.max.Store(int64(n.limits.Peers))
	n.gate.shut.Store(cfg.Paused)
	if cfg.Host == nil {
		n.sockets = &sockets{meter: meter.New(meter.Config{Upload: cfg.MaxUpload, Download: cfg.MaxDownload})}
		n.sockets.meter.Shut(cfg.Paused)
	}
	return n, nil
}

// Start listens and starts all services. Close must be called after it succeeded.
func (n *Node) Start() (err error) {
	n.ctx, n.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	n.host, n.bandwidth = n.cfg.Host, n.cfg.Bandwidth
	if n.host == nil {
		n.bandwidth = metrics.NewBandwidthCounter()
		guard, err := newGuard(n.gate, n.cfg.Metrics != nil)
		if err != nil {
			return err
		}
		if n.host, n.fellBack, err = newHost(n.cfg, n.bandwidth, n.sockets, guard, &n.router, &n.own); err != nil {
			return errors.Join(err, n.sockets.close())
		}
		n.ownHost = true
	}
	n.gate.network.Store(&networkOf{n.host.Network()})
	n.whereabouts.follow(n.host.Network())
	if n.ps, err = newPubSub(n.ctx, n.host, n); err != nil {
		return err
	}
	peers, err := n.host.EventBus().Subscribe([]any{new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerConnectednessChanged)})
	if err != nil {
		return fmt.Errorf("watch peers: %w", err)
	}
	n.wg.Go(func() { n.followPeers(peers) })
	n.wg.Go(n.measureRTTs)
	n.wg.Go(n.watchUplink)
	n.wg.Go(n.watchSilence)
	n.wg.Go(n.tidyPeerstore)
	n.wg.Go(n.watchPeers)
	n.host.SetStreamHandler(fetchProtocol, n.fetches.handle)
	if err := n.startDHT(); err != nil {
		return err
	}
	n.host.SetStreamHandler(checkProtocol, newChecker(n).handle)
	n.host.SetStreamHandler(reportProtocol, (&reportServer{node: n}).handle)
	if n.reach != nil {
		if err := n.reach.start(n.host); err != nil {
			return err
		}
	}
	if n.ownHost {
		n.wg.Go(n.watchAddresses)
	}
	if n.cfg.Directory {
		n.directory = newDirectory(n)
		if err := n.directory.start(); err != nil {
			return err
		}
	}
	n.pausing.Lock()
	defer n.pausing.Unlock()
	if !n.cfg.Paused {
		n.startMDNS()
	}
	return nil
}

// Close leaves all streams, ends all services and waits for them. It is safe to call
// more than once.
func (n *Node) Close() error {
	n.joining.Lock() // so that every swarm has started
	n.mu.Lock()
	first := !n.closed && n.cancel != nil
	n.closed = n.closed || first
	swarms := slices.Clone(n.order)
	n.mu.Unlock()
	n.joining.Unlock()
	if !first {
		return nil
	}
	// Discovery first, so that nobody new comes; then the streams, which tell neighbours; then gossipsub;
	// the host's connections last.
	n.pausing.Lock()
	n.closeMDNS()
	n.pausing.Unlock()
	if n.host != nil {
		n.host.RemoveStreamHandler(fetchProtocol)
		n.host.RemoveStreamHandler(checkProtocol)
		n.host.RemoveStreamHandler(reportProtocol)
	}
	if n.ownHost {
		// Neighbours take note of connections that end. If gossipsub left its topics before, they would let
		// this peer into no mesh for ten seconds, and punish it if it is back by then.
		var said sync.WaitGroup
		for _, s := range swarms {
			said.Go(s.farewell)
		}
		said.Wait()
		n.cancel()
	}
	for _, s := range swarms {
		s.close()
	}
	n.closeDHT()
	n.cancel()
	if n.directory != nil {
		n.directory.close()
	}
	n.wg.Wait()
	if n.ownHost {
		if err := errors.Join(n.host.Close(), n.sockets.close()); err != nil {
			return fmt.Errorf("close host: %w", err)
		}
	}
	return nil
}

// ID returns the node's peer ID.
func (n *Node) ID() peer.ID { return n.host.ID() }

// Addrs returns the multiaddrs, with /p2p/, at which this machine says it can be
// reached, those that other machines can use first, and loopback ones only if there
// are no others.
func (n *Node) Addrs() []string {
	var out []string
	for _, a := range shareable(n.host.Addrs()) {
		out = append(out, a.String()+"/p2p/"+n.host.ID().String())
	}
	return out
}

// FellBack reports whether the default port was taken and a free one is used.
func (n *Node) FellBack() bool { return n.fellBack }

// Store returns the store of all streams.
func (n *Node) Store() *stream.Store { return n.store }

// clock returns what this machine's clock shows at now.
func (n *Node) clock(now time.Time) time.Time {
	now = now.Round(0) // without its monotonic reading
	if n.cfg.ClockOff != nil {
		now = now.Add(n.cfg.ClockOff())
	}
	return now
}

// Stats returns the node's figures.
func (n *Node) Stats() Stats {
	out := Stats{Connections: len(n.host.Network().Peers())}
	if n.bandwidth != nil {
		b := n.bandwidth.GetBandwidthTotals()
		out.BytesIn, out.BytesOut = b.TotalIn, b.TotalOut
		out.RateIn, out.RateOut = 8*b.RateIn, 8*b.RateOut
	}
	out.MDNSPeers = n.mdnsFound.Load()
	if n.sockets != nil {
		t := n.sockets.meter.Totals()
		out.WireIn, out.WireOut = t.Received, t.Sent
		out.WireInDropped, out.WireOutDropped = t.ReceiveDropped, t.SendDropped
	}
	out.CutOff = n.faults.counts()
	out.BannedPeers, out.BannedAddrs, out.ConnsRefused = n.gate.bans.figures(time.Now())
	out.ConnsRefused += n.gate.turnedAway.Load()
	out.SaidTooMuch = n.said.drops() + n.fetches.asked.drops()
	out.Paused, out.PeersRefused = n.gate.shut.Load(), n.gate.refused.Load()
	if n.dht != nil {
		out.DHTPeers = n.dht.Size()
	}
	n.mu.Lock()
	out.DroppedRPCs, out.ConnectionsSilent = n.dropped, n.silent
	n.mu.Unlock()
	limits := n.allows()
	out.MaxUpload, out.MaxDownload, out.MaxPeers = limits.Upload, limits.Download, limits.Peers
	out.UploadBound, out.UploadKnown = n.uplink.rate(), limits.Upload > 0
	n.fetches.count(func(c *fetchStats) {
		out.BytesFetched, out.FetchesRefused, out.FetchesAgain = c.bytes, c.refused, c.repeats
	})
	return out
}

// Swarms returns the streams of the node in the order in which they were joined.
func (n *Node) Swarms() []*Swarm {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.order)
}

// streams returns how many streams the node is part of.
func (n *Node) streams() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.order)
}

// swarm returns the swarm of a stream, or nil.
func (n *Node) swarm(id stream.ID) *Swarm {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.swarms[topicName(id)]; s != nil && s.id == id {
		return s
	}
	return nil
}

// swarmOf returns the swarm that a topic belongs to, or nil, and the topic's rendition.
func (n *Node) swarmOf(topic string) (s *Swarm, rendition string) {
	name, rendition, ok := parseTopic(topic)
	if !ok {
		return nil, ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.swarms[name], rendition
}

// ErrBadPeer is wrapped by errors about a link's peer that is no multiaddr with a
// peer ID.
var ErrBadPeer = errors.New("not a peer's address")

// ErrNotAllowed is wrapped by errors about a stream that [Config].Allowed does not allow.
var ErrNotAllowed = errors.New("the node's owner does not allow this stream")

// parsePeers reads multiaddrs with /p2p/. Those of one peer come together.
func parsePeers(addrs []string) ([]peer.AddrInfo, error) {
	parsed := make([]multiaddr.Multiaddr, len(addrs))
	for i, s := range addrs {
		info, err := peer.AddrInfoFromString(s)
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrBadPeer, s, err)
		}
		if parsed[i], err = multiaddr.NewMultiaddr("/p2p/" + info.ID.String()); len(info.Addrs) > 0 {
			parsed[i], err = info.Addrs[0].Encapsulate(parsed[i]), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrBadPeer, s, err)
		}
	}
	return peer.AddrInfosFromP2pAddrs(parsed...)
}

// Join joins a stream to keep it and pass it on, and dials the link's peers in the
// background, again and again while it has too few. What they do not bring in time is
// fetched from the link's origins. Joining twice returns the same swarm and adds the
// link's peers and origins.
func (n *Node) Join(link stream.Link) (*Swarm, error) {
	peers, err := parsePeers(link.Peers)
	if err != nil {
		return nil, err
	}
	s, err := n.join(link.Stream, false, peers, link)
	if err != nil {
		return nil, err
	}
	if err := s.restore(); err != nil {
		return nil, err
	}
	if urls := link.Origins.URLs(); len(urls) > 0 {
		s.Advertise(link.Origins)
		if err := s.UseOrigins(urls); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// join makes the swarm of a stream, or returns the one that is there, and has it dial
// the peers.
func (n *Node) join(id stream.ID, publishing bool, peers []peer.AddrInfo, link stream.Link) (*Swarm, error) {
	n.mu.Lock()
	allowed := n.allowed
	n.mu.Unlock()
	if allowed != nil && !allowed(id) {
		return nil, fmt.Errorf("join stream %s: %w", id.Short(), ErrNotAllowed)
	}
	name := topicName(id)
	n.lockJoining(name)
	defer n.joining.Unlock()
	n.mu.Lock()
	known := n.swarms[name]
	n.mu.Unlock()
	if known != nil && known.id != id {
		return nil, fmt.Errorf("join stream %s: its topics are those of %s, which this node is part of", id, known.id)
	} else if known != nil {
		if err := known.roles.Revoked(link.Delegation()); err != nil {
			return nil, fmt.Errorf("join stream %s: %w: %w", id.Short(), ErrLinkRevoked, err)
		}
		known.dialer.addLink(peers)
		return known, nil
	}
	s := newSwarm(n, id)
	s.recallRevocations()
	if err := s.roles.Revoked(link.Delegation()); err != nil {
		s.cancel()
		return nil, fmt.Errorf("join stream %s: %w: %w", id.Short(), ErrLinkRevoked, err)
	}
	if err := s.confine(link); err != nil {
		s.cancel()
		return nil, err
	}
	s.dialer.addLink(peers)
	if s.source = publishing; !publishing && n.cfg.Memory != nil {
		s.recall()
	}
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil, ErrClosed
	}
	n.swarms[name] = s
	n.order = append(n.order, s)
	n.mu.Unlock()
	if err := s.start(); err != nil {
		s.cancel()
		n.mu.Lock()
		delete(n.swarms, name)
		n.order = slices.DeleteFunc(n.order, func(o *Swarm) bool { return o == s })
		n.mu.Unlock()
		return nil, fmt.Errorf("join stream %s: %w", id.Short(), err)
	}
	// Peers that are there already may hold the stream.
	for _, id := range n.host.Network().Peers() {
		if known, err := n.host.Peerstore().SupportsProtocols(id, fetchProtocol); err == nil && len(known) > 0 {
			s.onIdentified(id)
		}
	}
	return s, nil
}
