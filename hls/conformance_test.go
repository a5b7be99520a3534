package hls

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs f in virtual time. Bubbles begin in 2000, before there were media
// sequence numbers.
func bubble(t *testing.T, f func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
		f(t)
	})
}

// serve runs a server for a node and returns its handler.
func serve(t testing.TB, n Node) (*Server, http.Handler, context.CancelFunc) {
	s, err := NewServer(Config{Node: n, Door: Door{Origins: []string{AllOrigins}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return s, s.Handler(), cancel
}

// mode is a way to play a stream.
type mode struct {
	name, file string
	switches   bool // between renditions, by the multivariant playlist

	spoil func(http.Handler) http.Handler // breaks answers; nil for none
	keep  func(text string)               // gets each playlist; nil for nobody
}

var modes = []mode{
	{"index", "index.m3u8", false, nil, nil},
	{"ll", "ll.m3u8", false, nil, nil},
	{"dvr", "dvr.m3u8", false, nil, nil},
	{"multivariant-index", "index.m3u8", true, nil, nil},
	{"multivariant-ll", "ll.m3u8", true, nil, nil},
	{"multivariant-dvr", "dvr.m3u8", true, nil, nil},
}

func (f *fault) befalls(m mode) bool {
	return (f.files == "" || (&rule{files: f.files}).applies(m.file)) && (!f.switches || m.switches)
}

// raced are the faults with several renditions that the race detector, which takes ten
// times as long, is to see: those in which followers begin and end. With one rendition it
// sees all; scripts/conformance.sh has none left out.
var raced = []string{"calm", "end", "server", "rest", "vanish"}

func (f *fault) skipped(m mode) bool {
	return raceDetector && m.switches && !slices.Contains(raced, f.name)
}

// play runs f with a viewer of a stream that has been on air for a while.
func (m mode) play(t *testing.T, f func(*stage, *viewer)) {
	bubble(t, func(t *testing.T) {
		renditions := 1
		if m.switches {
			renditions = 2
		}
		st := newStage(t, renditions, m.switches)
		st.spoil = m.spoil
		st.air(10)
		st.serve()
		defer func() { st.stop(); synctest.Wait() }()
		v := st.watch(m.file, m.switches, m.keep)
		st.air(5)
		f(st, v)
	})
}

// check fails the test if a rule was not kept.
func (v *viewer) check(t *testing.T) {
	for _, violation := range v.failed() {
		t.Error(violation)
	}
}

// TestConformance has each kind of playlist go through each fault, reloads it as players
// do, and holds each reload to all rules.
func TestConformance(t *testing.T) {
	for _, m := range modes {
		for _, f := range faults {
			if !f.befalls(m) || f.skipped(m) {
				continue
			}
			t.Run(m.name+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				m := m
				if f.name != "long-parts" { // the broadcaster itself does not keep to rule 11
					m.keep = keeper(t, m)
				}
				m.play(t, func(st *stage, v *viewer) {
					f.befall(st)
					v.check(t)
					t.Logf("%d reloads", v.reloads())
				})
			})
		}
	}
}

func (v *viewer) reloads() (n int) {
	for _, p := range v.players {
		n += p.reloads
	}
	return n
}
