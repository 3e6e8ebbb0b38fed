package main

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func objectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "object NUMBER", Short: "Register an objection", Args: cobra.ExactArgs(1),
		Long: `Register that the subscriber of a number objects to being called [recht van verzet]. When this command prints a receipt,
no call to the number on older grounds is allowed any more.`,
		Example: `  belpoort object 06-12345678 --organisation voltwerk --via AGENT
  belpoort object 06-12345678 --campaign voltwerk-demo --via IVR`,
		RunE: func(cmd *cobra.Command, args []string) error { return object(cmd, args[0]) },
	}
	clientFlags(cmd)
	f := cmd.Flags()
	f.String("organisation", "", "in whose name the person was called (or --campaign)")
	f.String("campaign", "", "in which campaign the person was called")
	f.String("via", "AGENT", "how it came in: IVR, AGENT, CALLBACK_LINE, WEB, EMAIL, POST or REGULATOR")
	f.String("scope", "ORGANISATION", "how far it reaches: PRODUCT, ORGANISATION, BRAND or GROUP")
	f.String("product", "", "the product, where the person narrowed it (--scope PRODUCT)")
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
		fmt.Fprintln(out, "objection kept safely, not yet in force everywhere: the ledger is away")
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
	id := f.text("request-id")
	if id == "" {
		id = "cli-" + rand.Text()
	}
	return &belpoortv1.RegisterObjectionRequest{
		Callee: number, Organisation: f.text("organisation"), Campaign: f.text("campaign"), Via: belpoortv1.Via(via),
		Scope: belpoortv1.ObjectionScope(scope), Product: f.text("product"), By: belpoortv1.ObjectedBy(by), ObjectTime: at,
		RequestId: id,
	}, nil
}
