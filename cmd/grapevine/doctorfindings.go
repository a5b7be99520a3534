package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/grapevine-live/grapevine/p2p"
)

const (
	// clockOff is how far a clock may be off: players and others' nodes go by the
	// broadcaster's, to a few seconds.
	clockOff = 2 * time.Second
	// slowUplink is less than a picture of 360 lines takes.
	slowUplink = 1_000_000
)

const (
	askPeers    = "name one with --peer ADDRESS, or a stream's link; every node prints its own"
	askAnother  = "name a second one, of another network, with --peer"
	openThePort = "open UDP and TCP port 4747 in this machine's firewall, and have the router pass them on to it; or name a relay with --peer when you broadcast"
	askRight    = "have the clock set from the network (NTP)"
)

// findings puts what is known into words.
func (f *doctorFacts) findings() []finding {
	return append([]finding{f.udp(), f.reachable(), f.nat(), f.mapping(), f.clock(), f.uplink()}, f.machine.findings()...)
}

func (f *doctorFacts) udp() finding {
	tried, reached, byTCP := 0, 0, 0
	for _, p := range f.peers {
		switch {
		case p.quic != nil:
			reached++
		case p.tcp != nil:
			byTCP++
		}
		if p.quicTried {
			tried++
		}
	}
	switch {
	case reached > 0:
		return finding{"udp", stateOK, fmt.Sprintf("UDP is open: %d of %d peers were reached by QUIC.", reached, tried), ""}
	case byTCP > 0 && tried > 0:
		return finding{"udp", stateProblem, fmt.Sprintf("UDP is blocked: of %s %d answered by TCP, and none by QUIC.", count(tried, "peer"), byTCP),
			"allow UDP in this machine's or network's firewall; by TCP alone no way through routers is found"}
	case tried > 0:
		return finding{"udp", stateProblem, "No peer was reached, neither by UDP nor by TCP: " + f.failure() + ".", "see whether this machine is online, and the peers are running"}
	}
	return finding{"udp", stateUntested, "Whether UDP is open was not tested: that takes a peer.", askPeers}
}

// failure returns why the first peer that could not be reached was not.
func (f *doctorFacts) failure() string {
	for _, p := range f.peers {
		if p.quicFailed != nil {
			return dialReason(p.quicFailed.Error())
		}
	}
	return "it did not answer"
}

func (f *doctorFacts) reachable() finding {
	out := f.reachableHere()
	if f.fellBack && out.State != stateOK {
		again := fmt.Sprintf("another node uses port %d, so that a free one was tried: end it, and try again", p2p.DefaultPort)
		out.Do = strings.TrimSuffix(again+"; "+out.Do, "; ")
	}
	return out
}

func (f *doctorFacts) reachableHere() finding {
	var at, notAt []string
	for _, t := range f.tried {
		if t.reached {
			at = append(at, t.addr)
		} else {
			notAt = append(notAt, t.addr)
		}
	}
	yes, no := strings.Join(at, ", "), strings.Join(notAt, ", ")
	switch {
	case yes != "" && no == "":
		return finding{"reachable", stateOK, "Others reach this machine at " + yes + ".", ""}
	case yes != "":
		return finding{"reachable", stateWarning, "Others reach this machine at " + yes + ", but not at " + no + ".", openThePort}
	case no != "":
		return finding{"reachable", stateProblem, "Others cannot reach this machine at " + no + ".", openThePort}
	case f.answered() == 0:
		return finding{"reachable", stateUntested, "Whether others reach this machine was not tested: that takes a peer.", askPeers}
	}
	return finding{"reachable", stateUntested, "Whether others reach this machine was not tested: the peers see it at an address of a local network, or try for nobody.", "name peers on the internet with --peer"}
}

// seen returns the addresses on UDP at which peers of different hosts see this machine.
func (f *doctorFacts) seen() (out []string) {
	hosts := make(map[string]bool)
	for _, p := range f.peers {
		if p.quic == nil {
			continue
		}
		host, seen := hostOf(p.quic.Addr), portOf(p.quic.Seen)
		if host != "" && seen != "" && !hosts[host] {
			hosts[host] = true
			out = append(out, seen)
		}
	}
	return out
}

// translated reports whether a peer sees this machine at an address that it does not have.
func (f *doctorFacts) translated() bool {
	return slices.ContainsFunc(f.peers, func(p peerFacts) bool {
		c := p.check()
		return c != nil && !slices.Contains(f.own, hostOf(c.Seen))
	})
}

func (f *doctorFacts) nat() finding {
	seen := f.seen()
	switch {
	case f.answered() == 0:
		return finding{"nat", stateUntested, "Whether a router translates this machine's addresses was not tested: that takes two peers.", askPeers}
	case !f.translated():
		return finding{"nat", stateOK, "No router translates this machine's addresses on the way to the peers.", ""}
	case len(seen) == 0:
		return finding{"nat", stateUntested, "A router translates this machine's addresses; what kind it is can be told only by UDP.", "see to UDP first"}
	case len(seen) == 1:
		return finding{"nat", stateUntested, "A router translates this machine's addresses; whether holes can be made in it takes two peers of different networks to tell.", askAnother}
	}
	for _, s := range seen[1:] {
		if s != seen[0] {
			return finding{"nat", stateProblem, "The router is symmetric: it shows each peer another port (" + strings.Join(seen, ", ") + "), and most other nodes behind routers cannot be connected directly.",
				"have the router map a port (UPnP, NAT-PMP, or by hand), or use a relay that was started with --relay-media"}
		}
	}
	return finding{"nat", stateOK, "The router shows all peers the same port (" + seen[0] + "): direct connections to other nodes behind routers can be made, with a relay's help.", ""}
}

func (f *doctorFacts) mapping() finding {
	switch {
	case len(f.reach.Mapped) > 0:
		return finding{"port_mapping", stateOK, "The router maps " + strings.Join(f.reach.Mapped, ", ") + " to this machine.", ""}
	case slices.ContainsFunc(f.tried, func(t triedAddr) bool { return t.reached }):
		return finding{"port_mapping", stateOK, "The router needs to map no port: others reach this machine.", ""}
	case !f.asked:
		return finding{"port_mapping", stateUntested, "The router was not asked to map a port.", "leave out --no-port-mapping, and addresses of --listen on loopback"}
	case f.reach.Router:
		return finding{"port_mapping", stateWarning, "The router answers, but maps no port.", "see whether its settings allow UPnP or NAT-PMP"}
	case f.answered() > 0 && !f.translated():
		return finding{"port_mapping", stateOK, "No router answers by UPnP or NAT-PMP, and none has to: none translates this machine's addresses.", ""}
	}
	return finding{"port_mapping", stateWarning, "No router answers by UPnP or NAT-PMP.", "turn either on in the router's settings, if there is one; a machine with an address of its own on the internet needs none"}
}

// clock goes by the peers' clocks, each of which is known to half a round trip. If more of
// them say that this machine's is right than that it is wrong, it is.
func (f *doctorFacts) clock() finding {
	var right, wrong []p2p.Check
	for _, p := range f.peers {
		c := p.check()
		switch {
		case c == nil:
		case c.Skew.Abs() > clockOff+c.RTT/2:
			wrong = append(wrong, *c)
		default:
			right = append(right, *c)
		}
	}
	others := ""
	if len(right) > 0 && len(wrong) > 0 {
		others = fmt.Sprintf("; %s off", isAre(len(wrong), "the clock of another peer is", "the clocks of %d others are"))
	}
	switch {
	case len(right)+len(wrong) == 0:
		return finding{"clock", stateUntested, "The clock was not compared: that takes a peer.", askPeers}
	case len(right) >= len(wrong):
		within := time.Duration(0)
		for _, c := range right {
			within = max(within, c.Skew.Abs()+c.RTT/2)
		}
		return finding{"clock", stateOK, fmt.Sprintf("The clock is right to %v, by %s%s.", within.Round(time.Millisecond), isAre(len(right), "a peer's", "%d peers'"), others), ""}
	}
	way := "behind"
	if wrong[0].Skew < 0 {
		way = "ahead of"
	}
	says := fmt.Sprintf("This machine's clock is %v %s %s.", wrong[0].Skew.Abs().Round(100*time.Millisecond), way, isAre(len(wrong), "a peer's", "those of %d peers"))
	if len(wrong) == 1 {
		return finding{"clock", stateProblem, says, askRight + "; if it is, the peer's is wrong"}
	}
	return finding{"clock", stateProblem, says, askRight}
}

// isAre is one for 1, and else many, with the number.
func isAre(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf(many, n)
}

func (f *doctorFacts) uplink() finding {
	for _, p := range f.peers {
		c := p.check()
		switch {
		case c == nil || c.Uplink == 0:
		case c.Uplink < slowUplink:
			return finding{"uplink", stateWarning, "The uplink carried " + formatRate(c.Uplink) + " to a relay, which is less than most streams take.", "broadcast a smaller picture, such as --encode 360p; to watch, this is enough"}
		default:
			return finding{"uplink", stateOK, "The uplink carried " + formatRate(c.Uplink) + " to a relay.", ""}
		}
	}
	if f.answered() > 0 {
		return finding{"uplink", stateUntested, "The uplink was not measured: only relays agree to that, once a minute.", "name a relay with --peer, or try again in a minute"}
	}
	return finding{"uplink", stateUntested, "The uplink was not measured: that takes a relay.", askPeers}
}

// hostOf returns the IP address at the front of a multiaddr, "" if there is none.
func hostOf(addr string) string {
	if a, err := multiaddr.NewMultiaddr(addr); err == nil {
		if ip, err := manet.ToIP(a); err == nil {
			return ip.String()
		}
	}
	return ""
}

// portOf returns the IP address and UDP port at the front of a multiaddr.
func portOf(addr string) string {
	a, err := multiaddr.NewMultiaddr(addr)
	if err != nil {
		return ""
	}
	port, err := a.ValueForProtocol(multiaddr.P_UDP)
	if err != nil {
		return ""
	}
	return hostOf(addr) + ":" + port
}
