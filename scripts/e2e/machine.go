//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// debianSuite is what machines run, and debianMirror where it comes from.
const (
	debianSuite  = "bookworm"
	debianMirror = "http://deb.debian.org/debian"
)

// machine is a Debian of its own, started by its own systemd in a container.
type machine struct {
	*process
	root string // its files
	init int    // the process of its systemd
}

// debian returns the files of a Debian that nobody has used, made once by debootstrap.
func debian(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	root := filepath.Join(cache, "grapevine-checks", debianSuite)
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	unfinished := root + ".new"
	if err := errors.Join(os.RemoveAll(unfinished), os.MkdirAll(filepath.Dir(root), 0o755)); err != nil {
		return "", err
	}
	if _, err := output(ctx, "debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus", debianSuite, unfinished, debianMirror); err != nil {
		return "", fmt.Errorf("a Debian cannot be made here; as root: apt-get install debootstrap systemd-container: %w", err)
	}
	return root, os.Rename(unfinished, root)
}

// boot starts a fresh Debian whose network is that of a namespace.
func (b *bench) boot(ctx context.Context, namespace string) (*machine, error) {
	fresh, err := debian(ctx)
	if err != nil {
		return nil, err
	}
	m := &machine{root: filepath.Join(b.dir, "root")}
	b.cleanups = append(b.cleanups, func() { _ = os.RemoveAll(m.root) })
	if _, err := output(ctx, "cp", "-a", "--reflink=auto", fresh, m.root); err != nil {
		return nil, err
	}
	cmd := exec.Command("systemd-nspawn", "--quiet", "--directory", m.root, "--boot", "--register=no", "--keep-unit",
		"--console=pipe", "--network-namespace-path", "/run/netns/"+namespace)
	cmd.Stdout = nil
	if m.process, err = b.start("machine", cmd); err != nil {
		return nil, err
	}
	go m.reap()
	return m, m.await(ctx)
}

// await waits until the machine has started.
func (m *machine) await(ctx context.Context) error {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		if m.init == 0 {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", m.cmd.Process.Pid))
			_, _ = fmt.Sscan(string(text), &m.init)
		} else if state, _ := m.run(ctx, "systemctl", "is-system-running"); strings.HasPrefix(state, "running") || strings.HasPrefix(state, "degraded") {
			return nil
		}
		select {
		case <-ticker.C:
		case <-m.done:
			return fmt.Errorf("the machine ended: %v", m.err)
		case <-ctx.Done():
			return fmt.Errorf("the machine did not start: %w", context.Cause(ctx))
		}
	}
}

// run runs a program in the machine and returns what it wrote.
func (m *machine) run(ctx context.Context, name string, args ...string) (string, error) {
	return output(ctx, "nsenter", append([]string{"--target", fmt.Sprint(m.init), "--all", "--wdns=/root", name}, args...)...)
}
