package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"time"
)

const (
	pprofName = "pprof"
	// profileTime is how long a profile of the processor, or a trace, takes unless asked for
	// otherwise, and mostProfileTime at most.
	profileTime     = 30 * time.Second
	mostProfileTime = 5 * time.Minute
)

// profiler serves Go's profiles to this machine, where "go tool pprof" looks for them. (Package
// net/http/pprof would open its door on import.)
func profiler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "profile?seconds=30\ntrace?seconds=5")
		for _, p := range pprof.Profiles() {
			fmt.Fprintln(w, p.Name())
		}
	})
	mux.HandleFunc("GET /debug/pprof/profile", timedProfile(pprof.StartCPUProfile, pprof.StopCPUProfile))
	mux.HandleFunc("GET /debug/pprof/trace", timedProfile(trace.Start, trace.Stop))
	mux.HandleFunc("GET /debug/pprof/{name}", func(w http.ResponseWriter, r *http.Request) {
		p := pprof.Lookup(r.PathValue("name"))
		if p == nil {
			http.Error(w, "no profile of that name; /debug/pprof/ lists them", http.StatusNotFound)
			return
		}
		debug, _ := strconv.Atoi(r.FormValue("debug")) // 0, the binary form, unless given
		if debug == 0 {
			w.Header().Set("Content-Type", "application/octet-stream")
		}
		_ = p.WriteTo(w, debug) // the client may have gone
	})
	return mux
}

// timedProfile serves what is recorded between start and stop.
func timedProfile(start func(io.Writer) error, stop func()) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d := profileTime
		if text := r.FormValue("seconds"); text != "" {
			seconds, err := strconv.ParseFloat(text, 64)
			if d = time.Duration(seconds * float64(time.Second)); err != nil || d <= 0 || d > mostProfileTime {
				http.Error(w, fmt.Sprintf("seconds must be above 0, and %v at most", mostProfileTime.Seconds()), http.StatusBadRequest)
				return
			}
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		if err := start(w); err != nil {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			http.Error(w, err.Error(), http.StatusConflict) // another is being recorded
			return
		}
		defer stop()
		select {
		case <-r.Context().Done():
		case <-time.After(d):
		}
	}
}

// loopback reports whether a host is this machine and nothing else.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// startProfiler serves profiles on the address, if it is not "", until ctx ends.
func (s *session) startProfiler(ctx context.Context, addr string) error {
	if addr == "" {
		return nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return &addressError{flag: pprofName, addr: addr, err: err}
	}
	server := &http.Server{Handler: profiler(), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	s.running.Go(func() {
		<-ctx.Done()
		_ = server.Close()
	})
	s.running.Go(func() { _ = server.Serve(l) }) // ends with the line above
	s.screen.field("pprof", "http://"+l.Addr().String()+"/debug/pprof/")
	return nil
}
