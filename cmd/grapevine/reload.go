package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

// reloadable are the settings that take effect while a node runs; [session.adopt] is where. Of all
// others it is said that the node must be restarted.
var reloadable = []string{
	"max-upload", "max-download", "max-peers",
	"monthly-budget", "schedule", "allow", "deny",
	"log-level", gatewayViewersName, gatewayBandwidthName,
	streamsName, reportName,
}

// reading is what was read of a command's settings.
type reading struct {
	job
	values map[string]string // of all settings, as text that differs when they do
}

// reloader changes a session's settings while it runs.
type reloader struct {
	*session
	env     *environment
	values  map[string]string // in force
	gateway gatewaySettings   // likewise
	links   []stream.Link     // carried
}

// newReloader begins with what the session was started with.
func (env *environment) newReloader(c *cli.Context, j job) *reloader {
	return &reloader{env: env, values: valuesOf(c), gateway: j.set.gateway, links: j.links}
}

// read reads the command line of the process, the environment and the file as at the start.
func (r *reloader) read(ctx context.Context) (out reading, err error) {
	err = readJob(ctx, r.env, r.env.args, func(c *cli.Context, j job) error {
		out = reading{j, valuesOf(c)}
		return nil
	})
	return out, err
}

// valuesOf returns the settings of a command as text that differs when they do.
func valuesOf(c *cli.Context) map[string]string {
	values := make(map[string]string)
	for _, f := range configurable(c.Command) {
		name := f.Names()[0]
		if _, several := f.(cli.DocGenerationSliceFlag); several {
			values[name] = fmt.Sprintf("%q", c.StringSlice(name))
			continue
		}
		values[name] = fmt.Sprintf("%v %t", c.Value(name), c.IsSet(name))
	}
	values[streamsName] = fmt.Sprintf("%q", carried(c))
	return values
}

// followHangups reads the settings again at each SIGHUP until ctx ends. Where the signal says that
// the terminal is gone, the node ends, as programs do.
func (s *session) followHangups(ctx context.Context, r *reloader) {
	r.session = s
	hadTerminal := term.IsTerminal(int(os.Stdin.Fd())) && !signal.Ignored(syscall.SIGHUP)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	s.running.Go(func() {
		defer signal.Stop(hangups)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
			}
			if hadTerminal && !term.IsTerminal(int(os.Stdin.Fd())) {
				s.terminate()
				return
			}
			tellManager(daemon.SdNotifyReloading, s.log)
			r.reload(ctx)
			tellManager(daemon.SdNotifyReady, s.log)
		}
	})
}

// terminate ends the process as a user would, within the limit for that.
func (s *session) terminate() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Signal(syscall.SIGTERM)
	}
	if err != nil {
		s.fail(fmt.Errorf("end after the terminal: %w", err))
	}
}

// reload reads the settings and takes what can change now. With a mistake in them it takes nothing.
func (r *reloader) reload(ctx context.Context) {
	next, err := r.read(ctx)
	if err == nil {
		err = r.adopt(next)
	}
	if err != nil {
		sentence, hint, _ := explain(err)
		r.log.Error("the settings stay as they were", "why", sentence, "hint", hint)
		r.screen.say("The settings stay as they were: %s", sentence)
		r.screen.event(reloadEvent{Event: "reload", Error: sentence, Hint: hint})
		return
	}
	changed, restart := changes(r.values, next.values)
	for name, text := range next.values {
		if !slices.Contains(restart, name) { // which is said at each reload until there is one
			r.values[name] = text
		}
	}
	if len(changed) > 0 {
		r.screen.say("The settings were read again; changed: %s.", strings.Join(changed, ", "))
	} else {
		r.screen.say("The settings were read again; nothing changed that this node runs with.")
	}
	if len(restart) > 0 {
		r.log.Warn("settings changed that stay as they were while the node runs: restart for it", "settings", strings.Join(restart, ", "))
		r.screen.say("Changed, but not while the node runs: %s; restart for it.", strings.Join(restart, ", "))
	}
	r.screen.event(reloadEvent{Event: "reload", Changed: changed, Restart: restart})
}

// changes returns the names of settings that are others now: those that can change while a node
// runs, and those that cannot.
func changes(before, after map[string]string) (changed, restart []string) {
	for _, name := range slices.Sorted(maps.Keys(after)) {
		switch {
		case before[name] == after[name]:
		case slices.Contains(reloadable, name):
			changed = append(changed, name)
		default:
			restart = append(restart, name)
		}
	}
	return changed, restart
}

// adopt has the node take what changed in its settings.
func (r *reloader) adopt(next reading) error {
	set := next.set
	if err := r.keeper.setPolicy(set.policy); err != nil {
		return err
	}
	if set.gateway.addr == r.gateway.addr { // else it wants a restart
		r.gateway = set.gateway
	}
	if r.session.gateway != nil {
		if err := r.session.gateway.SetLimits(r.gateway.viewers, r.gateway.bandwidth); err != nil {
			return err
		}
	}
	r.screen.setLevel(set.level)
	r.node.SetLimits(p2p.Limits{Upload: set.upload, Download: set.download, Peers: set.maxPeers, AsideUpload: r.gateway.ofUpload(set.upload)})
	r.node.SetAllowed(set.policy.Carries)
	r.shown.reporter.agreed.Store(set.report)
	if r.role == roleRelay {
		r.carry(next)
	}
	return nil
}

// carry has a relay leave the streams that its settings name no more, and join those that are new.
func (r *reloader) carry(next reading) {
	named := func(links []stream.Link, id stream.ID) bool {
		return slices.ContainsFunc(links, func(l stream.Link) bool { return l.Stream == id })
	}
	for _, l := range r.links {
		if !named(next.links, l.Stream) {
			r.node.Leave(l.Stream)
		}
	}
	for _, l := range next.links {
		swarm, err := r.node.Join(l) // which adds peers where it was joined before
		if err == nil && !named(r.links, l.Stream) {
			err = swarm.UseOrigins(next.origins)
		}
		if err != nil {
			r.log.Error("cannot carry a stream", "stream", l.Stream.String(), "err", err)
			r.screen.say("The stream %s cannot be carried: %v.", l.Stream.Short(), err)
			continue
		}
		if !named(r.links, l.Stream) {
			r.screen.field("share", swarm.Link().String())
			r.screen.field("hls", r.hlsURL(l.Stream))
		}
	}
	r.links = next.links
}
