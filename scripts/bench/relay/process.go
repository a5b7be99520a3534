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
	"syscall"
	"time"
)

// command is a line on the standard input of a process.
type command struct {
	Do     string    `json:"do"`
	Stream string    `json:"stream,omitempty"`
	Peer   string    `json:"peer,omitempty"` // multiaddr
	N      int       `json:"n,omitempty"`
	Rate   int       `json:"rate,omitempty"`   // bits per second, 0 for no bound
	Upload int       `json:"upload,omitempty"` // bits per second, 0 if unknown
	Chunk  int       `json:"chunk,omitempty"`  // bytes
	Cache  int64     `json:"cache,omitempty"`  // bytes
	Memory int64     `json:"memory,omitempty"` // bytes beside the cache, 0 for no bound
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
	File   string    `json:"file,omitempty"`
}

// answer is a line on its standard output.
type answer struct {
	Error string          `json:"error,omitempty"`
	Data  json.RawMessage `json:"data,omitempty"`
}

// process is a part of the bench that runs by itself.
type process struct {
	role    string
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *json.Decoder
}

// start runs a process of the bench, on one core or on those that are left.
func (o options) start(ctx context.Context, role string, oneCore bool) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{self, "-role", role}
	cpus := o.cores.Rest
	if oneCore {
		cpus = o.cores.One
	}
	if cpus != "" {
		args = append([]string{"taskset", "-c", cpus}, args...)
	}
	p := &process{role: role, cmd: exec.CommandContext(ctx, args[0], args[1:]...)}
	p.cmd.Env = os.Environ()
	if oneCore {
		p.cmd.Env = append(p.cmd.Env, "GOMAXPROCS=1")
	}
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.answers = json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	return p, nil
}

// ask has the process carry out a command, and takes its answer.
func (p *process) ask(ctx context.Context, c command, data any) error {
	fail := func(err error) error {
		if ctx.Err() != nil { // the process was killed
			err = context.Cause(ctx)
		}
		return fmt.Errorf("%s: %s: %w", p.role, c.Do, err)
	}
	if err := json.NewEncoder(p.in).Encode(c); err != nil {
		return fail(err)
	}
	var a answer
	if err := p.answers.Decode(&a); err != nil {
		return fail(err)
	}
	if a.Error != "" {
		return fail(errors.New(a.Error))
	}
	if data == nil {
		return nil
	}
	return json.Unmarshal(a.Data, data)
}

// profiled has the process profile itself meanwhile, unless file is "".
func (p *process) profiled(ctx context.Context, file string, do func() error) error {
	if file == "" {
		return do()
	}
	if err := p.ask(ctx, command{Do: "profile", File: file}, nil); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return p.ask(ctx, command{Do: "profiled"}, nil)
}

// stop ends the process and waits for it.
func (p *process) stop() {
	_ = p.in.Close()
	kill := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Wait()
}

// resident returns the process's resident bytes.
func (p *process) resident() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	return kilobytes(string(status), "VmRSS")
}
