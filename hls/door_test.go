package hls

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const testToken = "correct-horse-battery"

// opened runs f against a server with a door and eight segments on air.
func opened(t *testing.T, d Door, f func(t *testing.T, b *broadcast, s *Server)) {
	bubble(t, func(t *testing.T) {
		b := newBroadcast(t, 0)
		for range 8 {
			b.air(2 * time.Second)
		}
		s, err := NewServer(Config{Node: b, Door: d})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		go func() { _ = s.Run(ctx) }()
		synctest.Wait()
		f(t, b, s)
		stop()
		synctest.Wait()
	})
}

// noHost stands for a request without a host.
const noHost = "none"

// visit is a request as another machine's, or as a browser's.
type visit struct {
	from, host, method, path string // "" for this machine's, and GET
	header                   []string
	body                     string
}

func (v visit) to(h http.Handler) *httptest.ResponseRecorder {
	r := httptest.NewRequest(orElse(v.method, "GET"), v.path, nil)
	if v.body != "" {
		r = httptest.NewRequest(orElse(v.method, "GET"), v.path, strings.NewReader(v.body))
	}
	r.RemoteAddr, r.Host = orElse(v.from, "127.0.0.1:50000"), strings.TrimPrefix(orElse(v.host, "127.0.0.1:8787"), noHost)
	for i := 0; i+1 < len(v.header); i += 2 {
		r.Header.Set(v.header[i], v.header[i+1])
	}
	local, _ := net.ResolveTCPAddr("tcp", "127.0.0.1:8787")
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(local)))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// Sentences of refusals, as far as they say which it is.
const (
	saysHost  = "This node is not known as"
	saysSite  = "A page of"
	saysToken = "This node serves other machines by its token only"
	saysOwn   = "This node serves its own machine only"
	saysBody  = "Nothing can be sent to this address"
)

// TestDoor tries whom the door lets through, with its sentence to each whom it does not.
func TestDoor(t *testing.T) {
	const (
		lan  = "192.168.1.20:50000"
		site = "https://evil.example"
		ours = "https://ours.example"
	)
	fetched := func(site, mode, dest string) []string {
		return []string{"Sec-Fetch-Site", site, "Sec-Fetch-Mode", mode, "Sec-Fetch-Dest", dest}
	}
	closed, token, shares, all := Door{}, Door{Token: testToken, Hosts: []string{"Box.local"}}, Door{Origins: []string{ours + "/"}}, Door{Origins: []string{AllOrigins}}
	for _, test := range []struct {
		name string
		door Door
		visit
		code int
		says string
	}{
		{"a player", closed, visit{path: "/ID/index.m3u8"}, 200, ""},
		{"a player by IPv6", closed, visit{path: "/ID/index.m3u8", from: "[::1]:50000", host: "[::1]:8787"}, 200, ""},
		{"a player of HTTP/1.0", closed, visit{path: "/ID/index.m3u8", host: noHost}, 200, ""},
		{"the page by name", closed, visit{path: "/", host: "LocalHost.:8787"}, 200, ""},
		{"the page's own request", closed, visit{path: "/api/v1/status", header: fetched("same-origin", "cors", "empty")}, 200, ""},
		{"the page's own request with its origin", closed, visit{path: "/api/v1/status", header: []string{"Origin", "http://127.0.0.1:8787"}}, 200, ""},
		{"the page's own request by a proxy", closed, visit{path: "/page.js", header: append(fetched("same-origin", "cors", "script"), "Origin", "http://box.example")}, 200, ""},
		{"another site's script, as browsers send it", closed, visit{path: "/ID/index.m3u8", header: append(fetched("cross-site", "cors", "empty"), "Origin", site)}, 403, saysSite},
		{"another port's script, as browsers send it", closed, visit{path: "/ID/index.m3u8", header: append(fetched("same-site", "cors", "empty"), "Origin", "http://127.0.0.1:3000")}, 403, saysSite},
		{"an address typed in", closed, visit{path: "/", header: fetched("none", "navigate", "document")}, 200, ""},
		{"a link on another site", closed, visit{path: "/", header: fetched("cross-site", "navigate", "document")}, 200, ""},
		{"to the player", closed, visit{path: "/embed/ID", header: fetched("cross-site", "navigate", "document")}, 200, ""},

		{"another's name", closed, visit{path: "/", host: "evil.example:8787"}, 421, saysHost},
		{"another's name, playlist", closed, visit{path: "/ID/index.m3u8", host: "evil.example"}, 421, saysHost},
		{"another's name, same origin", closed, visit{path: "/api/v1/status", host: "evil.example", header: []string{"Origin", "http://evil.example"}}, 421, saysHost},
		{"a name that ends like ours", closed, visit{path: "/", host: "notlocalhost"}, 421, saysHost},
		{"a name that was allowed", token, visit{path: "/", host: "box.LOCAL:8787"}, 200, ""},

		{"another site's script", closed, visit{path: "/api/v1/status", header: []string{"Origin", site}}, 403, saysSite},
		{"another site's script, playlist", closed, visit{path: "/ID/index.m3u8", header: []string{"Origin", site}}, 403, saysSite},
		{"a file's script", closed, visit{path: "/ID/index.m3u8", header: []string{"Origin", "null"}}, 403, saysSite},
		{"another port's script", closed, visit{path: "/ID/index.m3u8", header: []string{"Origin", "http://127.0.0.1:3000"}}, 403, saysSite},
		{"another port's picture", closed, visit{path: "/icon.svg", header: fetched("same-site", "no-cors", "image")}, 403, saysSite},
		{"another site's video", closed, visit{path: "/ID/index.m3u8", header: fetched("cross-site", "no-cors", "video")}, 403, saysSite},
		{"another site's preflight", closed, visit{method: "OPTIONS", path: "/ID/index.m3u8", header: []string{"Origin", site}}, 403, saysSite},
		{"another site's frame", closed, visit{path: "/", header: fetched("cross-site", "navigate", "iframe")}, 403, saysSite},
		{"another site's frame of the player", closed, visit{path: "/embed/ID", header: fetched("cross-site", "navigate", "iframe")}, 403, saysSite},
		{"a link to the API", closed, visit{path: "/api/v1/status", header: fetched("cross-site", "navigate", "document")}, 403, saysSite},
		{"a link to a playlist", closed, visit{path: "/ID/index.m3u8", header: fetched("cross-site", "navigate", "document")}, 403, saysSite},

		{"an allowed site's script, playlist", shares, visit{path: "/ID/index.m3u8", header: []string{"Origin", ours}}, 200, ""},
		{"its preflight", shares, visit{method: "OPTIONS", path: "/ID/main/index.m3u8", header: []string{"Origin", ours}}, 204, ""},
		{"its frame of the player", shares, visit{path: "/embed/ID", header: fetched("cross-site", "navigate", "iframe")}, 200, ""},
		{"its script, API", shares, visit{path: "/api/v1/status", header: []string{"Origin", ours}}, 403, saysSite},
		{"its frame of the page", shares, visit{path: "/", header: fetched("cross-site", "navigate", "iframe")}, 403, saysSite},
		{"its insecure twin", shares, visit{path: "/ID/index.m3u8", header: []string{"Origin", "http://ours.example"}}, 403, saysSite},
		{"another site beside it", shares, visit{path: "/ID/index.m3u8", header: []string{"Origin", site}}, 403, saysSite},
		{"any site, playlist", all, visit{path: "/ID/index.m3u8", header: []string{"Origin", "null"}}, 200, ""},
		{"any site's video", all, visit{path: "/ID/index.m3u8", header: fetched("cross-site", "no-cors", "video")}, 200, ""},
		{"any site, API", all, visit{path: "/api/v1/status", header: []string{"Origin", site}}, 403, saysSite},
		{"any site by another's name", all, visit{path: "/ID/index.m3u8", host: "evil.example"}, 421, saysHost},

		{"another machine", closed, visit{path: "/ID/index.m3u8", from: lan}, 403, saysOwn},
		{"another machine with an empty token", closed, visit{path: "/t//ID/index.m3u8", from: lan}, 403, saysOwn},
		{"another machine without the token", token, visit{path: "/ID/index.m3u8", from: lan}, 401, saysToken},
		{"the page without it", token, visit{path: "/", from: lan}, 401, saysToken},
		{"a wrong one", token, visit{path: "/t/wrong-horse-battery/ID/index.m3u8", from: lan}, 401, saysToken},
		{"a wrong bearer", token, visit{path: "/api/v1/status", from: lan, header: []string{"Authorization", "Bearer wrong-horse-battery"}}, 401, saysToken},
		{"a wrong cookie", token, visit{path: "/", from: lan, header: []string{"Cookie", "grapevine-8787=wrong"}}, 401, saysToken},
		{"another port's cookie", token, visit{path: "/", from: lan, header: []string{"Cookie", "grapevine-8788=" + testToken}}, 401, saysToken},
		{"a player with the token", token, visit{path: "/t/" + testToken + "/ID/main/index.m3u8", from: lan}, 200, ""},
		{"a bearer", token, visit{path: "/api/v1/status", from: lan, header: []string{"Authorization", "bearer " + testToken}}, 200, ""},
		{"a cookie", token, visit{path: "/api/v1/status", from: lan, header: []string{"Cookie", "grapevine-8787=" + testToken}}, 200, ""},
		{"the token from another site", token, visit{path: "/t/" + testToken + "/api/v1/status", from: lan, header: []string{"Origin", site}}, 403, saysSite},
		{"the token by another's name", token, visit{path: "/t/" + testToken + "/", from: lan, host: "evil.example"}, 421, saysHost},
		{"this machine without the token", token, visit{path: "/", from: "[::ffff:127.0.0.1]:50000"}, 200, ""},
		{"a token within a path", token, visit{path: "/api/t/" + testToken, from: lan}, 401, saysToken},

		{"a body", closed, visit{method: "POST", path: "/api/v1/status", body: "{}"}, 413, saysBody},
		{"a body of GET", closed, visit{path: "/", body: "{}"}, 413, saysBody},
		{"another method", closed, visit{method: "DELETE", path: "/api/v1/status"}, 405, ""},
	} {
		opened(t, test.door, func(t *testing.T, b *broadcast, s *Server) {
			test.path = strings.ReplaceAll(test.path, "ID", b.key.ID().String())
			w := test.to(s.Handler())
			body := w.Body.String()
			if w.Code != test.code || !strings.HasPrefix(body, test.says) {
				t.Errorf("%s: %d, want %d and %q: %.200s", test.name, w.Code, test.code, test.says, body)
			}
			if test.says != "" && (strings.Count(strings.TrimSpace(body), "\n") > 0 || !strings.HasSuffix(body, ".\n")) {
				t.Errorf("%s: %q is no sentence", test.name, body)
			}
			h := s.figures(time.Now(), "").HTTP
			refused := map[string]int64{saysHost: h.RefusedHosts, saysSite: h.RefusedSites, saysToken: h.RefusedTokens, saysOwn: h.RefusedTokens, saysBody: h.RefusedBodies}
			if test.says != "" && refused[test.says] != 1 {
				t.Errorf("%s: it is not counted: %+v", test.name, h)
			}
			if test.says != "" && w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: the refusal is shared", test.name)
			}
		})
	}
}

// TestTokenBecomesACookie follows a browser on another machine from the address with the
// token to the page, and looks at what the page tells it.
func TestTokenBecomesACookie(t *testing.T) {
	opened(t, Door{Token: testToken}, func(t *testing.T, b *broadcast, s *Server) {
		const lan = "192.168.1.20:50000"
		for _, path := range []string{"/t/" + testToken, "/t/" + testToken + "/"} {
			w := visit{path: path, from: lan}.to(s.Handler())
			// After a link on another site's page, a redirect would come without the cookie.
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `<meta http-equiv="refresh" content="0;url=../../">`) {
				t.Fatalf("%s: %d: %s", path, w.Code, w.Body)
			}
			if policy := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
				t.Errorf("%s has the policy %q", path, policy)
			}
			cookies := w.Result().Cookies()
			if len(cookies) != 1 {
				t.Fatalf("%d cookies", len(cookies))
			}
			if c := cookies[0]; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Name != "grapevine-8787" || c.Path != "/" || c.Secure {
				t.Errorf("the cookie is %q", c)
			}
			page := visit{path: "/", from: lan, header: []string{"Cookie", cookies[0].Name + "=" + cookies[0].Value}}.to(s.Handler())
			if page.Code != http.StatusOK || !strings.Contains(page.Body.String(), `id="player"`) {
				t.Errorf("the page answers %d", page.Code)
			}
			status := visit{path: "/api/v1/status", from: lan, header: []string{"Cookie", cookies[0].Name + "=" + cookies[0].Value}}.to(s.Handler())
			if want := `"hls":"/t/` + testToken + b.multivariantPath() + `"`; !strings.Contains(status.Body.String(), want) {
				t.Errorf("the status does not say %s: %s", want, status.Body)
			}
		}
		// On this machine addresses need no token.
		if status := do(s.Handler(), "GET", "/api/v1/status"); !strings.Contains(status.Body.String(), `"hls":"`+b.multivariantPath()+`"`) {
			t.Errorf("the status on this machine: %s", status.Body)
		}
	})
}

// TestPlaylistsBearTheToken follows each playlist's addresses as players resolve them.
func TestPlaylistsBearTheToken(t *testing.T) {
	opened(t, Door{Token: testToken}, func(t *testing.T, b *broadcast, s *Server) {
		fetch := func(path string) *httptest.ResponseRecorder {
			return visit{path: path, from: "192.168.1.20:50000"}.to(s.Handler())
		}
		for _, name := range []string{"index.m3u8", "dvr.m3u8"} {
			fetched, waiting := 0, []string{"/t/" + testToken + "/" + b.key.ID().String() + "/" + name}
			for ; len(waiting) > 0; waiting = waiting[1:] {
				at := waiting[0]
				w := fetch(at)
				if w.Code != http.StatusOK {
					t.Fatalf("%s: %d", at, w.Code)
				}
				fetched++
				if w.Header().Get("Content-Type") != playlistType {
					continue
				}
				for line := range strings.Lines(w.Body.String()) {
					if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
						waiting = append(waiting, path.Join(path.Dir(at), line))
					}
				}
			}
			if fetched < 5 { // two playlists and three segments
				t.Errorf("%s led to %d files", name, fetched)
			}
		}
	})
}

// TestSharingWithSites checks what browsers are told of whose pages may read and frame.
func TestSharingWithSites(t *testing.T) {
	const ours = "https://ours.example"
	for _, test := range []struct {
		origins                []string
		allowed, vary, framing string
		embed                  bool
	}{
		{nil, "", "Accept-Encoding", "; frame-ancestors 'self'", false},
		{[]string{ours, "http://localhost:3000"}, ours, "Origin, Accept-Encoding", "; frame-ancestors 'self' " + ours + " http://localhost:3000", true},
		{[]string{AllOrigins}, "*", "Accept-Encoding", "form-action 'none'", true},
	} {
		opened(t, Door{Origins: test.origins}, func(t *testing.T, b *broadcast, s *Server) {
			header := []string{"Origin", ours}
			if len(test.origins) == 0 {
				header = nil
			}
			w := visit{path: b.multivariantPath(), header: header}.to(s.Handler())
			if got := w.Header().Get("Access-Control-Allow-Origin"); w.Code != http.StatusOK || got != test.allowed {
				t.Errorf("%v: %d, shared with %q", test.origins, w.Code, got)
			}
			if got := strings.Join(w.Header().Values("Vary"), ", "); got != test.vary {
				t.Errorf("%v: it varies by %q, want %q", test.origins, got, test.vary)
			}
			policy := do(s.Handler(), "GET", "/embed/"+b.key.ID().String()).Header().Get("Content-Security-Policy")
			if !strings.HasSuffix(policy, test.framing) {
				t.Errorf("%v: the player's policy is %q", test.origins, policy)
			}
			if s.figures(time.Now(), "").Streams[0].Embed != "" != test.embed {
				t.Errorf("%v: the page shows the wrong thing of frames", test.origins)
			}
		})
	}
}

func TestParseOrigin(t *testing.T) {
	for text, want := range map[string]string{
		"https://Example.org": "https://example.org", "https://example.org/": "https://example.org", "https://example.org:443": "https://example.org",
		"http://localhost:3000": "http://localhost:3000", "http://[::1]:80": "http://[::1]", "chrome-extension://abcdef": "chrome-extension://abcdef", "*": "*",
		"": "", "example.org": "", "https://": "", "https://example.org/page": "", "https://me@example.org": "", "https://example.org?x": "", "null": "",
		"https://a.example; script-src *": "", "https://a.example https://b.example": "",
	} {
		got, err := ParseOrigin(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
}

func TestCheckToken(t *testing.T) {
	for token, want := range map[string]bool{
		testToken: true, strings.Repeat("x", MinToken): true, strings.Repeat("x", MaxToken): true,
		"": false, strings.Repeat("x", MinToken-1): false, strings.Repeat("x", MaxToken+1): false, "with/a/slash/in/it": false, "with a space in it": false, "größer-als-gewohnt": false,
	} {
		if err := CheckToken(token); (err == nil) != want {
			t.Errorf("%q: %v", token, err)
		}
	}
}
