package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// maxListed bounds what `decisions` prints, and pageListed how much of it is asked for at a time.
const (
	maxListed  = 100_000
	pageListed = 1000
)

func decisionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "decisions", Short: "List the decisions that were answered, newest first", Args: cobra.NoArgs,
		Long: `List the decisions that were answered, newest first: those of the organisations for which the key may act. Callees are
named by their token; explain shows why a decision came out as it did.`,
		Example: `  belpoort decisions --since 24h --verdict DENY
  belpoort decisions --callee 06-12345678 --campaign voltwerk-demo --json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return decisions(cmd) },
	}
	clientFlags(cmd)
	f := cmd.Flags()
	f.String("campaign", "", "only of this campaign")
	f.String("callee", "", "only about this number")
	f.String("verdict", "", "only ALLOW, DENY or DEFER")
	f.String("reason", "", "only with this headline reason, such as OBJECTED")
	f.String("since", "", "only from this time on, such as 2026-11-18T14:00:00+01:00, or so long ago, such as 24h")
	f.String("until", "", "only before this time, written likewise")
	f.Int("limit", 100, "how many at most, up to 100,000")
	f.Bool("json", false, "print the answer as JSON")
	return cmd
}

func decisions(cmd *cobra.Command) error {
	f := flags{cmd.Flags()}
	request, err := decisionsAsked(f)
	if err != nil {
		return usage(err)
	}
	limit := f.number("limit")
	if limit < 1 || limit > maxListed {
		return usage(fmt.Errorf("--limit: want 1 to %d", maxListed))
	}
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	found, err := listDecisions(cmd.Context(), c, request, limit)
	if err != nil {
		return err
	}
	if f.flag("json") {
		err = printJSON(cmd.OutOrStdout(), found)
	} else {
		err = printDecisions(cmd.OutOrStdout(), found.GetDecisions())
	}
	if err != nil {
		return exit(exitFailed, err)
	}
	if found.GetNextPageToken() != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "belpoort: there are more than %d; raise --limit or narrow the list\n", limit)
	}
	return nil
}

func decisionsAsked(f flags) (*belpoortv1.ListDecisionsRequest, error) {
	request := &belpoortv1.ListDecisionsRequest{Campaign: f.text("campaign"), Callee: f.text("callee")}
	var err error
	if s := f.text("verdict"); s != "" {
		verdict, err := eligibility.ParseWord[eligibility.Verdict](s)
		if err != nil {
			return nil, fmt.Errorf("--verdict: %w", err)
		}
		request.Verdict = belpoortv1.Verdict(verdict)
	}
	if s := f.text("reason"); s != "" {
		reason, err := eligibility.ParseWord[eligibility.Reason](s)
		if err != nil {
			return nil, fmt.Errorf("--reason: %w", err)
		}
		request.Reason = belpoortv1.Reason(reason)
	}
	if request.FromTime, err = timeOrAgo("since", f.text("since")); err != nil {
		return nil, err
	}
	request.UntilTime, err = timeOrAgo("until", f.text("until"))
	return request, err
}

// timeOrAgo reads a time, or how long it is ago.
func timeOrAgo(flag, s string) (*timestamppb.Timestamp, error) {
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		return timestamppb.New(time.Now().Add(-ago)), nil
	}
	t, err := parseTime(flag, s)
	if err != nil {
		return nil, fmt.Errorf("%w, or a duration such as 24h", err)
	}
	return t, nil
}

// listDecisions goes from page to page; the answer's token tells whether there are more.
func listDecisions(
	ctx context.Context, c *connection, request *belpoortv1.ListDecisionsRequest, limit int,
) (*belpoortv1.ListDecisionsResponse, error) {
	all := &belpoortv1.ListDecisionsResponse{}
	client := belpoortv1.NewAuditServiceClient(c)
	for {
		request.PageSize = int32(min(limit-len(all.GetDecisions()), pageListed))
		page, err := call(ctx, c, client.ListDecisions, request)
		if err != nil {
			return nil, err
		}
		all.Decisions = append(all.GetDecisions(), page.GetDecisions()...)
		request.PageToken, all.NextPageToken = page.GetNextPageToken(), page.GetNextPageToken()
		if page.GetNextPageToken() == "" || len(all.GetDecisions()) >= limit {
			return all, nil
		}
	}
}

func printDecisions(w io.Writer, list []*belpoortv1.Decision) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TIME\tVERDICT\tREASON\tCAMPAIGN\tCLIENT\tCALLEE\tDECISION")
	for _, d := range list {
		fmt.Fprintf(table, "%s\t%v\t%v\t%s\t%s\t%s\t%s\n", local(d.GetDecideTime()), eligibility.Verdict(d.GetVerdict()),
			eligibility.Reason(d.GetReason()), d.GetCampaign(), d.GetClient(), d.GetCalleeToken(), d.GetDecisionId())
	}
	return table.Flush()
}
