package main

import (
	"bufio"
	"encoding/json"
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
			"occupy": occupy,
			"start":  start,
			"end":    end,
			"fetch":  fetch,
			"await":  await,
			"mode":   mode,
			"jsons":  jsons,
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
	rest chan string // what it printed after its first line
}

// start runs a program with --json in the background until it is ready, and sets
// NAME_stream, NAME_link, NAME_hls, NAME_page, NAME_peer, NAME_addr and NAME_gateway; or until it writes what the
// expression matches: start NAME [-until=REGEXP] program args….
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
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	limit := time.AfterFunc(processLimit, func() { _ = cmd.Process.Kill() })
	ts.Defer(func() {
		limit.Stop()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
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
	p := &started{cmd: cmd, rest: make(chan string, 1)}
	go func() { // ends with the process, which the script's end kills
		rest, _ := io.ReadAll(out)
		p.rest <- string(rest)
	}()
	processes.put(ts, name, p)
	if text {
		return
	}
	var ready readyEvent
	ts.Check(json.Unmarshal([]byte(line), &ready))
	for key, value := range map[string]string{
		"stream": ready.Stream, "link": ready.Link, "hls": ready.HLS, "page": ready.Page, "peer": ready.PeerID, "addr": ready.Addrs[0], "gateway": ready.Gateway,
	} {
		ts.Setenv(name+"_"+key, value)
	}
}

// end sends a process SIGTERM, expects it to end well, and leaves what it wrote after it
// was ready in NAME.out: end NAME.
func end(ts *testscript.TestScript, _ bool, args []string) {
	p := processes.take(ts, args[0])
	ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	rest := <-p.rest
	if err := p.cmd.Wait(); err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".out"), []byte(rest), 0o600))
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
