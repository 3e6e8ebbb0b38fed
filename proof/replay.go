package proof

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ledger"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// History is what is read of a ledger to decide again.
type History interface {
	Ledger
	Entry(ctx context.Context, position uint64) (ledger.Entry, error)
	SealedNumber(ctx context.Context, callee eligibility.CalleeToken) ([]byte, error)
}

// Replay decides ALLOWs again: from the facts that the ledger had at the decision's position, under its catalogue and law, at
// its instant.
type Replay struct {
	Ledger History
	// Law is the one law that is at hand; decisions under another version are not replayed.
	Law *eligibility.Law
	// Register makes the register of caller IDs of a catalogue.
	Register record.NewRegister
	// Number opens a sealed number; "" where it cannot.
	Number func(callee eligibility.CalleeToken, sealed []byte) string
	// Person is the mark of a person's name, as decisions hold it.
	Person func(callee eligibility.CalleeToken, name string) string
	// Every takes one ALLOW in so many; 0 or 1: each.
	Every uint64

	catalogues map[uint64]*eligibility.Catalogue
}

// ReplayReport is what deciding again found.
type ReplayReport struct {
	Replayed uint64
	OtherLaw uint64 // not replayed: their law is not at hand
	Missing  uint64 // not replayed: what was known, or the number, is not in the ledger, or not any more
	Wrong    uint64
	Findings []Finding
}

var (
	errOtherLaw = errors.New("proof: the decision's law is not at hand")
	errMissing  = errors.New("proof: what was known is not there")
)

// Run goes through the ledger's ALLOWs.
func (r *Replay) Run(ctx context.Context) (report ReplayReport, err error) {
	r.catalogues = map[uint64]*eligibility.Catalogue{}
	seen := uint64(0)
	for after := uint64(0); ; {
		allowed, err := r.Ledger.AllowedAfter(ctx, after, step)
		if err != nil || len(allowed) == 0 {
			return report, err
		}
		for i := range allowed {
			if seen++; r.Every > 1 && seen%r.Every != 0 {
				continue
			}
			if err := report.add(ctx, r, &allowed[i].Decision); err != nil {
				return report, err
			}
		}
		after = allowed[len(allowed)-1].Number
	}
}

func (p *ReplayReport) add(ctx context.Context, r *Replay, d *ledger.Decision) error {
	differs, err := r.again(ctx, d)
	switch {
	case errors.Is(err, errOtherLaw):
		p.OtherLaw++
		return nil
	case errors.Is(err, errMissing):
		p.Missing++
		return nil
	case errors.Is(err, record.ErrPayload), errors.Is(err, ledger.ErrNotFound):
		differs, err = err.Error(), nil
	}
	if p.Replayed++; differs != "" && err == nil {
		p.Wrong++
		if len(p.Findings) < MaxFindings {
			p.Findings = append(p.Findings, Finding{fmt.Sprintf("%x", d.ID), differs})
		}
	}
	return err
}

// again decides once more, and says in what the answer differs.
func (r *Replay) again(ctx context.Context, d *ledger.Decision) (differs string, err error) {
	m, err := record.UnmarshalDecision(d.Payload)
	if err != nil {
		return "", err
	}
	if m.GetLawVersion() != r.Law.Version {
		return "", errOtherLaw
	}
	catalogue, err := r.catalogueOf(ctx, m)
	if err != nil {
		return "", err
	}
	campaign := catalogue.Campaigns[m.GetCampaign()]
	if campaign == nil {
		return "its campaign is not in the catalogue under which it was decided", nil
	}
	facts, err := r.known(ctx, d.Callee, m.GetLedgerPosition())
	if err != nil {
		return "", err
	}
	call, err := r.call(ctx, d.Callee, m, facts)
	if err != nil {
		return "", err
	}
	call.Campaign = campaign
	e := eligibility.Fold(d.Callee, m.GetLedgerPosition(), m.GetDecideTime().AsTime(), facts)
	got := eligibility.Decide(e, call, catalogue, r.Law, m.GetDecideTime().AsTime())
	return unlike(&got, m), nil
}

// unlike says in what a decision differs from the one on record. Calls that were allowed and not yet reported stand in no
// ledger: they can only have refused it.
func unlike(got *eligibility.Decision, m *belpoortv1.Decision) string {
	was := m.GetBasis()
	switch {
	case belpoortv1.Verdict(got.Verdict) != m.GetVerdict() || belpoortv1.Reason(got.Reason) != m.GetReason():
		return fmt.Sprintf("decided again it is %v %v", got.Verdict, got.Reason)
	case mutantReplayVerdictAlone:
		return ""
	case got.Basis.Position != was.GetEvidencePosition() || belpoortv1.Reason(got.Basis.Kind) != was.GetKind() || got.Basis.Article != was.GetArticle():
		return fmt.Sprintf("decided again it rests on %v, %s, position %d", got.Basis.Kind, got.Basis.Article, got.Basis.Position)
	case !slices.Equal(record.ObligationsToProto(got.Obligations), m.GetObligations()):
		return "decided again it has other duties"
	}
	return ""
}

// catalogueOf is the catalogue that was in force, under the campaigns' states that were.
func (r *Replay) catalogueOf(ctx context.Context, m *belpoortv1.Decision) (*eligibility.Catalogue, error) {
	position := m.GetCataloguePosition()
	catalogue := r.catalogues[position]
	if catalogue == nil {
		entry, err := r.Ledger.Entry(ctx, position)
		if err != nil {
			return nil, fmt.Errorf("the catalogue at position %d: %w", position, err)
		}
		message, err := record.UnmarshalCatalogue(position, entry.Payload)
		if err != nil {
			return nil, err
		}
		if catalogue, err = record.CatalogueFromProto(message, r.Law, r.Register); err != nil {
			return nil, fmt.Errorf("%w: position %d: %w", record.ErrPayload, position, err)
		}
		r.catalogues[position] = catalogue
	}
	if m.GetStatesPosition() == 0 {
		return catalogue, nil
	}
	return r.under(ctx, catalogue, m.GetStatesPosition())
}

func (r *Replay) under(ctx context.Context, catalogue *eligibility.Catalogue, position uint64) (*eligibility.Catalogue, error) {
	entry, err := r.Ledger.Entry(ctx, position)
	if err != nil {
		return nil, fmt.Errorf("the campaigns' states at position %d: %w", position, err)
	}
	states, err := record.UnmarshalStates(position, entry.Payload)
	if err != nil || len(states.GetSuspended()) == 0 {
		return catalogue, err
	}
	laid := *catalogue
	laid.Campaigns = maps.Clone(catalogue.Campaigns)
	for _, s := range states.GetSuspended() {
		if c := laid.Campaigns[s.GetCampaign()]; c != nil {
			suspended := *c
			suspended.Suspension = &eligibility.Suspension{Position: s.GetPosition()}
			laid.Campaigns[s.GetCampaign()] = &suspended
		}
	}
	return &laid, nil
}

// known are the facts that the ledger held about a callee at a position. What had been taken away by then is missing by right;
// what was taken away later makes it impossible to decide again.
func (r *Replay) known(ctx context.Context, callee eligibility.CalleeToken, position uint64) (facts []eligibility.Fact, err error) {
	snapshot, err := r.Ledger.Facts(ctx, callee, position)
	if err != nil {
		return nil, err
	}
	gone, erased := map[uint64]bool{}, uint64(0)
	for i := range snapshot.Entries {
		e := &snapshot.Entries[i]
		if e.Erased {
			continue
		}
		fact, err := record.Unmarshal(e.Position, e.Payload)
		if err != nil {
			return nil, err
		}
		facts = append(facts, fact)
		if fact.Erasure != nil {
			erased = e.Position
		}
		if fact.Disposal != nil {
			for _, p := range fact.Disposal.Positions {
				gone[p] = true
			}
		}
	}
	for i := range snapshot.Entries {
		e := &snapshot.Entries[i]
		byRight := gone[e.Position] || e.Position < erased && slices.Contains(record.Erasable(), e.Kind)
		if e.Erased && !byRight {
			return nil, errMissing
		}
	}
	return facts, nil
}

// call is the question that was asked, as far as the decision holds it.
func (r *Replay) call(ctx context.Context, callee eligibility.CalleeToken, m *belpoortv1.Decision, facts []eligibility.Fact) (*eligibility.Call, error) {
	sealed, err := r.Ledger.SealedNumber(ctx, callee)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, errMissing
	}
	if err != nil {
		return nil, err
	}
	number := r.Number(callee, sealed)
	if number == "" {
		return nil, errMissing
	}
	return &eligibility.Call{
		Callee: number, CallerID: m.GetCallerId(), Presentation: eligibility.Presentation(m.GetCallerIdPresentation()),
		Mode: eligibility.Mode(m.GetMode()), Dialing: eligibility.Dialing(m.GetDialing()), Person: r.person(callee, m.GetPerson(), facts),
	}, nil
}

// somebodyElse is nobody's name.
const somebodyElse = "\x00"

// person finds who was meant: a decision holds a mark only.
func (r *Replay) person(callee eligibility.CalleeToken, mark string, facts []eligibility.Fact) string {
	if mark == "" {
		return ""
	}
	for i := range facts {
		if c := facts[i].Consent; c != nil && c.Person != "" && r.Person(callee, c.Person) == mark {
			return c.Person
		}
	}
	return somebodyElse
}
