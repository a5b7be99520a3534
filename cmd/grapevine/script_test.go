package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/hls/apitest"
	"github.com/grapevine-live/grapevine/p2p/policy"
	"github.com/rogpeppe/go-internal/testscript"
)

// processLimit bounds what a script waits for one process. The machine may be busy.
const processLimit = 60 * time.Second

// localFlags keep what scripts start on this machine.
var localFlags = []string{"--no-mdns", "--http", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1", "--listen", "/ip4/127.0.0.1/tcp/0"}

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		// Whatever scripts forget, nothing of them reaches the public DHT.
		"grapevine": func() {
			os.Exit(run(withoutDHT(os.Args), os.Stdin, os.Stdout, os.Stderr, endLimit))
		},
		// gv is grapevine on loopback and free ports.
		"gv": func() {
			flags := localFlags
			if slices.Contains(os.Args, "demo") {
				flags = flags[:3] // it listens on loopback only, and refuses --listen
			}
			// The machine may be busy; e2e.sh holds the program to its own limit.
			os.Exit(run(withoutDHT(append(os.Args, flags...)), os.Stdin, os.Stdout, os.Stderr, processLimit))
		},
	})
}

// withoutDHT adds --no-dht to commands that would take part in the public DHT.
func withoutDHT(args []string) []string {
	private := func(arg string) bool {
		return slices.Contains([]string{"--no-dht", "--bootstrap", "--bootstrap-only"}, arg)
	}
	if len(args) < 2 || !slices.Contains([]string{"broadcast", "watch", "relay", "list"}, args[1]) || slices.ContainsFunc(args, private) {
		return args
	}
	return append(args, "--no-dht")
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GRAPEVINE_HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("NO_COLOR", "1")
			env.Setenv("BIN", filepath.SplitList(env.Getenv("PATH"))[0]) // this program alone
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"occupy":   occupy,
			"start":    start,
			"end":      end,
			"envsubst": envsubst,
			"hangup":   hangup,
			"fetch":    fetch,
			"poll":     poll,
			"await":    await,
			"mode":     mode,
			"jsons":    jsons,
			"conforms": conforms,
			"month":    month,
			"keyof":    keyOf,
		},
	})
}

// occupy takes a TCP port for the script's time: occupy VARIABLE sets it to the address.
func occupy(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// keyOf makes the stream key of a home: keyof HOME VARIABLE sets it to its public half.
func keyOf(ts *testscript.TestScript, _ bool, args []string) {
	h, err := openHome(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	key, err := h.streamKey("")
	ts.Check(errors.Join(err, h.close()))
	ts.Setenv(args[1], key.ID().String())
}

// processes are those that scripts started and have not ended. Scripts run side by side.
var processes = processTable{running: make(map[string]*started)}

type processTable struct {
	mu      sync.Mutex
	running map[string]*started
}

func (t *processTable) put(ts *testscript.TestScript, name string, p *started) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running[ts.Name()+"/"+name] = p
}

func (t *processTable) take(ts *testscript.TestScript, name string) *started {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.running[ts.Name()+"/"+name]
	if p == nil {
		ts.Fatalf("no process %s was started", name)
	}
	return p
}

// started is a process that start left running.
type started struct {
	cmd  *exec.Cmd
	rest chan error // told when all that it printed is in its file
}

// start runs a program with --json in the background until it is ready, and sets
// NAME_stream, NAME_link, NAME_hls, NAME_page, NAME_http, NAME_peer, NAME_addr, NAME_gateway and
// NAME_browsers, its addresses for those; or until it writes what the expression matches:
// start NAME [-until=REGEXP] program args…. What it writes after that is in NAME.out, and what it
// writes to standard error in NAME.err.
func start(ts *testscript.TestScript, _ bool, args []string) {
	name, args := args[0], args[1:]
	expr, text := strings.CutPrefix(args[0], "-until=")
	until := regexp.MustCompile(`^{"event":"ready"`)
	if text {
		until, args = regexp.MustCompile(expr), args[1:]
	} else {
		args = append(args, "--json")
	}
	// testscript puts the program there, see [testscript.Main].
	cmd := exec.Command(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], args[0]), args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "GRAPEVINE_HOME="+ts.Getenv("GRAPEVINE_HOME"), "NO_COLOR=1")
	var stderr strings.Builder
	log, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	cmd.Stderr = io.MultiWriter(&stderr, log)
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	limit := time.AfterFunc(processLimit, func() { _ = cmd.Process.Kill() })
	ts.Defer(func() {
		limit.Stop()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		ts.Logf("%s wrote to standard error:\n%s", name, stderr.String())
	})
	out := bufio.NewReader(stdout)
	line := ""
	for !until.MatchString(line) {
		if line, err = out.ReadString('\n'); err != nil {
			_ = cmd.Wait()
			ts.Fatalf("%v ended before it was ready: %v\n%s", args, err, stderr.String())
		}
	}
	file, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	p := &started{cmd: cmd, rest: make(chan error, 1)}
	go func() { // ends with the process, which the script's end kills
		_, err := io.Copy(file, out)
		p.rest <- errors.Join(err, file.Close())
	}()
	processes.put(ts, name, p)
	if text {
		return
	}
	var ready readyEvent
	ts.Check(json.Unmarshal([]byte(line), &ready))
	for key, value := range map[string]string{
		"stream": ready.Stream, "link": ready.Link, "hls": ready.HLS, "page": ready.Page, "http": strings.Trim(strings.TrimPrefix(ready.Page, "http://"), "/"), "peer": ready.PeerID, "addr": ready.Addrs[0], "gateway": ready.Gateway, "browsers": strings.Join(ready.BrowserAddrs, " "),
	} {
		ts.Setenv(name+"_"+key, value)
	}
}

// end sends a process SIGTERM, and expects it to end well: end NAME.
func end(ts *testscript.TestScript, _ bool, args []string) {
	p := processes.take(ts, args[0])
	ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	ts.Check(<-p.rest)
	if err := p.cmd.Wait(); err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
}

// envsubst writes a file with the script's variables put in: envsubst from to.
func envsubst(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), fileMode))
}

// hangup has a process read its settings again: hangup NAME.
func hangup(ts *testscript.TestScript, _ bool, args []string) {
	p := processes.take(ts, args[0])
	ts.Check(p.cmd.Process.Signal(syscall.SIGHUP))
}

// fetch expects a URL to answer with what the expression matches: fetch URL REGEXP.
func fetch(ts *testscript.TestScript, _ bool, args []string) {
	client := http.Client{Timeout: processLimit}
	res, err := client.Get(args[0])
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	if res.StatusCode != http.StatusOK || !regexp.MustCompile(args[1]).Match(body) {
		ts.Fatalf("%s answers %s without %s:\n%s", args[0], res.Status, args[1], body)
	}
}

// poll waits until a URL answers with what the expression matches: poll URL REGEXP.
func poll(ts *testscript.TestScript, _ bool, args []string) {
	client, expr := http.Client{Timeout: processLimit}, regexp.MustCompile(args[1])
	var body []byte
	for limit := time.Now().Add(processLimit); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		res, err := client.Get(args[0])
		ts.Check(err)
		body, err = io.ReadAll(res.Body)
		res.Body.Close()
		ts.Check(err)
		if expr.Match(body) {
			return
		}
	}
	ts.Fatalf("%s never answered with %s:\n%s", args[0], args[1], body)
}

// conforms expects a node's answers to be what it says itself that they are: conforms PAGE PATH….
func conforms(ts *testscript.TestScript, _ bool, args []string) {
	client := http.Client{Timeout: processLimit}
	get := func(path string) (int, []byte) {
		res, err := client.Get(args[0] + path)
		ts.Check(err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		ts.Check(err)
		return res.StatusCode, body
	}
	_, description := get("api/v1/openapi.json")
	api, err := apitest.Parse(description)
	ts.Check(err)
	for _, path := range args[1:] {
		code, body := get(path)
		ts.Check(api.Conforms("/"+path, code, body))
	}
}

// await waits until a file has what the expression matches: await file REGEXP.
func await(ts *testscript.TestScript, _ bool, args []string) {
	expr, path := regexp.MustCompile(args[1]), ts.MkAbs(args[0])
	var text []byte
	for limit := time.Now().Add(processLimit); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		var err error
		if text, err = os.ReadFile(path); err == nil && expr.Match(text) {
			return
		}
	}
	ts.Fatalf("%s never had %s:\n%s", args[0], args[1], text)
}

// mode compares files' permissions: mode 0600 file….
func mode(ts *testscript.TestScript, _ bool, args []string) {
	for _, f := range args[1:] {
		info, err := os.Stat(ts.MkAbs(f))
		ts.Check(err)
		if got := fmt.Sprintf("%#o", info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", f, got, args[0])
		}
	}
}

// month writes a record of use in which this month has so many bytes sent: month file bytes.
func month(ts *testscript.TestScript, _ bool, args []string) {
	text := fmt.Sprintf(`{"version":1,"months":{%q:{"sent":%s,"received":0}}}`, policy.MonthOf(time.Now()), args[1])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), fileMode))
}

// jsons checks that each line of a file is a JSON object: jsons file.
func jsons(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if text == "" {
		ts.Fatalf("%s is empty", args[0])
	}
	for line := range strings.Lines(text) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			ts.Fatalf("%s: %q: %v", args[0], line, err)
		}
	}
}
