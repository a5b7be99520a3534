package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	// clockOff is how far a clock may be off: players and others' nodes go by the
	// broadcaster's, to a few seconds.
	clockOff = 2 * time.Second
	// slowUplink is less than a picture of 360 lines takes.
	slowUplink = 1_000_000
	// leastDisk is an hour of 4 Mbit/s, for who records, and leastFiles what a relay with as
	// many connections as it takes needs, with some for the rest.
	leastDisk  = 2 << 30
	leastFiles = 1024
)

const (
	askPeers    = "name one with --peer ADDRESS, or a stream's link; every node prints its own"
	askAnother  = "name a second one, of another network, with --peer"
	openThePort = "open UDP and TCP port 4747 in this machine's firewall, and have the router pass them on to it; or name a relay with --peer when you broadcast"
)

// findings puts what is known into words.
func (f *doctorFacts) findings() []finding {
	return append([]finding{f.udp(), f.reachable(), f.nat(), f.mapping(), f.clock(), f.uplink()}, f.machine()...)
}

func (f *doctorFacts) udp() finding {
	tried, reached := 0, 0
	byTCP := false
	for _, p := range f.peers {
		if p.quicTried {
			tried++
		}
		if p.quic != nil {
			reached++
		}
		byTCP = byTCP || p.quicTried && p.tcp != nil
	}
	switch {
	case reached > 0:
		return finding{"udp", stateOK, fmt.Sprintf("UDP is open: %d of %d peers were reached by QUIC.", reached, tried), ""}
	case byTCP:
		return finding{"udp", stateProblem, "UDP is blocked: a peer was reached by TCP, but not by QUIC.", "allow UDP in this machine's or network's firewall; by TCP alone no way through routers is found"}
	case tried > 0:
		return finding{"udp", stateProblem, "No peer was reached: " + f.failure() + ".", "see whether this machine is online, and the peers are running"}
	case f.answered() > 0:
		return finding{"udp", stateUntested, "Whether UDP is open was not tested: the peers' addresses are of TCP.", "name the QUIC address of a peer"}
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
	switch {
	case len(f.reach.Reachable) > 0:
		return finding{"reachable", stateOK, "Others reach this machine at " + strings.Join(f.reach.Reachable, ", ") + ".", ""}
	case len(f.reach.Unreachable) > 0:
		return finding{"reachable", stateProblem, "Others cannot reach this machine at " + strings.Join(f.reach.Unreachable, ", ") + ".", openThePort}
	case f.answered() == 0:
		return finding{"reachable", stateUntested, "Whether others reach this machine was not tested: that takes two peers.", askPeers}
	case f.translated():
		return finding{"reachable", stateWarning, "Others reach this machine only by way of what it begins itself: it is behind a router that passes nothing on.", openThePort}
	case f.answered() == 1:
		return finding{"reachable", stateUntested, "One peer alone does not tell whether others reach this machine.", askAnother}
	}
	return finding{"reachable", stateUntested, "No peer tried this machine's addresses: they are of a local network, or the peers do not test.", ""}
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

// translated reports whether peers see this machine at an address that it does not have.
func (f *doctorFacts) translated() bool {
	for _, p := range f.peers {
		c := p.check()
		if c == nil {
			continue
		}
		for _, a := range f.addrs {
			if hostOf(a) == hostOf(c.Seen) && !viaRelay(a) {
				return false
			}
		}
		return !strings.HasPrefix(c.Seen, "/ip4/127.") && !strings.HasPrefix(c.Seen, "/ip6/::1/")
	}
	return false
}

func (f *doctorFacts) nat() finding {
	seen := f.seen()
	switch {
	case f.answered() == 0:
		return finding{"nat", stateUntested, "Whether a router translates this machine's addresses was not tested: that takes two peers.", askPeers}
	case !f.translated():
		return finding{"nat", stateOK, "No router translates this machine's addresses on the way to the peers.", ""}
	case len(seen) < 2:
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
	case !f.mapped:
		return finding{"port_mapping", stateUntested, "The router was not asked to map a port.", "leave out --no-port-mapping, and addresses of --listen on loopback"}
	case f.reach.Router:
		return finding{"port_mapping", stateWarning, "The router answers, but maps no port.", "see whether its settings allow UPnP or NAT-PMP"}
	}
	return finding{"port_mapping", stateWarning, "No router answers by UPnP or NAT-PMP.", "turn either on in the router's settings, if there is one; a machine with an address of its own on the internet needs none"}
}

func (f *doctorFacts) clock() finding {
	for _, p := range f.peers {
		c := p.check()
		if c == nil {
			continue
		}
		// The peer's clock is known to half a round trip.
		if off := c.Skew.Abs(); off > clockOff+c.RTT/2 {
			way := "behind"
			if c.Skew < 0 {
				way = "ahead of"
			}
			return finding{"clock", stateProblem, fmt.Sprintf("This machine's clock is %v %s a peer's.", off.Round(100*time.Millisecond), way),
				"have the clock set from the network (NTP); one of both is wrong"}
		}
		return finding{"clock", stateOK, fmt.Sprintf("The clock is right to %v, by a peer's.", (c.Skew.Abs() + c.RTT/2).Round(time.Millisecond)), ""}
	}
	return finding{"clock", stateUntested, "The clock was not compared: that takes a peer.", askPeers}
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

// machine tells of what is here.
func (f *doctorFacts) machine() (out []finding) {
	if free, ok := freeDisk(f.dir); !ok {
		out = append(out, finding{"disk", stateUntested, "How much room the disk has cannot be told on this system.", ""})
	} else if free < leastDisk {
		out = append(out, finding{"disk", stateWarning, "The disk of " + f.dir + " has " + formatBytes(free) + " left.", "make room before you record; nodes keep streams in memory and need none"})
	} else {
		out = append(out, finding{"disk", stateOK, "The disk of " + f.dir + " has " + formatBytes(free) + " left.", ""})
	}
	if files, ok := openFiles(); !ok {
		out = append(out, finding{"files", stateUntested, "How many files and connections may be open cannot be told on this system.", ""})
	} else if files < leastFiles {
		out = append(out, finding{"files", stateProblem, fmt.Sprintf("Only %d files and connections may be open at a time.", files), fmt.Sprintf("raise the limit: ulimit -n %d, or LimitNOFILE= of a systemd service", 4*leastFiles)})
	} else {
		out = append(out, finding{"files", stateOK, fmt.Sprintf("%d files and connections may be open at a time.", files), ""})
	}
	if path := installed("ffmpeg"); path == "" {
		out = append(out, finding{"ffmpeg", stateWarning, "ffmpeg is not installed: files other than MPEG-TS, --encode and --slate need it.", "https://ffmpeg.org/download.html"})
	} else {
		out = append(out, finding{"ffmpeg", stateOK, "ffmpeg is " + path + ".", ""})
	}
	if path := installed("vlc", "cvlc", "/Applications/VLC.app/Contents/MacOS/VLC"); path == "" {
		out = append(out, finding{"vlc", stateWarning, "VLC was not found; any other player, or the node's page, shows streams as well.", "https://www.videolan.org/vlc/"})
	} else {
		out = append(out, finding{"vlc", stateOK, "VLC is " + path + ".", ""})
	}
	return out
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
