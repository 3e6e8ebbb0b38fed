package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// A list of any length goes to the service in streams of so many calls, each in messages of so many.
const (
	streamCalls  = 5000
	messageCalls = 500
)

const (
	// keptRejections is how many rejected lines --json shows, printedRejections how many the table does.
	keptRejections    = 1000
	printedRejections = 10
)

func screenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "screen FILE", Short: "Screen a list of numbers, or count what another policy or law would change for it", Args: cobra.ExactArgs(1),
		Long: `Ask of every number of a list how a check would be answered. The same list comes out, in the same order and with its own
columns, and with verdict, reason, basis and valid_until beside them; then a summary by reason. Nothing is kept and no
attempt is counted. It does not replace the check before each call: what is allowed here may be refused by then.

FILE is a list with one number a line, or a CSV with a header. The column of the number is found by its name (callee,
telefoonnummer, phone ...); columns campaign, caller_id and person are used where there are any.
--campaign and --caller-id stand in for cells that are empty or not there. "-" is standard input.
The list goes to --out, or else to standard output, and the summary then to standard error. A line that cannot be decided
has the verdict ERROR and the problem as its reason: the exit code is then 1, or 2 where none could be.
--at asks about another instant than now. --warm also brings the callees into the service's cache, for calls that come soon.

With --what-if every number is decided twice, as things stand and under a change that you suppose, and the answers that
differ are counted by campaign and reason: what a coming change of law or policy costs, before it comes. --what-if takes
settings and lays them over the policy of every campaign. Their names and meanings stand in docs/law.md, their values are
written as in a catalogue. Or it names a YAML file with them under "policy:". --what-if-law takes a whole law file; the
catalogue's own settings stay laid over it. Both sides are decided for the same instant: now, or that of --at.

` + exitCodesHelp,
		Example: `  belpoort screen tonight.csv --campaign voltwerk-demo --caller-id 020-1234567 --out screened.csv
  belpoort screen tonight.csv --campaign voltwerk-demo --caller-id 020-1234567 --at 2026-11-23T10:00:00+01:00 --warm --out screened.csv
  belpoort screen tonight.csv --campaign voltwerk-demo --caller-id 020-1234567 --what-if "consent_max_age=6 months"
  belpoort screen tonight.csv --campaign voltwerk-demo --caller-id 020-1234567 --what-if "kings_day=open,max_attempts={per_day: 1}"
  belpoort screen tonight.csv --campaign voltwerk-demo --caller-id 020-1234567 --what-if-law ./coming-law`,
		RunE: func(cmd *cobra.Command, args []string) error { return screen(cmd, args[0]) },
	}
	clientFlags(cmd)
	f := cmd.Flags()
	f.String("campaign", "", "the campaign in which the calls would be made")
	f.String("caller-id", "", "the number that would be shown")
	f.String("out", "", "where the screened list goes (default: standard output)")
	f.Bool("warm", false, "also bring the callees into the service's cache, no faster than it is set to")
	f.StringArray("what-if", nil, "SETTING=VALUE[,SETTING=VALUE...], or a YAML file with a policy")
	f.String("what-if-law", "", "a law file, or a folder with one in a file nl.yaml")
	f.String("at", "", "the dial instant, such as 2026-11-18T14:00:00+01:00 (default: now)")
	f.Bool("json", false, "print the summary, or with --what-if the answer, as JSON")
	return cmd
}

func screen(cmd *cobra.Command, path string) error {
	f := flags{cmd.Flags()}
	if !f.set.Changed("what-if") && !f.set.Changed("what-if-law") {
		return screenList(cmd, path)
	}
	if f.text("out") != "" || f.flag("warm") {
		return usage(errors.New("--out and --warm do not go with --what-if, which only counts"))
	}
	return whatIf(cmd, path)
}

// openScreened opens the list that a command line names.
func openScreened(cmd *cobra.Command, path string) (*numberList, io.Closer, error) {
	f := flags{cmd.Flags()}
	in, err := openInput(cmd, path)
	if err != nil {
		return nil, nil, usage(err)
	}
	list, err := openList(in, f.text("campaign"), f.text("caller-id"))
	if err != nil {
		return nil, nil, errors.Join(usage(fmt.Errorf("%s: %w", path, err)), in.Close())
	}
	return list, in, nil
}

func whatIf(cmd *cobra.Command, path string) error {
	f := flags{cmd.Flags()}
	hypothesis, err := readHypothesis(f)
	if err != nil {
		return usage(err)
	}
	list, in, err := openScreened(cmd, path)
	if err != nil {
		return err
	}
	defer in.Close()
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	s := &screening{c: c, list: list, hypothesis: hypothesis, sum: &belpoortv1.CompareCallsResponse{}}
	if err := s.all(cmd.Context()); err != nil {
		return s.failed(path, err)
	}
	if s.sum.Calls == 0 {
		return usage(fmt.Errorf("%s: %s", path, s.nothing()))
	}
	if f.flag("json") {
		err = printJSON(cmd.OutOrStdout(), s.sum)
	} else {
		printScreening(cmd.OutOrStdout(), s.sum)
	}
	if err != nil || s.sum.Rejected > 0 {
		return exit(exitFailed, err)
	}
	return nil
}

// screening adds up what the service says of the parts of a list.
type screening struct {
	c          *connection
	list       *numberList
	hypothesis *belpoortv1.Hypothesis
	sum        *belpoortv1.CompareCallsResponse
	rows       uint64 // read so far
}

// part is a part of a list; row and line say where each call stands.
type part struct {
	calls []*belpoortv1.ComparedCall
	rows  []uint64
	lines []int
}

func (s *screening) all(ctx context.Context) error {
	for {
		p, err := s.gather()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(p.calls) > 0 {
			answer, err := s.ask(ctx, p.calls)
			if err != nil {
				return err
			}
			if err := s.add(answer, p); err != nil {
				return err
			}
		}
		if err != nil {
			s.sort()
			return nil
		}
	}
}

// gather reads the next part; with io.EOF it is the last.
func (s *screening) gather() (part, error) {
	var p part
	for len(p.calls) < streamCalls {
		listed, err := s.list.next()
		if err != nil {
			return p, err
		}
		if listed.problem != "" {
			s.reject(&belpoortv1.RejectedCall{Index: s.rows, Field: listed.field, Description: listed.problem}, listed.line)
		} else {
			p.calls, p.rows, p.lines = append(p.calls, listed.call), append(p.rows, s.rows), append(p.lines, listed.line)
		}
		s.rows++
	}
	return p, nil
}

// ask lets the service compare one part.
func (s *screening) ask(ctx context.Context, calls []*belpoortv1.ComparedCall) (*belpoortv1.CompareCallsResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.c.timeout)
	defer cancel()
	stream, err := belpoortv1.NewAuditServiceClient(s.c).CompareCalls(ctx)
	if err != nil {
		return nil, refused(err)
	}
	err = stream.Send(&belpoortv1.CompareCallsRequest{Hypothesis: s.hypothesis})
	for batch := range slices.Chunk(calls, messageCalls) {
		if err == nil {
			err = stream.Send(&belpoortv1.CompareCallsRequest{Calls: batch})
		}
	}
	if err != nil && !errors.Is(err, io.EOF) { // at EOF the answer says why
		return nil, refused(err)
	}
	answer, err := stream.CloseAndRecv()
	return answer, refused(err)
}

// add takes one part's answer into the sum. The first part fixes the instant of all; what else both sides rest on must not
// change meanwhile.
func (s *screening) add(answer *belpoortv1.CompareCallsResponse, p part) error {
	sum := s.sum
	if sum.DialTime == nil {
		sum.DialTime, sum.CataloguePosition = answer.GetDialTime(), answer.GetCataloguePosition()
		sum.LawVersion, sum.HypothesisLawVersion = answer.GetLawVersion(), answer.GetHypothesisLawVersion()
		s.hypothesis.DialTime = answer.GetDialTime()
	}
	if sum.LawVersion != answer.GetLawVersion() || sum.CataloguePosition != answer.GetCataloguePosition() {
		return exit(exitFailed, errors.New("the law or the catalogue in force changed meanwhile, so that the counts mean nothing: run it again"))
	}
	sum.Calls += answer.GetCalls()
	sum.Changed += answer.GetChanged()
	for _, a := range answer.GetAnswers() {
		same := slices.IndexFunc(sum.Answers, func(b *belpoortv1.ComparedAnswer) bool { return compareAnswers(a, b) == 0 })
		if same >= 0 {
			sum.Answers[same].Count += a.GetCount()
		} else {
			sum.Answers = append(sum.Answers, a)
		}
	}
	sum.Rejected += answer.GetRejected() - uint64(len(answer.GetRejections()))
	for _, r := range answer.GetRejections() {
		line := p.lines[r.GetIndex()]
		r.Index = p.rows[r.GetIndex()]
		s.reject(r, line)
	}
	return nil
}

// reject counts a line, and keeps why as long as there is room.
func (s *screening) reject(r *belpoortv1.RejectedCall, line int) {
	s.sum.Rejected++
	if len(s.sum.Rejections) < keptRejections {
		r.Description = fmt.Sprintf("line %d: %s", line, r.Description)
		s.sum.Rejections = append(s.sum.Rejections, r)
	}
}

func compareAnswers(a, b *belpoortv1.ComparedAnswer) int {
	return cmp.Or(cmp.Compare(a.Campaign, b.Campaign), cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Reason, b.Reason),
		cmp.Compare(a.HypothesisVerdict, b.HypothesisVerdict), cmp.Compare(a.HypothesisReason, b.HypothesisReason))
}

// sort puts what came in parts in order.
func (s *screening) sort() {
	slices.SortFunc(s.sum.Answers, compareAnswers)
	slices.SortFunc(s.sum.Rejections, func(a, b *belpoortv1.RejectedCall) int { return cmp.Compare(a.Index, b.Index) })
}

// failed names the file in an error that is the file's.
func (s *screening) failed(path string, err error) error {
	if _, ok := errors.AsType[*exitError](err); ok {
		return err
	}
	return usage(fmt.Errorf("%s: %w", path, err))
}

// nothing says why there is nothing to print.
func (s *screening) nothing() string {
	if s.sum.Rejected == 0 {
		return "holds no numbers"
	}
	return fmt.Sprintf("none of %s could be decided; %s", plural(s.rows, "line"), s.sum.Rejections[0].GetDescription())
}

func printScreening(w io.Writer, m *belpoortv1.CompareCallsResponse) {
	verb := "change"
	if m.GetChanged() == 1 {
		verb = "changes"
	}
	fmt.Fprintf(w, "%s: %s %s\n", plural(m.GetCalls(), "call"), grouped(m.GetChanged()), verb)
	printChanges(w, m.GetAnswers())
	now, then := allowed(m.GetAnswers())
	field(w, "allowed", fmt.Sprintf("%s now, %s under the change", grouped(now), grouped(then)))
	field(w, "at", local(m.GetDialTime()))
	version := m.GetLawVersion()
	if version != m.GetHypothesisLawVersion() {
		version += " now, " + m.GetHypothesisLawVersion() + " under the change"
	}
	field(w, "law", version)
	for i, r := range m.GetRejections() {
		if i == printedRejections {
			break
		}
		field(w, "rejected", r.GetDescription())
	}
	if more := m.GetRejected() - uint64(min(printedRejections, len(m.GetRejections()))); more > 0 {
		field(w, "rejected", fmt.Sprintf("and %s more", grouped(more)))
	}
	fmt.Fprintln(w, noLeave)
}

// printChanges prints a line for each change, by campaign, the most frequent first.
func printChanges(w io.Writer, answers []*belpoortv1.ComparedAnswer) {
	var rows [][3]string
	var widths [3]int
	answers = slices.Clone(answers)
	slices.SortStableFunc(answers, func(a, b *belpoortv1.ComparedAnswer) int {
		return cmp.Or(cmp.Compare(a.Campaign, b.Campaign), cmp.Compare(b.Count, a.Count))
	})
	for _, a := range answers {
		now := eligibility.Verdict(a.GetVerdict()).String() + " " + eligibility.Reason(a.GetReason()).String()
		then := eligibility.Verdict(a.GetHypothesisVerdict()).String() + " " + eligibility.Reason(a.GetHypothesisReason()).String()
		if now == then {
			continue
		}
		row := [3]string{a.GetCampaign(), now + " -> " + then, grouped(a.GetCount())}
		for i := range row {
			widths[i] = max(widths[i], len(row[i]))
		}
		rows = append(rows, row)
	}
	for _, row := range rows {
		fmt.Fprintf(w, "  %-*s  %-*s  %*s\n", widths[0], row[0], widths[1], row[1], widths[2], row[2])
	}
}

// allowed counts the calls that may be made now, and under the hypothesis.
func allowed(answers []*belpoortv1.ComparedAnswer) (now, then uint64) {
	for _, a := range answers {
		if a.GetVerdict() == belpoortv1.Verdict_VERDICT_ALLOW {
			now += a.GetCount()
		}
		if a.GetHypothesisVerdict() == belpoortv1.Verdict_VERDICT_ALLOW {
			then += a.GetCount()
		}
	}
	return now, then
}

func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}

// grouped writes a count with its thousands set apart.
func grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
