package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func importsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "imports [ID]", Short: "List how imports ended, newest first", Args: cobra.MaximumNArgs(1),
		Long: `List how imports ended, as the ledger has it, newest first: all of them, or, with its id, what is known of one. A key that may
not act for every organisation sees the imports that it made itself.`,
		Example: "  belpoort imports\n  belpoort imports imp-3k5z6d2qv7hwtmxa --json",
		RunE:    func(cmd *cobra.Command, args []string) error { return listImports(cmd, args) },
	}
	clientFlags(cmd)
	cmd.Flags().Int("limit", 100, "how many at most, up to 100,000")
	cmd.Flags().Bool("json", false, "print the answer as JSON")
	return cmd
}

func listImports(cmd *cobra.Command, args []string) error {
	f := flags{cmd.Flags()}
	limit := f.number("limit")
	if limit < 1 || limit > maxListed {
		return usage(fmt.Errorf("--limit: want 1 to %d", maxListed))
	}
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	request := &belpoortv1.ListImportsRequest{}
	if len(args) > 0 {
		request.ImportId = args[0]
	}
	found, err := allImports(cmd.Context(), c, request, limit)
	switch {
	case err != nil:
		return err
	case f.flag("json"):
		err = printJSON(cmd.OutOrStdout(), found)
	case len(args) > 0:
		err = printImportsWhole(cmd.OutOrStdout(), args[0], found.GetImports())
	default:
		err = printImports(cmd.OutOrStdout(), found.GetImports())
	}
	if err != nil {
		return exit(exitFailed, err)
	}
	if found.GetNextPageToken() != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "belpoort: there are more than %d; raise --limit\n", limit)
	}
	return nil
}

// allImports goes from page to page; the answer's token tells whether there are more.
func allImports(ctx context.Context, c *connection, request *belpoortv1.ListImportsRequest, limit int) (*belpoortv1.ListImportsResponse, error) {
	all := &belpoortv1.ListImportsResponse{}
	for {
		request.PageSize = int32(min(limit-len(all.GetImports()), pageListed))
		page, err := call(ctx, c, belpoortv1.NewRegisterServiceClient(c).ListImports, request)
		if err != nil {
			return nil, err
		}
		all.Imports = append(all.GetImports(), page.GetImports()...)
		request.PageToken, all.NextPageToken = page.GetNextPageToken(), page.GetNextPageToken()
		if page.GetNextPageToken() == "" || len(all.GetImports()) >= limit {
			return all, nil
		}
	}
}

func printImports(w io.Writer, list []*belpoortv1.RecordedImport) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ENDED\tIMPORT\tKIND\tFILE\tOUTCOME\tROWS\tRECORDED\tUNCHANGED\tREJECTED\tCLIENT")
	for _, i := range list {
		m := i.GetReport()
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", local(m.GetEndTime()), plainLine(m.GetImportId()), plainLine(m.GetKind()),
			plainLine(m.GetFile()), outcomeWord(m.GetOutcome()), m.GetRows(), m.GetRecorded(), m.GetUnchanged(), m.GetRejected(), plainLine(m.GetClient()))
	}
	return table.Flush()
}

// printImportsWhole shows all that is known of one import.
func printImportsWhole(w io.Writer, id string, list []*belpoortv1.RecordedImport) error {
	if len(list) == 0 {
		return fmt.Errorf("no import %s has been reported: it is under way, was cut off, or never was", plainLine(id))
	}
	for _, i := range list {
		m := i.GetReport()
		fmt.Fprintf(w, "%s %s %s\n", plainLine(m.GetImportId()), plainLine(m.GetKind()), outcomeWord(m.GetOutcome()))
		field(w, "file", plainLine(m.GetFile()))
		field(w, "sha256", plainLine(m.GetContentSha256()))
		field(w, "source", plainLine(m.GetSource()))
		field(w, "mapping", plainLine(m.GetMapping()))
		field(w, "problem", plainLine(m.GetProblem()))
		field(w, "rows", fmt.Sprintf("%d: %d recorded, %d unchanged, %d rejected, %d unconfirmed", m.GetRows(), m.GetRecorded(), m.GetUnchanged(), m.GetRejected(), m.GetUnconfirmed()))
		for _, reason := range slices.Sorted(maps.Keys(m.GetRejectedByReason())) {
			field(w, "", fmt.Sprintf("%5d  %s", m.GetRejectedByReason()[reason], plainLine(reason)))
		}
		field(w, "began", local(m.GetStartTime()))
		field(w, "ended", local(m.GetEndTime()))
		if m.GetResumed() > 0 {
			field(w, "resumed", fmt.Sprintf("%d times", m.GetResumed()))
		}
		field(w, "client", plainLine(m.GetClient()))
		field(w, "ledger", "position "+strconv.FormatUint(i.GetPosition(), 10))
	}
	return nil
}
