package record

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// What may be a telephone number is masked, and a date is none. The mutant mutant_import_number must fail here.
func TestNamesHoldNoNumbers(t *testing.T) {
	for name, want := range map[string]string{
		"consents.csv":                      "consents.csv",
		"consents-2026-11-20.csv":           "consents-2026-11-20.csv",
		"consents_20261120.csv":             "consents_20261120.csv",
		"consents 20-11-2026 14.05.csv":     "consents 20-11-2026 14.05.csv",
		"export 2026-11-20 14-05-30.csv":    "export 2026-11-20 14-05-30.csv",
		"row 12345678":                      "row 12345678",
		"0612345678.csv":                    "********78.csv",
		"bel 06-12 34 56 78 niet.csv":       "bel **-** ** ** 78 niet.csv",
		"+31 (0)6 12345678":                 "+** (*)* ******78",
		"06-2020-01-01.csv":                 "**-****-**-01.csv",
		"20261120-0612345678.csv":           "********-********78.csv",
		"a 0612345678 b 0612345679":         "a ********78 b ********79",
		"٠٦١٢٣٤٥٦٧٨":                        "********٧٨",
		"612345678/2026.csv":                "*********/**26.csv",
		"2026-11-20 14:05 and 06 12345678.": "2026-11-20 14:05 and ** ******78.",
	} {
		if got := WithoutNumbers(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
		if got := WithoutNumbers(WithoutNumbers(name)); got != WithoutNumbers(name) {
			t.Errorf("%q is masked twice: %q", name, got)
		}
	}
	if IsImportID("0612345678") || IsImportID("imp-06.12345678") || IsImportID("") || IsImportID("a b") || !IsImportID("2026-11-20_crm.1") {
		t.Error("an id may be a number, or what is one may not")
	}
}

func goodImport() *belpoortv1.ImportReport {
	return &belpoortv1.ImportReport{
		ImportId: "imp-abc", Kind: "consents", Source: "crm", File: "consents.csv", ContentSha256: strings.Repeat("0123456789abcdef", 4), Mapping: "crm.yaml",
		Outcome: belpoortv1.ImportOutcome_IMPORT_OUTCOME_COMPLETED, Rows: 10, Recorded: 5, Unchanged: 2, Rejected: 3,
		RejectedByReason: map[string]uint64{"bad_date": 1, "missing": 2}, StartTime: timestamppb.New(time.Unix(1_800_000_000, 0)), EndTime: timestamppb.New(time.Unix(1_800_000_010, 0)),
	}
}

// A report of an import is taken whole, or the field is named that keeps it from being taken.
func TestReportsOfImportsAreChecked(t *testing.T) {
	if err := CheckImport(goodImport()); err != nil {
		t.Fatal(err)
	}
	many := map[string]uint64{}
	for i := range 65 {
		many["reason_"+strings.Repeat("x", i)] = 0
	}
	for _, c := range []struct {
		change  func(*belpoortv1.ImportReport)
		field   string
		problem string
	}{
		{func(m *belpoortv1.ImportReport) { m.ImportId = "" }, "report.import_id", "must be 1 to 64"},
		{func(m *belpoortv1.ImportReport) { m.ImportId = strings.Repeat("x", 65) }, "report.import_id", "must be 1 to 64"},
		{func(m *belpoortv1.ImportReport) { m.ImportId = "0612345678" }, "report.import_id", "telephone number"},
		{func(m *belpoortv1.ImportReport) { m.Kind = "Consents" }, "report.kind", "lower-case"},
		{func(m *belpoortv1.ImportReport) { m.Source = strings.Repeat("x", 65) }, "report.source", "longer"},
		{func(m *belpoortv1.ImportReport) { m.File = "bel 0612345678.csv" }, "report.file", "telephone number"},
		{func(m *belpoortv1.ImportReport) { m.File = "\x1b[2J.csv" }, "report.file", "printed"},
		{func(m *belpoortv1.ImportReport) { m.File = strings.Repeat("x", 257) }, "report.file", "longer"},
		{func(m *belpoortv1.ImportReport) { m.ContentSha256 = "abc" }, "report.content_sha256", "64"},
		{func(m *belpoortv1.ImportReport) { m.Mapping = "06 12345678" }, "report.mapping", "telephone number"},
		{func(m *belpoortv1.ImportReport) { m.Problem = "line\n2" }, "report.problem", "printed"},
		{func(m *belpoortv1.ImportReport) { m.Outcome = 0 }, "report.outcome", "missing"},
		{func(m *belpoortv1.ImportReport) { m.Outcome = 99 }, "report.outcome", "unknown value 99"},
		{func(m *belpoortv1.ImportReport) { m.Unconfirmed, m.Rows = 1, 11 }, "report.unconfirmed", "must be 0"},
		{func(m *belpoortv1.ImportReport) { m.Rows = 11 }, "report.rows", "sum"},
		{func(m *belpoortv1.ImportReport) { m.RejectedByReason["missing"] = 1 }, "report.rejected_by_reason", "add up"},
		{func(m *belpoortv1.ImportReport) { m.RejectedByReason["Bad Date"] = 0 }, "report.rejected_by_reason", "lower-case"},
		{func(m *belpoortv1.ImportReport) { m.RejectedByReason = many }, "report.rejected_by_reason", "more than 64"},
		{func(m *belpoortv1.ImportReport) { m.StartTime = nil }, "report.start_time", "missing"},
		{func(m *belpoortv1.ImportReport) { m.EndTime = timestamppb.New(time.Unix(1, 0)) }, "report.end_time", "before the start"},
		{func(m *belpoortv1.ImportReport) { m.ProtoReflect().SetUnknown([]byte{0xf8, 0x07, 1}) }, "report", "does not know"},
	} {
		m := proto.CloneOf(goodImport())
		c.change(m)
		var wrong *FieldError
		if err := CheckImport(m); !errors.As(err, &wrong) || wrong.Field != c.field || !strings.Contains(wrong.Problem, c.problem) || strings.Contains(wrong.Problem, "12345678") {
			t.Errorf("%v, want %s %s", err, c.field, c.problem)
		}
	}
	if err := CheckImport(nil); err == nil {
		t.Error("no report is one")
	}
}

func TestReportsOfImportsComeBack(t *testing.T) {
	payload, err := MarshalImport(goodImport())
	if err != nil {
		t.Fatal(err)
	}
	got, err := UnmarshalImport(7, payload)
	if err != nil || !proto.Equal(got, goodImport()) {
		t.Errorf("%v, %v", got, err)
	}
	if again, _ := MarshalImport(goodImport()); string(again) != string(payload) {
		t.Error("the same report has two payloads")
	}
	if _, err := UnmarshalImport(7, []byte{0xff}); !errors.Is(err, ErrPayload) {
		t.Errorf("%v", err)
	}
}
