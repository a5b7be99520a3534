package discovery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// enterTimeout bounds the wait for a first bootstrap node.
	enterTimeout = 15 * time.Second
	// enterRound is how often to look whether the routing table has a first peer, of
	// which kad-dht tells nobody.
	enterRound = 20 * time.Millisecond
	// answerTimeout bounds the wait for that once a bootstrap node is connected.
	answerTimeout = 5 * time.Second
	// findTimeout bounds a search. The public DHT takes some seconds.
	findTimeout = time.Minute
	// provideTimeout bounds an announcement, which asks 20 nodes after it has found them.
	provideTimeout = 2 * time.Minute
)

// Errors of [DHT.Find] and [DHT.Provide].
var (
	// ErrNoBootstrap says that no bootstrap node is there; why is behind it.
	ErrNoBootstrap = errors.New("no bootstrap node of the DHT can be reached")
	// ErrNoAnswer says that bootstrap nodes are connected, and none is a server of the DHT.
	ErrNoAnswer = errors.New("no bootstrap node answers as a node of this DHT")
	// ErrNoAddress says that this node has no address that others could reach.
	ErrNoAddress = errors.New("this node has no address to announce in the DHT")
	// ErrClosed says that the DHT was closed.
	ErrClosed = errors.New("DHT closed")
)

// Config configures a [DHT].
type Config struct {
	// Host speaks to other nodes.
	Host host.Host
	// Bootstrap are the nodes by way of which the DHT is entered.
	Bootstrap []peer.AddrInfo
	// Public takes part in the IPFS network's DHT. Otherwise it is one of one's own.
	Public bool
	// Server always answers others' queries.
	Server bool
}

// DHT is a node's part in a DHT. Close must be called.
type DHT struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc

	dials sync.WaitGroup

	entering chan struct{} // full while somebody connects to bootstrap nodes

	mu     sync.Mutex // guards all following
	kad    *kaddht.IpfsDHT
	closed bool
}

// New returns a DHT that has not been entered yet, unless it is a server's.
func New(cfg Config) (*DHT, error) {
	d := &DHT{cfg: cfg, entering: make(chan struct{}, 1)}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	if !cfg.Server {
		return d, nil
	}
	if _, err := d.open(); err != nil {
		d.cancel()
		return nil, err
	}
	return d, nil
}

// Close leaves the DHT and waits for what it started.
func (d *DHT) Close() error {
	d.cancel()
	d.mu.Lock()
	kad := d.kad
	d.closed = true
	d.mu.Unlock()
	d.entering <- struct{}{} // so that nobody dials any more; whoever does was told to end
	defer func() { <-d.entering }()
	d.dials.Wait()
	if kad == nil {
		return nil
	}
	return kad.Close()
}

// Size returns how many peers the routing table has.
func (d *DHT) Size() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kad == nil {
		return 0
	}
	return d.kad.RoutingTable().Size()
}

// Find hands providers of a stream to found as they come, each once and never this node,
// until that returns false, or no more are known. It returns nil when none is known.
func (d *DHT) Find(ctx context.Context, id stream.ID, found func(peer.AddrInfo) bool) error {
	ctx, cancel := d.bound(ctx, findTimeout)
	defer cancel()
	kad, err := d.enter(ctx)
	if err != nil {
		return fmt.Errorf("find providers: %w", err)
	}
	for p := range kad.FindProvidersAsync(ctx, Key(id, slotAt(time.Now())), 0) {
		p.Addrs = d.usable(p.Addrs)
		if p.ID != d.cfg.Host.ID() && len(p.Addrs) > 0 && !found(p) {
			break // the search ends with its context
		}
	}
	return nil
}

// Provide announces that this node holds a stream, for a slot of [Slots].
func (d *DHT) Provide(ctx context.Context, id stream.ID, slot uint64) error {
	ctx, cancel := d.bound(ctx, provideTimeout)
	defer cancel()
	kad, err := d.enter(ctx)
	switch {
	case err != nil:
	case len(d.Addrs()) == 0:
		err = ErrNoAddress
	default:
		err = kad.Provide(ctx, Key(id, slot), true)
	}
	if err != nil {
		return fmt.Errorf("provide: %w", err)
	}
	return nil
}

// Addrs returns the addresses at which this node announces itself.
func (d *DHT) Addrs() []multiaddr.Multiaddr { return d.usable(d.cfg.Host.Addrs()) }

// bound returns a context that ends with the DHT, and after a while.
func (d *DHT) bound(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	stop := context.AfterFunc(d.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// open starts kad-dht, unless that was done. It dials bootstrap nodes by itself only while its
// table is empty, every two minutes.
func (d *DHT) open() (*kaddht.IpfsDHT, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return nil, ErrClosed
	case d.kad != nil:
		return d.kad, nil
	}
	kad, err := kaddht.New(d.ctx, d.cfg.Host, d.options()...)
	if err != nil {
		return nil, fmt.Errorf("start DHT: %w", err)
	}
	d.kad = kad
	return kad, nil
}

// enter returns kad-dht once its routing table has somebody to ask.
func (d *DHT) enter(ctx context.Context) (*kaddht.IpfsDHT, error) {
	select {
	case d.entering <- struct{}{}:
		defer func() { <-d.entering }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	kad, err := d.open()
	if err != nil {
		return nil, err
	}
	if kad.RoutingTable().Size() > 0 {
		return kad, nil
	}
	if err := d.connect(ctx); err != nil {
		return nil, err
	}
	limit, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	ticker := time.NewTicker(enterRound)
	defer ticker.Stop()
	for kad.RoutingTable().Size() == 0 {
		select {
		case <-limit.Done():
			return nil, errors.Join(ErrNoAnswer, context.Cause(ctx))
		case <-ticker.C:
		}
	}
	return kad, nil
}

// connect connects to bootstrap nodes, all at once, and returns when the first is there.
// Others go on.
func (d *DHT) connect(ctx context.Context) error {
	if len(d.cfg.Bootstrap) == 0 {
		return ErrNoBootstrap
	}
	errs := make(chan error, len(d.cfg.Bootstrap))
	for _, b := range d.cfg.Bootstrap {
		d.dials.Go(func() {
			ctx, cancel := context.WithTimeout(d.ctx, enterTimeout)
			defer cancel()
			errs <- d.cfg.Host.Connect(ctx, b)
		})
	}
	var failed []error
	for range d.cfg.Bootstrap {
		select {
		case err := <-errs:
			if err == nil {
				return nil
			}
			failed = append(failed, err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return fmt.Errorf("%w: %w", ErrNoBootstrap, errors.Join(failed...))
}
