package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func offerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "offer [NUMBER]", Short: "Record that the right of objection was offered in a call", Args: cobra.MaximumNArgs(1),
		Long: `Record that the right of objection [recht van verzet] was offered in a call, and what came of it: told with --result, or
as the digit that was pressed in an IVR menu of the catalogue. Where the person objected, the objection is registered with it. A
digit that the menu does not know is an error, and never "no objection".

The call is named by its permit, by the dialer's own id, or by number and campaign.`,
		Example: `  belpoort offer --permit "$PERMIT" --how AGENT --result NOT_OBJECTED --recording rec/2026/0042
  belpoort offer --call-id V1118140000000012345 --how AGENT_AND_IVR --menu voltwerk-bezwaar --digit 9`,
		RunE: func(cmd *cobra.Command, args []string) error { return offer(cmd, first(args)) },
	}
	clientFlags(cmd)
	calledFlags(cmd)
	f := cmd.Flags()
	f.String("campaign", "", "in which campaign the person was called (with NUMBER)")
	f.String("how", "", "who offered it: AGENT_AND_IVR, AGENT or IVR (required)")
	f.String("result", "", "what came of it: OBJECTED, NOT_OBJECTED, NO_INPUT or HUNG_UP (or --menu and --digit)")
	f.String("menu", "", "the IVR menu, as the catalogue names it")
	f.String("digit", "", "the digit that was pressed")
	f.String("via", "", "where the person objected: IVR or AGENT (default: as --how and --digit say)")
	f.String("recording", "", "where the recording is found, a reference of your own")
	f.String("at", "", "when, such as 2026-11-18T14:00:00+01:00 (default: now)")
	f.String("request-id", "", "makes repeating harmless, with NUMBER (default: a new one)")
	f.Bool("json", false, "print the answer as JSON")
	return cmd
}

func offer(cmd *cobra.Command, number string) error {
	f := flags{cmd.Flags()}
	request, err := offerOf(f, number)
	if err != nil {
		return usage(err)
	}
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := call(cmd.Context(), c, belpoortv1.NewObjectionServiceClient(c).RecordObjectionOffer, request)
	if err != nil {
		return err
	}
	if f.flag("json") {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	printOffer(cmd.OutOrStdout(), answer)
	return nil
}

func offerOf(f flags, number string) (*belpoortv1.RecordObjectionOfferRequest, error) {
	if err := namedOnce(f, number); err != nil {
		return nil, err
	}
	how, err := eligibility.ParseWord[eligibility.OfferHow](f.text("how"))
	if err != nil {
		return nil, fmt.Errorf("--how: %w", err)
	}
	request := &belpoortv1.RecordObjectionOfferRequest{
		Callee: number, Permit: f.text("permit"), CallId: f.text("call-id"), Campaign: f.text("campaign"), How: belpoortv1.OfferHow(how),
		Menu: f.text("menu"), Digit: f.text("digit"), Recording: f.text("recording"), RequestId: requestIDOf(f),
	}
	if word := f.text("result"); word != "" {
		result, err := eligibility.ParseWord[eligibility.OfferResult](word)
		if err != nil {
			return nil, fmt.Errorf("--result: %w", err)
		}
		request.Result = belpoortv1.OfferResult(result)
	}
	if word := f.text("via"); word != "" {
		via, err := eligibility.ParseWord[eligibility.Via](word)
		if err != nil {
			return nil, fmt.Errorf("--via: %w", err)
		}
		request.Via = belpoortv1.Via(via)
	}
	request.OfferTime, err = parseTime("at", f.text("at"))
	return request, err
}

func printOffer(out io.Writer, a *belpoortv1.RecordObjectionOfferResponse) {
	switch {
	case a.GetMeaning() == belpoortv1.IvrDigit_MEANING_REPEAT:
		fmt.Fprintln(out, "the digit asks to hear the menu again: nothing recorded, the offer is still owed")
		return
	case a.GetPosition() == 0:
		fmt.Fprintln(out, "the ledger is away: the objection is kept without the offer, and pays it when it gets there")
	case a.GetUnchanged():
		fmt.Fprintln(out, "offer recorded before")
	default:
		fmt.Fprintln(out, "offer recorded")
	}
	if a.GetPosition() > 0 {
		field(out, "result", eligibility.OfferResult(a.GetResult()).String())
		field(out, "ledger", fmt.Sprintf("position %d", a.GetPosition()))
	}
	if a.GetReceipt() == "" {
		return
	}
	state := "kept safely, not yet in force everywhere"
	if a.GetObjectionState() == belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE {
		state = fmt.Sprintf("in force, position %d", a.GetObjectionPosition())
	}
	field(out, "objection", state)
	field(out, "receipt", a.GetReceipt())
}
