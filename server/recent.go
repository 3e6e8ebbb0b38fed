package server

import (
	"sync"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// A call that this node allowed is found at once by the dialer's id, or by callee and campaign, before its decision has
// reached the ledger. Beyond these bounds the ledger alone knows it.
const (
	recentFor = 5 * time.Minute
	maxRecent = 1 << 16
)

// recentCalls are the calls that this node allowed in the last minutes.
type recentCalls struct {
	mu    sync.Mutex
	byID  map[string][]*belpoortv1.Decision // by the dialer's own id
	last  map[calledIn]*belpoortv1.Decision
	order []*belpoortv1.Decision // oldest first
}

// calledIn is a callee, by token, in a campaign.
type calledIn struct{ callee, campaign string }

func whoWasCalled(m *belpoortv1.Decision) calledIn {
	return calledIn{m.GetCalleeToken(), m.GetCampaign()}
}

// note remembers an ALLOW that was recorded.
func (r *recentCalls) note(m *belpoortv1.Decision) {
	if m.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW || m.GetDecisionId() == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID, r.last = map[string][]*belpoortv1.Decision{}, map[calledIn]*belpoortv1.Decision{}
	}
	for len(r.order) > 0 && (len(r.order) >= maxRecent || m.GetDecideTime().AsTime().Sub(r.order[0].GetDecideTime().AsTime()) > recentFor) {
		r.forgetOldest()
	}
	if id := m.GetCallId(); id != "" {
		r.byID[id] = append(r.byID[id], m)
	}
	r.last[whoWasCalled(m)] = m
	r.order = append(r.order, m)
}

// forgetOldest needs the lock. What came first under an id is the first to go.
func (r *recentCalls) forgetOldest() {
	oldest := r.order[0]
	r.order = r.order[1:]
	if who := whoWasCalled(oldest); r.last[who] == oldest {
		delete(r.last, who)
	}
	id := oldest.GetCallId()
	if id == "" {
		return
	}
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

// lastOf gives the newest call to a callee in a campaign; nil: none is remembered.
func (r *recentCalls) lastOf(who calledIn) *belpoortv1.Decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[who]
}
