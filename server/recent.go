package server

import (
	"sync"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// A call that this node allowed is found by the dialer's id at once, before its decision has reached the ledger. Beyond
// these bounds the ledger alone knows it.
const (
	recentFor = 5 * time.Minute
	maxRecent = 1 << 16
)

// recentCalls are the calls that this node allowed in the last minutes, by the dialer's own id.
type recentCalls struct {
	mu    sync.Mutex
	byID  map[string][]*belpoortv1.Decision
	order []*belpoortv1.Decision // oldest first
}

// note remembers an ALLOW that names its call.
func (r *recentCalls) note(m *belpoortv1.Decision) {
	if m.GetCallId() == "" || m.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW || m.GetDecisionId() == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = map[string][]*belpoortv1.Decision{}
	}
	for len(r.order) > 0 && (len(r.order) >= maxRecent || m.GetDecideTime().AsTime().Sub(r.order[0].GetDecideTime().AsTime()) > recentFor) {
		r.forgetOldest()
	}
	r.byID[m.GetCallId()] = append(r.byID[m.GetCallId()], m)
	r.order = append(r.order, m)
}

// forgetOldest needs the lock. What came first under an id is the first to go.
func (r *recentCalls) forgetOldest() {
	id := r.order[0].GetCallId()
	r.order = r.order[1:]
	if left := r.byID[id][1:]; len(left) > 0 {
		r.byID[id] = left
	} else {
		delete(r.byID, id)
	}
}

// of gives the calls with an id, oldest first.
func (r *recentCalls) of(id string) []*belpoortv1.Decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*belpoortv1.Decision(nil), r.byID[id]...)
}
