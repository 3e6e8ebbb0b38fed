package server

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func (n *node) reportImport(client, requestID string, m *belpoortv1.ImportReport) (*belpoortv1.RecordImportResponse, error) {
	return belpoortv1.NewRegisterServiceClient(n.conn).RecordImport(n.as(client), &belpoortv1.RecordImportRequest{Report: m, RequestId: requestID})
}

func (n *node) importsFor(client string, req *belpoortv1.ListImportsRequest) *belpoortv1.ListImportsResponse {
	n.t.Helper()
	answer, err := belpoortv1.NewRegisterServiceClient(n.conn).ListImports(n.as(client), req)
	if err != nil {
		n.t.Fatal(err)
	}
	return answer
}

func (n *node) anImport(id string) *belpoortv1.ImportReport {
	at := timestamppb.New(*n.clock.Load())
	return &belpoortv1.ImportReport{
		ImportId: id, Kind: "consents", File: "c.csv", Outcome: belpoortv1.ImportOutcome_IMPORT_OUTCOME_COMPLETED, Rows: 2, Recorded: 2, StartTime: at, EndTime: at,
	}
}

// A report of an import is recorded once for a request id, says who imported, and moves nothing else: no record, no catalogue.
func TestAnImportIsReportedOnce(t *testing.T) {
	n := startNode(t, nil)
	n.record("06-12345678", consentOf("c1", "acme"), "")
	before := n.mustCheck("06-12345678")
	m := n.anImport("imp-a")
	m.Client = "somebody"
	first, err := n.reportImport("register-all", "r1", m)
	if err != nil || first.GetUnchanged() {
		t.Fatalf("%v, %v", first, err)
	}
	if again, err := n.reportImport("register-all", "r1", m); err != nil || !again.GetUnchanged() || again.GetPosition() != first.GetPosition() {
		t.Errorf("%v, %v", again, err)
	}
	other := n.anImport("imp-b")
	if _, err := n.reportImport("register-all", "r1", other); status.Code(err) != codes.AlreadyExists {
		t.Errorf("%v", err)
	}
	if mine, err := n.reportImport("register-acme", "r1", other); err != nil || mine.GetPosition() != first.GetPosition()+1 {
		t.Errorf("another client's request id: %v, %v", mine, err)
	}
	for _, c := range []struct{ id, field string }{{"", "request_id"}, {"a\nb", "request_id"}, {"r9", "report.file"}} {
		bad := n.anImport("imp-a")
		bad.File = "0612345678.csv"
		_, err := n.reportImport("register-all", c.id, bad)
		if _, field := ReasonOf(err); field != c.field || status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v, want %s", err, c.field)
		}
	}
	all := n.importsFor("compliance-all", &belpoortv1.ListImportsRequest{}).GetImports()
	if len(all) != 2 || all[1].GetReport().GetClient() != "register-all" || all[1].GetPosition() != first.GetPosition() || all[0].GetReport().GetImportId() != "imp-b" {
		t.Errorf("%v", all)
	}
	after := n.mustCheck("06-12345678")
	if after.GetVerdict() != before.GetVerdict() || after.GetReason() != before.GetReason() {
		t.Errorf("%v, before %v", after, before)
	}
	if r, err := n.door.ledger.Verify(t.Context()); err != nil || !r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
}

// Who may not act for every organisation sees the imports that they made. The mutant mutant_imports_of_all must fail here.
func TestImportsAreListedForWhoMayKnow(t *testing.T) {
	n := startNode(t, nil)
	for i := range 25 {
		client := "register-all"
		if i%5 == 0 {
			client = "register-acme"
		}
		if _, err := n.reportImport(client, fmt.Sprint("r", i), n.anImport(fmt.Sprint("imp-", i%3))); err != nil {
			t.Fatal(err)
		}
	}
	listed := func(client string, req *belpoortv1.ListImportsRequest) (positions []uint64, pages int) {
		for {
			page := n.importsFor(client, req)
			pages++
			for _, i := range page.GetImports() {
				positions = append(positions, i.GetPosition())
			}
			if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
				return positions, pages
			}
		}
	}
	for _, c := range []struct {
		client string
		req    *belpoortv1.ListImportsRequest
		want   int
		pages  int
	}{
		{"compliance-all", &belpoortv1.ListImportsRequest{}, 25, 1},
		{"compliance-all", &belpoortv1.ListImportsRequest{PageSize: 10}, 25, 3},
		{"compliance-all", &belpoortv1.ListImportsRequest{ImportId: "imp-0", PageSize: 3}, 9, 4},
		{"compliance-all", &belpoortv1.ListImportsRequest{ImportId: "imp-none"}, 0, 1},
		{"register-all", &belpoortv1.ListImportsRequest{}, 25, 1},
		{"register-acme", &belpoortv1.ListImportsRequest{}, 5, 1},
		{"register-acme", &belpoortv1.ListImportsRequest{PageSize: 2, ImportId: "imp-0"}, 2, 2},
	} {
		positions, pages := listed(c.client, c.req)
		if len(positions) != c.want || pages != c.pages || !slices.IsSortedFunc(positions, func(a, b uint64) int { return int(b) - int(a) }) {
			t.Errorf("%s %v: %d reports on %d pages, want %d on %d: %v", c.client, c.req, len(positions), pages, c.want, c.pages, positions)
		}
	}
	for field, req := range map[string]*belpoortv1.ListImportsRequest{
		"page_size": {PageSize: 1001}, "page_token": {PageToken: "nonsense"}, "import_id": {ImportId: "0612345678"},
	} {
		_, err := belpoortv1.NewRegisterServiceClient(n.conn).ListImports(n.as("compliance-all"), req)
		if _, got := ReasonOf(err); got != field {
			t.Errorf("%v: %v", req, err)
		}
	}
}

// A ledger that is away is said to be, and the report can be repeated.
func TestAnImportIsNotReportedWithoutALedger(t *testing.T) {
	n := startNode(t, nil)
	n.breakLedger(func(operation string) error { return fmt.Errorf("%s: the disk is gone", operation) })
	if _, err := n.reportImport("register-all", "r1", n.anImport("imp-a")); status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
	n.breakLedger(func(string) error { return nil })
	if answer, err := n.reportImport("register-all", "r1", n.anImport("imp-a")); err != nil || answer.GetUnchanged() {
		t.Errorf("%v, %v", answer, err)
	}
}
