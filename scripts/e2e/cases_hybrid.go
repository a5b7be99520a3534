//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// gatewayCase has players that know of no peers play by HTTPS from a relay's gateway, whose
// certificate is signed by nobody else.
func gatewayCase(ctx context.Context, b *bench) (string, error) {
	broadcaster, err := b.broadcaster(ctx, nil, anyLoopback...)
	if err != nil {
		return "", err
	}
	cert, key, err := b.certificate(ctx)
	if err != nil {
		return "", err
	}
	relay, err := b.grapevine(ctx, nil, "relay", nil, append([]string{"relay", broadcaster.Link,
		"--gateway", "127.0.0.1:0", "--gateway-cert", cert, "--gateway-key", key, "--gateway-viewers", "2"}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	const seconds = 12
	address := relay.Gateway + relay.Stream + "/index.m3u8"
	ffmpeg, err := b.ffmpeg(nil, address, seconds)
	if err != nil {
		return "", err
	}
	vlc, err := b.vlcTrusting(cert, address)
	if err != nil {
		return "", err
	}
	frames, err := ffmpeg.perfect(ctx, seconds*frameRate)
	if err != nil {
		return "", err
	}
	shown, _, err := vlc.awaitShown(ctx, 5*frameRate)
	if err != nil {
		return "", err
	}
	refused, err := oneTooMany(ctx, cert, address)
	if err != nil {
		return "", err
	}
	now, err := relay.await(ctx, "a viewer that was refused", func(s stats) bool { return s.Gateway.RefusedViewers > 0 })
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("ffmpeg %d of %d frames, VLC %d so far, one more viewer %s; %.1f MB given to %d",
		frames, seconds*frameRate, shown, refused, float64(now.Gateway.Bytes)/1e6, now.Gateway.Viewers), nil
}

// certificate makes one that is signed by itself, for this machine.
func (b *bench) certificate(ctx context.Context) (cert, key string, err error) {
	cert, key = filepath.Join(b.dir, "cert.pem"), filepath.Join(b.dir, "key.pem")
	_, err = output(ctx, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
		"-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
	return cert, key, err
}

// systemTrust is where the system keeps whose certificates it trusts. VLC takes no others.
const systemTrust = "/etc/ssl/certs/ca-certificates.crt"

// vlcTrusting starts VLC with a system of its own that trusts one more certificate.
func (b *bench) vlcTrusting(cert, url string) (*vlcPlayer, error) {
	trusted, err := os.ReadFile(systemTrust)
	if err != nil {
		return nil, err
	}
	own, err := os.ReadFile(cert)
	if err != nil {
		return nil, err
	}
	bundle := filepath.Join(b.dir, "trusted.pem")
	if err := os.WriteFile(bundle, slices.Concat(trusted, own), 0o644); err != nil {
		return nil, err
	}
	private := inNamespace{"unshare", "--mount", "sh", "-c", `mount --bind "$0" ` + systemTrust + ` && exec "$@"`, bundle}
	return b.vlc(private, url, onNoScreen...)
}

// oneTooMany asks as another viewer than those that play, with a certificate that is
// checked, and returns how it was refused.
func oneTooMany(ctx context.Context, cert, address string) (string, error) {
	pem, err := os.ReadFile(cert)
	if err != nil {
		return "", err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return "", errors.New("no certificate in " + cert)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("User-Agent", "one too many")
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		return "", fmt.Errorf("a third viewer got %s, want 503 with Retry-After: %s %v", res.Status, body, err)
	}
	return fmt.Sprintf("got %d, Retry-After %s", res.StatusCode, res.Header.Get("Retry-After")), nil
}

// hybridCase puts hosts into network namespaces, so that the viewer reaches the broadcaster's
// gateway, but not the broadcaster as a peer:
//
//	broadcaster 10.77.1.1 ── 10.77.1.2 relay 10.77.2.2 ── 10.77.2.3 viewer
//	     10.77.4.1 (gateway) ──────────────────────────── 10.77.4.3
//
// The relay, which is all the peers that the viewer has, is killed, and another comes that the
// viewer was told of.
func hybridCase(ctx context.Context, b *bench) (string, error) {
	in, err := b.lan(ctx, []string{"b", "r", "v"},
		"link add name toR netns @b type veth peer name toB netns @r",
		"link add name toR netns @v type veth peer name toV netns @r",
		"link add name toV netns @b type veth peer name toB netns @v",
		"-n @b addr add 10.77.1.1/24 dev toR",
		"-n @r addr add 10.77.1.2/24 dev toB",
		"-n @r addr add 10.77.2.2/24 dev toV",
		"-n @v addr add 10.77.2.3/24 dev toR",
		"-n @b addr add 10.77.4.1/24 dev toV",
		"-n @v addr add 10.77.4.3/24 dev toB",
		"-n @b link set toR up",
		"-n @r link set toB up",
		"-n @r link set toV up",
		"-n @v link set toR up",
		"-n @b link set toV up",
		"-n @v link set toB up",
		"netns exec @r sysctl -q -w net.ipv4.ip_forward=0",
	)
	if err != nil {
		return "", err
	}
	const origin = "http://10.77.4.1:8788"
	broadcaster, err := b.broadcaster(ctx, in("b"), "--listen", "/ip4/10.77.1.1/udp/4747/quic-v1", "--listen", "/ip4/10.77.1.1/tcp/4747",
		"--gateway", strings.TrimPrefix(origin, "http://"), "--origin", origin)
	if err != nil {
		return "", err
	}
	another := func() (*node, error) {
		return b.grapevine(ctx, in("r"), "another", nil, "relay", broadcaster.Link, "--listen", "/ip4/0.0.0.0/udp/4748/quic-v1")
	}
	later, err := another() // to learn of its address
	if err != nil {
		return "", err
	}
	if _, err := later.terminate(ctx); err != nil {
		return "", err
	}
	relay, err := b.grapevine(ctx, in("r"), "relay", nil, "relay", broadcaster.Link)
	if err != nil {
		return "", err
	}
	// Their links have the origin, which the broadcaster signed.
	_, peers, _ := strings.Cut(later.Link, "?")
	peers, _, _ = strings.Cut(peers, "&origin=")
	viewer, err := b.grapevine(ctx, in("v"), "viewer", nil, "watch", relay.Link+"&"+peers,
		"--listen", "/ip4/10.77.2.3/udp/4747/quic-v1", "--listen", "/ip4/10.77.2.3/tcp/4747")
	if err != nil {
		return "", err
	}
	const seconds = 50
	ffmpeg, err := b.ffmpeg(in("v"), viewer.HLS, seconds)
	if err != nil {
		return "", err
	}
	mpv, err := b.mpv(in("v"), viewer.HLS)
	if err != nil {
		return "", err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	watched := make(chan error, 1)
	go func() { watched <- newWatch([]*player{mpv}).until(watching, time.Now().Add(time.Hour), nil) }()
	figure, err := withoutPeers(ctx, viewer, relay, another, ffmpeg)
	if err != nil {
		return "", err
	}
	frames, err := ffmpeg.perfect(ctx, seconds*frameRate)
	stop()
	<-watched
	if err != nil {
		return "", err
	}
	if len(mpv.seen) == 0 {
		return "", errors.New("mpv was never asked")
	}
	stall, shown := longestGap(mpv.seen, mpv.firstPicture(), mpv.seen[len(mpv.seen)-1].at)
	if stall > gapSlack || shown == 0 {
		return "", fmt.Errorf("mpv showed %d pictures, and none for %.1f s", shown, stall.Seconds())
	}
	return fmt.Sprintf("%d of %d frames, none missing, mpv without a stall; %s", frames, seconds*frameRate, figure), nil
}

// leastOffload is the share of the stream that a viewer with a peer has from that.
const leastOffload = 0.95

// withoutPeers kills the relay while a player plays, waits until the viewer has been without
// it for a while, starts another, and returns how much came from peers in each time.
func withoutPeers(ctx context.Context, viewer, relay *node, another func() (*node, error), player *ffmpegPlayer) (string, error) {
	if _, err := player.awaitFrames(ctx, 8*frameRate); err != nil {
		return "", err
	}
	before := viewer.now().stream()
	if before.OriginBytes > 0 || before.BytesReceived == 0 {
		return "", fmt.Errorf("with a peer, %d bytes came from the origin and %d from it", before.OriginBytes, before.BytesReceived)
	}
	relay.kill()
	if _, err := player.awaitFrames(ctx, 22*frameRate); err != nil {
		return "", err
	}
	alone := viewer.now().stream()
	if alone.OriginBytes == 0 {
		return "", errors.New("nothing came from the origin, though the only peer is dead")
	}
	if _, err := another(); err != nil {
		return "", err
	}
	if _, err := viewer.await(ctx, "bytes from peers", func(s stats) bool {
		return s.stream().BytesReceived > alone.BytesReceived+200_000
	}); err != nil {
		return "", err
	}
	// The broadcaster finds out for itself that the relay is dead, and feeds another meanwhile
	// with what is left.
	if _, err := player.awaitFrames(ctx, 40*frameRate); err != nil {
		return "", err
	}
	from := viewer.now().stream()
	if err := player.wait(ctx); err != nil {
		return "", err
	}
	to := viewer.now().stream()
	peers, origin := to.BytesReceived-from.BytesReceived, to.OriginBytes-from.OriginBytes
	if peers == 0 || float64(peers) < leastOffload*float64(peers+origin) {
		return "", fmt.Errorf("since there is a peer again, %d bytes came from it and %d from the origin", peers, origin)
	}
	return fmt.Sprintf("%.1f MB from the origin while the peer was dead, %.0f%% from another at the end", float64(alone.OriginBytes)/1e6, 100*float64(peers)/float64(peers+origin)), nil
}

// originRewindCase has a viewer without peers come late, and play from the start what it gets
// from the broadcaster's gateway.
func originRewindCase(ctx context.Context, b *bench) (string, error) {
	broadcaster, err := b.broadcaster(ctx, nil, append([]string{"--gateway", "127.0.0.1:0"}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	const late, rest = 20, 6 // seconds
	before, err := rewinding(ctx, broadcaster)
	if err != nil {
		return "", err
	}
	if err := awaitPlaylist(ctx, before, func(p *playlist) bool { return p.duration >= late }); err != nil {
		return "", err
	}
	viewer, err := b.grapevine(ctx, nil, "viewer", nil, append([]string{"watch", broadcaster.Stream, "--no-dht",
		"--origin", strings.TrimSuffix(broadcaster.Gateway, "/")}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	media, err := rewinding(ctx, viewer)
	if err != nil {
		return "", err
	}
	player, err := b.ffmpeg(nil, media, late+rest, "-live_start_index", "0")
	if err != nil {
		return "", err
	}
	frames, err := player.perfect(ctx, (late+rest)*frameRate)
	if err != nil {
		return "", err
	}
	now, err := viewer.await(ctx, "bytes of the past", func(s stats) bool { return s.stream().OriginPastBytes > 0 })
	if err != nil {
		return "", err
	}
	if s := now.stream(); s.BytesReceived > 0 || len(s.OriginFailures) > 0 {
		return "", fmt.Errorf("%d bytes came from peers, of which there are none; the origin failed: %v", s.BytesReceived, s.OriginFailures)
	}
	return fmt.Sprintf("%d of %d frames, from the first segment on; %.1f MB of the past", frames, (late+rest)*frameRate, float64(now.stream().OriginPastBytes)/1e6), nil
}
