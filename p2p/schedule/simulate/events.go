package simulate

import (
	"time"
)

type event struct {
	at   time.Duration
	seq  int32
	to   int32
	kind what
	msg  int32 // index of messages
}

type what uint8

const (
	arrival what = iota
	timer
	publication
	header // fetched
	closed // the connection to a dead node, of which msg is the number
)

// events is a heap of four children each.
type events []event

func (e events) less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}

func (e *events) push(v event) {
	*e = append(*e, v)
	q := *e
	for i := len(q) - 1; i > 0; {
		up := (i - 1) / 4
		if !q.less(i, up) {
			return
		}
		q[i], q[up] = q[up], q[i]
		i = up
	}
}

func (e *events) pop() event {
	q := *e
	first := q[0]
	last := len(q) - 1
	q[0] = q[last]
	q = q[:last]
	*e = q
	for i := 0; ; {
		least := i
		for c := 4*i + 1; c <= 4*i+4 && c < last; c++ {
			if q.less(c, least) {
				least = c
			}
		}
		if least == i {
			return first
		}
		q[i], q[least] = q[least], q[i]
		i = least
	}
}

func (w *World) push(e event) {
	w.seq++
	e.seq = w.seq
	w.events.push(e)
}
