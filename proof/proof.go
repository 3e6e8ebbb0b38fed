// Package proof checks afterwards, from the ledger alone, that every ALLOW in it had a basis that the ledger holds, and that
// none was given against an objection or withdrawal that it should have seen. It knows the facts' and decisions' words and
// reads a ledger; it must not know how a check is answered, or it would repeat its mistakes.
package proof

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ledger"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// Ledger is what is read of one.
type Ledger interface {
	AllowedAfter(ctx context.Context, after uint64, limit int) ([]ledger.Shipped, error)
	Facts(ctx context.Context, callee eligibility.CalleeToken, upTo uint64) (ledger.Snapshot, error)
}

// MaxFindings bounds how many findings are kept; all are counted.
const MaxFindings = 1000

// step is how many ALLOWs one reading takes.
const step = 500

// grace is how long after its recording a revocation may still be unseen: until then it was not acknowledged, because a
// node's lease may have had to run out. (2 s, its drift allowance, and the clocks of two machines.)
const grace = 3 * time.Second

// Finding is an ALLOW that the ledger does not support.
type Finding struct {
	Decision string // its id, 32 hexadecimal characters
	Problem  string
}

// Report is what a check found.
type Report struct {
	Allowed  uint64 // ALLOWs looked at
	Erased   uint64 // of which the evidence was erased since
	Wrong    uint64
	Findings []Finding // the first MaxFindings
}

// Check looks at every numbered ALLOW. An ALLOW that is not supported is a finding, not an error.
func Check(ctx context.Context, l Ledger) (Report, error) {
	var report Report
	for after := uint64(0); ; {
		allowed, err := l.AllowedAfter(ctx, after, step)
		if err != nil || len(allowed) == 0 {
			return report, err
		}
		for i := range allowed {
			if err := report.look(ctx, l, &allowed[i].Decision); err != nil {
				return report, err
			}
		}
		after = allowed[len(allowed)-1].Number
	}
}

func (r *Report) look(ctx context.Context, l Ledger, d *ledger.Decision) error {
	r.Allowed++
	m, err := record.UnmarshalDecision(d.Payload)
	if err != nil {
		r.find(d, "its payload cannot be read")
		return nil
	}
	if m.GetDecisionId() != hex.EncodeToString(d.ID[:]) || m.GetCalleeToken() != d.Callee.String() || m.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW {
		r.find(d, "it is not the decision under whose id it stands")
		return nil
	}
	facts, err := l.Facts(ctx, d.Callee, 0)
	if err != nil {
		return err
	}
	if m.GetLedgerPosition() > facts.Head {
		r.find(d, fmt.Sprintf("it rests on position %d, and the ledger ends at %d", m.GetLedgerPosition(), facts.Head))
	}
	r.basis(d, m, facts.Entries)
	r.unseen(d, m, facts.Entries)
	return nil
}

// basis finds an ALLOW without one, or whose evidence is not a fact that was known about this callee.
func (r *Report) basis(d *ledger.Decision, m *belpoortv1.Decision, entries []ledger.Entry) {
	if m.GetBasis().GetKind() == belpoortv1.Reason_REASON_UNSPECIFIED {
		r.find(d, "it has no basis")
		return
	}
	at := m.GetBasis().GetEvidencePosition()
	if at == 0 {
		return
	}
	i := slices.IndexFunc(entries, func(e ledger.Entry) bool { return e.Position == at })
	switch {
	case i < 0 || at > m.GetLedgerPosition():
		r.find(d, fmt.Sprintf("its evidence at position %d is no fact that was known about the callee", at))
	case entries[i].Erased:
		r.Erased++
	}
}

// unseen finds an ALLOW against a revocation that had been recorded, and was acknowledged, before.
func (r *Report) unseen(d *ledger.Decision, m *belpoortv1.Decision, entries []ledger.Entry) {
	if mutantProofBlind {
		return
	}
	for i := range entries {
		e := &entries[i]
		if e.Position <= m.GetLedgerPosition() || e.Erased || e.RecordTime.Add(grace).After(d.Time) {
			continue
		}
		fact, err := record.Unmarshal(e.Position, e.Payload)
		if err != nil {
			r.find(d, fmt.Sprintf("the fact at position %d cannot be read", e.Position))
			return
		}
		if revokes(&fact, m.GetOrganisation()) {
			r.find(d, fmt.Sprintf("it did not see the objection, withdrawal or erasure at position %d, recorded %v before",
				e.Position, d.Time.Sub(e.RecordTime).Round(time.Millisecond)))
			return
		}
	}
}

// revokes reports a fact that takes an organisation's leave to call away as a whole; an erasure takes everybody's.
func revokes(f *eligibility.Fact, organisation string) bool {
	switch {
	case f.Objection != nil:
		return f.Objection.Organisation == organisation && f.Objection.Scope != eligibility.ScopeProduct
	case f.Withdrawal != nil:
		return f.Withdrawal.Organisation == organisation
	default:
		return f.Erasure != nil
	}
}

func (r *Report) find(d *ledger.Decision, problem string) {
	r.Wrong++
	if len(r.Findings) < MaxFindings {
		r.Findings = append(r.Findings, Finding{hex.EncodeToString(d.ID[:]), problem})
	}
}
