//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// installLimit is how long it may take from unpacking an archive to passing a stream on.
const installLimit = time.Minute

var (
	sharedLink = regexp.MustCompile(`share +(grapevine://\S+)`)
	configured = "/etc/grapevine/config.yaml"
)

// installCase has a relay be a service of a fresh Debian, between a broadcaster and a viewer that
// cannot reach each other.
func installCase(ctx context.Context, b *bench) (string, error) {
	archive, err := b.release(ctx)
	if err != nil {
		return "", err
	}
	in, err := b.capsHosts(ctx)
	if err != nil {
		return "", err
	}
	broadcaster, err := b.broadcaster(ctx, in("b"))
	if err != nil {
		return "", err
	}
	namespace := in("r")
	m, err := b.boot(ctx, namespace[len(namespace)-1])
	if err != nil {
		return "", err
	}

	began := time.Now()
	if err := m.install(ctx, archive, broadcaster.Link); err != nil {
		return "", err
	}
	started := time.Since(began)
	journal, err := m.run(ctx, "journalctl", "--unit", "grapevine-relay", "--output", "cat", "--no-pager")
	if err != nil {
		return "", err
	}
	link := sharedLink.FindStringSubmatch(journal)
	if link == nil {
		return "", fmt.Errorf("the service is ready and prints no link: %s", journal)
	}
	viewer, err := b.grapevine(ctx, in("v"), "viewer", nil, "watch", link[1])
	if err != nil {
		return "", err
	}
	took := time.Since(began)
	if took > installLimit {
		return "", fmt.Errorf("playable %v after unpacking, want %v at most", took, installLimit)
	}
	const seconds = 20
	player, err := b.ffmpeg(in("v"), viewer.HLS, seconds)
	if err != nil {
		return "", err
	}
	if err := m.reloads(ctx); err != nil {
		return "", err
	}
	frames, err := player.perfect(ctx, seconds*frameRate)
	if err != nil {
		return "", err
	}
	score, err := m.stops(ctx)
	return fmt.Sprintf("ready %.1f s after unpacking, playable at a viewer after %.1f s; %d of %d frames over systemctl reload; systemd-analyze security: %s",
		started.Seconds(), took.Seconds(), frames, seconds*frameRate, score), err
}

// release builds this machine's archive.
func (b *bench) release(ctx context.Context) (string, error) {
	dir := filepath.Join(b.dir, "release")
	if _, err := output(ctx, "env", "PLATFORMS=linux/"+runtime.GOARCH, "scripts/release.sh", "v0.0.0", dir); err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tar.gz"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("the release has the archives %q: %v", found, err)
	}
	return found[0], nil
}

// install does what the README says.
func (m *machine) install(ctx context.Context, archive, link string) error {
	if _, err := output(ctx, "tar", "-C", filepath.Join(m.root, "root"), "--strip-components=1", "-xzf", archive); err != nil {
		return err
	}
	for _, c := range []string{
		"install -m 755 grapevine /usr/local/bin/grapevine",
		"install -m 644 grapevine-relay.service /etc/systemd/system/grapevine-relay.service",
		"install -d /etc/grapevine",
	} {
		if _, err := m.run(ctx, "sh", "-c", c); err != nil {
			return err
		}
	}
	if err := m.configure(link, "max-upload: 8Mbit/s"); err != nil {
		return err
	}
	if _, err := m.run(ctx, "systemctl", "daemon-reload"); err != nil {
		return err
	}
	if _, err := m.run(ctx, "systemctl", "enable", "--now", "grapevine-relay"); err != nil {
		return m.withJournal(ctx, err)
	}
	return nil
}

// withJournal adds the service's journal to an error.
func (m *machine) withJournal(ctx context.Context, err error) error {
	journal, journalErr := m.run(ctx, "journalctl", "--unit", "grapevine-relay", "--no-pager")
	return errors.Join(fmt.Errorf("%w\n%s", err, journal), journalErr)
}

// configure writes the configuration file of a relay that stays in its network.
func (m *machine) configure(link string, lines ...string) error {
	text := strings.Join(append(lines, "no-dht: true", "no-mdns: true", "no-port-mapping: true", "relay:", "  streams: ['"+link+"']", ""), "\n")
	return os.WriteFile(filepath.Join(m.root, configured), []byte(text), 0o644)
}

// reloads changes the file to something else, and then to a mistake, which systemctl tells.
func (m *machine) reloads(ctx context.Context) error {
	path := filepath.Join(m.root, configured)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "8Mbit", "6Mbit", 1)), 0o644); err != nil {
		return err
	}
	if _, err := m.run(ctx, "systemctl", "reload", "grapevine-relay"); err != nil {
		return m.withJournal(ctx, err)
	}
	if err := m.says(ctx, "changed: max-upload."); err != nil {
		return err
	}
	if err := os.WriteFile(path, append(text, "max-uplaod: 1Mbit/s\n"...), 0o644); err != nil {
		return err
	}
	if out, err := m.run(ctx, "systemctl", "reload", "grapevine-relay"); err == nil {
		return fmt.Errorf("systemctl reload takes a file with a mistake: %s", out)
	}
	return m.says(ctx, `there is no setting "max-uplaod"; did you mean max-upload?`)
}

// says waits until the service's journal has a text.
func (m *machine) says(ctx context.Context, text string) error {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		journal, err := m.run(ctx, "journalctl", "--unit", "grapevine-relay", "--output", "cat", "--no-pager")
		if err != nil || strings.Contains(journal, text) {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("the journal never had %q: %w: %s", text, context.Cause(ctx), journal)
		}
	}
}

// stops checks how the service lives, ends it, and returns how exposed systemd says that it is.
func (m *machine) stops(ctx context.Context) (score string, err error) {
	show, err := m.run(ctx, "systemctl", "show", "grapevine-relay", "--property=ActiveState,StatusText,NRestarts,DynamicUser")
	if err != nil {
		return "", err
	}
	for _, want := range []string{"ActiveState=active", "StatusText=0:", "NRestarts=0", "DynamicUser=yes"} {
		if !strings.Contains(show, want) {
			return "", fmt.Errorf("the service is not %s: %s", want, show)
		}
	}
	analysis, err := m.run(ctx, "systemd-analyze", "security", "--no-pager", "grapevine-relay")
	if err != nil {
		return "", err
	}
	_, score, _ = strings.Cut(strings.TrimSpace(analysis), "level for grapevine-relay.service: ")
	if _, err := m.run(ctx, "systemctl", "stop", "grapevine-relay"); err != nil {
		return "", err
	}
	result, err := m.run(ctx, "systemctl", "show", "grapevine-relay", "--property=Result,ExecMainStatus")
	if err == nil && (!strings.Contains(result, "Result=success") || !strings.Contains(result, "ExecMainStatus=0")) {
		err = errors.New("the service ended badly: " + result)
	}
	return strings.TrimSpace(score), err
}
