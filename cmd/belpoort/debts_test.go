package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// strictCatalogue asks for the offer within a second, and puts up with two debts.
func strictCatalogue() string {
	return strings.Replace(testCatalogue(), "offer_deadline: 24 hours", "offer_deadline: 1 second\n  offer_debt_limit: {percent: 0, at_least: 3}", 1)
}

// within which a debt that falls due stops its campaign on every node.
const stopsWithin = 2 * time.Second

// permits lets a node allow calls to some callees.
func (n *clusterNode) permits(from, through int) []string {
	n.t.Helper()
	var permits []string
	for i := from; i < through; i++ {
		answer, err := n.within(time.Second, subject(i))
		if err != nil || !isAllowed(answer) {
			n.t.Fatalf("%v, %v", answer, err)
		}
		permits = append(permits, answer.GetPermit())
	}
	return permits
}

func (n *clusterNode) report(permit string, offered bool) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 5*time.Second)
	defer cancel()
	if _, err := belpoortv1.NewGatekeeperServiceClient(n.conn).ReportCall(n.as(ctx), &belpoortv1.ReportCallRequest{
		Permit: permit, Outcome: belpoortv1.Outcome_OUTCOME_ANSWERED, DialTime: timestamppb.Now(), ObjectionOffered: offered,
	}); err != nil {
		n.t.Fatal(err)
	}
}

// would asks whether a node would allow a call, so that the question itself makes no debt.
func (n *clusterNode) would(callee string) (*belpoortv1.CheckCallResponse, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Second)
	defer cancel()
	return belpoortv1.NewGatekeeperServiceClient(n.conn).CheckCall(n.as(ctx), &belpoortv1.CheckCallRequest{
		Callee: callee, Campaign: "volt", CallerId: shownNumber, DryRun: true,
	})
}

func suspendedOn(n *clusterNode, callee string) bool {
	answer, err := n.would(callee)
	return err == nil && answer.GetReason() == belpoortv1.Reason_REASON_CAMPAIGN_SUSPENDED && !isAllowed(answer)
}

// wantSuspended wants every node to refuse the campaign's calls within a time.
func (c *cluster) wantSuspended(callee string, within time.Duration) {
	c.t.Helper()
	for i, n := range c.nodes {
		comesTrue(c.t, within, fmt.Sprintf("node %d refuses the campaign", i+1), func() bool { return suspendedOn(n, callee) })
	}
}

// Three calls without an offer stop the campaign on every node; a node that fails, one that is started anew, and one that
// joins, forgive nothing; reports to whatever node let it run again on all.
func TestUnpaidOffersStopACampaignOnEveryNode(t *testing.T) {
	c := startCluster(t, 3)
	one, two, three := c.nodes[0], c.nodes[1], c.nodes[2]
	one.must("apply", write(t, t.TempDir(), "catalogue.yaml", strictCatalogue()))
	one.consents(0, 5)
	permits := append(one.permits(0, 2), two.permits(2, 3)...)
	one.report(permits[0], false)
	due := time.Now().Add(time.Second)
	c.wantSuspended(subject(4), time.Until(due)+stopsWithin)
	t.Logf("on every node %v after the last debt fell due", time.Since(due).Round(time.Millisecond))

	one.kill()
	two.restart()
	c.nodes = c.nodes[1:]
	c.wantSuspended(subject(4), 0)
	time.Sleep(3 * time.Second / 2) // the new book is read, and judged more than once
	c.wantSuspended(subject(4), 0)
	if out := three.must("campaigns", "volt"); !strings.Contains(out, "OFFER_DEBT (3 offers of objection overdue") {
		t.Errorf("the table says:\n%s", out)
	}
	four := c.startNode()
	c.wantSuspended(subject(4), 0)

	four.report(permits[1], true)
	for i, n := range c.nodes {
		comesTrue(t, stopsWithin, fmt.Sprintf("node %d allows calls again", i+1), func() bool {
			answer, err := n.would(subject(4))
			return err == nil && isAllowed(answer)
		})
	}
}

// The same for one node on its own; and an officer's word.
func TestCampaignsAreShownStoppedAndResumed(t *testing.T) {
	p := stocked(t)
	p.must("apply", write(t, t.TempDir(), "catalogue.yaml", strictCatalogue()))
	numbers := []string{"06-12345671", "06-12345672", "06-12345673"}
	p.must("import", "consents", write(t, t.TempDir(), "more.csv", consentsFile(numbers...)))
	for _, number := range numbers {
		if code, answer := p.check(number); code != exitOK {
			t.Fatal(answer)
		}
	}
	comesTrue(t, time.Second+stopsWithin, "the campaign is refused", func() bool {
		code, answer := p.check(allowedNumber, "--dry-run")
		return code == exitDeny && answer["reason"] == "REASON_CAMPAIGN_SUSPENDED"
	})
	var listed struct {
		Campaigns []struct {
			Campaign   string
			Suspension map[string]any
		}
	}
	if err := json.Unmarshal([]byte(p.must("campaigns", "--json")), &listed); err != nil || len(listed.Campaigns) != 1 ||
		listed.Campaigns[0].Suspension["cause"] != "SUSPENSION_CAUSE_OFFER_DEBT" {
		t.Errorf("%v, %v", listed, err)
	}
	if out := p.must("campaigns", "resume", "volt", "--reason", "the reports were lost"); !strings.HasPrefix(out, "campaign volt resumed\n  ledger    position ") {
		t.Errorf("resume says %q", out)
	}
	if code, answer := p.check(allowedNumber, "--dry-run"); code != exitOK {
		t.Errorf("after it was resumed: %v", answer)
	}
	p.must("campaigns", "suspend", "volt", "--reason", "complaints")
	if code, answer := p.check(allowedNumber, "--dry-run"); code != exitDeny {
		t.Errorf("after it was suspended: %v", answer)
	}
	if out := p.must("campaigns"); !strings.Contains(out, "OFFICER (complaints, by operator)") {
		t.Errorf("the table says:\n%s", out)
	}
	for _, bad := range [][]string{{"campaigns", "suspend", "volt"}, {"campaigns", "resume", "nope", "--reason", "r"}, {"campaigns", "nope"}} {
		if code, out := p.cli(bad...); code != exitUsage {
			t.Errorf("%v: exit %d: %s", bad, code, out)
		}
	}
}
