package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func campaignsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "campaigns [ID]", Short: "Show how campaigns stand: calls, offers of objection, suspensions", Args: cobra.MaximumNArgs(1),
		Long: `Show what the campaigns did in the last 24 hours and what they owe: calls allowed (permits) and answered, offers of the
right of objection [recht van verzet] reported (paid), not yet due (owed) and overdue, objections, the share of abandoned
calls, and whether the campaign runs, or why not.

A campaign with too many overdue offers is suspended, and comes back when they are reported (offer_debt_limit), or when
somebody resumes it with a reason: then they are written off.`,
		Example: "  belpoort campaigns\n  belpoort campaigns voltwerk-demo --json",
		RunE:    func(cmd *cobra.Command, args []string) error { return campaigns(cmd, args) },
	}
	clientFlags(cmd)
	cmd.Flags().Bool("json", false, "print the answer as JSON")
	cmd.AddCommand(stateCommand("suspend", "suspended", "Stop a campaign on every node, until it is resumed",
		`Stop a campaign. When this command returns, every node refuses its calls (CAMPAIGN_SUSPENDED), until somebody resumes it.`, suspendCampaign),
		stateCommand("resume", "resumed", "Let a suspended campaign run again, and write off its overdue offers",
			`Let a suspended campaign run again, whatever stopped it. Its offers that are overdue at this moment are written off, and its
abandoned calls counted anew. Who asked, and the reason, stay in the ledger.`, resumeCampaign))
	return cmd
}

func stateCommand(name, done, short, long string, change func(*cobra.Command, *connection, string) (uint64, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use: name + " ID", Short: short, Args: cobra.ExactArgs(1), Long: long,
		Example: fmt.Sprintf("  belpoort campaigns %s voltwerk-demo --reason \"what the agents were told\"", name),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			position, err := change(cmd, c, args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "campaign %s %s\n", args[0], done)
			field(cmd.OutOrStdout(), "ledger", "position "+strconv.FormatUint(position, 10))
			return nil
		},
	}
	clientFlags(cmd)
	cmd.Flags().String("reason", "", "why, 1 to 500 bytes (required)")
	cmd.Flags().String("request-id", "", "makes repeating harmless (default: none)")
	return cmd
}

func suspendCampaign(cmd *cobra.Command, c *connection, campaign string) (uint64, error) {
	f := flags{cmd.Flags()}
	answer, err := call(cmd.Context(), c, belpoortv1.NewCatalogueServiceClient(c).SuspendCampaign, &belpoortv1.SuspendCampaignRequest{
		Campaign: campaign, Reason: f.text("reason"), RequestId: f.text("request-id"),
	})
	return answer.GetPosition(), err
}

func resumeCampaign(cmd *cobra.Command, c *connection, campaign string) (uint64, error) {
	f := flags{cmd.Flags()}
	answer, err := call(cmd.Context(), c, belpoortv1.NewCatalogueServiceClient(c).ResumeCampaign, &belpoortv1.ResumeCampaignRequest{
		Campaign: campaign, Reason: f.text("reason"), RequestId: f.text("request-id"),
	})
	return answer.GetPosition(), err
}

func campaigns(cmd *cobra.Command, args []string) error {
	f := flags{cmd.Flags()}
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	request := &belpoortv1.ListCampaignsRequest{}
	if len(args) > 0 {
		request.Campaign = args[0]
	}
	answer, err := call(cmd.Context(), c, belpoortv1.NewCatalogueServiceClient(c).ListCampaigns, request)
	if err != nil {
		return err
	}
	if f.flag("json") {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	return printCampaigns(cmd.OutOrStdout(), answer)
}

func printCampaigns(out io.Writer, answer *belpoortv1.ListCampaignsResponse) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CAMPAIGN\tPERMITS\tANSWERED\tOFFERS PAID\tOWED\tOVERDUE\tOBJECTIONS\tABANDONED\tSTATE")
	for _, c := range answer.GetCampaigns() {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f %%\t%s\n", c.GetCampaign(), c.GetPermits(), c.GetAnswered(), c.GetOffersPaid(),
			c.GetOffersOwed(), c.GetOffersOverdue(), c.GetObjections(), 100*c.GetAbandonedShare(), stateOf(c))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if answer.GetReading() {
		fmt.Fprintln(out, "The node has only just started and still reads the ledger: the figures are too low, the states are not.")
	}
	return nil
}

// stateOf says whether a campaign runs, or why not.
func stateOf(c *belpoortv1.CampaignStanding) string {
	switch s := c.GetSuspension(); {
	case s != nil:
		by := ""
		if s.GetBy() != "" {
			by = ", by " + s.GetBy()
		}
		return fmt.Sprintf("suspended since %s: %v (%s%s)", local(s.GetSinceTime()), eligibility.SuspensionCause(s.GetCause()), s.GetReason(), by)
	case c.GetSuspendedInCatalogue():
		return "suspended in the catalogue"
	default:
		return "runs"
	}
}
