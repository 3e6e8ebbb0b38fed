package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/eligibility/law"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func comparedCall(callee string) *belpoortv1.ComparedCall {
	return &belpoortv1.ComparedCall{Callee: callee, Campaign: "acme-x", CallerId: "020-1234567", Person: "P"}
}

func supposePolicy(t testing.TB, settings map[string]any) *belpoortv1.Hypothesis {
	t.Helper()
	m, err := structpb.NewStruct(settings)
	if err != nil {
		t.Fatal(err)
	}
	return &belpoortv1.Hypothesis{Change: &belpoortv1.Hypothesis_Policy{Policy: m}}
}

func supposeLaw(file string) *belpoortv1.Hypothesis {
	return &belpoortv1.Hypothesis{Change: &belpoortv1.Hypothesis_Law{Law: []byte(file)}, LawName: "new.yaml"}
}

// compareAs sends a hypothesis and calls, a message each.
func (n *node) compareAs(
	client string, h *belpoortv1.Hypothesis, batches ...[]*belpoortv1.ComparedCall,
) (*belpoortv1.CompareCallsResponse, error) {
	n.t.Helper()
	requests := []*belpoortv1.CompareCallsRequest{{Hypothesis: h}}
	for _, calls := range batches {
		requests = append(requests, &belpoortv1.CompareCallsRequest{Calls: calls})
	}
	return n.compareRaw(client, requests...)
}

func (n *node) compareRaw(client string, requests ...*belpoortv1.CompareCallsRequest) (*belpoortv1.CompareCallsResponse, error) {
	n.t.Helper()
	stream, err := belpoortv1.NewAuditServiceClient(n.conn).CompareCalls(n.as(client))
	if err != nil {
		n.t.Fatal(err)
	}
	for _, req := range requests {
		if err := stream.Send(req); errors.Is(err, io.EOF) {
			break // the answer says why
		} else if err != nil {
			n.t.Fatal(err)
		}
	}
	return stream.CloseAndRecv()
}

func (n *node) mustCompare(h *belpoortv1.Hypothesis, batches ...[]*belpoortv1.ComparedCall) *belpoortv1.CompareCallsResponse {
	n.t.Helper()
	answer, err := n.compareAs("compliance-all", h, batches...)
	if err != nil {
		n.t.Fatal(err)
	}
	return answer
}

// shown writes an answer's counts as "campaign ALLOW OK_CONSENT -> DENY CONSENT_EXPIRED 1".
func shown(m *belpoortv1.CompareCallsResponse) []string {
	var lines []string
	for _, a := range m.GetAnswers() {
		lines = append(lines, fmt.Sprintf("%s %v %v -> %v %v %d", a.GetCampaign(), eligibility.Verdict(a.GetVerdict()),
			eligibility.Reason(a.GetReason()), eligibility.Verdict(a.GetHypothesisVerdict()), eligibility.Reason(a.GetHypothesisReason()), a.GetCount()))
	}
	return lines
}

func wantShown(t testing.TB, what string, m *belpoortv1.CompareCallsResponse, changed uint64, want ...string) {
	t.Helper()
	if got := shown(m); strings.Join(got, "\n") != strings.Join(want, "\n") || m.GetChanged() != changed {
		t.Errorf("%s: %d changed, want %d:\n%s\nwant\n%s", what, m.GetChanged(), changed, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func lawFile(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("../eligibility/law/nl.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// changedLaw is the Dutch law with one passage replaced.
func changedLaw(t testing.TB, old, with string) string {
	t.Helper()
	file := lawFile(t)
	if !strings.Contains(file, old) {
		t.Fatalf("the law has no %q", old)
	}
	return strings.Replace(file, old, with, 1)
}

const consentTerm = "consent_max_age: {default: 12 months"

func TestAChangeOfPolicyIsCountedByCampaignAndReason(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.record("06-11111111", consentOf("c-2", "acme"), "r-2")
	n.record("06-22222222", consentOf("c-3", "globex"), "r-3")
	globex := &belpoortv1.ComparedCall{Callee: "06-22222222", Campaign: "globex-x", CallerId: "020-1234568"}
	stranger := comparedCall("06-11111111")
	stranger.Person = "Q"
	calls := [][]*belpoortv1.ComparedCall{
		{comparedCall(callee), comparedCall("06-11111111"), comparedCall("06-87654321")},
		{comparedCall("112"), globex, stranger},
	}
	got := n.mustCompare(supposePolicy(t, map[string]any{"consent_max_age": "1 month"}), calls...)
	wantShown(t, "a shorter term", got, 4,
		"acme-x ALLOW OK_CONSENT -> DENY CONSENT_EXPIRED 2",
		"acme-x DENY CALLEE_INVALID -> DENY CALLEE_INVALID 1",
		"acme-x DENY EVIDENCE_MISSING -> DENY CONSENT_EXPIRED 1",
		"acme-x DENY NO_BASIS -> DENY NO_BASIS 1",
		"globex-x ALLOW OK_CONSENT -> DENY CONSENT_EXPIRED 1")
	version := dutchLaw().Version
	if got.GetCalls() != 6 || got.GetRejected() != 0 || got.GetLawVersion() != version || got.GetHypothesisLawVersion() != version ||
		got.GetCataloguePosition() != 1 || !got.GetDialTime().AsTime().Equal(wednesday) {
		t.Errorf("got %v", got)
	}
	got = n.mustCompare(supposePolicy(t, map[string]any{"consent_max_age": "12 months"}), calls...)
	if got.GetCalls() != 6 || got.GetChanged() != 0 {
		t.Errorf("what is so already changes %d of %d", got.GetChanged(), got.GetCalls())
	}
}

// A catalogue's own settings stand above a supposed law's defaults, and below supposed settings.
func TestASupposedLawLiesUnderTheCatalogue(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.record(callee, consentOf("c-2", "globex"), "r-2")
	own := testCatalogue()
	own.Campaigns[1].Policy, _ = structpb.NewStruct(map[string]any{"consent_max_age": "24 months"})
	n.apply(own)
	calls := []*belpoortv1.ComparedCall{
		comparedCall(callee), {Callee: callee, Campaign: "globex-x", CallerId: "020-1234568", Person: "P"},
	}
	file := changedLaw(t, consentTerm, "consent_max_age: {default: 1 day")
	got := n.mustCompare(supposeLaw(file), calls)
	wantShown(t, "a law with a shorter term", got, 1,
		"acme-x ALLOW OK_CONSENT -> DENY CONSENT_EXPIRED 1", "globex-x ALLOW OK_CONSENT -> ALLOW OK_CONSENT 1")
	if got.GetLawVersion() != dutchLaw().Version || got.GetHypothesisLawVersion() != law.Version([]byte(file)) {
		t.Errorf("versions %s and %s", got.GetLawVersion(), got.GetHypothesisLawVersion())
	}
	got = n.mustCompare(supposePolicy(t, map[string]any{"consent_max_age": "1 day"}), calls)
	wantShown(t, "a policy over all", got, 2,
		"acme-x ALLOW OK_CONSENT -> DENY CONSENT_EXPIRED 1", "globex-x ALLOW OK_CONSENT -> DENY CONSENT_EXPIRED 1")
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
}

// A comparison of days to come is made at that instant on both sides, whatever the clock says. The mutant
// mutant_compare_two_instants must fail here.
func TestBothSidesAreDecidedAtOneInstant(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	sunday := time.Date(2026, 11, 22, 14, 0, 0, 0, eligibility.Amsterdam)
	for _, c := range []struct {
		clock, asked time.Time
		want         string
	}{
		{sunday, wednesday, "acme-x ALLOW OK_CONSENT -> ALLOW OK_CONSENT 1"},
		{wednesday, sunday, "acme-x DEFER HOLIDAY -> DEFER HOLIDAY 1"},
		{sunday, time.Time{}, "acme-x DEFER HOLIDAY -> DEFER HOLIDAY 1"},
	} {
		n.setClock(c.clock)
		h, at := supposePolicy(t, map[string]any{"minimum_age": 18}), c.clock
		if !c.asked.IsZero() {
			h.DialTime, at = stampAt(c.asked), c.asked
		}
		got := n.mustCompare(h, []*belpoortv1.ComparedCall{comparedCall(callee)})
		wantShown(t, fmt.Sprint("at ", c.asked), got, 0, c.want)
		if !got.GetDialTime().AsTime().Equal(at) {
			t.Errorf("decided at %v, want %v", got.GetDialTime().AsTime(), at)
		}
	}
}

func TestAComparisonLeavesNothing(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	before := n.mustCheck(callee)
	journalled := n.journal.Stats().Appended
	n.mustCompare(supposePolicy(t, map[string]any{"consent_max_age": "1 day"}), []*belpoortv1.ComparedCall{comparedCall(callee), comparedCall("06-87654321")})
	n.mustCompare(supposeLaw(changedLaw(t, consentTerm, "consent_max_age: {default: 1 day")), []*belpoortv1.ComparedCall{comparedCall(callee)})
	if now := n.journal.Stats().Appended; now != journalled {
		t.Errorf("%d decisions were journalled", now-journalled)
	}
	after := n.mustCheck(callee)
	n.wants(after, eligibility.Allow, eligibility.OKConsent)
	if after.GetLedgerPosition() != before.GetLedgerPosition() || after.GetLawVersion() != before.GetLawVersion() {
		t.Errorf("before %v, after %v", before, after)
	}
	got, err := n.calleeAs("compliance-all", callee)
	if err != nil || len(got.GetDecisions()) != 2 || len(got.GetEntries()) != 1 {
		t.Errorf("the callee has %v, %v", got, err)
	}
}

func TestWrongHypothesesAreRefusedByField(t *testing.T) {
	n := startNode(t, nil)
	setting := func(name string, value any) *belpoortv1.Hypothesis {
		return supposePolicy(t, map[string]any{name: value})
	}
	at := func(instant time.Time) *belpoortv1.Hypothesis {
		h := setting("minimum_age", 18)
		h.DialTime = stampAt(instant)
		return h
	}
	named := supposeLaw(lawFile(t))
	named.LawName = strings.Repeat("x", 129)
	wrongWord := changedLaw(t, consentTerm, "consent_max_age: {default: soon")
	line := 1 + strings.Count(wrongWord[:strings.Index(wrongWord, "{default: soon")], "\n")
	for name, c := range map[string]struct {
		h      *belpoortv1.Hypothesis
		reason string
		field  string
		says   string
	}{
		"none":              {nil, ReasonFieldMissing, "hypothesis", ""},
		"empty":             {&belpoortv1.Hypothesis{}, ReasonFieldMissing, "hypothesis.change", ""},
		"no settings":       {supposePolicy(t, nil), ReasonFieldMissing, "hypothesis.policy", ""},
		"unknown setting":   {setting("consent_max_oge", "1 day"), ReasonFieldInvalid, "hypothesis.policy.consent_max_oge", "unknown setting"},
		"wrong value":       {setting("consent_max_age", true), ReasonFieldInvalid, "hypothesis.policy.consent_max_age", "want a duration"},
		"negative":          {setting("request_ttl", "-1 days"), ReasonFieldInvalid, "hypothesis.policy.request_ttl", ""},
		"inner key":         {setting("max_attempts", map[string]any{"per_week": 1}), ReasonFieldInvalid, "hypothesis.policy.max_attempts.per_week", "unknown key"},
		"never open":        {setting("hours", "Mon 24:00-24:00"), ReasonFieldInvalid, "hypothesis.policy.hours", ""},
		"a long value":      {setting("hours", strings.Repeat("é", 50_000)), ReasonFieldInvalid, "hypothesis.policy.hours", "..."},
		"too early":         {at(time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)), ReasonFieldInvalid, "hypothesis.dial_time", "1970"},
		"too late":          {at(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)), ReasonFieldInvalid, "hypothesis.dial_time", "2200"},
		"no law":            {supposeLaw(""), ReasonFieldMissing, "hypothesis.law", ""},
		"no YAML":           {supposeLaw("regimes: ["), ReasonFieldInvalid, "hypothesis.law", "new.yaml"},
		"a word of the law": {supposeLaw(wrongWord), ReasonFieldInvalid, "hypothesis.law", fmt.Sprintf("new.yaml:%d: settings.consent_max_age", line)},
		"a law of 200 KiB":  {supposeLaw(strings.Repeat("# law\n", 35_000)), ReasonFieldInvalid, "hypothesis.law", "204800 bytes"},
		"a name of 129":     {named, ReasonFieldInvalid, "hypothesis.law_name", ""},
	} {
		_, err := n.compareAs("compliance-all", c.h, []*belpoortv1.ComparedCall{comparedCall(callee)})
		wantError(t, name, err, codes.InvalidArgument, c.reason, c.field)
		if err != nil && (!strings.Contains(err.Error(), c.says) || len(err.Error()) > 2000) {
			t.Errorf("%s: %v", name, err)
		}
	}
	again := &belpoortv1.CompareCallsRequest{Hypothesis: setting("minimum_age", 18)}
	_, err := n.compareRaw("compliance-all", again, again)
	wantError(t, "a second hypothesis", err, codes.InvalidArgument, ReasonFieldInvalid, "hypothesis")
	_, err = n.compareRaw("compliance-all")
	wantError(t, "no message", err, codes.InvalidArgument, ReasonFieldMissing, "hypothesis")
	full := make([]*belpoortv1.ComparedCall, maxComparedCalls+1)
	for i := range full {
		full[i] = comparedCall("112")
	}
	_, err = n.compareAs("compliance-all", setting("minimum_age", 18), full)
	wantError(t, "501 calls", err, codes.InvalidArgument, ReasonFieldInvalid, "calls")
	if got := n.mustCompare(setting("minimum_age", 18), full[1:]); got.GetCalls() != maxComparedCalls {
		t.Errorf("of 500 calls %d were decided", got.GetCalls())
	}
}

// Settings are read also where there is no campaign to lay them over.
func TestSettingsAreReadWithoutACatalogue(t *testing.T) {
	n := newNode(t, t.TempDir(), nil)
	n.start()
	_, err := n.compareAs("compliance-all", supposePolicy(t, map[string]any{"hours": "never"}))
	wantError(t, "without a catalogue", err, codes.InvalidArgument, ReasonFieldInvalid, "hypothesis.policy.hours")
	if got := n.mustCompare(supposePolicy(t, map[string]any{"minimum_age": 18})); got.GetCalls() != 0 || got.GetCataloguePosition() != 0 {
		t.Errorf("got %v", got)
	}
}

func TestFaultyCallsAreNamedAndTheOthersDecided(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	with := func(change func(*belpoortv1.ComparedCall)) *belpoortv1.ComparedCall {
		call := proto.CloneOf(comparedCall(callee))
		change(call)
		return call
	}
	type call = *belpoortv1.ComparedCall
	got := n.mustCompare(supposePolicy(t, map[string]any{"consent_max_age": "1 day"}), []call{
		comparedCall(""), comparedCall(strings.Repeat("6", 41)), comparedCall(callee),
	}, []call{
		with(func(c call) { c.Campaign = "acme-y" }), with(func(c call) { c.Campaign = "" }), with(func(c call) { c.CallerId = "" }),
		with(func(c call) { c.CallerId = strings.Repeat("0", 41) }), with(func(c call) { c.Person = strings.Repeat("p", 129) }),
		comparedCall("0612"),
	})
	wantShown(t, "the others", got, 1, "acme-x ALLOW OK_CONSENT -> DENY CONSENT_EXPIRED 1", "acme-x DENY CALLEE_INVALID -> DENY CALLEE_INVALID 1")
	var rejected []string
	for _, r := range got.GetRejections() {
		rejected = append(rejected, fmt.Sprint(r.GetIndex(), " ", r.GetField()))
		if strings.ContainsAny(r.GetDescription(), "6") || !strings.HasPrefix(r.GetDescription(), r.GetField()) {
			t.Errorf("described as %q", r.GetDescription())
		}
	}
	if want := "0 callee, 1 callee, 3 campaign, 4 campaign, 5 caller_id, 6 caller_id, 7 person"; strings.Join(rejected, ", ") != want || got.GetRejected() != 7 {
		t.Errorf("rejected %v, want %s", rejected, want)
	}
	many := make([]call, maxComparedCalls)
	for i := range many {
		many[i] = comparedCall("")
	}
	got = n.mustCompare(supposePolicy(t, map[string]any{"minimum_age": 18}), many, many, many)
	if got.GetRejected() != 1500 || len(got.GetRejections()) != maxRejections || got.GetCalls() != 0 {
		t.Errorf("of 1,500 faulty calls %d rejected, %d named, %d decided", got.GetRejected(), len(got.GetRejections()), got.GetCalls())
	}
}

// A key that may act for some organisations compares only their campaigns.
func TestAComparisonIsBoundToOrganisations(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "globex"), "r-1")
	globex := &belpoortv1.ComparedCall{Callee: callee, Campaign: "globex-x", CallerId: "020-1234568"}
	for _, h := range []*belpoortv1.Hypothesis{
		supposePolicy(t, map[string]any{"consent_max_age": "1 day"}), supposeLaw(changedLaw(t, consentTerm, "consent_max_age: {default: 1 day")),
	} {
		got, err := n.compareAs("compliance-glo", h, []*belpoortv1.ComparedCall{comparedCall(callee), globex})
		if err != nil {
			t.Fatal(err)
		}
		wantShown(t, "its own", got, 1, "globex-x ALLOW OK_CONSENT -> DENY CONSENT_EXPIRED 1")
		if got.GetRejected() != 1 || got.GetRejections()[0].GetField() != "campaign" {
			t.Errorf("another's: %v", got.GetRejections())
		}
	}
	_, err := n.compareAs("dialer-all", supposePolicy(t, map[string]any{"minimum_age": 18}))
	wantError(t, "a dialer", err, codes.PermissionDenied, ReasonRoleForbidden, "")
}

// While checks keep the ledger busy a comparison waits, and takes no place of theirs for longer than one reading.
func TestAComparisonWaitsForABusyLedger(t *testing.T) {
	n := startNode(t, func(c *Config) { c.LedgerReads = 1 })
	reading, release := make(chan struct{}, 8), make(chan struct{})
	n.breakLedger(func(operation string) error {
		if operation == "Facts" {
			reading <- struct{}{}
			<-release
		}
		return nil
	})
	checked := make(chan error, 1)
	go func() {
		_, err := n.check("dialer-acme", checkOf("06-11111111"))
		checked <- err
	}()
	<-reading
	compared := make(chan *belpoortv1.CompareCallsResponse, 1)
	go func() {
		got, err := n.compareAs("compliance-all", supposePolicy(t, map[string]any{"minimum_age": 18}), []*belpoortv1.ComparedCall{comparedCall("06-22222222")})
		if err != nil {
			t.Error(err)
		}
		compared <- got
	}()
	n.waitForMisses(3) // the check's, and the comparison's first two
	close(release)
	if err := <-checked; err != nil {
		t.Errorf("the check: %v", err)
	}
	wantShown(t, "after the wait", <-compared, 0, "acme-x DENY NO_BASIS -> DENY NO_BASIS 1")
}

func TestAComparisonWithoutALedgerFails(t *testing.T) {
	n := startNode(t, nil)
	n.breakLedger(func(string) error { return errBroken })
	_, err := n.compareAs("compliance-all", supposePolicy(t, map[string]any{"minimum_age": 18}), []*belpoortv1.ComparedCall{comparedCall(callee)})
	wantError(t, "without a ledger", err, codes.Unavailable, ReasonLedgerUnavailable, "")
}

// An objection that was acknowledged before the comparison began counts on both sides.
func TestAnObjectionCountsOnBothSides(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.mustCheck(callee)
	if _, err := n.object("ivr-acme", objectionOf(callee, "o-1")); err != nil {
		t.Fatal(err)
	}
	got := n.mustCompare(supposePolicy(t, map[string]any{"consent_max_age": "2 years"}), []*belpoortv1.ComparedCall{comparedCall(callee)})
	wantShown(t, "after an objection", got, 0, "acme-x DENY OBJECTED -> DENY OBJECTED 1")
}
