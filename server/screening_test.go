package server

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func listOf(callees ...string) *belpoortv1.ScreenNumbersRequest {
	return &belpoortv1.ScreenNumbersRequest{Campaign: "acme-x", CallerId: "020-1234567", Callees: callees}
}

// screenAs sends lists in one stream and gives the answers.
func (n *node) screenAs(client string, lists ...*belpoortv1.ScreenNumbersRequest) ([]*belpoortv1.ScreenNumbersResponse, error) {
	stream, err := belpoortv1.NewGatekeeperServiceClient(n.conn).ScreenNumbers(n.as(client))
	if err != nil {
		return nil, err
	}
	go func() {
		for _, list := range lists {
			if stream.Send(list) != nil {
				return
			}
		}
		_ = stream.CloseSend()
	}()
	var answers []*belpoortv1.ScreenNumbersResponse
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return answers, nil
		}
		if err != nil {
			return answers, err
		}
		answers = append(answers, answer)
	}
}

func (n *node) mustScreen(lists ...*belpoortv1.ScreenNumbersRequest) []*belpoortv1.ScreenNumbersResponse {
	n.t.Helper()
	answers, err := n.screenAs("dialer-acme", lists...)
	if err != nil || len(answers) != len(lists) {
		n.t.Fatalf("%d answers to %d lists, %v", len(answers), len(lists), err)
	}
	return answers
}

// variedCallees records facts that lead to many verdicts, and gives the numbers.
func (n *node) variedCallees() []string {
	objection := knownObjection()
	objection.GetObjection().Organisation = "acme"
	unproven := consentOf("c-u", "acme")
	unproven.GetConsent().Evidence = nil
	n.record("0612345601", consentOf("c-1", "acme"), "v-1")
	n.record("0612345602", consentOf("c-2", "acme"), "v-2")
	n.record("0612345602", objection, "v-3")
	n.record("0612345603", unproven, "v-4")
	n.record("0612345604", consentOf("c-4", "globex"), "v-5")
	return []string{"0612345601", "+31 6 12345602", "06-12345603", "0031612345604", "0612345605", "06-1234567x", "112", "+3225551234", "0612345601"}
}

// A screening says what a check would: number by number, from the ledger and from the cache.
func TestAScreeningSaysWhatACheckWould(t *testing.T) {
	n := startNode(t, nil)
	numbers := n.variedCallees()
	for _, from := range []string{"ledger", "cache"} {
		answer := n.mustScreen(listOf(numbers...))[0]
		for i, number := range numbers {
			req := checkOf(number)
			req.DryRun, req.Person = true, ""
			want, err := n.check("dialer-acme", req)
			if err != nil {
				t.Fatal(err)
			}
			got := answer.GetNumbers()[i]
			if got.GetVerdict() != want.GetVerdict() || got.GetReason() != want.GetReason() ||
				!proto.Equal(got.GetValidUntil(), want.GetValidUntil()) || !proto.Equal(got.GetBasis(), want.GetBasis()) {
				t.Errorf("from the %s, number %d: screened %v, checked %v", from, i, got, want)
			}
		}
		if answer.GetLawVersion() != dutchLaw().Version || answer.GetCataloguePosition() == 0 || !answer.GetDialTime().AsTime().Equal(wednesday) {
			t.Errorf("rests on %v", answer)
		}
	}
}

// Lists are answered in their order, whatever each of them takes.
func TestListsAreAnsweredInTheirOrder(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	var lists []*belpoortv1.ScreenNumbersRequest
	for i := range 40 {
		size := 1 + (i*131)%700
		list := listOf(slices.Repeat([]string{"0687654321"}, size)...)
		list.Callees[i%size] = callee
		lists = append(lists, list)
	}
	for i, answer := range n.mustScreen(lists...) {
		allowed := slices.IndexFunc(answer.GetNumbers(), func(s *belpoortv1.ScreenedNumber) bool {
			return s.GetVerdict() == belpoortv1.Verdict_VERDICT_ALLOW
		})
		if size := len(lists[i].Callees); len(answer.GetNumbers()) != size || allowed != i%size {
			t.Errorf("list %d of %d numbers: %d answers, the one allowed at %d", i, size, len(answer.GetNumbers()), allowed)
		}
	}
}

// A screening leaves nothing: no decision, no attempt, no hold on the callee.
func TestAScreeningLeavesNothing(t *testing.T) {
	n := startNode(t, func(c *Config) { c.AllowWindow = 2 * time.Second })
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	before := n.journal.Stats().Appended
	for range 3 {
		if got := n.mustScreen(listOf(callee, callee))[0].GetNumbers()[1]; got.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW {
			t.Fatalf("screened %v", got)
		}
	}
	if now := n.journal.Stats().Appended; now != before {
		t.Errorf("%d records in the journal", now-before)
	}
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
	if got := n.mustScreen(listOf(callee))[0].GetNumbers()[0]; got.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW {
		t.Errorf("while a call is under way: %v", got)
	}
}

func TestAScreeningAsksAboutPersonsAndInstants(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	list := listOf(callee, callee, callee)
	list.Persons = []string{"P", "Q", ""}
	want := []eligibility.Reason{eligibility.OKConsent, eligibility.EvidenceMissing, eligibility.OKConsent}
	late := listOf(callee)
	late.DialTime = stampAt(time.Date(2026, 11, 22, 14, 0, 0, 0, eligibility.Amsterdam))
	answers := n.mustScreen(list, late)
	for i, got := range answers[0].GetNumbers() {
		if got.GetReason() != belpoortv1.Reason(want[i]) {
			t.Errorf("person %q: %v", list.Persons[i], got)
		}
	}
	if got := answers[1].GetNumbers()[0]; got.GetReason() != belpoortv1.Reason(eligibility.Holiday) {
		t.Errorf("on a Sunday: %v", got)
	}
}

func TestBadScreeningsAreRefusedByField(t *testing.T) {
	n := startNode(t, nil)
	type req = *belpoortv1.ScreenNumbersRequest
	for _, c := range []struct {
		name   string
		change func(req)
		code   codes.Code
		reason string
		field  string
	}{
		{"no numbers", func(r req) { r.Callees = nil }, codes.InvalidArgument, ReasonFieldMissing, "callees"},
		{"1,001 numbers", func(r req) { r.Callees = slices.Repeat(r.Callees, 501)[:1001] }, codes.InvalidArgument, ReasonFieldInvalid, "callees"},
		{"an empty number", func(r req) { r.Callees[1] = "" }, codes.InvalidArgument, ReasonFieldMissing, "callees[1]"},
		{"a long number", func(r req) { r.Callees[1] = strings.Repeat("6", 41) }, codes.InvalidArgument, ReasonFieldInvalid, "callees[1]"},
		{"one person for two", func(r req) { r.Persons = []string{"P"} }, codes.InvalidArgument, ReasonFieldInvalid, "persons"},
		{"a long person", func(r req) { r.Persons = []string{"P", strings.Repeat("x", 129)} }, codes.InvalidArgument, ReasonFieldInvalid, "persons[1]"},
		{"no campaign", func(r req) { r.Campaign = "" }, codes.InvalidArgument, ReasonFieldMissing, "campaign"},
		{"unknown campaign", func(r req) { r.Campaign = "nope" }, codes.NotFound, ReasonCampaignUnknown, "campaign"},
		{"another's campaign", func(r req) { r.Campaign = "globex-x" }, codes.PermissionDenied, ReasonOrganisationForbidden, "campaign"},
		{"no caller ID", func(r req) { r.CallerId = "" }, codes.InvalidArgument, ReasonFieldMissing, "caller_id"},
		{"an instant before all law", func(r req) { r.DialTime = stampAt(time.Unix(-1, 0)) }, codes.InvalidArgument, ReasonFieldInvalid, "dial_time"},
	} {
		list := listOf(callee, "0687654321")
		c.change(list)
		answers, err := n.screenAs("dialer-acme", listOf(callee), list)
		wantError(t, c.name, err, c.code, c.reason, c.field)
		if len(answers) != 1 {
			t.Errorf("%s: %d answers before it", c.name, len(answers))
		}
		if err != nil && strings.Contains(err.Error(), "12345678") {
			t.Errorf("%s: the number is shown: %v", c.name, err)
		}
	}
}

// G4: where the lease is lost, what the cache holds says nothing; where the ledger is away too, nothing is said.
func TestAScreeningWithoutTheLeaseReadsTheLedger(t *testing.T) {
	n, lease := startLeased(t)
	objection := knownObjection()
	objection.GetObjection().Organisation = "acme"
	n.elsewhere(callee, objection, "elsewhere")
	lease.lost.Store(true)
	if got := n.mustScreen(listOf(callee))[0].GetNumbers()[0]; got.GetReason() != belpoortv1.Reason(eligibility.Objected) {
		t.Errorf("an objection at another node: %v", got)
	}
	n.breakLedger(func(string) error { return errBroken })
	_, err := n.screenAs("dialer-acme", listOf(callee))
	wantError(t, "a broken ledger", err, codes.Unavailable, ReasonLedgerUnavailable, "")
}

func TestAnObjectionCountsInTheNextScreening(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	warm := listOf(callee)
	warm.Warm = true
	n.mustScreen(warm)
	if _, err := n.object("dialer-acme", objectionOf(callee, "o-1")); err != nil {
		t.Fatal(err)
	}
	if got := n.mustScreen(listOf(callee))[0].GetNumbers()[0]; got.GetReason() != belpoortv1.Reason(eligibility.Objected) {
		t.Errorf("after an objection: %v", got)
	}
}

// What is warmed is in the cache; what is only screened is not, since a long list would drive out what dialers need.
func TestOnlyAWarmedListIsKept(t *testing.T) {
	n := startNode(t, nil)
	list := listOf()
	for i := range 600 {
		list.Callees = append(list.Callees, fmt.Sprintf("06%08d", 20_000_000+i))
	}
	reads := 0
	n.breakLedger(func(operation string) error {
		if operation == "FactsOfMany" {
			reads++
		}
		return nil
	})
	n.mustScreen(list)
	n.mustScreen(list)
	if reads != 2 {
		t.Errorf("the ledger was read %d times for two lists, want 2", reads)
	}
	warm := proto.Clone(list).(*belpoortv1.ScreenNumbersRequest)
	warm.Warm = true
	n.mustScreen(warm)
	n.mustScreen(list)
	if reads != 3 {
		t.Errorf("the ledger was read %d times, want 3: the last list was warmed", reads)
	}
}

func TestWarmingKeepsItsPace(t *testing.T) {
	n := startNode(t, func(c *Config) { c.WarmedPerSecond = 2000 })
	list := listOf()
	for i := range 400 {
		list.Callees = append(list.Callees, fmt.Sprintf("06%08d", 20_000_000+i))
	}
	list.Warm = true
	other := proto.Clone(list).(*belpoortv1.ScreenNumbersRequest)
	for i := range other.Callees {
		other.Callees[i] = fmt.Sprintf("06%08d", 30_000_000+i)
	}
	began := time.Now()
	n.mustScreen(list, other)
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("800 callees at 2,000 a second took %v", took)
	}
}

func TestAKeyScreensOnlySoMuch(t *testing.T) {
	n := startNode(t, func(c *Config) { c.ScreenedPerHour = 10 })
	three := listOf(callee, callee, callee)
	answers, err := n.screenAs("dialer-acme", three, three, three, three)
	wantError(t, "12 numbers of 10", err, codes.ResourceExhausted, ReasonScreeningLimit, "")
	if len(answers) != 3 {
		t.Errorf("%d lists answered, want 3", len(answers))
	}
	n.mustScreen(listOf(callee)) // what does not fit takes nothing
	if _, err := n.screenAs("dialer-all", three); err != nil {
		t.Errorf("another key: %v", err)
	}
	later := wednesday.Add(61 * time.Minute)
	n.setClock(later)
	n.mustScreen(three)
}

func TestAKeyScreensOnlySoManyListsAtOnce(t *testing.T) {
	n := startNode(t, nil)
	client := belpoortv1.NewGatekeeperServiceClient(n.conn)
	for i := range maxScreenStreams {
		stream, err := client.ScreenNumbers(n.as("dialer-acme"))
		if err == nil {
			err = stream.Send(listOf(callee))
		}
		if err == nil {
			_, err = stream.Recv()
		}
		if err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
	}
	_, err := n.screenAs("dialer-acme", listOf(callee))
	wantError(t, "one more stream", err, codes.ResourceExhausted, ReasonScreeningLimit, "")
}

func TestAnErasedFactIsUnavailableInAList(t *testing.T) {
	if got := foldRead([]Entry{{Position: 1, Callee: eligibility.CalleeToken{1}, Erased: true}}, 1, wednesday); got.err == nil || got.e != nil {
		t.Errorf("an erased fact reads as %+v", got)
	}
}
