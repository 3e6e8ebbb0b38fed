package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

const (
	// retentionStretch is how long one request lasts: the service ends connections that are older than half an hour.
	retentionStretch = 20 * time.Minute
	// retentionTries is how often a run goes on after an error before it gives up, where nothing came in between.
	retentionTries = 5
	retentionPause = 2 * time.Second

	maxRetentionPolicy = 64 << 10 // bytes
)

const retentionPolicyHelp = `The policy is a YAML file. Each term is as in "5 years", "13 months" or "90 days", at least 31 days; what has none is kept for ever:

  refusals: 13 months   # decisions that allowed no call
  calls: 5 years        # decisions that allowed one, and the reports and offers of calls
  bases: 5 years        # consents, relationships and requests, from when they ended; and the number, when nothing else is left
  lists: 31 days        # list entries, from when a newer copy replaced them`

func retentionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retention", Short: "Destroy what has been kept long enough, and decides nothing any more", Args: cobra.NoArgs,
		Long: `Destroy what is older than a policy allows. With --dry-run only count it: what there is of each kind, what would go, and why the
rest stays. Nothing that a decision still needs goes, whatever its age: no verdict changes. Objections, withdrawals and the
newest copies of lists are kept for ever, under the callee token.

` + retentionPolicyHelp,
		Example: "  belpoort retention --dry-run --policy retention.yaml\n  belpoort retention run --policy retention.yaml --yes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !(flags{cmd.Flags()}).flag("dry-run") {
				return usage(errors.New("say --dry-run to count what would go, or: belpoort retention run"))
			}
			return retain(cmd, true)
		},
	}
	retentionFlags(cmd)
	cmd.Flags().Bool("dry-run", false, "count, and destroy nothing")
	run := &cobra.Command{
		Use: "run", Short: "Destroy it", Args: cobra.NoArgs,
		Long: `Destroy what the policy lets go, through the running service, in small steps that leave it time for calls. It cannot be
undone. Who asked, the policy, and what came of it stay in the ledger. It may be cut off at any moment and run again.

` + retentionPolicyHelp,
		Example: "  belpoort retention run --policy retention.yaml --yes",
		RunE:    func(cmd *cobra.Command, _ []string) error { return retain(cmd, false) },
	}
	retentionFlags(run)
	run.Flags().Bool("yes", false, "do not ask")
	cmd.AddCommand(run)
	return cmd
}

func retentionFlags(cmd *cobra.Command) {
	clientFlags(cmd)
	cmd.Flags().String("policy", "", "YAML file with the terms (required)")
	cmd.Flags().Bool("json", false, "print the answer as JSON")
}

func retain(cmd *cobra.Command, dry bool) error {
	f := flags{cmd.Flags()}
	policy, err := readRetentionPolicy(f.text("policy"))
	if err != nil {
		return usage(err)
	}
	if !dry && !f.flag("yes") {
		fmt.Fprint(cmd.ErrOrStderr(), "Destroy what this policy lets go? It cannot be undone. Type yes: ")
		said, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if strings.TrimSpace(said) != "yes" {
			return usage(errors.New("nothing was destroyed: the answer was not yes (--yes does not ask)"))
		}
	}
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	sum, err := runRetention(cmd.Context(), c, &belpoortv1.RunRetentionRequest{Policy: policy, DryRun: dry}, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if f.flag("json") {
		return printJSON(cmd.OutOrStdout(), sum)
	}
	return printRetention(cmd.OutOrStdout(), sum, dry)
}

// readRetentionPolicy reads the terms; the service checks what they say.
func readRetentionPolicy(path string) (*belpoortv1.RetentionPolicy, error) {
	if path == "" {
		return nil, errors.New("--policy is missing")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--policy: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxRetentionPolicy+1))
	if err != nil {
		return nil, fmt.Errorf("--policy: %w", err)
	}
	if len(data) > maxRetentionPolicy {
		return nil, fmt.Errorf("--policy: %s is larger than %d bytes", path, maxRetentionPolicy)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: want a map of terms, such as \"calls: 5 years\"", path)
	}
	return retentionPolicyOf(path, doc.Content[0])
}

func retentionPolicyOf(path string, top *yaml.Node) (*belpoortv1.RetentionPolicy, error) {
	policy := &belpoortv1.RetentionPolicy{}
	terms := map[string]*string{"refusals": &policy.Refusals, "calls": &policy.Calls, "bases": &policy.Bases, "lists": &policy.Lists}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		term := terms[key.Value]
		switch {
		case term == nil:
			return nil, fmt.Errorf("%s:%d:%d: %s: unknown key; want refusals, calls, bases or lists", path, key.Line, key.Column, key.Value)
		case *term != "":
			return nil, fmt.Errorf("%s:%d:%d: %s: stands twice", path, key.Line, key.Column, key.Value)
		case value.Kind != yaml.ScalarNode || value.Value == "":
			return nil, fmt.Errorf("%s:%d:%d: %s: want a term such as 5 years", path, value.Line, value.Column, key.Value)
		}
		*term = value.Value
	}
	return policy, nil
}

// runRetention runs to the end, in several requests where it takes long, and adds up what they told.
func runRetention(ctx context.Context, c *connection, request *belpoortv1.RunRetentionRequest, progress io.Writer) (*belpoortv1.RunRetentionResponse, error) {
	sum := &belpoortv1.RunRetentionResponse{}
	for failed := 0; ; {
		last, err := oneRetention(ctx, c, request, progress)
		if last != nil {
			addRetention(sum, last)
			request.ResumeToken = last.GetResumeToken()
		}
		switch code := status.Code(err); {
		case err == nil:
			return sum, nil
		case code == codes.DeadlineExceeded && last != nil:
			failed = 0
		case code == codes.Unavailable && failed < retentionTries && sum.GetResumeToken() != "":
			failed++
			time.Sleep(retentionPause)
		default:
			return nil, refused(err)
		}
	}
}

// oneRetention gives the last that one request told.
func oneRetention(ctx context.Context, c *connection, request *belpoortv1.RunRetentionRequest, progress io.Writer) (last *belpoortv1.RunRetentionResponse, err error) {
	ctx, cancel := context.WithTimeout(ctx, retentionStretch)
	defer cancel()
	stream, err := belpoortv1.NewRetentionServiceClient(c).RunRetention(ctx, request)
	for err == nil && !last.GetFinished() {
		var next *belpoortv1.RunRetentionResponse
		if next, err = stream.Recv(); err == nil {
			if last = next; !last.GetFinished() {
				fmt.Fprintln(progress, lookedAt(last))
			}
		}
	}
	return last, err
}

func lookedAt(r *belpoortv1.RunRetentionResponse) string {
	decisions := uint64(0)
	for _, c := range r.GetCounts() {
		if c.GetKind() == "allows" || c.GetKind() == "refusals" {
			decisions += c.GetHeld()
		}
	}
	return fmt.Sprintf("%d decisions and %d callees looked at", decisions, r.GetCallees())
}

func addRetention(sum, last *belpoortv1.RunRetentionResponse) {
	sum.Callees += last.GetCallees()
	sum.Finished, sum.ResumeToken = last.GetFinished(), last.GetResumeToken()
	sum.Position = max(sum.GetPosition(), last.GetPosition())
	for _, c := range last.GetCounts() {
		i := slices.IndexFunc(sum.Counts, func(s *belpoortv1.RetentionCount) bool { return s.GetKind() == c.GetKind() })
		if i < 0 {
			sum.Counts = append(sum.Counts, c)
			continue
		}
		to := sum.Counts[i]
		to.Held, to.Destroyed = to.GetHeld()+c.GetHeld(), to.GetDestroyed()+c.GetDestroyed()
		if oldest := c.GetOldestTime(); oldest != nil && (to.GetOldestTime() == nil || oldest.AsTime().Before(to.GetOldestTime().AsTime())) {
			to.OldestTime = oldest
		}
		for _, why := range c.GetStays() {
			j := slices.IndexFunc(to.Stays, func(s *belpoortv1.RetentionReason) bool { return s.GetReason() == why.GetReason() })
			if j < 0 {
				to.Stays = append(to.Stays, why)
			} else {
				to.Stays[j].Count += why.GetCount()
			}
		}
	}
}

func printRetention(w io.Writer, sum *belpoortv1.RunRetentionResponse, dry bool) error {
	goes := "DESTROYED"
	if dry {
		goes = "WOULD GO"
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "KIND\tLOOKED AT\t%s\tOLDEST THAT STAYS\tWHY THE OTHERS STAY\n", goes)
	for _, c := range sum.GetCounts() {
		oldest, stays := "-", make([]string, 0, len(c.GetStays()))
		if c.GetOldestTime() != nil {
			oldest = local(c.GetOldestTime())
		}
		for _, s := range c.GetStays() {
			stays = append(stays, fmt.Sprintf("%s %d", s.GetReason(), s.GetCount()))
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\n", c.GetKind(), c.GetHeld(), c.GetDestroyed(), oldest, strings.Join(stays, ", "))
	}
	if err := table.Flush(); err != nil {
		return exit(exitFailed, err)
	}
	fmt.Fprintln(w, lookedAt(sum))
	if !dry {
		field(w, "ledger", fmt.Sprintf("position %d", sum.GetPosition()))
	}
	return nil
}
