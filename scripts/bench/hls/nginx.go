//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// memory is a directory whose files are in memory.
const memory = "/dev/shm"

// nginxConfig is Debian's for static files, without a log of accesses, which hls.Server
// does not write either, and as one process in the foreground.
const nginxConfig = `daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 1024; }
http {
	sendfile on;
	tcp_nopush on;
	access_log off;
	client_body_temp_path %[1]s/tmp;
	proxy_temp_path %[1]s/tmp;
	fastcgi_temp_path %[1]s/tmp;
	uwsgi_temp_path %[1]s/tmp;
	scgi_temp_path %[1]s/tmp;
	types {
		application/vnd.apple.mpegurl m3u8;
		video/mp2t ts;
	}
	server {
		listen %[2]s;
		root %[1]s/root;
		location ~ \.m3u8$ { add_header Cache-Control no-cache; }
	}
}
`

// nginx serves a copy of a stream.
type nginx struct {
	dir     string
	cmd     *exec.Cmd
	worker  int    // its PID
	address string // of the media playlist
}

// startNginx copies what a server lists, and serves it.
func startNginx(ctx context.Context, o options, media string) (_ *nginx, err error) {
	n := &nginx{}
	if n.dir, err = os.MkdirTemp(memory, "grapevine-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.stop()
		}
	}()
	// The worker is another user.
	if err := os.Chmod(n.dir, 0o755); err != nil {
		return nil, err
	}
	u, err := url.Parse(media)
	if err != nil {
		return nil, err
	}
	if err := mirror(ctx, media, filepath.Join(n.dir, "root")); err != nil {
		return nil, fmt.Errorf("copy the stream: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // an address that was free a moment ago
	if err != nil {
		return nil, err
	}
	l.Close()
	config := filepath.Join(n.dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, n.dir, l.Addr()), 0o644); err != nil {
		return nil, err
	}
	n.cmd = o.command(ctx, true, "nginx", "-c", config, "-e", filepath.Join(n.dir, "error.log"))
	n.cmd.Stderr = os.Stderr
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start nginx: %w", err)
	}
	n.address = "http://" + l.Addr().String() + u.Path
	return n, n.await(ctx)
}

// await waits until nginx answers, and finds its worker.
func (n *nginx) await(ctx context.Context) error {
	for {
		if _, err := get(ctx, n.address); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(n.dir, "error.log"))
			return fmt.Errorf("nginx does not answer: %w %s", context.Cause(ctx), log)
		case <-time.After(20 * time.Millisecond):
		}
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", n.cmd.Process.Pid))
	if err != nil {
		return fmt.Errorf("find nginx's worker: %w", err)
	}
	if _, err := fmt.Sscan(string(children), &n.worker); err != nil {
		return fmt.Errorf("find nginx's worker among %q: %w", children, err)
	}
	return nil
}

func (n *nginx) stop() {
	if n.cmd != nil && n.cmd.Process != nil {
		_ = n.cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(5*time.Second, func() { _ = n.cmd.Process.Kill() })
		_ = n.cmd.Wait()
		kill.Stop()
	}
	_ = os.RemoveAll(n.dir)
}

// mirror writes a media playlist and its segments below root, at the same paths.
func mirror(ctx context.Context, media, root string) error {
	base, err := url.Parse(media)
	if err != nil {
		return err
	}
	list, err := get(ctx, media)
	if err != nil {
		return err
	}
	names := segmentsOf(string(list))
	if len(names) != segments {
		return fmt.Errorf("%s lists %d segments, want %d", media, len(names), segments)
	}
	for _, name := range append(names, filepath.Base(base.Path)) {
		u, err := base.Parse(name)
		if err != nil {
			return fmt.Errorf("%s lists %q: %w", media, name, err)
		}
		data, err := get(ctx, u.String())
		if err != nil {
			return err
		}
		file := filepath.Join(root, filepath.FromSlash(u.Path))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, data, 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// segmentsOf returns the addresses that a playlist lists.
func segmentsOf(playlist string) (names []string) {
	for line := range strings.Lines(playlist) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			names = append(names, line)
		}
	}
	return names
}

// resolve returns what ref means in a playlist at base.
func resolve(base, ref string) (string, error) {
	b, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	u, err := b.Parse(ref)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

func get(ctx context.Context, u string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", u, res.Status)
	}
	return io.ReadAll(res.Body)
}
