package hls

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing/synctest"
	"time"
)

// player reloads a media playlist, fetches what it lists, and has each rule look at each
// reload and at what was seen before.
type player struct {
	*broadcast
	handler http.Handler
	file    string // the media playlist
	seen           // before the reload that rules look at

	quiet      bool                 // it fetches nothing that is listed
	keep       func(text string)    // gets each playlist; may be nil
	woken      chan struct{}        // gets something when a reload that was held is answered; may be nil
	violations []violation          // so far
	next       time.Time            // when it acts again
	reloading  *request             // on its way
	hinted     map[string]*request  // requests for what was hinted at
	dead       map[string]time.Time // hints that were answered with 404
	answers    []*request           // to hints, since the last reload
}

// seen is what a player knows of earlier reloads.
type seen struct {
	last      *parsed // nil at first
	lastText  string
	lastShot  *testShot // of the last segment that is listed
	lookedAt  time.Time
	changedAt time.Time // when the playlist had something new last

	uris      map[uint64]listedSegment // by media sequence number
	numbers   map[string]uint64        // by URI
	parts     map[uint64][]listedPart  // by media sequence number, as ever listed
	files     map[string]*file         // by URI
	gone      []departure              // oldest first
	longest   time.Duration            // longest playlist so far
	away      bool                     // the player was, or the server, since the last reload
	restarted bool                     // the server was, which begins to count anew
	reloads   int
	marks     int                          // discontinuities
	endings   int                          // times that ENDLIST appeared
	raises    int                          // of the target duration
	ranges    map[string]map[string]string // attributes of date ranges, by ID
	deltas    int                          // that left something out
}

// file is an answer for what a playlist lists.
type file struct {
	uri      string
	code     int
	header   http.Header
	took     time.Duration
	data     []byte
	sum      [sha256.Size]byte
	size     int
	reel     reel
	err      error // the reel cannot be read
	changed  bool  // another answer had other bytes
	lastCode int   // of the last fetch, other than code
	isInit   bool
}

// departure is a file that is no longer listed.
type departure struct {
	uri   string
	until time.Time // when it may go
}

// violation is a rule that was not kept.
type violation struct {
	*rule
	what         string
	file         string
	reload       int
	at           time.Time
	before, text string
}

func (v violation) String() string {
	return fmt.Sprintf("rule %d, %s (%s): %s\nreload %d of %s, at %s\n--- before\n%s--- now\n%s",
		v.number, v.name, v.source, v.what, v.reload, v.file, v.at.UTC().Format("15:04:05.000"), v.before, v.text)
}

func newPlayer(b *broadcast, h http.Handler, name string) *player {
	return &player{
		broadcast: b, handler: h, file: name,
		seen: seen{
			uris: map[uint64]listedSegment{}, numbers: map[string]uint64{}, parts: map[uint64][]listedPart{}, files: map[string]*file{},
			ranges: map[string]map[string]string{},
		},
		hinted: map[string]*request{}, dead: map[string]time.Time{},
	}
}

func (p *player) low() bool     { return p.file == "ll.m3u8" }
func (p *player) rewinds() bool { return p.file == "dvr.m3u8" }

// get asks for a path and waits for the answer.
func (p *player) get(path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, newRequest("GET", path))
	return w
}

// request is on its way, or answered.
type request struct {
	uri  string
	at   llPosition // asked for; none without block
	wait bool       // for at
	from time.Time
	to   time.Time // when it was answered
	w    *httptest.ResponseRecorder
	done chan struct{}

	awaited bool // somebody is woken when it is answered
}

// ask asks for what the media playlist lists, or for it, and does not wait.
func (p *player) ask(uri string) *request {
	r := p.askPath(p.path(uri))
	r.uri = uri
	return r
}

func (p *player) askPath(path string) *request {
	r := &request{from: time.Now(), w: httptest.NewRecorder(), done: make(chan struct{})}
	go func() {
		p.handler.ServeHTTP(r.w, newRequest("GET", path))
		r.to = time.Now()
		close(r.done)
	}()
	return r
}

func (r *request) answered() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// act does what a player does at this time: it reloads when that is due, and looks at
// what came. No other goroutine is about to do anything.
func (p *player) act() {
	for range 100 {
		now := time.Now()
		if p.reloading == nil {
			if now.Before(p.next) {
				return
			}
			p.reloading = p.ask(p.reloadURI())
			if p.low() && p.last != nil && !p.last.ended && !p.away {
				p.reloading.at, p.reloading.wait = p.newest(), true
			}
			synctest.Wait()
		}
		for uri, r := range p.hinted {
			if r.answered() {
				p.answers = append(p.answers, r)
				delete(p.hinted, uri)
			}
		}
		if !p.reloading.answered() {
			p.next = now.Add(time.Second)
			p.wakeWith(p.reloading)
			return
		}
		r := p.reloading
		p.reloading = nil
		p.look(r)
		if len(p.violations) > 0 {
			p.next = now.Add(time.Hour) // it has said what there is to say
			return
		}
		p.next = now.Add(p.cadence(r))
	}
	p.t.Errorf("%s: a hundred reloads at once", p.file)
}

// wakeWith has the answer to a request looked at when it comes, and not when it may be old.
func (p *player) wakeWith(r *request) {
	if r.awaited || p.woken == nil {
		return
	}
	r.awaited = true
	go func() {
		<-r.done
		signal(p.woken)
	}()
}

// newest is the part that is to come.
func (p *player) newest() llPosition {
	n := p.last.next()
	return llPosition{n, len(p.last.parts[n])}
}

// reloadURI is what a player of low latency asks for: the next part and, every other
// time, a delta.
func (p *player) reloadURI() string {
	if !p.low() || p.last == nil || p.last.ended || p.away {
		return p.file
	}
	at := p.newest()
	uri := fmt.Sprintf("%s?_HLS_msn=%d&_HLS_part=%d", p.file, at.sequence, at.part)
	if p.reloads%2 == 1 {
		uri += "&_HLS_skip=YES"
	}
	return uri
}

// cadence is how long after an answer a player reloads (draft-pantos-hls-rfc8216bis,
// section 6.3.4).
func (p *player) cadence(r *request) time.Duration {
	switch {
	case p.last == nil || r.w.Code != http.StatusOK:
		return time.Second
	case p.low() && !p.last.ended:
		return 0
	case p.changedAt.Equal(p.lookedAt):
		return p.last.targetDuration()
	default:
		return p.last.targetDuration() / 2
	}
}

// look has the rules look at an answer to a reload.
func (p *player) look(r *request) {
	p.reloads++
	s := p.sight(r)
	if s.p == nil && r.w.Code == http.StatusServiceUnavailable && p.last == nil {
		return // there is nothing yet
	}
	for i := range rules {
		rule := &rules[i]
		if !rule.applies(p.file) || s.p == nil && !rule.always {
			continue
		}
		if what := rule.check(s); what != "" {
			p.violations = append(p.violations, violation{rule, what, p.file, p.reloads, s.at, p.lastText, s.text})
		}
	}
	if s.p != nil {
		p.note(s)
	}
}

// reload reloads at once, and fails the test if a rule is not kept.
func (p *player) reload() *parsed {
	p.t.Helper()
	r := p.ask(p.file)
	<-r.done
	p.look(r)
	for _, v := range p.violations {
		p.t.Fatal(v)
	}
	if r.w.Code != http.StatusOK {
		p.t.Fatalf("%s: %d %s", p.file, r.w.Code, r.w.Body)
	}
	return p.last
}

// sighting is what a player sees at one reload.
type sighting struct {
	*player
	at      time.Time
	request *request
	text    string
	p       *parsed // nil if there is no playlist
	flaws   []flaw
	reply   *parsed     // what a reload that waited was answered with; for low latency only
	delta   *parsed     // likewise, asked for at the same time
	shots   []*testShot // what the segments are of
	cut     []bool      // which lack their end
	fresh   []*file     // what was fetched for the first time
	refetch []*file     // what was fetched again
}

// sight reads an answer, and fetches what it lists.
func (p *player) sight(r *request) *sighting {
	s := &sighting{player: p, at: time.Now(), request: r, text: r.w.Body.String()}
	if r.w.Code != http.StatusOK {
		return s
	}
	if p.keep != nil {
		p.keep(s.text)
	}
	if p.low() {
		// What it was answered with may be older than this, by a part that came at the
		// same time.
		s.reply, _ = readPlaylist(s.text)
		s.text = p.get(p.path(p.file)).Body.String()
		delta := p.get(p.path(p.file + "?_HLS_skip=YES")).Body.String()
		if s.delta, _ = readPlaylist(delta); p.keep != nil {
			p.keep(s.text)
			p.keep(delta)
		}
	}
	s.p, s.flaws = readPlaylist(s.text)
	if !p.quiet {
		s.fetch()
	}
	for _, listed := range s.p.segments {
		shot, cut := s.truth(listed)
		s.shots, s.cut = append(s.shots, shot), append(s.cut, cut)
	}
	return s
}

// fetch fetches what is listed and was not before, and some of the rest again: the oldest
// that is listed, one on the way, and what is about to be let go.
func (s *sighting) fetch() {
	probes := map[int]bool{0: true, len(s.p.segments) - 1: true}
	if n := len(s.p.segments); n > 0 {
		probes[s.reloads%n] = true
	}
	for i, listed := range s.p.segments {
		_, before := s.uris[s.p.sequence+uint64(i)]
		if known := s.files[listed.uri]; known == nil {
			if s.rewinds() && (s.last == nil || before) && !probes[i] {
				continue // hours of it
			}
			s.files[listed.uri] = s.first(listed.uri)
		} else if probes[i] {
			s.again(known)
		}
		s.init(listed.init)
	}
	for i := range len(s.p.segments) + 1 {
		parts := s.p.parts[s.p.sequence+uint64(i)]
		if len(parts) > 0 && i == len(s.p.segments) {
			s.init(s.p.open.init)
		}
		for k, part := range parts {
			if known := s.files[part.uri]; known == nil {
				s.files[part.uri] = s.first(part.uri)
			} else if k == s.reloads%len(parts) {
				s.again(known)
			}
		}
	}
	for i, d := range s.gone {
		if known := s.files[d.uri]; known != nil && s.at.Before(d.until) && (i < 2 || i == s.reloads%len(s.gone)) {
			s.again(known)
		}
	}
}

func (s *sighting) init(uri string) {
	if uri != "" && s.files[uri] == nil {
		s.files[uri] = s.first(uri)
		s.files[uri].isInit = true
	}
}

// first fetches a file and reads it.
func (s *sighting) first(uri string) *file {
	began := time.Now()
	w := s.get(s.path(uri))
	f := &file{uri: uri, code: w.Code, header: w.Header(), took: time.Since(began), data: w.Body.Bytes()}
	f.sum, f.size = sha256.Sum256(f.data), len(f.data)
	s.fresh = append(s.fresh, f)
	switch {
	case f.code != http.StatusOK || strings.HasSuffix(uri, ".mp4"):
	case s.low():
		f.reel, f.err = readMP4(f.data)
	case s.film != nil:
		f.reel, f.err = readTS(f.data)
		f.data = nil // the sum will do
	}
	return f
}

// again fetches a file that is known.
func (s *sighting) again(f *file) {
	w := s.get(s.path(f.uri))
	f.lastCode = w.Code
	f.changed = f.changed || w.Code == http.StatusOK && sha256.Sum256(w.Body.Bytes()) != f.sum
	s.refetch = append(s.refetch, f)
}

// truth returns what was published as a segment, nil for nothing, and whether it lacks
// its end.
func (s *sighting) truth(listed listedSegment) (shot *testShot, cut bool) {
	if !s.low() {
		return s.sent[listed.uri], false
	}
	f := s.files[listed.uri]
	shot = s.sent[f.reel.segment]
	return shot, shot != nil && f.reel.n < len(shot.here)*filmPictures
}

// note makes a sighting a thing of the past.
func (p *player) note(s *sighting) {
	now, text, was := s.p, s.text, p.last
	if was == nil || p.away || was.next() != now.next() || len(was.parts[was.next()]) != len(now.parts[now.next()]) {
		p.changedAt = s.at
	}
	p.longest = max(p.longest, now.duration())
	if was != nil && now.target > was.target {
		p.raises++
	}
	if now.ended && (was == nil || !was.ended) {
		p.endings++
	}
	if s.delta != nil && s.delta.skipped > 0 {
		p.deltas++
	}
	for i, listed := range now.segments {
		n := now.sequence + uint64(i)
		if _, known := p.uris[n]; !known && listed.discontinuity {
			p.marks++
		}
		p.uris[n], p.numbers[listed.uri] = listed, n
	}
	for n, parts := range now.parts {
		p.parts[n] = parts
	}
	noteRanges(p.ranges, now.ranges)
	p.part(s, was)
	p.forget(s)
	if p.low() && !now.ended && now.hint != "" && p.hinted[now.hint] == nil {
		if _, dead := p.dead[now.hint]; !dead {
			p.hinted[now.hint] = p.ask(now.hint)
		}
	}
	p.answers = nil
	if n := len(s.shots); n > 0 {
		p.lastShot = s.shots[n-1]
	}
	p.last, p.lastText, p.lookedAt, p.away = now, text, s.at, false
}

// part notes what is not listed any more, and for how long it is served.
func (p *player) part(s *sighting, was *parsed) {
	if was == nil || s.away || p.rewinds() {
		return
	}
	// A removal is seen up to a reload late: the time counts from the one before.
	for i, listed := range was.segments {
		if n := was.sequence + uint64(i); n < s.p.sequence {
			p.gone = append(p.gone, departure{listed.uri, p.lookedAt.Add(listed.duration + p.longest)})
		}
	}
	for n, parts := range was.parts {
		if len(s.p.parts[n]) > 0 || n >= s.p.next() {
			continue
		}
		for _, part := range parts {
			p.gone = append(p.gone, departure{part.uri, p.lookedAt.Add(llPartTargets * was.targetDuration())})
		}
	}
}

// forget lets go of what nobody need serve any more.
func (p *player) forget(s *sighting) {
	p.gone = slices.DeleteFunc(p.gone, func(d departure) bool {
		over := !s.at.Before(d.until)
		if over {
			delete(p.files, d.uri)
		}
		return over
	})
}

// leave has the player play something else, or nothing, until it acts again.
func (p *player) leave() {
	p.away, p.longest = true, 0
	p.reloading, p.gone, p.answers = nil, nil, nil
	clear(p.hinted)
	clear(p.dead)
}

// watch reloads once a second for d.
func (p *player) watch(d time.Duration) {
	p.t.Helper()
	for range int(d / time.Second) {
		time.Sleep(time.Second)
		synctest.Wait()
		p.reload()
	}
}

// air publishes segments of two seconds in real time, watched.
func (p *player) air(n int) {
	p.t.Helper()
	for range n {
		p.watch(2 * time.Second)
		p.broadcast.air(2 * time.Second)
		synctest.Wait()
		p.reload()
	}
}
