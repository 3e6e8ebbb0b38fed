package server

import (
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func (n *node) suspend(client string, req *belpoortv1.SuspendCampaignRequest) (uint64, error) {
	answer, err := belpoortv1.NewCatalogueServiceClient(n.conn).SuspendCampaign(n.as(client), req)
	return answer.GetPosition(), err
}

func (n *node) resume(client string, req *belpoortv1.ResumeCampaignRequest) (uint64, error) {
	answer, err := belpoortv1.NewCatalogueServiceClient(n.conn).ResumeCampaign(n.as(client), req)
	return answer.GetPosition(), err
}

func (n *node) mustSuspend(campaign, reason string) uint64 {
	n.t.Helper()
	position, err := n.suspend("ops-all", &belpoortv1.SuspendCampaignRequest{Campaign: campaign, Reason: reason})
	if err != nil {
		n.t.Fatal(err)
	}
	return position
}

func (n *node) mustResume(campaign, reason string) uint64 {
	n.t.Helper()
	position, err := n.resume("compliance-all", &belpoortv1.ResumeCampaignRequest{Campaign: campaign, Reason: reason})
	if err != nil {
		n.t.Fatal(err)
	}
	return position
}

// campaignStep is what an explanation says of the campaign's own state.
func (n *node) campaignStep(callee string, position uint64) *belpoortv1.RuleStep {
	n.t.Helper()
	answer, err := belpoortv1.NewAuditServiceClient(n.conn).ExplainCall(n.as("compliance-all"), &belpoortv1.ExplainCallRequest{
		Callee: callee, Campaign: "acme-x", CallerId: "020-1234567", Person: "P", Position: position,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	for _, step := range answer.GetSteps() {
		if step.GetRule() == "campaign" {
			return step
		}
	}
	n.t.Fatalf("no word of the campaign in %v", answer)
	return nil
}

func TestASuspendedCampaignStaysSoUntilItIsResumed(t *testing.T) {
	const callee = "+31612345678"
	dir := t.TempDir()
	var suspended, before uint64
	t.Run("before a restart", func(t *testing.T) {
		n := newNode(t, dir, nil)
		n.start()
		n.apply(testCatalogue())
		before = n.record(callee, consentOf("c1", "acme"), "").GetPosition()
		n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
		suspended = n.mustSuspend("acme-x", "complaints of 18 November")
		n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.CampaignSuspended)
		changed := testCatalogue()
		changed.Organisations[0].LegalName = "ACME Holding B.V."
		n.apply(changed)
		n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.CampaignSuspended)
	})
	n := newNode(t, dir, nil)
	n.start()
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.CampaignSuspended)
	n.wants(n.mustCheck("+31612345679"), eligibility.Deny, eligibility.NoBasis)
	resumed := n.mustResume("acme-x", "talked to the agents")
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
	for position, want := range map[uint64]bool{before: false, suspended: true, resumed - 1: true, resumed: false, 0: false} {
		step := n.campaignStep(callee, position)
		if step.GetPassed() == want || want && (step.GetPosition() != suspended || !strings.Contains(step.GetInputs(), "OFFICER") ||
			!strings.Contains(step.GetInputs(), "complaints of 18 November")) {
			t.Errorf("at position %d, suspended %v: %v", position, want, step)
		}
	}
}

// The catalogue's own word and the campaign's state are two things: neither takes the other away.
func TestWhatTheCatalogueSuspendsNobodyResumes(t *testing.T) {
	const callee = "+31612345678"
	n := startNode(t, nil)
	n.record(callee, consentOf("c1", "acme"), "")
	stopped := testCatalogue()
	stopped.Campaigns[0].Suspended = true
	n.mustSuspend("acme-x", "both")
	n.apply(stopped)
	n.mustResume("acme-x", "one of them")
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.CampaignSuspended)
	if step := n.campaignStep(callee, 0); !strings.Contains(step.GetInputs(), "in the catalogue yes") {
		t.Errorf("the step says %v", step)
	}
	_, err := n.resume("compliance-all", &belpoortv1.ResumeCampaignRequest{Campaign: "acme-x", Reason: "again"})
	wantError(t, "by the catalogue", err, codes.FailedPrecondition, ReasonCampaignRuns, "campaign")
	n.apply(testCatalogue())
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
}

func TestASuspensionIsMadeOnce(t *testing.T) {
	n := startNode(t, nil)
	ask := &belpoortv1.SuspendCampaignRequest{Campaign: "acme-x", Reason: "r", RequestId: "1"}
	first, err := n.suspend("ops-all", ask)
	if err != nil {
		t.Fatal(err)
	}
	n.mustResume("acme-x", "r")
	again, err := n.suspend("ops-all", ask)
	if err != nil || again != first {
		t.Errorf("again: %d, %v; the first stands at %d", again, err, first)
	}
	if n.force.Load().states.of("acme-x") != nil {
		t.Error("the repeat suspended the campaign anew")
	}
	_, err = n.suspend("ops-all", &belpoortv1.SuspendCampaignRequest{Campaign: "globex-x", Reason: "r", RequestId: "1"})
	wantError(t, "for another campaign", err, codes.AlreadyExists, ReasonRequestReused, "request_id")
	if _, err := n.suspend("compliance-all", &belpoortv1.SuspendCampaignRequest{Campaign: "globex-x", Reason: "r", RequestId: "1"}); err != nil {
		t.Errorf("another client's own id: %v", err)
	}
}

func TestSuspensionsOfSeveralAtOnceAllStand(t *testing.T) {
	n := startNode(t, nil)
	m := testCatalogue()
	first := m.Campaigns[0]
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		m.Campaigns = append(m.Campaigns, &belpoortv1.Campaign{
			Id: id, Organisation: "acme", Purpose: first.Purpose, Product: "power", Mode: first.Mode, Dialing: first.Dialing,
		})
	}
	n.apply(m)
	var all sync.WaitGroup
	for _, c := range m.Campaigns {
		all.Go(func() {
			if _, err := n.suspend("ops-all", &belpoortv1.SuspendCampaignRequest{Campaign: c.GetId(), Reason: "all of them"}); err != nil {
				t.Errorf("%s: %v", c.GetId(), err)
			}
		})
	}
	all.Wait()
	for _, c := range m.Campaigns {
		if n.force.Load().catalogue.Campaigns[c.GetId()].Suspension == nil {
			t.Errorf("%s runs", c.GetId())
		}
	}
}

func TestWrongSuspensionsAreRefused(t *testing.T) {
	n := startNode(t, nil)
	for what, c := range map[string]struct {
		campaign, reason, id string
		code                 codes.Code
		why, field           string
	}{
		"no campaign":      {"", "r", "", codes.InvalidArgument, ReasonFieldMissing, "campaign"},
		"unknown campaign": {"acme-y", "r", "", codes.NotFound, ReasonCampaignUnknown, "campaign"},
		"no reason":        {"acme-x", "", "", codes.InvalidArgument, ReasonFieldMissing, "reason"},
		"a long reason":    {"acme-x", strings.Repeat("r", 501), "", codes.InvalidArgument, ReasonFieldInvalid, "reason"},
		"a bell":           {"acme-x", "r\a", "", codes.InvalidArgument, ReasonFieldInvalid, "reason"},
		"a long id":        {"acme-x", "r", strings.Repeat("i", 129), codes.InvalidArgument, ReasonFieldInvalid, "request_id"},
	} {
		_, err := n.suspend("ops-all", &belpoortv1.SuspendCampaignRequest{Campaign: c.campaign, Reason: c.reason, RequestId: c.id})
		wantError(t, what, err, c.code, c.why, c.field)
		_, err = n.resume("compliance-all", &belpoortv1.ResumeCampaignRequest{Campaign: c.campaign, Reason: c.reason, RequestId: c.id})
		wantError(t, what, err, c.code, c.why, c.field)
	}
	_, err := n.resume("compliance-all", &belpoortv1.ResumeCampaignRequest{Campaign: "acme-x", Reason: "r"})
	wantError(t, "runs already", err, codes.FailedPrecondition, ReasonCampaignRuns, "campaign")
	_, err = n.suspend("ops-acme", &belpoortv1.SuspendCampaignRequest{Campaign: "globex-x", Reason: "r"})
	wantError(t, "another organisation's", err, codes.PermissionDenied, ReasonOrganisationForbidden, "campaign")
	_, err = n.resume("ops-all", &belpoortv1.ResumeCampaignRequest{Campaign: "acme-x", Reason: "r"})
	wantError(t, "without the role", err, codes.PermissionDenied, ReasonRoleForbidden, "")
	n.mustSuspend("acme-x", "r")
	_, err = n.resume("compliance-glo", &belpoortv1.ResumeCampaignRequest{Campaign: "acme-x", Reason: "r"})
	wantError(t, "another organisation's", err, codes.PermissionDenied, ReasonOrganisationForbidden, "campaign")
}

// A clock set back does not put a change before the one that it replaces.
func TestAChangeIsNeverOlderThanTheLast(t *testing.T) {
	n := startNode(t, nil)
	n.mustSuspend("acme-x", "r")
	n.setClock(wednesday.Add(-time.Hour))
	n.mustResume("acme-x", "r")
	if got := n.force.Load().states.message.GetChange().GetChangeTime().AsTime(); got.Before(wednesday) {
		t.Errorf("the change is of %v", got)
	}
}
