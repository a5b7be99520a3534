package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/grapevine-live/grapevine"

// arrows are all the imports that packages of this module may have of each other, tests
// included. A new one needs its reason here.
var arrows = []struct{ from, to, why string }{
	{"cmd/grapevine", "hls", "wiring: a session has an HLS server"},
	{"cmd/grapevine", "hls/record", "wiring: a session may have a recorder; export"},
	{"cmd/grapevine", "p2p", "wiring: a session has a node"},
	{"cmd/grapevine", "p2p/policy", "what the owner of a node lets it do"},
	{"cmd/grapevine", "stream", "links, keys and IDs on the command line"},
	{"cmd/grapevine", "stream/disk", "wiring: a node may keep streams on a disk"},
	{"cmd/grapevine", "stream/heap", "the cache does not double a node's memory"},
	{"cmd/grapevine", "stream/origin", "wiring: a node reaches HTTP origins by it"},
	{"cmd/grapevine", "stream/ingest", "broadcast reads an encoder's bytes"},
	{"cmd/grapevine", "stream/ingest/origin", "broadcast may publish an HLS stream again"},
	{"cmd/grapevine", "stream/ingest/transcode", "broadcast may encode several renditions"},
	{"cmd/grapevine", "hls/apitest", "its tests hold real nodes' answers to the API's description"},
	{"hls", "hls/apitest", "its tests hold answers to the API's description"},
	{"hls", "hls/fmp4", "low-latency playlists list parts in fragmented MP4"},
	{"hls", "hls/cue", "playlists list date ranges"},
	{"hls", "stream", "playlists are made of timelines and the store"},
	{"hls", "stream/origin", "a gateway is an origin to nodes"},
	{"hls/cue", "stream/transport", "it reads packets and tables"},
	{"hls/cue", "stream/transport/transporttest", "its tests scan cues"},
	{"hls/record", "hls", "recordings get what playlists list, decided in the same way"},
	{"hls/record", "hls/fmp4", "recordings are MP4, too"},
	{"hls/record", "stream", "it records timelines and the store"},
	{"hls/record", "stream/ingest", "its tests record what ingest cuts"},
	{"hls/record", "stream/transport", "MPEG-TS is joined packet by packet"},
	{"hls/record", "stream/transport/transporttest", "its tests record cues"},
	{"hls/fmp4", "stream", "its tests take parts from ingest"},
	{"hls/fmp4", "stream/ingest", "its tests remux what ingest cuts"},
	{"p2p", "p2p/p2ptest", "tests run whole nodes on simulated links"},
	{"p2p", "p2p/discovery", "a node may take part in a DHT"},
	{"p2p", "p2p/meter", "all that its sockets carry is counted and bounded"},
	{"p2p", "p2p/schedule", "the node asks it for decisions"},
	{"p2p", "stream", "what is carried: headers, chunks, links"},
	{"p2p", "stream/disk", "its tests restart nodes"},
	{"p2p/discovery", "stream", "the keys of streams"},
	{"p2p/policy", "stream", "it decides on streams"},
	{"p2p/schedule", "stream", "it decides on parts: positions, bitmaps"},
	{"p2p/schedule/simulate", "p2p/schedule", "it runs thousands of exchanges"},
	{"p2p/schedule/simulate", "stream", "the positions of what it simulates"},
	{"p2p/p2ptest", "p2p", "it runs production nodes"},
	{"p2p/p2ptest", "p2p/schedule", "its liars know the stripes"},
	{"p2p/p2ptest", "stream", "it broadcasts test streams"},
	{"p2p/p2ptest", "stream/origin", "its origins are the production handler, asked by the production client"},
	{"p2p/p2ptest", "stream/wire", "its liars write messages of their own"},
	{"p2p", "stream/wire", "the protocols' messages are Protocol Buffers too"},
	{"scripts/bench", "p2p", "it measures production nodes"},
	{"scripts/bench", "p2p/p2ptest", "it measures on simulated links"},
	{"scripts/bench", "p2p/schedule", "how far from the broadcaster its decisions can be"},
	{"scripts/bench", "p2p/schedule/simulate", "it measures the decisions alone, in larger swarms"},
	{"scripts/bench", "stream", "it broadcasts"},
	{"scripts/bench/relay", "p2p", "it measures a production node on real sockets"},
	{"scripts/bench/relay", "scripts/bench/cores", "the relay has a core of its own"},
	{"scripts/bench/relay", "stream", "it broadcasts"},
	{"scripts/bench/relay", "stream/heap", "it measures memory as the program takes it"},
	{"scripts/bench/hls", "hls", "it measures the server"},
	{"scripts/bench/hls", "scripts/bench/cores", "the servers have a core of their own"},
	{"scripts/bench/hls", "stream", "it broadcasts"},
	{"scripts/bench/ingest", "scripts/bench/cores", "it reads the process's status"},
	{"scripts/bench/ingest", "stream", "it counts parts"},
	{"scripts/bench/ingest", "stream/ingest", "it measures ingest"},
	{"scripts/bench/soak", "p2p", "it leaves a production node alone for days"},
	{"scripts/bench/soak", "p2p/p2ptest", "these are days of virtual time"},
	{"scripts/bench/soak", "p2p/policy", "the node carries public streams by need"},
	{"scripts/bench/soak", "stream", "it broadcasts"},
	{"scripts/bench/soak", "stream/disk", "the node keeps them on a disk"},
	{"scripts/bench/chaos", "hls", "what is served, and how it is numbered, is looked at where players do"},
	{"scripts/bench/chaos", "p2p", "it lets production nodes go through faults"},
	{"scripts/bench/chaos", "p2p/p2ptest", "whose network has them"},
	{"scripts/bench/chaos", "stream", "it broadcasts, and compares"},
	{"scripts/bench/reports", "hls", "what players fetch is what is reported"},
	{"scripts/bench/reports", "p2p", "it compares what production nodes report with the truth"},
	{"scripts/bench/reports", "p2p/p2ptest", "it measures in virtual time"},
	{"scripts/bench/reports", "stream", "it broadcasts"},
	{"scripts/bench/store", "scripts/bench/cores", "it reads the process's figures"},
	{"scripts/bench/store", "stream", "it publishes parts"},
	{"scripts/bench/store", "stream/disk", "it measures it"},
	{"scripts/bench/seal", "p2p", "it measures production nodes on real sockets"},
	{"scripts/bench/seal", "stream", "it broadcasts, plain and sealed"},
	{"scripts/e2e", "stream/transport/transporttest", "its encoder sends metadata and cues"},
	{"scripts/e2e/lossy", "hls", "its copies are served to players"},
	{"scripts/e2e/lossy", "p2p", "it is a viewer's node"},
	{"scripts/e2e/lossy", "stream", "it copies timelines and the store"},
	{"stream/disk", "stream", "it keeps whole parts, and verifies what it reads"},
	{"stream/origin", "stream", "it serves timelines and the store"},
	{"stream/origin", "stream/wire", "its answers are Protocol Buffers, too"},
	{"stream", "stream/wire", "headers are Protocol Buffers"},
	{"hls/fmp4", "stream/transport", "it reads what ingest wrote"},
	{"stream/ingest", "stream", "it makes parts"},
	{"stream/ingest/origin", "stream", "it hands parts on"},
	{"stream/ingest/origin", "stream/ingest", "which cuts segments into parts"},
	{"stream/ingest/origin", "stream/transport", "its tests listen to what was put together"},
	{"stream/ingest/origin", "stream/webvtt", "its tests read subtitles"},
	{"stream/ingest/transcode", "stream", "parts go in and out"},
	{"stream/ingest/transcode", "stream/ingest", "it is between two: what is encoded, and what cuts each rendition"},
	{"stream/ingest", "stream/transport", "it reads packets and tables"},
	{"stream/ingest", "stream/transport/transporttest", "its tests' encoders send metadata and cues"},
	{"stream/transport/transporttest", "stream/transport", "it puts packets between packets"},
	{"hls/fmp4", "stream/transport/transporttest", "its tests remux metadata"},
	{"hls", "stream/transport/transporttest", "its tests' broadcasters send metadata and cues"},
	{"stream/ingest", "stream/webvtt", "subtitles are cut into segments"},
	{"hls", "stream/webvtt", "subtitles are placed on the time line of fragmented MP4"},
}

// never says for each package what it must not import itself, beyond the arrows.
var never = []struct{ from, to, why string }{
	{"stream", "net", "the domain knows no network"},
	{"stream", "net/http", "the domain knows no network"},
	{"stream", "log", "the domain returns errors and logs nothing"},
	{"stream", "log/slog", "the domain returns errors and logs nothing"},
	{"stream", "os", "the domain touches no file and no environment"},
	{"stream/disk", "log/slog", "it counts, and logs nothing"},
	{"stream/disk", "github.com/libp2p/", "a disk knows no peers"},
	{"stream", "github.com/libp2p/", "the domain knows no network"},
	{"hls", "github.com/libp2p/", "players know no peers"},
	{"hls", "github.com/multiformats/", "players know no peers"},
	{"hls/fmp4", "net", "remuxing does no I/O"},
	{"hls/fmp4", "net/http", "remuxing does no I/O"},
	{"hls/fmp4", "os", "remuxing does no I/O"},
	{"hls/cue", "net", "it reads bytes that others have"},
	{"hls/cue", "os", "it reads bytes that others have"},
	{"hls/cue", "log/slog", "it counts, and logs nothing"},
	{"hls/fmp4", "log/slog", "remuxing returns errors and logs nothing"},
	{"hls/record", "net/http", "recordings are files; hls serves"},
	{"stream/ingest", "github.com/libp2p/", "encoders know no peers"},
	{"stream/ingest", "os/exec", "programs are run by transcode"},
	{"stream/ingest", "github.com/grafov/m3u8", "what is fetched is origin's"},
	{"stream/ingest/origin", "github.com/libp2p/", "an origin knows no peers"},
	{"stream/origin", "github.com/libp2p/", "an origin knows no peers"},
	{"stream/ingest/transcode", "github.com/libp2p/", "encoders know no peers"},
	{"p2p", "net/http", "HTTP is for players"},
	{"p2p", "github.com/grafov/m3u8", "playlists are for players"},
	{"p2p/policy", "net", "decisions are pure: no connections"},
	{"p2p/policy", "os", "decisions are pure: no files"},
	{"p2p/policy", "github.com/libp2p/", "decisions are pure: no connections"},
	{"p2p/schedule", "github.com/libp2p/go-libp2p/core/network", "decisions are pure: no connections"},
	{"p2p/schedule", "github.com/libp2p/go-libp2p-pubsub", "decisions are pure: no messages"},
}

// direct are the modules that go.mod requires itself, each with its reason and licence.
var direct = map[string]struct{ why, licence string }{
	"charm.land/bubbletea/v2":                  {"the live view of grapevine status: keys, sizes and the screen on all systems", "MIT"},
	"filippo.io/age":                           {"the home's keys under a passphrase, in a format that other programs read", "BSD-3-Clause"},
	"github.com/Comcast/scte35-go":             {"SCTE-35 cues' commands and descriptors", "Apache-2.0"},
	"github.com/CycloneDX/cyclonedx-go":        {"lists of what releases are made of, for scripts/sbom", "Apache-2.0"},
	"github.com/abema/go-mp4":                  {"events in fragmented MP4, below mediacommon", "MIT"},
	"github.com/asticode/go-astits":            {"MPEG-TS tables, below mediacommon", "MIT"},
	"github.com/bluenviron/gortmplib":          {"RTMP and enhanced RTMP, as OBS and ffmpeg publish", "MIT"},
	"github.com/bluenviron/mediacommon/v2":     {"MPEG-TS, fragmented MP4 and the codecs' headers", "MIT"},
	"github.com/boombuler/barcode":             {"QR codes of links", "MIT"},
	"github.com/charmbracelet/x/ansi":          {"how wide characters are, as bubbletea itself measures them", "MIT"},
	"github.com/coreos/go-systemd/v22":         {"a service tells systemd that it is ready, reloads and lives", "Apache-2.0"},
	"github.com/datarhei/gosrt":                {"SRT, without libsrt", "MIT"},
	"github.com/goccy/go-yaml":                 {"configuration files, with the line of each value", "MIT"},
	"github.com/gofrs/flock":                   {"one process per identity, stream, recording and cache, on all platforms", "BSD-3-Clause"},
	"github.com/grafov/m3u8":                   {"playlists, the user's choice", "BSD-3-Clause"},
	"github.com/ipfs/go-cid":                   {"the keys of the DHT", "MIT"},
	"github.com/ipfs/go-datastore":             {"what a server of the DHT keeps, bounded", "MIT"},
	"github.com/ipfs/go-log/v2":                {"where the DHT's errors go: our log", "MIT"},
	"github.com/libp2p/go-libp2p":              {"hosts: QUIC, TCP, TLS and Noise, mDNS", "MIT"},
	"github.com/libp2p/go-libp2p-kad-dht":      {"peers by a bare stream ID, in the DHT of IPFS or one's own", "MIT"},
	"github.com/libp2p/go-libp2p-pubsub":       {"gossipsub and its partial messages", "MIT"},
	"github.com/marcopolo/simnet":              {"simulated links, in tests", "BSD-3-Clause"},
	"github.com/multiformats/go-multiaddr":     {"peers' addresses", "MIT"},
	"github.com/multiformats/go-multihash":     {"the hashes in the DHT's keys", "MIT"},
	"github.com/pion/ice/v4":                   {"one UDP port for all of WebRTC's paths", "MIT"},
	"github.com/pion/interceptor":              {"WebRTC's retransmission and reports", "MIT"},
	"github.com/pion/logging":                  {"WebRTC logs as the rest does", "MIT"},
	"github.com/pion/rtcp":                     {"WebRTC's reports, and requests for keyframes", "MIT"},
	"github.com/pion/rtp":                      {"WebRTC's packets, and H.264 in them", "MIT"},
	"github.com/pion/webrtc/v4":                {"WHIP, as browsers and OBS publish; in the version that libp2p links anyway", "MIT"},
	"github.com/prometheus/client_golang":      {"metrics for Prometheus, as libp2p makes its own", "Apache-2.0"},
	"github.com/quic-go/quic-go":               {"the round trip of a connection; what libp2p itself speaks", "MIT"},
	"github.com/rogpeppe/go-internal":          {"scripts that test the command line, in tests", "BSD-3-Clause"},
	"github.com/santhosh-tekuri/jsonschema/v6": {"answers are held to the API's description, in tests", "Apache-2.0"},
	"github.com/urfave/cli/v2":                 {"commands and flags, the user's choice", "MIT"},
	"go.etcd.io/bbolt":                         {"what the bench measures the store's files beside", "MIT"},
	"go.uber.org/goleak":                       {"no goroutine outlives its owner, in tests", "MIT"},
	"go.uber.org/zap":                          {"the form in which the DHT's errors come", "MIT"},
	"golang.org/x/net":                         {"packets read several at a time, as quic-go does, and counted; connections bounded", "BSD-3-Clause"},
	"golang.org/x/term":                        {"is this a terminal, and how wide", "BSD-3-Clause"},
	"golang.org/x/text":                        {"languages' tags and names, as the Go project keeps them", "BSD-3-Clause"},
	"golang.org/x/time":                        {"what a relay carries keeps to a rate, in the order in which it came", "BSD-3-Clause"},
	"gonum.org/v1/plot":                        {"the bench's pictures", "BSD-3-Clause"},
	"google.golang.org/protobuf":               {"the wire format's primitives, protowire", "BSD-3-Clause"},
	"golang.org/x/crypto":                      {"parts of private streams are sealed: ChaCha20-Poly1305, which takes the same time on machines without AES", "BSD-3-Clause"},
}

// forbidden must not be linked into the program, by whatever way.
var forbidden = []struct{ prefix, why string }{
	{"testing", "tests' flags would become the program's"},
	{"net/http/pprof", "opens a debugging door on import"},
	{"plugin", "code comes with the program only"},
	{"github.com/marcopolo/simnet", "belongs to tests"},
	{"github.com/libp2p/go-libp2p/x/simlibp2p", "belongs to tests"},
	{"github.com/rogpeppe/go-internal", "belongs to tests"},
	{"go.uber.org/goleak", "belongs to tests"},
	{"go.etcd.io/bbolt", "belongs to the bench"},
	{"github.com/santhosh-tekuri/jsonschema", "belongs to tests"},
	{"gonum.org/v1/plot", "belongs to the bench"},
	{"github.com/CycloneDX/cyclonedx-go", "belongs to scripts/sbom"},
	{"honnef.co/go/tools", "is a tool"},
	{module + "/hls/apitest", "belongs to tests"},
	{module + "/p2p/p2ptest", "belongs to tests"},
	{module + "/stream/transport/transporttest", "belongs to tests"},
}

// tolerated are imports of what is forbidden by packages that cannot do otherwise.
var tolerated = []struct{ from, to, why string }{
	{"github.com/libp2p/go-libp2p-kad-dht", "testing", "options for its own tests; since Go 1.13 only tests' main functions register flags"},
}

// listedPackage is what the tests read of go list's answer.
type listedPackage struct {
	ImportPath                         string
	Standard                           bool
	Imports, TestImports, XTestImports []string
	CgoFiles                           []string
}

func goList(t *testing.T, args ...string) []listedPackage {
	t.Helper()
	var packages []listedPackage
	decoder := json.NewDecoder(strings.NewReader(goOutput(t, append([]string{"list", "-json=ImportPath,Standard,Imports,TestImports,XTestImports,CgoFiles"}, args...)...)))
	for {
		var p listedPackage
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatalf("read go list's answer: %v", err)
		}
		packages = append(packages, p)
	}
}

func goOutput(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		t.Fatalf("go %v: %v", args, err)
	}
	return string(out)
}

func TestArrows(t *testing.T) {
	allowed := make(map[[2]string]bool)
	for _, a := range arrows {
		if a.why == "" {
			t.Errorf("the arrow from %s to %s has no reason", a.from, a.to)
		}
		allowed[[2]string{a.from, a.to}] = true
	}
	for _, p := range goList(t, module+"/...") {
		from := strings.TrimPrefix(p.ImportPath, module+"/")
		for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			to, internal := strings.CutPrefix(imp, module+"/")
			if internal && to != from && !allowed[[2]string{from, to}] {
				t.Errorf("%s imports %s: no arrow allows that", from, to)
			}
		}
		for _, n := range never {
			if n.from != from {
				continue
			}
			for _, imp := range p.Imports {
				if matches(imp, n.to) {
					t.Errorf("%s imports %s: %s", from, imp, n.why)
				}
			}
		}
	}
}

func TestForbidden(t *testing.T) {
	for _, p := range goList(t, "-deps", ".") {
		for _, imp := range p.Imports {
			if slices.ContainsFunc(tolerated, func(i struct{ from, to, why string }) bool { return i.from == p.ImportPath && i.to == imp }) {
				continue
			}
			for _, f := range forbidden {
				if matches(imp, f.prefix) {
					t.Errorf("the program contains %s, which %s imports: %s", imp, p.ImportPath, f.why)
				}
			}
		}
		if len(p.CgoFiles) > 0 && !p.Standard {
			t.Errorf("%s needs a C compiler; the program must build with Go alone", p.ImportPath)
		}
	}
}

// matches reports whether an import is the package or, for a prefix, below it.
func matches(imp, prefix string) bool {
	return imp == prefix || strings.HasPrefix(imp, strings.TrimSuffix(prefix, "/")+"/") && strings.Contains(prefix, ".")
}

func TestDirectDependencies(t *testing.T) {
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal([]byte(goOutput(t, "mod", "edit", "-json")), &mod); err != nil {
		t.Fatal(err)
	}
	unused := maps.Clone(direct)
	var paths []string
	for _, r := range mod.Require {
		if r.Indirect {
			continue
		}
		delete(unused, r.Path)
		if d, ok := direct[r.Path]; !ok || d.why == "" {
			t.Errorf("go.mod requires %s: give its reason and licence here", r.Path)
			continue
		}
		paths = append(paths, r.Path)
	}
	for path := range unused {
		t.Errorf("%s has a reason here, but go.mod does not require it", path)
	}
	list := goOutput(t, append([]string{"list", "-m", "-f", "{{.Path}} {{.Dir}}"}, paths...)...)
	for line := range strings.Lines(list) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		if dir == "" {
			t.Logf("%s is not in the module cache; its licence was not read", path)
			continue
		}
		if got := licence(t, dir); got != direct[path].licence {
			t.Errorf("%s is under %s, noted is %s", path, got, direct[path].licence)
		}
	}
}

// licence recognises a module's licence by sentences that only it has.
func licence(t *testing.T, dir string) string {
	t.Helper()
	var text string
	for _, pattern := range []string{"LICENSE*", "LICENCE*", "COPYING*"} {
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, f := range files {
			if info, err := os.Stat(f); err == nil && info.IsDir() {
				continue // REUSE keeps the texts of all files' licences there
			}
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			text += strings.Join(strings.Fields(string(raw)), " ") + "\n"
		}
	}
	for _, l := range []struct{ name, sentence string }{
		{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
		{"MPL-2.0", "Mozilla Public License Version 2.0"},
		{"MPL-2.0", "Mozilla Public License, version 2.0"},
		{"BSD-3-Clause", "may be used to endorse or promote products"},
		{"Apache-2.0", "Apache License Version 2.0"},
	} {
		if strings.Contains(text, l.sentence) {
			return l.name
		}
	}
	return "an unknown licence"
}
