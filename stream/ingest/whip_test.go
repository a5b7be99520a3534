package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func whipConfig() Config {
	return Config{Input: "whip://127.0.0.1:0/live", StreamKey: testKey}
}

// inFlight is how many frames of a track may be on their way when a session ends, or wait
// for what follows them: two pictures, and the sound of as long.
const inFlight = 5

// all reports whether all is published that was sent, but for what is on its way.
func all(video, audio int) func(Stats) bool {
	return func(s Stats) bool {
		for _, t := range s.Tracks {
			sent := audio
			if strings.HasPrefix(t.Codec, "avc1") {
				sent = video
			}
			if int(t.Frames) < sent-inFlight {
				return false
			}
		}
		return len(s.Tracks) > 0
	}
}

// isAll reports whether got is what was sent, but for what is on its way.
func isAll(got, sent []frame) bool {
	return len(got) <= len(sent) && len(got) >= len(sent)-inFlight && slices.Equal(names(got), names(sent[:len(got)]))
}

func TestParseWHIP(t *testing.T) {
	for input, want := range map[string][2]string{
		"whip://127.0.0.1:9000/studio": {"http://127.0.0.1:9000/studio", "http://127.0.0.1:9000/"},
		"whip://":                      {"http://127.0.0.1:8889/live", "http://127.0.0.1:8889/"},
		"whip://0.0.0.0/":              {"http://127.0.0.1:8889/live", "http://127.0.0.1:8889/"},
		"whip://[::1]:1/a/../b":        {"http://[::1]:1/b", "http://[::1]:1/"},
	} {
		server, page, ok := WHIPServer(input)
		if got := [2]string{server, page}; !ok || got != want {
			t.Errorf("%s: %q", input, got)
		}
	}
	for _, input := range []string{"whip://me@localhost", "whip://localhost/?key=1", "whip:8889", "rtmp://localhost"} {
		if _, _, ok := WHIPServer(input); ok {
			t.Errorf("%s is taken", input)
		}
	}
}

// Whoever opens more connections than there may be waits until others have closed theirs.
func TestWHIPBoundsConnections(t *testing.T) {
	t.Parallel()
	r := start(t, whipConfig())
	dial := func() net.Conn {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	// Each is let in once it has an answer, and stays.
	conns := make([]net.Conn, whipConns)
	for i := range conns {
		conns[i] = dial()
		if answer := ask(t, conns[i]); !strings.HasPrefix(answer, "HTTP/1.1 200") {
			t.Fatalf("connection %d has the answer %q", i, answer)
		}
	}
	late := dial()
	if _, err := io.WriteString(late, pageRequest); err != nil {
		t.Fatal(err)
	}
	answered := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(late).ReadString('\n')
		answered <- line
	}()
	ask(t, conns[0]) // the server had time to answer the late one, too
	select {
	case line := <-answered:
		t.Fatalf("one too many has the answer %q", line)
	default:
	}
	conns[1].Close()
	if line := <-answered; !strings.HasPrefix(line, "HTTP/1.1 200") {
		t.Errorf("whoever waited has the answer %q", line)
	}
}

const pageRequest = "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"

// ask asks for the page, and returns the answer's first line.
func ask(t *testing.T, c net.Conn) string {
	t.Helper()
	if _, err := io.WriteString(c, pageRequest); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodHead})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Proto + " " + answer.Status
}

// Every frame arrives, with its time, also where packets are lost on their way.
func TestWHIP(t *testing.T) {
	tests := map[string]struct {
		clip
		lossy  bool
		codecs string
	}{
		"H.264 and Opus": {clip{}, false, "avc1.64001e,opus"},
		"once":           {clip{once: true}, false, "avc1.64001e,opus"},
		"fragmented":     {clip{size: 5000}, false, "avc1.64001e,opus"},
		"lossy":          {clip{size: 3000}, true, "avc1.64001e,opus"},
		"without audio":  {clip{noAudio: true}, false, "avc1.64001e"},
		"without video":  {clip{noVideo: true}, false, "opus"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.frames, tt.audio = 160, opusStereo()
			pause := 5 * time.Millisecond
			if tt.lossy { // what is sent again comes with the sound that belongs to it
				tt.frames, pause = 75, 40*time.Millisecond
			}
			cfg := whipConfig()
			cfg.patience = time.Minute
			r := start(t, cfg)
			w := newWHIPClient(t, r.addr, tt.clip, tt.lossy)
			w.publish()
			video, audio := w.send(tt.clip, pause)
			r.until(t, "here", all(len(video), len(audio)))
			w.unpublish()
			if err := <-r.done; err != nil {
				t.Fatal(err)
			}
			parts := r.collected()
			checkParts(t, parts)
			if got := parts[0].Media.Codecs; got != tt.codecs {
				t.Errorf("codecs are %s", got)
			}
			gotVideo, gotAudio := demuxed(t, join(parts))
			if !isAll(gotVideo, video) {
				t.Errorf("%d pictures of %d", len(gotVideo), len(video))
			}
			if !isAll(gotAudio, audio) {
				t.Errorf("%d audio frames of %d", len(gotAudio), len(audio))
			}
			zero := v0(gotVideo, gotAudio)
			for i, f := range gotVideo {
				if d := f.pts - zero - video[i].pts; d != 0 {
					t.Fatalf("picture %d is %d late", i, d)
				}
			}
			for i, f := range gotAudio {
				if d := f.pts - zero - audio[i].pts; d < -1 || d > 1 {
					t.Fatalf("sound %d is %d late", i, d)
				}
			}
			if s := r.Stats(); s.LeftOut+s.LostRTP+s.SkippedFrames+s.DamagedFrames+s.LostPackets+s.Garbage+s.Discontinuities != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A keyframe is asked for when a segment's time is over, and not before.
func TestWHIPKeyframes(t *testing.T) {
	c := clip{frames: 21, gop: 1000, noAudio: true, step: second / 10}
	r := start(t, whipConfig())
	w := newWHIPClient(t, r.addr, c, false)
	w.publish()
	video, _ := w.send(c, time.Millisecond)
	<-w.keyframes
	r.until(t, "here", all(len(video), 0))
	if len(w.keyframes) > 0 {
		t.Errorf("%d more keyframes were asked for", len(w.keyframes))
	}
}

// What is no publisher's request is refused, with a status that says why.
func TestWHIPRefuses(t *testing.T) {
	r := start(t, whipConfig())
	base := "http://" + r.addr
	c := clip{frames: 100, audio: opusStereo()}
	offer := newWHIPClient(t, r.addr, c, false).offer()
	without := func(codec string) string { return strings.ReplaceAll(offer, codec, "none") }
	tests := map[string]struct {
		method, path, key, kind, body string
		status                        int
		refused                       error // nil if nobody is told
	}{
		"no key":           {"POST", "/live", "", sdpType, offer, http.StatusUnauthorized, ErrStreamKey},
		"wrong key":        {"POST", "/live", "wrong-horse", sdpType, offer, http.StatusUnauthorized, ErrStreamKey},
		"JSON":             {"POST", "/live", testKey, "application/json", "{}", http.StatusUnsupportedMediaType, errOfferType},
		"nothing":          {"POST", "/live", testKey, sdpType, "", http.StatusUnprocessableEntity, ErrNoTracks},
		"no SDP":           {"POST", "/live", testKey, sdpType, "GRAPES", http.StatusBadRequest, errNoOffer},
		"no ICE":           {"POST", "/live", testKey, sdpType, strings.ReplaceAll(offer, "ice-ufrag", "x"), http.StatusBadRequest, errNoOffer},
		"too long":         {"POST", "/live", testKey, sdpType, offer + strings.Repeat("a=x\r\n", maxOffer/5), http.StatusRequestEntityTooLarge, nil},
		"no H.264":         {"POST", "/live", testKey, sdpType, without("H264"), http.StatusUnprocessableEntity, &UnsupportedCodecError{}},
		"no Opus":          {"POST", "/live", testKey, sdpType, without("opus"), http.StatusUnprocessableEntity, &UnsupportedCodecError{}},
		"player":           {"POST", "/live", testKey, sdpType, strings.ReplaceAll(offer, "sendonly", "recvonly"), http.StatusUnprocessableEntity, ErrPlays},
		"nothing to send":  {"POST", "/live", testKey, sdpType, strings.ReplaceAll(offer, "sendonly", "inactive"), http.StatusUnprocessableEntity, ErrNoTracks},
		"trickle":          {"PATCH", "/live/session", testKey, "application/trickle-ice-sdpfrag", "", http.StatusMethodNotAllowed, nil},
		"get":              {"GET", "/live", testKey, "", "", http.StatusMethodNotAllowed, nil},
		"delete":           {"DELETE", "/live/session", testKey, "", "", http.StatusNotFound, nil},
		"delete, no key":   {"DELETE", "/live/session", "", "", "", http.StatusUnauthorized, nil},
		"preflight":        {"OPTIONS", "/live", "", "", "", http.StatusNoContent, nil},
		"another path":     {"POST", "/lives", testKey, sdpType, offer, http.StatusNotFound, nil},
		"page with a post": {"POST", "/", testKey, sdpType, offer, http.StatusMethodNotAllowed, nil},
	}
	for name, tt := range tests {
		resp, text := whipRequest(t, tt.method, base+tt.path, tt.key, tt.kind, tt.body)
		if resp.StatusCode != tt.status {
			t.Errorf("%s: %s: %s", name, resp.Status, text)
		}
		if strings.HasPrefix(tt.path, "/live/") || tt.path == "/live" {
			if resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Allow") == "" {
				t.Errorf("%s: %v", name, resp.Header)
			}
		}
		if name == "too long" {
			var tooLarge *http.MaxBytesError
			if err := <-r.refused; !errors.As(err, &tooLarge) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var unsupported *UnsupportedCodecError
		if name == "no H.264" && strings.Contains(text, "rtx") {
			t.Errorf("%s: %s", name, text)
		}
		if tt.refused == nil {
			continue
		}
		if err := <-r.refused; !errors.Is(err, tt.refused) && !(errors.As(tt.refused, &unsupported) && errors.As(err, &unsupported)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(r.refused) > 0 {
		t.Errorf("%d more were refused", len(r.refused))
	}
}

// A second publisher is refused, and the first goes on.
func TestWHIPRefusesSecond(t *testing.T) {
	r := start(t, whipConfig())
	c := clip{frames: 100, audio: opusStereo()}
	w := newWHIPClient(t, r.addr, c, false)
	w.publish()
	video, _ := w.send(c, time.Millisecond)
	r.until(t, "sending", func(s Stats) bool { return s.Segments > 0 })
	resp, text := whipRequest(t, "POST", w.endpoint, testKey, sdpType, newWHIPClient(t, r.addr, c, false).offer())
	if resp.StatusCode != http.StatusConflict || !strings.Contains(text, ErrBusy.Error()) {
		t.Errorf("%s: %s", resp.Status, text)
	}
	if err := <-r.refused; !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	r.until(t, "here", all(len(video), 0))
	w.unpublish()
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	if v, _ := demuxed(t, join(r.collected())); !isAll(v, video) {
		t.Errorf("%d pictures of %d", len(v), len(video))
	}
}

// A publisher that breaks off comes back, and continues in a segment that is marked.
func TestWHIPReconnects(t *testing.T) {
	cfg := whipConfig()
	cfg.Reconnect = time.Minute
	r := start(t, cfg)
	c := clip{frames: 100, audio: opusStereo()}
	for n := range uint64(2) {
		w := newWHIPClient(t, r.addr, c, false)
		w.publish()
		w.send(c, time.Millisecond)
		r.until(t, "sending", func(s Stats) bool { return s.Segments == 2*(n+1) })
		if err := w.pc.Close(); err != nil { // without DELETE
			t.Fatal(err)
		}
		r.until(t, "gone", broke(n+1))
	}
	r.stop(errOver)
	<-r.done
	if got := discontinuities(r.collected()); !slices.Equal(got, []int{2}) {
		t.Errorf("discontinuities at segments %v", got)
	}
}

// A session that was answered waits for nobody for ever, and keeps no other out.
func TestWHIPReplacesWaiting(t *testing.T) {
	r := start(t, whipConfig())
	c := clip{frames: 10, noAudio: true}
	first := newWHIPClient(t, r.addr, c, false)
	resp, _ := whipRequest(t, "POST", first.endpoint, testKey, sdpType, first.offer())
	if resp.StatusCode != http.StatusCreated || resp.Header.Get("ETag") == "" {
		t.Fatalf("%s: %v", resp.Status, resp.Header)
	}
	w := newWHIPClient(t, r.addr, c, false)
	w.publish()
	location, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if resp, _ = whipRequest(t, "DELETE", location.String(), testKey, "", ""); resp.StatusCode == http.StatusNotFound {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("the first session is still there: %s", resp.Status)
}

// The answer names H.264 and Opus and nothing else, in stereo, by candidates of the input.
func TestWHIPAnswer(t *testing.T) {
	r := start(t, whipConfig())
	w := newWHIPClient(t, r.addr, clip{}, false)
	_, answer := whipRequest(t, "POST", w.endpoint, testKey, sdpType, w.offer())
	for line := range strings.Lines(answer) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "a=rtpmap:"); ok && !strings.Contains(name, "H264/90000") && !strings.Contains(name, "opus/48000/2") {
			t.Errorf("the answer has %s", line)
		}
		if strings.HasPrefix(line, "a=candidate:") && !strings.Contains(line, " 127.0.0.1 "+strings.TrimPrefix(r.addr, "127.0.0.1:")+" typ host") {
			t.Errorf("the answer has %s", line)
		}
	}
	for _, want := range []string{"H264/90000", "opus/48000/2", "a=candidate:", "a=setup:passive", "a=recvonly", "nack pli", "transport-cc", "stereo=1"} {
		if !strings.Contains(answer, want) {
			t.Errorf("the answer has no %s:\n%s", want, answer)
		}
	}
	if bytes.Contains([]byte(answer), []byte("VP8")) {
		t.Error("VP8")
	}
}

// The page is whole, needs nothing from elsewhere, and knows the endpoint.
func TestWHIPPage(t *testing.T) {
	cfg := whipConfig()
	cfg.Input = `whip://127.0.0.1:0/a"b`
	r := start(t, cfg)
	resp, index := whipRequest(t, "GET", "http://"+r.addr+"/", "", "", "")
	if resp.StatusCode != http.StatusOK || !strings.Contains(index, `data-endpoint="/a&#34;b"`) {
		t.Errorf("%s: %s", resp.Status, index)
	}
	names := regexp.MustCompile(`(?:src|href)="([^"]+)"|from '([^']+)'`)
	left, seen := []string{index}, make(map[string]bool)
	for len(left) > 0 {
		text := left[0]
		left = left[1:]
		for _, m := range names.FindAllStringSubmatch(text, -1) {
			name := "/" + strings.TrimPrefix(m[1]+m[2], "./")
			if seen[name] {
				continue
			}
			seen[name] = true
			resp, text := whipRequest(t, "GET", "http://"+r.addr+name, "", "", "")
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") == "" {
				t.Errorf("%s: %s", name, resp.Status)
			}
			left = append(left, text)
		}
	}
	if len(seen) != 4 {
		t.Errorf("the page has %v", seen)
	}
}

// The time that frames are held back for at the start is none that the stream is late by.
func TestWHIPProgramTime(t *testing.T) {
	r := start(t, whipConfig())
	w := newWHIPClient(t, r.addr, clip{}, false)
	w.publish()
	began := time.Now()
	w.send(clip{frames: 30, noAudio: true}, 40*time.Millisecond) // the sound that was offered is waited for
	r.until(t, "published", func(s Stats) bool { return s.Parts > 0 })
	if late := (<-r.parts).ProgramTime.Sub(began); late > maxWHIPHeld/2 {
		t.Errorf("the first picture is of %v later", late)
	}
}
