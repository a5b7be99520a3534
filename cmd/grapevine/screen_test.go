package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

func TestScreenOnATerminal(t *testing.T) {
	var out bytes.Buffer
	s := &screen{out: &out, err: &out, terminal: true, width: func() int { return 12 }}
	s.show("one", false)
	s.say("a line")
	s.show("a status that is too wide", false)
	s.Write([]byte("a log line\n"))
	s.settle()
	s.say("after")
	const clear = "\r\x1b[K"
	want := "one" + clear + "a line\none" + clear + "a status t…" + clear + "a log line\na status t…\nafter\n"
	if got := out.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestScreenElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := &screen{out: &out, err: &out, width: func() int { return 80 }}
		s.show("waiting 1", true)
		s.show("waiting 1", true)
		s.show("waiting 2", false)
		time.Sleep(statusEvery)
		s.show("waiting 3", false)
		s.event("not for people")
		s.settle()
		if got, want := out.String(), "waiting 1\nwaiting 3\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestScreenForPrograms(t *testing.T) {
	var out, err bytes.Buffer
	s := &screen{out: &out, err: &err, json: true}
	s.say("a line")
	s.show("a status", true)
	s.event(endEvent{"end", "abc", 7})
	s.Write([]byte("a log line\n"))
	s.settle()
	if got, want := out.String(), `{"event":"end","stream":"abc","epoch":7}`+"\n"; got != want {
		t.Errorf("stdout: %q, want %q", got, want)
	}
	if got, want := err.String(), "a log line\n"; got != want {
		t.Errorf("stderr: %q, want %q", got, want)
	}
}

func TestMeter(t *testing.T) {
	var m inputMeter
	at := time.Unix(1000, 0)
	for second := range 20 {
		bytes := int64(second) * 125_000 // 1 Mbit/s
		if second >= 12 {
			bytes = 11*125_000 + int64(second-11)*250_000
		}
		got := m.rate(sample{at.Add(time.Duration(second) * time.Second), bytes})
		switch {
		case second == 0 && got != 0, second > 0 && second <= 11 && got != 1e6, second >= 17 && got != 2e6:
			t.Errorf("%v bit/s after %d s", got, second)
		}
	}
	if len(m.samples) > 7 {
		t.Errorf("%d samples are kept", len(m.samples))
	}
}
