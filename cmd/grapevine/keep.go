package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/policy"
)

// openKeeper makes the keeper of a node that is yet to start.
func openKeeper(h *home, id *identity, p policy.Policy, log *slog.Logger) (*keeper, error) {
	if id.file == "" && p.Budget.Bytes > 0 {
		return nil, errNoLedger
	}
	l, err := openLedger(h, id)
	if err != nil {
		return nil, err
	}
	return newKeeper(p, l, log, time.Now())
}

// errNoLedger says that a node has no file to keep what it uses.
var errNoLedger = errors.New("all identities of the home are in use")

// keep holds the session's node to its policy, until ctx is over.
func (s *session) keep(ctx context.Context) error {
	if s.keeper == nil {
		return nil
	}
	s.keeper.tell = s.tellPause
	return s.keeper.run(ctx)
}

// tellClosed says that the node begins without taking part, if that is so.
func (s *session) tellClosed() {
	if d := s.keeper.now(); d.Closed != "" {
		s.tellPause(d)
	}
}

// tellPause says that the node left the mesh, or that it is back.
func (s *session) tellPause(d policy.Decision) {
	if d.Closed == "" {
		s.screen.say("This node takes part again.")
		s.screen.event(pauseEvent{Event: "resume"})
		return
	}
	s.screen.say("This node has left the mesh, and lets nothing in or out: %s.", closedFor(d))
	s.screen.event(pauseEvent{"pause", string(d.Closed), timestamp(d.Until)})
}

// closedFor says why a node takes no part, and until when.
func closedFor(d policy.Decision) string {
	until := ""
	if !d.Until.IsZero() {
		until = " until " + d.Until.Format("Mon 2 Jan 15:04")
	}
	if d.Closed == policy.ByBudget {
		return "the month's budget is spent" + until
	}
	return "closed by its schedule" + until
}

// timestamp is how programs read a time, "" for none.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

// closedFact says why the node takes no part, "" if it does.
func (s *session) closedFact() string {
	if s.keeper == nil {
		return ""
	}
	if d := s.keeper.now(); d.Closed != "" {
		return closedFor(d)
	}
	return ""
}

// keepFact says that, or what is left of a budget.
func (s *session) keepFact() string {
	if closed := s.closedFact(); closed != "" || s.keeper == nil {
		return closed
	}
	b := s.keeper.owner().Budget
	if b.Bytes == 0 {
		return ""
	}
	return formatBytes(b.Left(s.keeper.used())) + " of " + formatBytes(b.Bytes) + " left this month"
}

// limitsStatus shows what a node's owner allows, in the server's terms. The keeper may be nil.
func limitsStatus(node *p2p.Node, k *keeper) hls.LimitsStatus {
	st := node.Stats()
	out := hls.LimitsStatus{
		WireIn:         st.WireIn,
		WireOut:        st.WireOut,
		WireInDropped:  st.WireInDropped,
		WireOutDropped: st.WireOutDropped,
		MaxUpload:      st.MaxUpload,
		MaxDownload:    st.MaxDownload,
		MaxPeers:       st.MaxPeers,
		PeersRefused:   st.PeersRefused,
	}
	if k == nil {
		return out
	}
	month, used, decision := k.state()
	p := k.owner()
	b := p.Budget
	out.Month, out.MonthSent, out.MonthReceived = string(month), used.Sent, used.Received
	out.Budget, out.BudgetUpOnly, out.BudgetLeft = b.Bytes, b.SentOnly, b.Left(used)
	out.Schedule = p.Schedule.String()
	out.Closed, out.Until = string(decision.Closed), timestamp(decision.Until)
	out.Allow, out.Deny = p.Allow, p.Deny
	return out
}
