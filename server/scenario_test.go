package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/scenario"
)

// afterTheCall are the reasons that rest on what became of earlier calls, and of their campaign.
var afterTheCall = []eligibility.Reason{
	eligibility.CampaignSuspended, eligibility.RequestUsed, eligibility.Attempts, eligibility.AbandonedCooldown,
}

// What the engine decides in the scenarios, a server decides too for those who apply the catalogue, record the facts, ask
// and report over gRPC. Each earlier call of a scenario is made: asked, allowed and reported at its own time.
// The mutant mutant_report_unwritten must fail here.
func TestScenariosAfterTheCallOverGRPC(t *testing.T) {
	seen := map[eligibility.Reason]int{}
	for _, path := range []string{"../eligibility/testdata/nl.yaml", "../eligibility/testdata/after-the-call.yaml"} {
		file, err := scenario.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range file.Scenarios {
			s := &file.Scenarios[i]
			if !slices.Contains(afterTheCall, s.Expect.Reason) && !strings.HasPrefix(s.ID, "after-") {
				continue
			}
			seen[s.Expect.Reason]++
			t.Run(s.ID, func(t *testing.T) { playOut(t, file.Catalogue, s) })
		}
	}
	for _, reason := range afterTheCall {
		if seen[reason] == 0 {
			t.Errorf("no scenario ends in %v", reason)
		}
	}
}

func playOut(t *testing.T, catalogue *scenario.Catalogue, s *scenario.Scenario) {
	n := newNode(t, t.TempDir(), nil)
	n.start()
	var calls []*eligibility.CallReport
	for i := range s.Facts {
		if c := s.Facts[i].CallReport; c != nil {
			calls = append(calls, c)
		}
	}
	slices.SortStableFunc(calls, func(a, b *eligibility.CallReport) int { return a.At.Compare(b.At) })
	began := s.At
	if len(calls) > 0 {
		began = calls[0].At
	}
	n.setClock(began.Add(-time.Minute))
	n.apply(wireCatalogue(t, catalogue))
	for i, f := range s.Facts {
		if f.CallReport == nil {
			n.record(s.Call.To, record.FactToProto(f), fmt.Sprint("fact-", i))
		}
	}
	for _, c := range calls {
		n.make(s, c)
	}
	n.setClock(s.At)
	answer, err := n.check("dialer-all", questionOf(s, s.Call.Campaign))
	if err != nil {
		t.Fatal(err)
	}
	n.wants(answer, s.Expect.Verdict, s.Expect.Reason)
}

// make makes an earlier call as a dialer does.
func (n *node) make(s *scenario.Scenario, c *eligibility.CallReport) {
	n.t.Helper()
	n.setClock(c.At)
	answer, err := n.check("dialer-all", questionOf(s, c.Campaign))
	if err != nil || answer.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW {
		n.t.Fatalf("the call at %v: %v, %v", c.At, answer, err)
	}
	if _, err := n.report("dialer-all", &belpoortv1.ReportCallRequest{
		Permit: answer.GetPermit(), Outcome: belpoortv1.Outcome(c.Outcome), DialTime: stampAt(c.At), ObjectionOffered: c.ObjectionOffered,
	}); err != nil {
		n.t.Fatalf("the report of the call at %v: %v", c.At, err)
	}
}

func questionOf(s *scenario.Scenario, campaign string) *belpoortv1.CheckCallRequest {
	return &belpoortv1.CheckCallRequest{
		Callee: s.Call.To, CallerId: s.Call.From, Campaign: campaign, Person: s.Call.Person,
		CallerIdPresentation: belpoortv1.CallerIdPresentation(s.Call.Presentation),
		Mode:                 belpoortv1.Mode(s.Call.Mode), Dialing: belpoortv1.Dialing(s.Call.Dialing),
	}
}

func wireCatalogue(t *testing.T, file *scenario.Catalogue) *belpoortv1.Catalogue {
	t.Helper()
	settings := func(settings map[string]any) *structpb.Struct {
		m, err := structpb.NewStruct(settings)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := &belpoortv1.Catalogue{Policy: settings(file.Policy)}
	for _, o := range file.Organisations {
		m.Organisations = append(m.Organisations, &belpoortv1.Organisation{
			Id: o.ID, LegalName: cmp.Or(o.LegalName, o.ID), Class: belpoortv1.OrganisationClass(o.Class), Licence: belpoortv1.Licence(o.Licence),
			IssuesPerYear: int32(o.IssuesPerYear), Brand: o.Brand, Group: o.Group, DigitalOnly: o.DigitalOnly,
		})
	}
	for _, c := range file.CallerIDs {
		m.CallerIds = append(m.CallerIds, &belpoortv1.CallerId{
			Number: c.Number, Organisation: c.Organisation, ValidFromTime: record.Stamp(c.ValidFrom), ValidUntilTime: record.Stamp(c.ValidUntil),
			CallbackTestTime: record.Stamp(c.CallbackTestedAt), PublishedUrl: c.PublishedURL,
		})
	}
	for _, c := range file.Campaigns {
		m.Campaigns = append(m.Campaigns, &belpoortv1.Campaign{
			Id: c.ID, Organisation: c.Organisation, Purpose: belpoortv1.Purpose(c.Purpose), Product: c.Product, Mode: belpoortv1.Mode(c.Mode),
			Dialing: belpoortv1.Dialing(c.Dialing), Brand: c.Brand, Suspended: c.Suspended, Policy: settings(c.Policy),
		})
	}
	for _, f := range file.Families {
		m.ProductFamilies = append(m.ProductFamilies, &belpoortv1.ProductFamily{Id: f.ID, Products: f.Products})
	}
	return m
}
