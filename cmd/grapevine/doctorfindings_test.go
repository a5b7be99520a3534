package main

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/multiformats/go-multiaddr"

	"github.com/grapevine-live/grapevine/p2p"
)

// Of the tests' machine and of two peers. Addresses are those for documentation.
const (
	own     = "192.168.1.7"
	router  = "203.0.113.5"
	peerOne = "/ip4/198.51.100.1/udp/4747/quic-v1"
	peerTwo = "/ip4/198.51.100.2/udp/4747/quic-v1"
)

// byQUIC is a peer that was reached, and what it told.
func byQUIC(at, seen string) peerFacts {
	return peerFacts{quicTried: true, quic: &p2p.Check{Addr: at, Seen: "/ip4/" + seen + "/quic-v1", RTT: 20 * time.Millisecond}}
}

// byTCP is one that was reached by TCP, and not by QUIC.
func byTCP(seen string) peerFacts {
	return peerFacts{quicTried: true, quicFailed: errSilent, tcp: &p2p.Check{Addr: "/ip4/198.51.100.1/tcp/4747", Seen: "/ip4/" + seen, RTT: 20 * time.Millisecond}}
}

// byNothing is one that was not reached.
func byNothing() peerFacts {
	return peerFacts{quicTried: true, quicFailed: errSilent, tcpFailed: errSilent}
}

var errSilent = errors.New("timeout: no recent network activity")

// withClock gives peers clocks that are off from this machine's.
func withClock(skews ...time.Duration) (out []peerFacts) {
	for i, skew := range skews {
		p := byQUIC([]string{peerOne, peerTwo, "/ip4/198.51.100.3/udp/4747/quic-v1"}[i], router+"/udp/4747")
		p.quic.Skew = skew
		out = append(out, p)
	}
	return out
}

func withUplink(rates ...float64) (out []peerFacts) {
	out = withClock(make([]time.Duration, len(rates))...)
	for i, r := range rates {
		out[i].quic.Uplink = r
	}
	return out
}

func TestDoctorSays(t *testing.T) {
	var (
		direct = []peerFacts{byQUIC(peerOne, own+"/udp/4747"), byQUIC(peerTwo, own+"/udp/4747")}
		cone   = []peerFacts{byQUIC(peerOne, router+"/udp/4747"), byQUIC(peerTwo, router+"/udp/4747")}
		varies = []peerFacts{byQUIC(peerOne, router+"/udp/4747"), byQUIC(peerTwo, router+"/udp/61000")}
		one    = cone[:1]
		quicAt = triedAddr{"/ip4/203.0.113.5/udp/4747/quic-v1", true}
		tcpNot = triedAddr{"/ip4/203.0.113.5/tcp/4747", false}
		// The second is another node of the first one's machine.
		oneHost = []peerFacts{cone[0], byQUIC("/ip4/198.51.100.1/udp/4748/quic-v1", router+"/udp/61000")}
	)
	for _, c := range []struct {
		name  string
		facts doctorFacts
		want  finding
	}{
		{"UDP with two peers", doctorFacts{peers: cone}, finding{"udp", stateOK, "UDP is open: 2 of 2 peers were reached by QUIC.", ""}},
		{"UDP with one of two", doctorFacts{peers: []peerFacts{byNothing(), cone[0]}}, finding{"udp", stateOK, "UDP is open: 1 of 2 peers were reached by QUIC.", ""}},
		{"UDP blocked", doctorFacts{peers: []peerFacts{byTCP(router + "/tcp/4747"), byNothing()}},
			finding{"udp", stateProblem, "UDP is blocked: of 2 peers 1 answered by TCP, and none by QUIC.", "allow UDP in this machine's or network's firewall; by TCP alone no way through routers is found"}},
		{"offline", doctorFacts{peers: []peerFacts{byNothing()}},
			finding{"udp", stateProblem, "No peer was reached, neither by UDP nor by TCP: timeout: no recent network activity.", "see whether this machine is online, and the peers are running"}},
		{"UDP without peers", doctorFacts{}, finding{"udp", stateUntested, "Whether UDP is open was not tested: that takes a peer.", askPeers}},

		{"reached", doctorFacts{peers: cone, tried: []triedAddr{quicAt}}, finding{"reachable", stateOK, "Others reach this machine at /ip4/203.0.113.5/udp/4747/quic-v1.", ""}},
		{"reached by QUIC only", doctorFacts{peers: cone, tried: []triedAddr{quicAt, tcpNot}},
			finding{"reachable", stateWarning, "Others reach this machine at /ip4/203.0.113.5/udp/4747/quic-v1, but not at /ip4/203.0.113.5/tcp/4747.", openThePort}},
		{"not reached", doctorFacts{peers: cone, tried: []triedAddr{tcpNot}}, finding{"reachable", stateProblem, "Others cannot reach this machine at /ip4/203.0.113.5/tcp/4747.", openThePort}},
		{"not reached, with another node here", doctorFacts{peers: cone, tried: []triedAddr{tcpNot}, fellBack: true},
			finding{"reachable", stateProblem, "Others cannot reach this machine at /ip4/203.0.113.5/tcp/4747.", "another node uses port 4747, so that a free one was tried: end it, and try again; " + openThePort}},
		{"tried by nobody", doctorFacts{peers: direct},
			finding{"reachable", stateUntested, "Whether others reach this machine was not tested: the peers see it at an address of a local network, or try for nobody.", "name peers on the internet with --peer"}},
		{"reached without peers", doctorFacts{peers: []peerFacts{byNothing()}}, finding{"reachable", stateUntested, "Whether others reach this machine was not tested: that takes a peer.", askPeers}},

		{"no router", doctorFacts{peers: direct}, finding{"nat", stateOK, "No router translates this machine's addresses on the way to the peers.", ""}},
		{"a router with one port for all", doctorFacts{peers: cone},
			finding{"nat", stateOK, "The router shows all peers the same port (203.0.113.5:4747): direct connections to other nodes behind routers can be made, with a relay's help.", ""}},
		{"a symmetric router", doctorFacts{peers: varies},
			finding{"nat", stateProblem, "The router is symmetric: it shows each peer another port (203.0.113.5:4747, 203.0.113.5:61000), and most other nodes behind routers cannot be connected directly.",
				"have the router map a port (UPnP, NAT-PMP, or by hand), or use a relay that was started with --relay-media"}},
		{"a router, one peer", doctorFacts{peers: one},
			finding{"nat", stateUntested, "A router translates this machine's addresses; whether holes can be made in it takes two peers of different networks to tell.", askAnother}},
		{"a router, two peers of one host", doctorFacts{peers: oneHost},
			finding{"nat", stateUntested, "A router translates this machine's addresses; whether holes can be made in it takes two peers of different networks to tell.", askAnother}},
		{"a router without UDP", doctorFacts{peers: []peerFacts{byTCP(router + "/tcp/4747")}},
			finding{"nat", stateUntested, "A router translates this machine's addresses; what kind it is can be told only by UDP.", "see to UDP first"}},
		{"a router to one of two peers", doctorFacts{peers: []peerFacts{direct[0], cone[1]}}, finding{"nat", stateProblem,
			"The router is symmetric: it shows each peer another port (192.168.1.7:4747, 203.0.113.5:4747), and most other nodes behind routers cannot be connected directly.",
			"have the router map a port (UPnP, NAT-PMP, or by hand), or use a relay that was started with --relay-media"}},
		{"a router without peers", doctorFacts{}, finding{"nat", stateUntested, "Whether a router translates this machine's addresses was not tested: that takes two peers.", askPeers}},

		{"a mapped port", doctorFacts{asked: true, reach: p2p.Reach{Router: true, Mapped: []string{"/ip4/203.0.113.5/udp/4747/quic-v1"}}},
			finding{"port_mapping", stateOK, "The router maps /ip4/203.0.113.5/udp/4747/quic-v1 to this machine.", ""}},
		{"no port needed", doctorFacts{asked: true, peers: cone, tried: []triedAddr{quicAt}}, finding{"port_mapping", stateOK, "The router needs to map no port: others reach this machine.", ""}},
		{"not asked", doctorFacts{peers: cone}, finding{"port_mapping", stateUntested, "The router was not asked to map a port.", "leave out --no-port-mapping, and addresses of --listen on loopback"}},
		{"a router that maps nothing", doctorFacts{asked: true, peers: cone, reach: p2p.Reach{Router: true}},
			finding{"port_mapping", stateWarning, "The router answers, but maps no port.", "see whether its settings allow UPnP or NAT-PMP"}},
		{"a silent router", doctorFacts{asked: true, peers: cone},
			finding{"port_mapping", stateWarning, "No router answers by UPnP or NAT-PMP.", "turn either on in the router's settings, if there is one; a machine with an address of its own on the internet needs none"}},
		{"no router to map", doctorFacts{asked: true, peers: direct},
			finding{"port_mapping", stateOK, "No router answers by UPnP or NAT-PMP, and none has to: none translates this machine's addresses.", ""}},

		{"a right clock", doctorFacts{peers: withClock(-3 * time.Millisecond)}, finding{"clock", stateOK, "The clock is right to 13ms, by a peer's.", ""}},
		{"a right clock by two", doctorFacts{peers: withClock(time.Millisecond, 2*time.Millisecond)}, finding{"clock", stateOK, "The clock is right to 12ms, by 2 peers'.", ""}},
		{"as far off as may be", doctorFacts{peers: withClock(clockOff + 10*time.Millisecond)}, finding{"clock", stateOK, "The clock is right to 2.02s, by a peer's.", ""}},
		{"one peer's is wrong", doctorFacts{peers: withClock(time.Millisecond, time.Hour)}, finding{"clock", stateOK, "The clock is right to 11ms, by a peer's; the clock of another peer is off.", ""}},
		{"a slow clock, or a peer's", doctorFacts{peers: withClock(3 * time.Minute)},
			finding{"clock", stateProblem, "This machine's clock is 3m0s behind a peer's.", askRight + "; if it is, the peer's is wrong"}},
		{"a slow clock", doctorFacts{peers: withClock(3*time.Minute, 3*time.Minute)}, finding{"clock", stateProblem, "This machine's clock is 3m0s behind those of 2 peers.", askRight}},
		{"a fast clock by two of three", doctorFacts{peers: withClock(-90*time.Second, time.Millisecond, -90*time.Second)},
			finding{"clock", stateProblem, "This machine's clock is 1m30s ahead of those of 2 peers.", askRight}},
		{"a clock without peers", doctorFacts{}, finding{"clock", stateUntested, "The clock was not compared: that takes a peer.", askPeers}},

		{"an uplink", doctorFacts{peers: withUplink(0, 19_400_000)}, finding{"uplink", stateOK, "The uplink carried 19 Mbit/s to a relay.", ""}},
		{"a slow uplink", doctorFacts{peers: withUplink(400_000)},
			finding{"uplink", stateWarning, "The uplink carried 400 kbit/s to a relay, which is less than most streams take.", "broadcast a smaller picture, such as --encode 360p; to watch, this is enough"}},
		{"an uplink that nobody measured", doctorFacts{peers: withUplink(0)}, finding{"uplink", stateUntested, "The uplink was not measured: only relays agree to that, once a minute.", "name a relay with --peer, or try again in a minute"}},
		{"an uplink without peers", doctorFacts{}, finding{"uplink", stateUntested, "The uplink was not measured: that takes a relay.", askPeers}},

		{"room", doctorFacts{machine: machineFacts{dir: "/h", free: 5e9, freeKnown: true}}, finding{"disk", stateOK, "The disk of /h has 5 GB left.", ""}},
		{"no room", doctorFacts{machine: machineFacts{dir: "/h", free: 5e8, freeKnown: true}},
			finding{"disk", stateWarning, "The disk of /h has 500 MB left.", "make room before you record; nodes keep streams in memory and need none"}},
		{"unknown room", doctorFacts{}, finding{"disk", stateUntested, "How much room the disk has cannot be told on this system.", ""}},
		{"files", doctorFacts{machine: machineFacts{files: 4096, filesKnown: true}}, finding{"files", stateOK, "4096 files and connections may be open at a time.", ""}},
		{"few files", doctorFacts{machine: machineFacts{files: 256, filesKnown: true}},
			finding{"files", stateProblem, "Only 256 files and connections may be open at a time.", "raise the limit: ulimit -n 4096, or LimitNOFILE= of a systemd service"}},
		{"unknown files", doctorFacts{}, finding{"files", stateUntested, "How many files and connections may be open cannot be told on this system.", ""}},
		{"ffmpeg", doctorFacts{machine: machineFacts{ffmpeg: "/usr/bin/ffmpeg"}}, finding{"ffmpeg", stateOK, "ffmpeg is /usr/bin/ffmpeg.", ""}},
		{"no ffmpeg", doctorFacts{}, finding{"ffmpeg", stateWarning, "ffmpeg is not installed: files other than MPEG-TS, --encode and --slate need it.", "https://ffmpeg.org/download.html"}},
		{"VLC", doctorFacts{machine: machineFacts{vlc: "/usr/bin/vlc"}}, finding{"vlc", stateOK, "VLC is /usr/bin/vlc.", ""}},
		{"no VLC", doctorFacts{}, finding{"vlc", stateWarning, "VLC was not found; any other player, or the node's page, shows streams as well.", "https://www.videolan.org/vlc/"}},
	} {
		c.facts.own = []string{"127.0.0.1", own}
		all := c.facts.findings()
		i := slices.IndexFunc(all, func(f finding) bool { return f.Check == c.want.Check })
		if i < 0 || all[i] != c.want {
			t.Errorf("%s:\n%+v\nwant\n%+v", c.name, all[i], c.want)
		}
	}
}

func TestDoctorKnowsThePortsOfTheOtherTransport(t *testing.T) {
	const quic, tcp, relayed = "/ip4/198.51.100.1/udp/4000/quic-v1", "/ip4/198.51.100.1/tcp/4000", "/ip4/198.51.100.9/udp/1/quic-v1/p2p/12D3KooWDTzdL3jEA35zJwR3YrR4pcR8m8u9iZhxWnKc7fGSPCBG/p2p-circuit"
	for _, c := range []struct{ addrs, quic, tcp []string }{
		{[]string{quic}, []string{quic}, []string{tcp}},
		{[]string{tcp}, []string{quic}, []string{tcp}},
		{[]string{quic, "/ip4/198.51.100.1/tcp/80"}, []string{quic}, []string{"/ip4/198.51.100.1/tcp/80"}},
		{[]string{relayed}, nil, nil},
	} {
		var addrs []multiaddr.Multiaddr
		for _, a := range c.addrs {
			addrs = append(addrs, multiaddr.StringCast(a))
		}
		byQUIC, byTCP := waysTo(addrs)
		if !slices.Equal(texts(byQUIC), c.quic) || !slices.Equal(texts(byTCP), c.tcp) {
			t.Errorf("%v: %v and %v", c.addrs, byQUIC, byTCP)
		}
	}
}

func texts(addrs []multiaddr.Multiaddr) (out []string) {
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

func TestDoctorHasItsPortsTriedWhereItIsSeen(t *testing.T) {
	addrs := []string{"/ip4/192.168.1.7/udp/4747/quic-v1/p2p/12D3KooWDTzdL3jEA35zJwR3YrR4pcR8m8u9iZhxWnKc7fGSPCBG", "/ip4/192.168.1.7/tcp/4747/p2p/12D3KooWDTzdL3jEA35zJwR3YrR4pcR8m8u9iZhxWnKc7fGSPCBG", "/ip6/2001:db8::7/udp/4747/quic-v1"}
	// Addresses for documentation count as none of the internet.
	public := byQUIC(peerOne, "44.128.0.5/udp/61000")
	got := toTry(addrs, []string{"/ip4/44.128.0.5/udp/5000/quic-v1"}, []peerFacts{byNothing(), public, public, byQUIC(peerTwo, "192.168.1.7/udp/4747")})
	want := []string{"/ip4/44.128.0.5/udp/5000/quic-v1", "/ip4/44.128.0.5/udp/4747/quic-v1", "/ip4/44.128.0.5/tcp/4747"}
	if !slices.Equal(got, want) {
		t.Errorf("%v are to be tried, want %v", got, want)
	}
}
