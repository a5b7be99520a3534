//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/grapevine-live/grapevine/scripts/bench/cores"
)

// result is what the bench found. Figures of several runs are medians.
type result struct {
	Clients    int     `json:"clients"`
	Rate       int     `json:"rate"` // of the stream, bits per second
	Pinned     bool    `json:"pinned"`
	Server     side    `json:"server"`
	Nginx      side    `json:"nginx"`
	Ratio      float64 `json:"ratio"`       // of the server's bytes per CPU second to nginx's; median of the runs' own
	OthersCore float64 `json:"others_core"` // cores that others used or took meanwhile
	Runs       []run   `json:"runs"`
	interval   time.Duration
}

// side is what one of the servers did.
type side struct {
	BytesPerCPUSecond float64 `json:"bytes_per_cpu_s"`
	BytesPerSecond    float64 `json:"bytes_per_s"`
	RequestsPerSecond float64 `json:"requests_per_s"`
	Core              float64 `json:"core"` // share of a core that it used
	ClientsCore       float64 `json:"clients_core"`
	others            float64
}

// run is one measurement of both.
type run struct {
	Server side `json:"server"`
	Nginx  side `json:"nginx"`
}

// command makes a command that has the measured core, or the others.
func (o options) command(ctx context.Context, measured bool, name string, args ...string) *exec.Cmd {
	cpus := o.cores.Rest
	if measured {
		cpus = o.cores.One
	}
	if cpus != "" {
		name, args = "taskset", append([]string{"-c", cpus, name}, args...)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = os.Environ()
	if measured {
		cmd.Env = append(cmd.Env, "GOMAXPROCS=1")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	// nginx's worker would outlive a master that is killed.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd
}

func measure(ctx context.Context, o options) (*result, error) {
	if _, err := exec.LookPath("nginx"); err != nil {
		return nil, errors.New("nginx is not there; on Debian: apt-get install nginx-light")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	server := o.command(ctx, true, self, "-role", "server", "-rate", strconv.Itoa(o.rate), "-profile", o.profile)
	server.Stderr = os.Stderr
	in, err := server.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	defer func() {
		_ = in.Close()
		_ = server.Wait()
	}()
	var says served
	if err := json.NewDecoder(out).Decode(&says); err != nil {
		return nil, fmt.Errorf("the server did not get ready: %w", err)
	}
	media, err := mediaURL(ctx, says.Multivariant)
	if err != nil {
		return nil, err
	}
	nginx, err := startNginx(ctx, o, media)
	if err != nil {
		return nil, err
	}
	defer nginx.stop()
	res := &result{Clients: o.clients, Rate: o.rate, Pinned: o.cores.One != "", interval: o.interval}
	for i := range o.runs {
		var r run
		if r.Server, err = o.observe(ctx, self, media, server.Process.Pid); err != nil {
			return nil, fmt.Errorf("ask the server: %w", err)
		}
		if r.Nginx, err = o.observe(ctx, self, nginx.address, nginx.worker); err != nil {
			return nil, fmt.Errorf("ask nginx: %w", err)
		}
		fmt.Fprintf(os.Stderr, "run %d of %d: server %.0f MB/CPU-s at %.0f%% of a core, nginx %.0f at %.0f%%, ratio %.2f\n", i+1, o.runs,
			r.Server.BytesPerCPUSecond/mb, 100*r.Server.Core, r.Nginx.BytesPerCPUSecond/mb, 100*r.Nginx.Core, r.ratio())
		res.Runs = append(res.Runs, r)
	}
	res.summarise()
	return res, nil
}

// observe has clients ask a server for the interval.
func (o options) observe(ctx context.Context, self, media string, pid int) (s side, err error) {
	cmd := o.command(ctx, false, self, "-role", "clients", "-url", media, "-clients", strconv.Itoa(o.clients), "-interval", o.interval.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return s, err
	}
	if err := cmd.Start(); err != nil {
		return s, fmt.Errorf("start the clients: %w", err)
	}
	defer func() {
		_, _ = io.Copy(io.Discard, out)
		err = errors.Join(err, cmd.Wait())
	}()
	var at [2]struct {
		moment
		time               time.Time
		cpu, clients, busy time.Duration
	}
	says := json.NewDecoder(out)
	for i := range at {
		a := &at[i]
		if err := says.Decode(&a.moment); err != nil {
			return s, fmt.Errorf("the clients say nothing: %w", err)
		}
		a.time, a.busy = time.Now(), cores.Busy()
		if a.cpu, err = cores.Of(pid); err != nil {
			return s, err
		}
		if a.clients, err = cores.Of(cmd.Process.Pid); err != nil {
			return s, err
		}
	}
	took := at[1].time.Sub(at[0].time).Seconds()
	cpu, clients := (at[1].cpu - at[0].cpu).Seconds(), (at[1].clients - at[0].clients).Seconds()
	bytes := float64(at[1].Bytes - at[0].Bytes)
	return side{
		BytesPerCPUSecond: bytes / max(cpu, 0.01),
		BytesPerSecond:    bytes / took,
		RequestsPerSecond: float64(at[1].Requests-at[0].Requests) / took,
		Core:              cpu / took,
		ClientsCore:       clients / took,
		others:            max(0, (at[1].busy-at[0].busy).Seconds()-cpu-clients) / took,
	}, nil
}

// mediaURL returns the media playlist that a multivariant one lists.
func mediaURL(ctx context.Context, multivariant string) (string, error) {
	list, err := get(ctx, multivariant)
	if err != nil {
		return "", err
	}
	names := segmentsOf(string(list))
	if len(names) != 1 {
		return "", fmt.Errorf("%s lists %d renditions, want 1", multivariant, len(names))
	}
	return resolve(multivariant, names[0])
}
