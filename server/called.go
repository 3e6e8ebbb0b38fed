package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

const (
	maxCallID = 128
	// callIDFor is how long after its ALLOW a call is found by the dialer's own id, as long as reports on its permit are in time.
	callIDFor = reportFor
	// maxSharing bounds how many decisions are looked at that share an id.
	maxSharing = 100
)

// namedCall is a call that was allowed, as a client names it afterwards: by its permit, by the dialer's own id or, as well
// as that can be told, by number and campaign.
type namedCall struct {
	callee       eligibility.CalleeToken
	key          string // tells what was said in it apart from what was said elsewhere
	decision     string // 32 hexadecimal characters; "" where only the number is known
	campaign     string
	organisation string
	allowed      time.Time // zero where only the number is known
	sealed       []byte    // nil where the number is not known
}

func callOnPermit(p Permit) namedCall {
	id := hex.EncodeToString(p.DecisionID[:])
	return namedCall{callee: p.Callee, key: id, decision: id, campaign: p.Campaign, organisation: p.Organisation, allowed: p.Issued}
}

// naming is the fields with which a request names its callee.
type naming struct{ permit, callID, callee, campaign string }

// one refuses a request that names its callee in no way, or in several.
func (n naming) one() error {
	switch {
	case n.permit == "" && n.callID == "" && n.callee == "":
		return missing("callee")
	case n.callee != "" && (n.permit != "" || n.callID != ""):
		return invalid("callee", "stands beside permit or call_id; name the callee in one way")
	case n.permit != "" && n.callID != "":
		return invalid("call_id", "stands beside permit; name the call in one way")
	}
	return nil
}

// callNamed finds the call that a permit or the dialer's id names, of an organisation for which the client may act.
func (s *Server) callNamed(ctx context.Context, n naming) (namedCall, error) {
	if n.callID != "" {
		return s.callByID(ctx, n)
	}
	p, _, err := s.readPermit(ctx, n.permit)
	if err == nil && n.campaign != "" && n.campaign != p.Campaign {
		err = invalid("campaign", "is not the one of the permit")
	}
	return callOnPermit(p), err
}

// callOfNumber is what can be told of a call by number and campaign.
func (s *Server) callOfNumber(ctx context.Context, n naming, requestID string) (namedCall, error) {
	force := s.force.Load()
	number, err := subscriberNumber("callee", n.callee, force.law)
	if err := firstError(err, needed("campaign", n.campaign, maxName)); err != nil {
		return namedCall{}, err
	}
	campaign := force.catalogue.Campaigns[n.campaign]
	if campaign == nil {
		return namedCall{}, unknownCampaign("campaign")
	}
	organisation := campaign.Organisation.ID
	if !clientOf(ctx).mayActFor(organisation) {
		return namedCall{}, forbiddenOrganisation("campaign")
	}
	token := s.ring.Token(number)
	key := sha256.Sum256([]byte(strings.Join([]string{clientOf(ctx).id, token.String(), organisation, requestID}, "/")))
	return namedCall{
		callee: token, key: "id/" + hex.EncodeToString(key[:]), campaign: n.campaign, organisation: organisation,
		sealed: s.ring.Seal(number, token),
	}, nil
}

// readCallID reads the dialer's own id of a call.
func readCallID(id string) error {
	if strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' }) {
		return invalid("call_id", "holds a character that is not printable ASCII")
	}
	return short("call_id", id, maxCallID)
}

// namesNobody refuses an id of a call that is made of its callee's number (E.164): it would stand in the ledger for everybody
// to read.
func namesNobody(callID, callee string) error {
	if digits := strings.TrimPrefix(strings.TrimPrefix(callee, "+"), "31"); digits != "" && strings.Contains(callID, digits) {
		return invalid("call_id", "holds the callee's telephone number; use another id")
	}
	return nil
}

// callByID finds the newest call of the last day with the dialer's id, here or in the ledger. Dialers count from one again,
// and several may use the same ids: of those that the client may see, all must be of one campaign.
func (s *Server) callByID(ctx context.Context, n naming) (namedCall, error) {
	if err := firstError(readCallID(n.callID), short("campaign", n.campaign, maxName)); err != nil {
		return namedCall{}, err
	}
	all, err := s.decisionsByCall(ctx, n.callID)
	if err != nil {
		return namedCall{}, err
	}
	now, c := s.clock(), clientOf(ctx)
	all = slices.DeleteFunc(all, func(m *belpoortv1.Decision) bool {
		age := now.Sub(m.GetDecideTime().AsTime())
		return m.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW || !c.mayActFor(m.GetOrganisation()) || age > callIDFor ||
			n.campaign != "" && n.campaign != m.GetCampaign()
	})
	if len(all) == 0 {
		return namedCall{}, &failure{codes.NotFound, ReasonCallUnknown, "call_id",
			"call_id is of no call allowed in the last 24 hours, as far as this node and the ledger know; repeat it in a second, or name the call by its permit or number", nil}
	}
	newest := slices.MaxFunc(all, func(a, b *belpoortv1.Decision) int {
		return a.GetDecideTime().AsTime().Compare(b.GetDecideTime().AsTime())
	})
	if slices.ContainsFunc(all, func(m *belpoortv1.Decision) bool { return m.GetCampaign() != newest.GetCampaign() }) {
		return namedCall{}, &failure{codes.InvalidArgument, ReasonCallAmbiguous, "call_id",
			"call_id is of calls in several campaigns; name the campaign too, or the permit", nil}
	}
	return callDecided(newest)
}

func callDecided(m *belpoortv1.Decision) (namedCall, error) {
	c := namedCall{
		key: m.GetDecisionId(), decision: m.GetDecisionId(), campaign: m.GetCampaign(), organisation: m.GetOrganisation(),
		allowed: m.GetDecideTime().AsTime(),
	}
	if _, err := hex.Decode(c.callee[:], []byte(m.GetCalleeToken())); err != nil || len(m.GetCalleeToken()) != hex.EncodedLen(len(c.callee)) {
		return c, internal(err)
	}
	return c, nil
}

// decisionsByCall gives what this node remembers under an id, and what the ledger has. A ledger that is away is no reason to
// forget what is known here.
func (s *Server) decisionsByCall(ctx context.Context, id string) ([]*belpoortv1.Decision, error) {
	all := s.recent.of(id)
	if len(all) > 0 && s.facts.away() {
		return all, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patienceOf(ctx))
	defer cancel()
	payloads, err := s.decisions.DecisionsByCall(ctx, id, maxSharing)
	if err != nil && len(all) == 0 {
		return nil, ledgerUnavailable(err)
	}
	for _, payload := range payloads {
		m, err := record.UnmarshalDecision(payload)
		if err != nil {
			return nil, internal(err)
		}
		all = append(all, m)
	}
	return all, nil
}

// lastCall is the decision of the newest call to a callee in a campaign, of those allowed in the day before an instant, here
// or in the ledger; "": none. Where only the number is known, that is the call in which something was said then.
func (s *Server) lastCall(ctx context.Context, c namedCall, at time.Time) (string, error) {
	f := DecisionFilter{
		Campaign: c.campaign, Callee: c.callee, Verdict: int32(belpoortv1.Verdict_VERDICT_ALLOW), From: at.Add(-callIDFor), Until: at.Add(clockSkew),
	}
	last := s.recent.lastOf(calledIn{c.callee.String(), c.campaign})
	if decided := last.GetDecideTime().AsTime(); decided.Before(f.From) || !decided.Before(f.Until) {
		last = nil
	}
	shipped, err := s.lastListed(ctx, f)
	if err != nil && last == nil {
		return "", err
	}
	if shipped.GetDecideTime().AsTime().After(last.GetDecideTime().AsTime()) {
		last = shipped
	}
	if last.GetOrganisation() != c.organisation {
		return "", nil // the campaign was another organisation's then
	}
	return last.GetDecisionId(), nil
}

// lastListed is the newest decision of a kind in the ledger; nil: there is none.
func (s *Server) lastListed(ctx context.Context, f DecisionFilter) (*belpoortv1.Decision, error) {
	if s.facts.away() {
		return nil, ledgerUnavailable(ErrLedgerAway)
	}
	ctx, cancel := context.WithTimeout(ctx, patienceOf(ctx))
	defer cancel()
	payloads, err := s.decisions.ListDecisions(ctx, f, 1)
	if err != nil {
		return nil, ledgerUnavailable(err)
	}
	if len(payloads) == 0 {
		return nil, nil
	}
	m, err := record.UnmarshalDecision(payloads[0])
	if err != nil {
		return nil, internal(err)
	}
	return m, nil
}
