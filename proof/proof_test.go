package proof_test

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/proof"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

var (
	noon   = time.Date(2026, 11, 18, 12, 0, 0, 0, time.UTC)
	callee = eligibility.CalleeToken{7}
)

// Good ALLOWs are passed over, however late; each bad one is found, by its id. The mutant mutant_proof_blind must fail here.
func TestEveryUnsupportedAllowIsFound(t *testing.T) {
	now := noon
	l, err := ledger.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "ledger"), ledger.Options{Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	put := func(key string, fact eligibility.Fact) {
		t.Helper()
		payload, err := record.Marshal(fact)
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.Append(t.Context(), []ledger.Append{{RequestKey: key, Callee: callee, Kind: record.KindOf(fact), Payload: payload}})
		if err != nil {
			t.Fatal(err)
		}
	}
	objection := func(organisation string, scope eligibility.ObjectionScope) eligibility.Fact {
		o := &eligibility.Objection{Organisation: organisation, At: now, Via: eligibility.ViaIVR, Scope: scope, By: eligibility.BySubscriber}
		if scope == eligibility.ScopeProduct {
			o.Product = "power"
		}
		return eligibility.Fact{Objection: o}
	}
	put("consent", eligibility.Fact{Withdrawal: &eligibility.Withdrawal{ConsentID: "old", Organisation: "other", At: now, Via: eligibility.ViaWeb}})
	now = noon.Add(time.Minute)
	put("other's", objection("other", eligibility.ScopeOrganisation))
	put("of a product", objection("acme", eligibility.ScopeProduct))
	put("ours", objection("acme", eligibility.ScopeOrganisation))
	erased := noon.Add(2 * time.Hour)
	objected := now
	now = erased
	put("erasure", eligibility.Fact{Erasure: &eligibility.Erasure{At: erased, Client: "compliance"}})
	now = objected
	const seen, last = 1, 4
	good := allow{basis: belpoortv1.Reason_REASON_OK_CONSENT, evidence: 1, position: seen, at: noon.Add(30 * time.Second)}
	cases := []struct {
		name   string
		change func(*allow)
		says   string
	}{
		{"before the objection", func(*allow) {}, ""},
		{"while it settles", func(a *allow) { a.at = now.Add(2 * time.Second) }, ""},
		{"another organisation's", func(a *allow) { a.organisation, a.at = "third", now.Add(time.Hour) }, ""},
		{"that saw it", func(a *allow) { a.position, a.at = last, now.Add(time.Hour) }, ""},
		{"against it", func(a *allow) { a.at = now.Add(4 * time.Second) }, "objection, withdrawal or erasure at position 4, recorded 4s before"},
		{"against the erasure", func(a *allow) { a.position, a.at = last, erased.Add(4*time.Second) }, "erasure at position 5, recorded 4s before"},
		{"without a basis", func(a *allow) { a.basis = 0 }, "no basis"},
		{"with invented evidence", func(a *allow) { a.evidence = 99 }, "position 99"},
		{"with evidence of later", func(a *allow) { a.evidence = 2 }, "position 2"},
		{"from the future", func(a *allow) { a.position = 100 }, "the ledger ends at 5"},
		{"of another id", func(a *allow) { a.wrongID = true }, "not the decision"},
	}
	var decisions []ledger.Decision
	want := map[string]string{}
	for i, c := range cases {
		a := good
		a.id, a.organisation = [16]byte{byte(i + 1)}, "acme"
		c.change(&a)
		d := a.decision(t)
		decisions = append(decisions, d)
		if c.says != "" {
			want[hex.EncodeToString(d.ID[:])] = c.name + ": " + c.says
		}
	}
	if err := l.ShipDecisions(t.Context(), "j", 0, uint64(len(decisions)), decisions); err != nil {
		t.Fatal(err)
	}
	report, err := proof.Check(t.Context(), l)
	if err != nil || report.Allowed != uint64(len(cases)) || report.Wrong != uint64(len(want)) {
		t.Errorf("%+v, %v; want %d findings", report, err, len(want))
	}
	for _, f := range report.Findings {
		_, says, _ := strings.Cut(want[f.Decision], ": ")
		if says == "" || !strings.Contains(f.Problem, says) {
			t.Errorf("%s: %s; want %q", f.Decision, f.Problem, want[f.Decision])
		}
	}
}

// allow is an ALLOW to be written.
type allow struct {
	id           [16]byte
	organisation string
	basis        belpoortv1.Reason
	evidence     uint64
	position     uint64
	at           time.Time
	wrongID      bool
}

func (a allow) decision(t *testing.T) ledger.Decision {
	t.Helper()
	m := &belpoortv1.Decision{
		DecisionId: hex.EncodeToString(a.id[:]), DecideTime: timestamppb.New(a.at), CalleeToken: callee.String(), Campaign: "c",
		Organisation: a.organisation, Verdict: belpoortv1.Verdict_VERDICT_ALLOW, LedgerPosition: a.position,
		Basis: &belpoortv1.Basis{Kind: a.basis, EvidencePosition: a.evidence},
	}
	if a.wrongID {
		m.DecisionId = fmt.Sprintf("%032x", 1)
	}
	payload, err := record.MarshalDecision(m)
	if err != nil {
		t.Fatal(err)
	}
	return ledger.Decision{ID: a.id, Time: a.at, Callee: callee, Campaign: "c", Verdict: int32(eligibility.Allow), Payload: payload}
}
