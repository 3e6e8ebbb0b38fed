package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/loader"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

const (
	maxProblemShown = 500
	// partingTime is how long an import that did not end well waits for its report to be recorded.
	partingTime = 3 * time.Second
)

// recorder hands batches to the service, each in a stream of its own, so that each is answered for.
type recorder struct {
	c     *connection
	state *importState
}

// recordFacts sends one message in a stream of its own.
func (c *connection) recordFacts(ctx context.Context, request *belpoortv1.RecordFactsRequest) (*belpoortv1.RecordFactsResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	stream, err := belpoortv1.NewRegisterServiceClient(c).RecordFacts(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) { // at EOF the answer says why
		return nil, err
	}
	return stream.CloseAndRecv()
}

func (r recorder) Record(ctx context.Context, facts []*belpoortv1.RecordFactRequest) (loader.Result, error) {
	if mutantImportNotedEarly {
		r.state.Checkpoint.Rows += uint64(len(facts))
		r.state.Checkpoint.Recorded += uint64(len(facts))
		_ = r.state.save()
	}
	answer, err := r.c.recordFacts(ctx, &belpoortv1.RecordFactsRequest{Facts: facts})
	if err != nil {
		return loader.Result{}, refused(err)
	}
	result := loader.Result{
		Recorded: answer.GetRecorded(), Unchanged: answer.GetUnchanged(), Mark: loader.Mark{Position: answer.GetMark().GetPosition(), Hash: answer.GetMark().GetHash()},
	}
	for _, x := range answer.GetRejections() {
		result.Rejected = append(result.Rejected, loader.Rejected{
			Index: int(x.GetIndex()), Field: plainLine(x.GetField()), Description: plainLine(x.GetDescription()),
		})
	}
	return result, nil
}

// end records how the import ended, shows it, and gives the error with which the command ends.
func (r *importRun) end() error {
	if r.service == nil {
		r.preview.print(r)
		r.show(&belpoortv1.ImportReport{}, 0)
		return r.problem()
	}
	m, err := r.ended()
	if err != nil {
		return exit(exitFailed, err)
	}
	position, unrecorded := r.conclude(m)
	r.show(m, position)
	if err := r.problem(); err != nil {
		return err
	}
	return unrecorded
}

// ended is the report: that of an earlier run where only recording it is left.
func (r *importRun) ended() (*belpoortv1.ImportReport, error) {
	if r.state.over() {
		m := &belpoortv1.ImportReport{}
		if err := protojson.Unmarshal(r.state.Ended, m); err != nil {
			return nil, fmt.Errorf("%s is damaged: %w; --restart begins the import anew", plainLine(r.state.path), err)
		}
		r.report = reportOf(m)
		return m, nil
	}
	return r.newReport(), nil
}

func (r *importRun) newReport() *belpoortv1.ImportReport {
	m := &belpoortv1.ImportReport{
		ImportId: r.reportID(), Kind: string(r.kind), Source: r.f.text("source"), File: r.source.reported(), ContentSha256: r.source.content(),
		Mapping: r.mapping.name, Outcome: r.outcome(), Rows: r.report.Rows, Recorded: r.report.Recorded, Unchanged: r.report.Unchanged,
		Rejected: r.report.Rejected, RejectedByReason: map[string]uint64{}, Unconfirmed: r.report.Unconfirmed,
		StartTime: timestamppb.New(r.state.Began), EndTime: timestamppb.New(laterOf(time.Now(), r.state.Began)), Resumed: r.state.Resumed,
	}
	for reason, rows := range r.report.Reasons {
		m.RejectedByReason[string(reason)] = rows
	}
	if r.failed != nil {
		m.Problem = record.WithoutNumbers(plainLine(strings.Join(strings.Fields(r.failed.Error()), " ")))
		if len(m.GetProblem()) > maxProblemShown {
			m.Problem = strings.ToValidUTF8(m.GetProblem()[:maxProblemShown], "")
		}
	}
	return m
}

func laterOf(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// reportID is the import's id; what was not read to its end has one of its own.
func (r *importRun) reportID() string {
	switch {
	case r.id != "":
		return r.id
	case r.source.content() != "":
		return r.idOf(r.source.content())
	default:
		return derivedID("not read to its end", r.source.name(), r.state.Began.String())
	}
}

func (r *importRun) outcome() belpoortv1.ImportOutcome {
	switch {
	case r.failed == nil:
		return belpoortv1.ImportOutcome_IMPORT_OUTCOME_COMPLETED
	case r.cmd.Context().Err() == nil && r.inputAtFault():
		return belpoortv1.ImportOutcome_IMPORT_OUTCOME_FAILED
	default:
		return belpoortv1.ImportOutcome_IMPORT_OUTCOME_INTERRUPTED
	}
}

// inputAtFault tells that repeating the import as it is would end likewise.
func (r *importRun) inputAtFault() bool {
	var file *loader.FileError
	return errors.As(r.failed, &file) || errors.Is(r.failed, loader.ErrDatabase)
}

// conclude brings the report to the ledger, and forgets or keeps how far the import is.
func (r *importRun) conclude(m *belpoortv1.ImportReport) (position uint64, err error) {
	if m.GetOutcome() == belpoortv1.ImportOutcome_IMPORT_OUTCOME_COMPLETED {
		return r.complete(m)
	}
	if m.GetRows() > 0 {
		position = r.part(m)
	}
	if m.GetOutcome() == belpoortv1.ImportOutcome_IMPORT_OUTCOME_FAILED || r.state.Checkpoint.Rows == 0 {
		return position, r.state.remove()
	}
	return position, r.state.save()
}

// complete keeps the report until the service has it: a repeat after a crash sends the very same one.
func (r *importRun) complete(m *belpoortv1.ImportReport) (position uint64, err error) {
	if !r.state.over() {
		if r.state.Ended, err = protojson.Marshal(m); err != nil {
			return 0, exit(exitFailed, err)
		}
		r.state.Checkpoint.Rows = m.GetRows()
		if err := r.state.save(); err != nil {
			return 0, exit(exitFailed, err)
		}
	}
	ctx, cancel := context.WithTimeout(r.cmd.Context(), r.service.timeout)
	defer cancel()
	answer, err := belpoortv1.NewRegisterServiceClient(r.service).RecordImport(ctx, importRequest(m))
	if err != nil {
		e := refused(err)
		return 0, exit(codeOf(e), fmt.Errorf("%s: all rows are in, but the report is not recorded: %w; import again", r.source.name(), e))
	}
	return answer.GetPosition(), r.state.remove()
}

// part tries once to leave a report of an import that did not end well.
func (r *importRun) part(m *belpoortv1.ImportReport) uint64 {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.cmd.Context()), min(partingTime, r.service.timeout))
	defer cancel()
	answer, err := belpoortv1.NewRegisterServiceClient(r.service).RecordImport(ctx, importRequest(m))
	if err != nil {
		r.say("unreported", fmt.Sprintf("%s: that the import ended so could not be recorded: %v", r.source.name(), refused(err)))
	}
	return answer.GetPosition()
}

func importRequest(m *belpoortv1.ImportReport) *belpoortv1.RecordImportRequest {
	return &belpoortv1.RecordImportRequest{
		Report:    m,
		RequestId: derivedID(m.GetImportId(), m.GetOutcome().String(), m.GetStartTime().AsTime().String(), m.GetEndTime().AsTime().String()),
	}
}

func codeOf(err error) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return exitFailed
}

// problem is why the command fails, in words that say how to go on.
func (r *importRun) problem() error {
	if r.failed == nil {
		return nil
	}
	err := fmt.Errorf("%s: %w", r.source.name(), r.failed)
	if r.state.path != "" && r.state.Checkpoint.Rows > 0 && !r.inputAtFault() {
		err = fmt.Errorf("%w; the same command goes on after row %d", err, r.state.Checkpoint.Rows)
	}
	switch e, served := errors.AsType[*exitError](r.failed); {
	case r.cmd.Context().Err() != nil:
		return exit(exitFailed, err)
	case served:
		return exit(e.code, err)
	case errors.Is(r.failed, loader.ErrDatabase):
		return exit(exitFailed, err)
	default:
		return usage(err)
	}
}

// reportOf is a recorded report in the loader's words.
func reportOf(m *belpoortv1.ImportReport) loader.Report {
	r := loader.Report{
		Rows: m.GetRows(), Recorded: m.GetRecorded(), Unchanged: m.GetUnchanged(), Rejected: m.GetRejected(), Unconfirmed: m.GetUnconfirmed(),
		Reasons: map[loader.Reason]uint64{},
	}
	for reason, rows := range m.GetRejectedByReason() {
		r.Reasons[loader.Reason(reason)] = rows
	}
	return r
}

// importShown is the report of --json.
type importShown struct {
	Import      string                   `json:"import,omitempty"`
	Kind        string                   `json:"kind"`
	File        string                   `json:"file"`
	SHA256      string                   `json:"sha256,omitempty"`
	Outcome     string                   `json:"outcome"`
	Problem     string                   `json:"problem,omitempty"`
	Rows        uint64                   `json:"rows"`
	Recorded    uint64                   `json:"recorded"`
	Unchanged   uint64                   `json:"unchanged"`
	Rejected    uint64                   `json:"rejected"`
	Reasons     map[loader.Reason]uint64 `json:"rejected_by_reason,omitempty"`
	Unconfirmed uint64                   `json:"unconfirmed"`
	Valid       uint64                   `json:"valid,omitempty"`
	Resumed     uint32                   `json:"resumed"`
	Began       time.Time                `json:"start_time"`
	Ended       time.Time                `json:"end_time"`
	Rejects     string                   `json:"rejects_file,omitempty"`
	Position    uint64                   `json:"ledger_position,omitempty"`
}

// show tells what became of the import, in words or as JSON.
func (r *importRun) show(m *belpoortv1.ImportReport, position uint64) {
	rejects := ""
	if r.report.Rejected > 0 {
		rejects = plainLine(r.rejects.path)
	}
	switch {
	case r.f.flag("json"):
		shown := importShown{
			Import: m.GetImportId(), Kind: string(r.kind), File: r.source.name(), SHA256: r.source.content(), Outcome: outcomeWord(r.outcome()), Problem: m.GetProblem(),
			Rows: r.report.Rows, Recorded: r.report.Recorded, Unchanged: r.report.Unchanged, Rejected: r.report.Rejected, Reasons: r.report.Reasons,
			Unconfirmed: r.report.Unconfirmed, Valid: r.report.Valid, Resumed: r.state.Resumed, Began: r.state.Began, Ended: time.Now().UTC(), Rejects: rejects, Position: position,
		}
		if m.GetEndTime() != nil {
			shown.Ended = m.GetEndTime().AsTime()
		}
		_ = json.NewEncoder(r.out).Encode(shown)
	case r.failed != nil && r.report.Rows == 0: // the error says it all
	case !r.f.flag("quiet") || r.report.Rejected > 0 || r.report.Unconfirmed > 0:
		r.print(m, position, rejects)
	}
}

func (r *importRun) print(m *belpoortv1.ImportReport, position uint64, rejects string) {
	w, n := r.out, r.report
	fmt.Fprintf(w, "%s: %d rows: %d recorded, %d unchanged, %d rejected", r.source.name(), n.Rows, n.Recorded, n.Unchanged, n.Rejected)
	if n.Valid > 0 {
		fmt.Fprintf(w, ", %d valid (dry run)", n.Valid)
	}
	if n.Unconfirmed > 0 {
		fmt.Fprintf(w, ", %d unconfirmed: import again", n.Unconfirmed)
	}
	fmt.Fprintln(w)
	for _, reason := range slices.Sorted(maps.Keys(n.Reasons)) {
		field(w, "", fmt.Sprintf("%5d  %s", n.Reasons[reason], reason))
	}
	field(w, "rejects", rejects)
	if position > 0 {
		field(w, "import", fmt.Sprintf("%s, reported at ledger position %d", m.GetImportId(), position))
	}
}

// outcomeWord is a word of the API without its prefix, in lower case.
func outcomeWord(o belpoortv1.ImportOutcome) string {
	return strings.ToLower(strings.TrimPrefix(o.String(), "IMPORT_OUTCOME_"))
}
