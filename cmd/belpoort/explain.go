package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain NUMBER", Short: "Show every rule tried for a call, at any instant", Args: cobra.ExactArgs(1),
		Long: `Decide a call at any instant and show every rule that was tried, with what it looked at, its result and its article.
Nothing is kept. With --position the answer is that of the ledger as it stood then.`,
		Example: `  belpoort explain 06-12345678 --campaign voltwerk-demo --caller-id 020-1234567
  belpoort explain 06-12345678 --campaign voltwerk-demo --caller-id 020-1234567 --at 2026-06-30T14:00:00+02:00 --lang nl`,
		RunE: func(cmd *cobra.Command, args []string) error { return explain(cmd, args[0]) },
	}
	clientFlags(cmd)
	callFlags(cmd)
	f := cmd.Flags()
	f.String("at", "", "the dial instant, such as 2026-11-18T14:00:00+01:00 (default: now)")
	f.Uint64("position", 0, "as the ledger stood at this position (default: now)")
	f.String("lang", "en", "language of the sentences: en or nl")
	return cmd
}

func explain(cmd *cobra.Command, number string) error {
	f := flags{cmd.Flags()}
	words, err := readCallWords(f)
	if err != nil {
		return usage(err)
	}
	at, err := parseTime("at", f.text("at"))
	if err != nil {
		return usage(err)
	}
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := call(cmd.Context(), c, belpoortv1.NewAuditServiceClient(c).ExplainCall, &belpoortv1.ExplainCallRequest{
		Callee: number, Campaign: f.text("campaign"), CallerId: f.text("caller-id"), CallerIdPresentation: words.presentation,
		Person: f.text("person"), Mode: words.mode, Dialing: words.dialing, DialTime: at, Position: f.position("position"),
		Language: f.text("lang"),
	})
	if err != nil {
		return err
	}
	if f.flag("json") {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	printExplanation(cmd.OutOrStdout(), answer, explanationWords[f.text("lang")])
	return nil
}

// labels are what stands around an answer.
type labels struct {
	meaning, at, regime, ledger, position, callee, rules, passed, failed, source string
	basis, outside, evidence, since, until, duties, changes, retry               string
}

var explanationWords = map[string]labels{
	"en": {
		meaning: "meaning", at: "at", regime: "regime", ledger: "ledger", position: "position %d, catalogue %d, law %s", callee: "callee",
		rules: "Rules, in order:", passed: "passed", failed: "FAILED", source: "source", basis: "basis", outside: "outside Tw 11.7",
		evidence: ", evidence at ledger position %d", since: ", since ", until: ", until ", duties: "duties", changes: "changes", retry: "retry",
	},
	"nl": {
		meaning: "uitleg", at: "op", regime: "regime", ledger: "logboek", position: "positie %d, catalogus %d, wet %s", callee: "nummer",
		rules: "Regels, op volgorde:", passed: "in orde", failed: "FOUT", source: "bron", basis: "grondslag", outside: "buiten Tw 11.7",
		evidence: ", bewijs op positie %d van het logboek", since: ", sinds ", until: ", tot ", duties: "plichten", changes: "verandert", retry: "opnieuw",
	},
}

func printExplanation(w io.Writer, a *belpoortv1.ExplainCallResponse, l labels) {
	fmt.Fprintf(w, "%s  %s\n", eligibility.Verdict(a.GetVerdict()), eligibility.Reason(a.GetReason()))
	field(w, l.meaning, a.GetSentence())
	field(w, l.at, local(a.GetDialTime()))
	printBasis(w, a.GetBasis(), a.GetObligations(), l)
	printTimes(w, a.GetValidUntil(), a.GetRetryTime(), l)
	field(w, l.regime, a.GetRegime())
	field(w, l.ledger, fmt.Sprintf(l.position, a.GetLedgerPosition(), a.GetCataloguePosition(), a.GetLawVersion()))
	field(w, l.callee, a.GetCalleeToken())
	fmt.Fprintf(w, "\n%s\n", l.rules)
	for _, s := range a.GetSteps() {
		printStep(w, s, l)
	}
}

func printStep(w io.Writer, s *belpoortv1.RuleStep, l labels) {
	mark, found := l.passed, ""
	if !s.GetPassed() {
		mark = l.failed
	}
	if s.GetReason() != 0 {
		found = "  " + eligibility.Reason(s.GetReason()).String()
	}
	fmt.Fprintf(w, "  %-7s  %s%s\n", mark, s.GetRule(), found)
	inputs := s.GetInputs()
	if s.GetPosition() > 0 {
		inputs += fmt.Sprintf(" (%s %d)", l.ledger, s.GetPosition())
	}
	field(w, "", inputs)
	if s.GetArticle()+s.GetSource() != "" {
		field(w, "", l.source+": "+strings.Trim(s.GetArticle()+"; "+s.GetSource(), "; "))
	}
}
