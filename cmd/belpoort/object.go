package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func objectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "object [NUMBER]", Short: "Register an objection", Args: cobra.MaximumNArgs(1),
		Long: `Register that the subscriber of a number objects to being called [recht van verzet]. When this command prints a receipt,
no call to the number on older grounds is allowed any more. Who objected is named by number, by the permit of the call, or by
the dialer's own id of the call; a call names organisation and campaign by itself.`,
		Example: `  belpoort object 06-12345678 --organisation voltwerk --via AGENT
  belpoort object 06-12345678 --campaign voltwerk-demo --via IVR
  belpoort object --call-id V1118140000000012345 --scope PRODUCT --product gas --own-words "please no more about gas"`,
		RunE: func(cmd *cobra.Command, args []string) error { return object(cmd, first(args)) },
	}
	clientFlags(cmd)
	calledFlags(cmd)
	f := cmd.Flags()
	f.String("organisation", "", "in whose name the person was called (or --campaign)")
	f.String("campaign", "", "in which campaign the person was called")
	f.String("via", "AGENT", "how it came in: IVR, AGENT, CALLBACK_LINE, WEB, EMAIL, POST or REGULATOR")
	f.String("scope", "ORGANISATION", "how far it reaches: PRODUCT, ORGANISATION, BRAND or GROUP")
	f.String("product", "", "the product, where the person narrowed it (--scope PRODUCT)")
	f.String("own-words", "", "the words with which the person narrowed it (--scope PRODUCT)")
	f.String("by", "SUBSCRIBER", "who objected: SUBSCRIBER or HOUSEHOLD_MEMBER")
	f.String("at", "", "when, such as 2026-11-18T14:00:00+01:00 (default: now)")
	f.String("request-id", "", "makes repeating harmless (default: a new one)")
	f.Bool("json", false, "print the answer as JSON")
	return cmd
}

func object(cmd *cobra.Command, number string) error {
	f := flags{cmd.Flags()}
	request, err := objectionOf(f, number)
	if err != nil {
		return usage(err)
	}
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	asked := time.Now()
	answer, err := call(cmd.Context(), c, belpoortv1.NewObjectionServiceClient(c).RegisterObjection, request)
	if err != nil {
		return err
	}
	took := time.Since(asked)
	if f.flag("json") {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	out := cmd.OutOrStdout()
	if answer.GetState() == belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE {
		fmt.Fprintln(out, "objection in force")
		field(out, "ledger", fmt.Sprintf("position %d", answer.GetPosition()))
	} else {
		fmt.Fprintln(out, "objection kept safely, not yet in force everywhere")
	}
	field(out, "receipt", answer.GetReceipt())
	field(out, "recorded", local(answer.GetRecordTime()))
	field(out, "took", took.Round(100*time.Microsecond).String())
	return nil
}

func objectionOf(f flags, number string) (*belpoortv1.RegisterObjectionRequest, error) {
	via, err := eligibility.ParseWord[eligibility.Via](f.text("via"))
	if err != nil {
		return nil, fmt.Errorf("--via: %w", err)
	}
	scope, err := eligibility.ParseWord[eligibility.ObjectionScope](f.text("scope"))
	if err != nil {
		return nil, fmt.Errorf("--scope: %w", err)
	}
	by, err := eligibility.ParseWord[eligibility.ObjectedBy](f.text("by"))
	if err != nil {
		return nil, fmt.Errorf("--by: %w", err)
	}
	at, err := parseTime("at", f.text("at"))
	if err != nil {
		return nil, err
	}
	if err := namedOnce(f, number); err != nil {
		return nil, err
	}
	return &belpoortv1.RegisterObjectionRequest{
		Callee: number, Organisation: f.text("organisation"), Campaign: f.text("campaign"), Via: belpoortv1.Via(via),
		Scope: belpoortv1.ObjectionScope(scope), Product: f.text("product"), By: belpoortv1.ObjectedBy(by), ObjectTime: at,
		RequestId: requestIDOf(f), Permit: f.text("permit"), CallId: f.text("call-id"), OwnWords: f.text("own-words"),
	}, nil
}

// calledFlags name a call that was allowed, where no number does.
func calledFlags(cmd *cobra.Command) {
	cmd.Flags().String("permit", "", "the permit of the call, instead of NUMBER")
	cmd.Flags().String("call-id", "", "the dialer's own id of the call, instead of NUMBER")
}

// namedOnce refuses what names its callee in no way or in several.
func namedOnce(f flags, number string) error {
	given := 0
	for _, name := range []string{number, f.text("permit"), f.text("call-id")} {
		if name != "" {
			given++
		}
	}
	if given != 1 {
		return errors.New("name the callee in exactly one way: NUMBER, --permit or --call-id")
	}
	return nil
}

func requestIDOf(f flags) string {
	if id := f.text("request-id"); id != "" {
		return id
	}
	return "cli-" + rand.Text()
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
