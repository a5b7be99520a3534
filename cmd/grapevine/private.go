package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	privateName = "private"
	trustedName = "trusted-relays"
)

// privateFlags returns the flags of a broadcaster whose stream is not for everybody.
func privateFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: privateName, Usage: "seal the stream, so that only those can open it whom \"grapevine invite\" invites"},
		&cli.StringFlag{Name: trustedName, Usage: "have viewers, and this node, connect to nobody but the relays `ID|FILE,…`, peer IDs, their multiaddrs, or files with their delegations, so that no viewer sees another's address"},
	}
}

// privacy is a broadcaster's settings of who may watch, and by way of whom.
type privacy struct {
	sealed bool
	relays []trustedRelay
	peers  []string // multiaddrs of some of them
}

// trustedRelay is a relay as --trusted-relays names it.
type trustedRelay struct {
	stream.Relay
	id    peer.ID
	file  string    // with its delegation, "" if the list alone names it
	roles rolesFile // what the file holds
}

// readTrusted reads a relay that --trusted-relays names, and its multiaddr if that is given.
func readTrusted(s string) (r trustedRelay, addr string, err error) {
	if id, err := peer.Decode(s); err == nil {
		return trustedRelay{Relay: stream.Relay{ID: id.String()}, id: id}, "", nil
	}
	if info, err := peer.AddrInfoFromString(s); err == nil {
		return trustedRelay{Relay: stream.Relay{ID: info.ID.String()}, id: info.ID}, s, nil
	}
	f, err := readRoles(s)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, "", badFlag(trustedName, s, "a relay is its peer ID, 12D3Koo…, or its multiaddr, which grapevine relay prints as peer, or a file that grapevine delegate create --role relay wrote")
	case err != nil:
		return r, "", err
	case f.delegation == nil:
		return r, "", &rolesError{s, errNoRoles}
	case f.delegation.Role != stream.RoleRelay:
		return r, "", &usageError{fmt.Sprintf("The delegation in %s makes nobody a trusted relay: its role is %v.", s, f.delegation.Role), "grapevine delegate create --role relay makes one, on the machine with the stream's key"}
	}
	id := peer.ID(stream.KeyPeer(f.delegation.Delegate))
	return trustedRelay{Relay: stream.Relay{Word: f.delegation}, id: id, file: s, roles: f}, "", nil
}

func readPrivacy(c *cli.Context, set *settings) (p privacy, err error) {
	p.sealed = c.Bool(privateName)
	for s := range strings.SplitSeq(c.String(trustedName), ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		r, addr, err := readTrusted(s)
		if err != nil {
			return p, err
		}
		if addr != "" {
			p.peers = append(p.peers, addr)
		}
		if n := slices.IndexFunc(p.relays, func(o trustedRelay) bool { return o.id == r.id }); n < 0 {
			p.relays = append(p.relays, r)
		} else if r.Word != nil {
			p.relays[n] = r // whose address came before
		}
	}
	switch {
	case c.IsSet(trustedName) && len(p.relays) == 0:
		return p, badFlag(trustedName, c.String(trustedName), "name at least one relay")
	case len(p.relays) > stream.MaxRelays:
		return p, &usageError{fmt.Sprintf("There are %d trusted relays, more than the %d that there may be.", len(p.relays), stream.MaxRelays), "leave some out"}
	case p.sealed && c.Bool("public"):
		return p, &usageError{"A private stream is in no directory.", "leave --public out, or leave --private out"}
	case len(p.relays) > 0 && c.Bool("public"):
		return p, &usageError{"The directory would tell everybody this node's address, which --trusted-relays hides.", "leave one of the two out"}
	}
	if p.sealed {
		if err := onlyHere(set.http); err != nil {
			return p, err
		}
	}
	p.confine(set)
	return p, p.checkWays()
}

// keepRevocations keeps what came with the relays' delegations.
func (p privacy) keepRevocations(h *home) error {
	for _, r := range p.relays {
		if l := r.roles.revocations; l != nil {
			if err := (keptRevocations{h}).KeepRevocations(l); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkWays refuses trusted relays that nothing says how to reach.
func (p privacy) checkWays() error {
	for _, r := range p.relays {
		id := r.id.String()
		if !slices.ContainsFunc(p.peers, func(addr string) bool { return strings.HasSuffix(addr, "/p2p/"+id) }) {
			return &usageError{"Nothing says where the trusted relay " + id + " is.", "name it by its multiaddr, /ip4/…/p2p/" + id + ", or give that with --peer"}
		}
	}
	return nil
}

// confine has a node look for nobody if its stream has trusted relays.
func (p *privacy) confine(set *settings) {
	if len(p.relays) > 0 {
		set.mdns, set.dht, set.mapped = false, nil, false
		p.peers = append(p.peers, set.peers...)
	}
}

// onlyHere refuses to serve what was opened to other machines.
func onlyHere(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return badFlag("http", addr, "what plays of a private stream is plain, and for this machine only: "+defaultHTTP+", or 127.0.0.1:0 for a free port")
}

// link returns the relays as a link names them.
func (p privacy) link(key stream.Key) (stream.Link, error) {
	var list []stream.Relay
	for _, r := range p.relays {
		if r.Word != nil && r.Word.Stream != key.ID() {
			return stream.Link{}, &usageError{fmt.Sprintf("The delegation in %s is of another stream, %s.", r.file, r.Word.Stream), "have the key of this stream delegate to the relay: grapevine delegate create --role relay"}
		}
		list = append(list, r.Relay)
	}
	relays, err := key.SignRelays(list)
	if err != nil {
		return stream.Link{}, fmt.Errorf("sign the trusted relays: %w", err)
	}
	return stream.Link{Stream: key.ID(), Peers: p.peers, Relays: relays}, nil
}

// seal begins a private stream, whose keys are given out until the session ends.
func (b *broadcast) seal(s *session, casts *casts, h *home) error {
	if !b.privacy.sealed {
		return nil
	}
	p, err := s.node.Seal(s.ctx, casts.key, casts.epoch, b.entry.title, newGuests(h, casts.key.ID()))
	if err != nil {
		return fmt.Errorf("seal the stream: %w", err)
	}
	casts.private = p
	s.opened.set(casts.key.ID(), &opened{store: stream.NewOpenedStore(s.node.Store(), p.Keyring()), ring: p.Keyring()})
	s.running.Go(func() { _ = p.Run(s.ctx) })
	return nil
}

// showPrivate says who can watch.
func (s *session) showPrivate(b *broadcast) {
	if b.privacy.sealed {
		s.screen.field("private", "nobody can watch without an invite: grapevine invite create --name NAME")
	}
}

// opened is a private stream that this node can open.
type opened struct {
	store   *stream.OpenedStore
	ring    *stream.Keyring
	viewing *p2p.Viewing // nil at the broadcaster
}

// openedStreams are those of a node. It is safe for concurrent use.
type openedStreams struct {
	mu   sync.Mutex // guards all following
	list map[stream.ID]*opened
}

func (o *openedStreams) set(id stream.ID, st *opened) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.list == nil {
		o.list = make(map[stream.ID]*opened)
	}
	o.list[id] = st
}

func (o *openedStreams) get(id stream.ID) *opened {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.list[id]
}

// shown is a swarm in the HLS server's terms.
func (n *hlsNode) shown(s *p2p.Swarm) hls.Stream {
	st := hls.Stream{ID: s.ID(), Link: s.Link().String(), Store: n.node.Store(), Past: swarmPast{s}, Private: s.Private()}
	for _, t := range s.Timelines() {
		if t.Rendition() == stream.KeysRendition {
			st.Keys = append(st.Keys, t)
		} else {
			st.Timelines = append(st.Timelines, t)
		}
	}
	if o := n.opened.get(s.ID()); o != nil {
		st.Private, st.Opened = true, o.store
		st.Past = openedPast{swarmPast{s}, o}
	}
	if n.role == roleWatch && n.recorder == nil {
		// Relays keep all, for whoever comes, and a recording has all. Keys are always kept.
		st.Carry = func(names []string) error { return s.Carry(append(slices.Clone(names), stream.KeysRendition)) }
	}
	return st
}

// showTitle shows the title of a private stream.
func (s *session) showTitle(id stream.ID) {
	if o := s.opened.get(id); o != nil && o.viewing != nil && o.viewing.Title() != "" {
		s.screen.field("title", o.viewing.Title())
	}
}

// openedPast is the past of a private stream.
type openedPast struct {
	swarmPast
	*opened
}

// Learn implements hls.Past.
func (p openedPast) Learn(ctx context.Context, rendition string, since time.Time, bytes int64) error {
	if err := p.swarmPast.Learn(ctx, rendition, since, bytes); err != nil || p.viewing == nil {
		return err
	}
	return p.viewing.LearnKeys(ctx, rendition, since)
}

// Fetch implements hls.Past.
func (p openedPast) Fetch(ctx context.Context, rendition string, epoch, segment uint64) ([][][]byte, error) {
	headers := p.segment(rendition, epoch, segment)
	parts, err := p.swarmPast.Fetch(ctx, rendition, epoch, segment)
	if err != nil {
		return nil, err
	}
	for i, h := range headers {
		if i >= len(parts) {
			break
		}
		plain, err := p.ring.Open(h, parts[i])
		if err != nil {
			return nil, err
		}
		parts[i] = [][]byte{plain}
	}
	return parts, nil
}

// segment returns the headers of a segment, nil unless all are known.
func (p openedPast) segment(rendition string, epoch, number uint64) []*stream.SignedHeader {
	for _, t := range p.swarm.Timelines() {
		if t.Rendition() == rendition {
			return t.Segment(epoch, number)
		}
	}
	return nil
}

// Held implements hls.Past: what peers hold and this node has the keys of.
func (p openedPast) Held(rendition string) (out []stream.Span) {
	held := p.swarmPast.Held(rendition)
	for _, t := range p.swarm.Timelines() {
		if t.Rendition() != rendition {
			continue
		}
		for _, s := range held {
			out = append(out, p.openable(t, s)...)
		}
	}
	return out
}

// openable returns the runs of a span's segments whose first parts' keys are there.
func (p openedPast) openable(t *stream.Timeline, span stream.Span) (out []stream.Span) {
	for _, h := range t.From(stream.Position{Epoch: span.Epoch, Segment: span.First}) {
		switch {
		case !span.Contains(h.Epoch, h.Segment):
			return out
		case h.Part != 0 || h.End || !p.ring.Has(h.Epoch, h.Period):
		case len(out) > 0 && out[len(out)-1].Last+1 == h.Segment:
			out[len(out)-1].Last = h.Segment
		default:
			out = append(out, stream.Span{Epoch: span.Epoch, First: h.Segment, Last: h.Segment})
		}
	}
	return out
}

// noKeyError says why a viewer cannot open a private stream.
type noKeyError struct{ refusal stream.Refusal }

func (e *noKeyError) Error() string { return fmt.Sprintf("no key is given: %d", e.refusal) }

// noInvite is a refusal of this node itself.
const noInvite stream.Refusal = 255

func explainNoKey(e *noKeyError) (sentence, hint string) {
	const ask = "ask the broadcaster for a new invite"
	switch e.refusal {
	case stream.RefusedRevoked:
		return "The broadcaster has taken this invite back, so nothing more of the stream can be opened.", ask
	case stream.RefusedExpired:
		return "This invite has expired, so the stream cannot be opened.", ask
	case stream.RefusedUsed:
		return "This invite has been used by as many viewers as it is for.", ask + ", or watch from the machine where it was used first"
	case stream.RefusedFull:
		return fmt.Sprintf("This private stream has as many viewers as it may: %d.", stream.MaxViewers), "ask the broadcaster to take back invites that are not needed"
	case stream.RefusedUnknown:
		return "The broadcaster does not know this invite, though it was made with the stream's key.", ask + ": it may have been made on another machine"
	case noInvite:
		return "This stream is private, and the link holds no invite.", "ask the broadcaster for an invite: a link with &invite=…"
	}
	return "The broadcaster gives this viewer no keys.", ask
}

// enrol has a viewer's node open a private stream, if there is an invite to it.
func (w *watch) enrol(s *session, h *home, swarm *p2p.Swarm) error {
	if w.link.Invite == nil {
		return nil
	}
	seed, err := h.viewerSeed()
	if err != nil {
		return err
	}
	v := swarm.View(w.link.Invite, seed.Key(swarm.ID()))
	s.opened.set(swarm.ID(), &opened{store: v.Store(), ring: v.Keyring(), viewing: v})
	s.running.Go(func() { v.Run(s.ctx) })
	return nil
}

// readInvite completes what the link says of a private stream, and refuses what cannot be opened.
func (w *watch) readInvite(set *settings, h *home) error {
	if kept := h.keptInvite(w.link.Stream); w.link.Invite == nil && kept != nil {
		if kept.Confined && len(w.link.Relays.List()) == 0 {
			return fmt.Errorf("%w: %w", stream.ErrNotALink, stream.ErrNoRelays)
		}
		w.link.Invite = kept
	}
	if len(w.link.Relays.List()) > 0 {
		set.mdns, set.dht, set.mapped = false, nil, false
	}
	if w.link.Invite == nil {
		return nil
	}
	if err := onlyHere(set.http); err != nil {
		return err
	}
	if !time.Now().Before(w.link.Invite.Expires) {
		return &noKeyError{stream.RefusedExpired}
	}
	return nil
}

// refused says whether a stream cannot be opened by this node, and why.
func (s *session) refused(swarm *p2p.Swarm) error {
	o := s.opened.get(swarm.ID())
	switch {
	case o == nil && swarm.Private() && s.role == roleWatch:
		return &noKeyError{noInvite}
	case o == nil || o.viewing == nil:
	case o.viewing.Refusal() != 0 && o.viewing.Refusal() != stream.RefusedFull:
		return &noKeyError{o.viewing.Refusal()}
	}
	return nil
}

// watchRefusals ends the session when the broadcaster takes the viewer's invite back.
func (s *session) watchRefusals(swarm *p2p.Swarm) {
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.refused(swarm); err != nil {
			s.fail(err)
			return
		}
	}
}
