package main

import (
	"fmt"

	"github.com/spf13/cobra"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func correctCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "correct", Short: "Correct an objection that was recorded by mistake",
		Long: `Correct an objection that was recorded by mistake, such as for a number typed wrong. One person proposes it, another one, with
a key of their own, approves it within 30 days; from then on the objection does not stand. Both stay in history.`,
	}
	cmd.AddCommand(proposeCommand(), approveCommand())
	return cmd
}

func proposeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "propose RECEIPT", Short: "Propose a correction", Args: cobra.ExactArgs(1),
		Example: `  belpoort correct propose 4K7Q-9T2M-8XRC --reason "typed 12 for 21, recording r-881"`,
		RunE:    func(cmd *cobra.Command, args []string) error { return propose(cmd, args[0]) },
	}
	correctionFlags(cmd)
	cmd.Flags().String("reason", "", "why the objection is a mistake, without a name: it stays (required, at most 500 bytes)")
	return cmd
}

func approveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "approve ID", Short: "Approve a correction that somebody else proposed", Args: cobra.ExactArgs(1),
		Example: "  belpoort correct approve 7M2P-0C4D-Q9X1 --key-file second.key",
		RunE:    func(cmd *cobra.Command, args []string) error { return approve(cmd, args[0]) },
	}
	correctionFlags(cmd)
	return cmd
}

func correctionFlags(cmd *cobra.Command) {
	clientFlags(cmd)
	cmd.Flags().String("request-id", "", "makes repeating harmless (default: a new one)")
	cmd.Flags().Bool("json", false, "print the answer as JSON")
}

func propose(cmd *cobra.Command, receipt string) error {
	f := flags{cmd.Flags()}
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	request := &belpoortv1.ProposeCorrectionRequest{Receipt: receipt, Reason: f.text("reason"), RequestId: f.orNewID("request-id")}
	answer, err := call(cmd.Context(), c, belpoortv1.NewObjectionServiceClient(c).ProposeCorrection, request)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if f.flag("json") {
		return printJSON(out, answer)
	}
	fmt.Fprintln(out, "correction proposed; the objection stands until somebody else approves it")
	field(out, "id", answer.GetCorrectionId())
	field(out, "until", local(answer.GetExpireTime()))
	field(out, "ledger", fmt.Sprintf("position %d", answer.GetPosition()))
	return nil
}

func approve(cmd *cobra.Command, id string) error {
	f := flags{cmd.Flags()}
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	request := &belpoortv1.ApproveCorrectionRequest{CorrectionId: id, RequestId: f.orNewID("request-id")}
	answer, err := call(cmd.Context(), c, belpoortv1.NewObjectionServiceClient(c).ApproveCorrection, request)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if f.flag("json") {
		return printJSON(out, answer)
	}
	fmt.Fprintf(out, "the objection at position %d does not stand any more\n", answer.GetObjectionPosition())
	field(out, "ledger", fmt.Sprintf("position %d", answer.GetPosition()))
	field(out, "recorded", local(answer.GetRecordTime()))
	return nil
}
