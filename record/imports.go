package record

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"google.golang.org/protobuf/proto"
)

// KindImport is that of reports of imports. They concern no callee, and nothing is decided on them.
const KindImport int32 = 102

const (
	maxReasons   = 64 // by which rows can be rejected
	maxImportID  = 64
	maxProblem   = 500
	phoneDigits  = 9 // fewer are no telephone number of anybody
	digitsShown  = 2
	importsField = "report"
)

var (
	importID     = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	importWord   = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
	importReason = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
	importSum    = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// IsImportID reports whether s may be an import's id: 1 to 64 letters, digits, dots, hyphens and underscores, that are no
// telephone number.
func IsImportID(s string) bool { return importID.MatchString(s) && WithoutNumbers(s) == s }

// CheckImport reads a report of an import as a client sent it. What is wrong is a *FieldError whose path begins with "report".
func CheckImport(m *belpoortv1.ImportReport) error {
	c := &check{}
	c.known(importsField, m)
	if m == nil {
		c.fail(importsField, "is missing")
		return c.result()
	}
	c.pattern("report.import_id", m.GetImportId(), importID, "must be 1 to 64 letters, digits, dots, hyphens and underscores")
	c.pattern("report.kind", m.GetKind(), importWord, "must be 1 to 64 lower-case letters, digits and hyphens")
	if m.GetContentSha256() != "" {
		c.pattern("report.content_sha256", m.GetContentSha256(), importSum, "must be 64 hexadecimal characters in lower case")
	}
	for _, text := range []struct {
		field, text string
		most        int
	}{
		{"report.import_id", m.GetImportId(), maxImportID}, {"report.source", m.GetSource(), maxNameID}, {"report.file", m.GetFile(), MaxText},
		{"report.mapping", m.GetMapping(), MaxText}, {"report.problem", m.GetProblem(), maxProblem},
	} {
		c.text(text.field, text.text, text.most)
		c.withoutNumber(text.field, text.text)
	}
	c.importEnd(m)
	c.importRows(m)
	return c.result()
}

func (c *check) pattern(field, s string, want *regexp.Regexp, problem string) {
	if !want.MatchString(s) {
		c.fail(field, "%s", problem)
	}
}

func (c *check) withoutNumber(field, s string) {
	switch {
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		c.fail(field, "holds a character that cannot be printed")
	case WithoutNumbers(s) != s:
		c.fail(field, "holds what may be a telephone number")
	}
}

func (c *check) importEnd(m *belpoortv1.ImportReport) {
	began, ended := c.momentGiven("report.start_time", m.GetStartTime()), c.momentGiven("report.end_time", m.GetEndTime())
	if ended.Before(began) {
		c.fail("report.end_time", "lies before the start")
	}
	outcome := m.GetOutcome()
	switch {
	case outcome == belpoortv1.ImportOutcome_IMPORT_OUTCOME_UNSPECIFIED:
		c.fail("report.outcome", "is missing")
	case belpoortv1.ImportOutcome_name[int32(outcome)] == "":
		c.fail("report.outcome", "has the unknown value %d", outcome)
	case outcome == belpoortv1.ImportOutcome_IMPORT_OUTCOME_COMPLETED && m.GetUnconfirmed() > 0:
		c.fail("report.unconfirmed", "must be 0 for an import that was completed")
	}
}

func (c *check) importRows(m *belpoortv1.ImportReport) {
	if m.GetRows() != m.GetRecorded()+m.GetUnchanged()+m.GetRejected()+m.GetUnconfirmed() {
		c.fail("report.rows", "must be the sum of recorded, unchanged, rejected and unconfirmed")
	}
	if len(m.GetRejectedByReason()) > maxReasons {
		c.fail("report.rejected_by_reason", "holds more than %d reasons", maxReasons)
		return
	}
	sum := uint64(0)
	for _, reason := range slices.Sorted(maps.Keys(m.GetRejectedByReason())) {
		c.pattern("report.rejected_by_reason", reason, importReason, "must have lower-case words joined by underscores as keys")
		sum += m.GetRejectedByReason()[reason]
	}
	if sum != m.GetRejected() {
		c.fail("report.rejected_by_reason", "must add up to rejected")
	}
}

// MarshalImport is a report of an import as the ledger's payload: the same report gives the same bytes.
func MarshalImport(m *belpoortv1.ImportReport) ([]byte, error) { return deterministic.Marshal(m) }

// UnmarshalImport reads a report back. Errors wrap ErrPayload.
func UnmarshalImport(position uint64, payload []byte) (*belpoortv1.ImportReport, error) {
	m := &belpoortv1.ImportReport{}
	if err := proto.Unmarshal(payload, m); err != nil {
		return nil, fmt.Errorf("%w: position %d: %w", ErrPayload, position, err)
	}
	return m, nil
}

var (
	// numberRun is digits and what people write between those of a telephone number.
	numberRun = regexp.MustCompile(`\p{N}[\p{N} ().+/_-]*\p{N}`)
	// datedRun is a date, alone or with a time after it, as names of files have it.
	datedRun = regexp.MustCompile(`^((19|20)\d\d[-._]?(0[1-9]|1[0-2])[-._]?(0[1-9]|[12]\d|3[01])|(0[1-9]|[12]\d|3[01])[-.](0[1-9]|1[0-2])[-.](19|20)\d\d)` +
		`([ ._-]+([01]\d|2[0-3])([ ._-]?[0-5]\d([ ._-]?[0-5]\d)?)?)?$`)
)

// WithoutNumbers masks what may be a telephone number in the name of a file, or in a sentence about one: all but the last
// two digits of every run of nine or more. Dates stay.
func WithoutNumbers(s string) string {
	return numberRun.ReplaceAllStringFunc(s, func(run string) string {
		count := 0
		for _, r := range run {
			if unicode.IsNumber(r) {
				count++
			}
		}
		if count < phoneDigits || datedRun.MatchString(run) || mutantImportNumber {
			return run
		}
		hidden := count - digitsShown
		return strings.Map(func(r rune) rune {
			if !unicode.IsNumber(r) {
				return r
			}
			if hidden--; hidden >= 0 {
				return '*'
			}
			return r
		}, run)
	})
}
