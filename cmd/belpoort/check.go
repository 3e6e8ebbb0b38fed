package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// callFlags describe a call.
func callFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.String("campaign", "", "the campaign in which the call would be made (required)")
	f.String("caller-id", "", "the number that would be shown")
	f.String("presentation", "ALLOWED", "how it would be presented: ALLOWED, RESTRICTED or UNAVAILABLE")
	f.String("person", "", "the person one expects to reach, as the consent names them")
	f.String("mode", "", "HUMAN or AUTOMATED, where it differs from the campaign's")
	f.String("dialing", "", "PREDICTIVE or PREVIEW, where it differs from the campaign's")
	f.Bool("json", false, "print the answer as JSON")
}

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check NUMBER", Short: "Ask whether a number may be called now", Args: cobra.ExactArgs(1),
		Long: `Ask the service whether a number may be called now. The number is written as people do: 06-12345678, +31612345678.
This is a real check: the decision is journalled. With --dry-run nothing is kept, and the answer is no leave to dial.

` + exitCodesHelp,
		Example: "  belpoort check 06-12345678 --campaign voltwerk-demo --caller-id 020-1234567",
		RunE:    func(cmd *cobra.Command, args []string) error { return check(cmd, args[0]) },
	}
	clientFlags(cmd)
	callFlags(cmd)
	cmd.Flags().Bool("dry-run", false, "keep nothing")
	cmd.Flags().String("call-id", "", "the dialer's own id of the call; offers and objections may refer to it for a day")
	return cmd
}

func check(cmd *cobra.Command, number string) error {
	f := flags{cmd.Flags()}
	words, err := readCallWords(f)
	if err != nil {
		return usage(err)
	}
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := call(cmd.Context(), c, belpoortv1.NewGatekeeperServiceClient(c).CheckCall, &belpoortv1.CheckCallRequest{
		Callee: number, Campaign: f.text("campaign"), CallerId: f.text("caller-id"), CallerIdPresentation: words.presentation,
		Person: f.text("person"), Mode: words.mode, Dialing: words.dialing, DryRun: f.flag("dry-run"),
		CallId: f.text("call-id"),
	})
	if err != nil {
		return err
	}
	if f.flag("json") {
		err = printJSON(cmd.OutOrStdout(), answer)
	} else {
		printCheck(cmd.OutOrStdout(), answer)
	}
	if err != nil {
		return exit(exitFailed, err)
	}
	return verdictExit(answer.GetVerdict())
}

// verdictExit is silent: the answer has been printed.
func verdictExit(v belpoortv1.Verdict) error {
	switch v {
	case belpoortv1.Verdict_VERDICT_ALLOW:
		return nil
	case belpoortv1.Verdict_VERDICT_DEFER:
		return exit(exitDefer, nil)
	default:
		return exit(exitDeny, nil)
	}
}

type callWords struct {
	presentation belpoortv1.CallerIdPresentation
	mode         belpoortv1.Mode
	dialing      belpoortv1.Dialing
}

func readCallWords(f flags) (callWords, error) {
	var w callWords
	if f.text("campaign") == "" {
		return w, fmt.Errorf("--campaign is needed")
	}
	presentation, err := eligibility.ParseWord[eligibility.Presentation](f.text("presentation"))
	if err != nil {
		return w, fmt.Errorf("--presentation: %w", err)
	}
	w.presentation = belpoortv1.CallerIdPresentation(presentation)
	if s := f.text("mode"); s != "" {
		mode, err := eligibility.ParseWord[eligibility.Mode](s)
		if err != nil {
			return w, fmt.Errorf("--mode: %w", err)
		}
		w.mode = belpoortv1.Mode(mode)
	}
	if s := f.text("dialing"); s != "" {
		dialing, err := eligibility.ParseWord[eligibility.Dialing](s)
		if err != nil {
			return w, fmt.Errorf("--dialing: %w", err)
		}
		w.dialing = belpoortv1.Dialing(dialing)
	}
	return w, nil
}

func printCheck(w io.Writer, a *belpoortv1.CheckCallResponse) {
	printVerdict(w, a.GetVerdict(), a.GetReason(), a.GetReasons())
	english := explanationWords["en"]
	printBasis(w, a.GetBasis(), a.GetObligations(), english)
	field(w, "show", a.GetCallerId())
	printTimes(w, a.GetValidUntil(), a.GetRetryTime(), english)
	field(w, "decision", a.GetDecisionId())
	if a.GetPermit() != "" {
		field(w, "permit", "to dial until "+local(a.GetPermitExpireTime())+" (--json shows it)")
	}
	field(w, "ledger", fmt.Sprintf("position %d, law %s", a.GetLedgerPosition(), a.GetLawVersion()))
}

func printVerdict(w io.Writer, v belpoortv1.Verdict, r belpoortv1.Reason, all []belpoortv1.Reason) {
	fmt.Fprintf(w, "%s  %s\n", eligibility.Verdict(v), eligibility.Reason(r))
	if sentence, ok := record.Sentence(eligibility.Reason(r), "en"); ok {
		field(w, "meaning", sentence)
	}
	if len(all) > 1 {
		names := make([]string, len(all))
		for i := range all {
			names[i] = eligibility.Reason(all[i]).String()
		}
		field(w, "reasons", join(names))
	}
}

func printBasis(w io.Writer, b *belpoortv1.Basis, obligations []belpoortv1.Obligation, l labels) {
	if b != nil {
		basis := b.GetArticle()
		if basis == "" {
			basis = l.outside
		}
		if b.GetEvidencePosition() > 0 {
			basis += fmt.Sprintf(l.evidence, b.GetEvidencePosition())
		}
		if t := b.GetSinceTime(); t != nil {
			basis += l.since + local(t)
		}
		if t := b.GetUntilTime(); t != nil {
			basis += l.until + local(t)
		}
		field(w, l.basis, basis)
	}
	words := make([]string, len(obligations))
	for i := range obligations {
		words[i] = eligibility.Obligation(obligations[i]).String()
	}
	field(w, l.duties, join(words))
}

func printTimes(w io.Writer, until, retry *timestamppb.Timestamp, l labels) {
	if until != nil {
		field(w, l.changes, local(until))
	}
	if retry != nil {
		field(w, l.retry, local(retry))
	}
}

// field prints a labelled line, and nothing for an empty value.
func field(w io.Writer, label, value string) {
	if value != "" {
		fmt.Fprintf(w, "  %-9s %s\n", label, value)
	}
}

func local(t *timestamppb.Timestamp) string {
	return t.AsTime().In(eligibility.Amsterdam).Format("2006-01-02 15:04:05 MST")
}

func printJSON(w io.Writer, m proto.Message) error {
	data, err := protojson.MarshalOptions{Multiline: true, UseProtoNames: true}.Marshal(m)
	if err == nil {
		_, err = fmt.Fprintln(w, string(data))
	}
	return err
}

// parseTime reads a time with an offset; "" is absent.
func parseTime(flag, s string) (*timestamppb.Timestamp, error) {
	if s == "" {
		return nil, nil
	}
	t, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(s))
	if err != nil {
		return nil, fmt.Errorf("--%s %q: want a time such as 2026-11-18T14:00:00+01:00", flag, s)
	}
	return timestamppb.New(t), nil
}
