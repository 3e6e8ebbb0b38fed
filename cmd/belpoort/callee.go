package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func calleeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "callee NUMBER", Short: "Show everything held on a number, as a timeline", Args: cobra.ExactArgs(1),
		Long: `Show everything that is held on a number, in the order in which it came: facts with their positions in the ledger, and the
latest decisions. It answers a person's request for access [inzageverzoek]. Times are those of Amsterdam; --json has them in UTC.`,
		Example: "  belpoort callee 06-12345678",
		RunE:    func(cmd *cobra.Command, args []string) error { return callee(cmd, args[0]) },
	}
	clientFlags(cmd)
	cmd.Flags().Bool("json", false, "print the answer as JSON")
	return cmd
}

func callee(cmd *cobra.Command, number string) error {
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	held, err := call(cmd.Context(), c, belpoortv1.NewRegisterServiceClient(c).GetCallee, &belpoortv1.GetCalleeRequest{Callee: number})
	if err != nil {
		return err
	}
	if f := (flags{cmd.Flags()}); f.flag("json") {
		err = printJSON(cmd.OutOrStdout(), held)
	} else {
		err = printCallee(cmd.OutOrStdout(), number, held)
	}
	if err != nil {
		return exit(exitFailed, err)
	}
	return nil
}

func printCallee(w io.Writer, number string, held *belpoortv1.GetCalleeResponse) error {
	fmt.Fprintf(w, "%s  callee %s\n", masked(number), held.GetCalleeToken())
	field(w, "held", fmt.Sprintf("%d facts, %d decisions, at ledger position %d", len(held.GetEntries()), len(held.GetDecisions()),
		held.GetLedgerPosition()))
	if len(held.GetDecisions()) >= mostDecisionsShown {
		field(w, "", "older decisions are listed by: belpoort decisions --callee NUMBER")
	}
	events := timelineOf(held)
	if len(events) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TIME\tPOSITION\tWHAT\tDETAILS")
	for _, e := range events {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", local(timestamppb.New(e.at)), e.position, e.what, e.details)
	}
	return table.Flush()
}

// mostDecisionsShown is how many the service shows with a callee.
const mostDecisionsShown = 100

// masked is a number as it was typed, with all digits but the last three hidden.
func masked(number string) string {
	var out []rune
	left := 3
	for _, r := range slices.Backward([]rune(number)) {
		if unicode.IsDigit(r) {
			if left--; left < 0 {
				r = '*'
			}
		}
		out = append(out, r)
	}
	slices.Reverse(out)
	return string(out)
}

// event is one line of a timeline.
type event struct {
	at                      time.Time
	position, what, details string
}

// timelineOf puts facts and decisions in the order in which they came.
func timelineOf(held *belpoortv1.GetCalleeResponse) []event {
	var events []event
	for _, entry := range held.GetEntries() {
		what, details := factDetails(entry.GetFact())
		events = append(events, event{entry.GetRecordTime().AsTime(), fmt.Sprint(entry.GetPosition()), what, details})
	}
	for _, d := range slices.Backward(held.GetDecisions()) {
		events = append(events, event{d.GetDecideTime().AsTime(), "", "decision", decisionDetails(d)})
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	return events
}

func decisionDetails(d *belpoortv1.Decision) string {
	return fmt.Sprintf("%v %v, campaign %s, by %s, as of position %d, id %s", eligibility.Verdict(d.GetVerdict()),
		eligibility.Reason(d.GetReason()), d.GetCampaign(), d.GetClient(), d.GetLedgerPosition(), d.GetDecisionId())
}

// factDetails tells a fact of whatever kind: its kind, and all that it says.
func factDetails(fact *belpoortv1.Fact) (what, details string) {
	if fact == nil {
		return "erased", "what it said was erased; that it was there stays provable"
	}
	m := fact.ProtoReflect()
	kind := m.WhichOneof(m.Descriptor().Oneofs().Get(0))
	if kind == nil {
		return "unknown", "of a kind that this version does not know"
	}
	return words(kind.Name()), onOneLine(strings.Join(said(m.Get(kind).Message()), ", "))
}

// onOneLine keeps what clients wrote from breaking the table, or the terminal.
func onOneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}

func words(name protoreflect.Name) string { return strings.ReplaceAll(string(name), "_", " ") }

// said is what a message says, field by field, in the order of the wire's numbers.
func said(m protoreflect.Message) []string {
	fields := m.Descriptor().Fields()
	var out []string
	for i := range fields.Len() {
		f := fields.Get(i)
		if !m.Has(f) {
			continue
		}
		if f.Kind() == protoreflect.BoolKind && !f.IsList() {
			out = append(out, words(f.Name()))
			continue
		}
		out = append(out, words(f.Name())+" "+valueOf(f, m.Get(f)))
	}
	return out
}

func valueOf(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	if !f.IsList() {
		return oneValue(f, v)
	}
	var all []string
	for i := range v.List().Len() {
		all = append(all, oneValue(f, v.List().Get(i)))
	}
	return strings.Join(all, "+")
}

func oneValue(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch f.Kind() {
	case protoreflect.EnumKind:
		return enumWord(f.Enum(), v.Enum())
	case protoreflect.BytesKind:
		return hex.EncodeToString(v.Bytes())
	case protoreflect.MessageKind:
		return messageText(v.Message().Interface())
	default:
		return v.String()
	}
}

func messageText(m proto.Message) string {
	switch m := m.(type) {
	case *timestamppb.Timestamp:
		return local(m)
	case *durationpb.Duration:
		return m.AsDuration().String()
	default:
		return "(" + strings.Join(said(m.ProtoReflect()), ", ") + ")"
	}
}

// enumWord is a word without the prefix that the wire needs.
func enumWord(e protoreflect.EnumDescriptor, n protoreflect.EnumNumber) string {
	v, zero := e.Values().ByNumber(n), e.Values().ByNumber(0)
	if v == nil || zero == nil {
		return fmt.Sprint(n)
	}
	return strings.TrimPrefix(string(v.Name()), strings.TrimSuffix(string(zero.Name()), "UNSPECIFIED"))
}
