package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/proof"
)

func ledgerVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify [BACKUP]", Short: "Walk the whole ledger and say whether it is what was written", Args: cobra.MaximumNArgs(1),
		Long: `Walk the ledger from its first position to its last: every fact must be there, in order, as it was written, and every hash
must follow from the one before. Then look at every ALLOW: it must have a basis, its evidence must be a fact about that
callee that was known, and no objection or withdrawal may have been in force that it did not see. A backup is given as a file; without one the ledger in the data folder is copied first,
while the service runs or not, and with --ledger the one on PostgreSQL is walked where it is.

Without a backup the journal in the data folder is compared with the ledger too: what it has shipped must be there, word for word.
With --replay each ALLOW is decided again, from the facts at its position, under its catalogue and law, at its instant, and must
come out the same; that takes the deployment's key, in the data folder. Not replayed are those whose law version is not that of
this binary (or of --law), and those whose facts or number are not in the ledger, or not any more.

Exits 0 when all is sound, 1 with the first position that is not, or with the decisions that the ledger does not support.`,
		Example: `  belpoort ledger verify --data /var/lib/belpoort
  belpoort ledger verify /backups/belpoort-monday.db
  belpoort ledger verify --data /var/lib/belpoort --replay
  belpoort ledger verify --ledger postgres://belpoort@db/belpoort`,
		RunE: ledgerVerify,
	}
	cmd.Flags().String("ledger", "", "URL of a PostgreSQL ledger, postgres://...")
	cmd.Flags().Bool("replay", false, "decide every ALLOW again")
	cmd.Flags().Int("replay-every", 1, "with --replay: only one ALLOW in so many")
	lawFlag(cmd)
	return cmd
}

func ledgerVerify(cmd *cobra.Command, args []string) error {
	f := flags{cmd.Flags()}
	if len(args) > 0 && f.text("ledger") != "" {
		return usage(errors.New("give a backup or --ledger, not both"))
	}
	backup := ""
	if len(args) > 0 {
		backup = args[0]
	}
	store, done, err := openForReading(cmd.Context(), f, backup)
	if err != nil {
		return copyFailed(err)
	}
	report, err := store.Verify(cmd.Context())
	var allowed proof.Report
	var more soundness
	if err == nil && report.OK() {
		allowed, err = proof.Check(cmd.Context(), store)
	}
	if err == nil && report.OK() {
		more, err = lookFurther(cmd, store, backup == "")
	}
	if err = errors.Join(err, store.Close(), done()); err != nil {
		return exit(exitFailed, err)
	}
	w := cmd.OutOrStdout()
	if !report.OK() {
		fmt.Fprintf(w, "WRONG  position %d: %s\nsound up to position %d\n", report.Wrong, report.Problem, report.Sound)
		return exit(exitFailed, nil)
	}
	for _, f := range allowed.Findings {
		fmt.Fprintf(w, "UNSUPPORTED  decision %s: %s\n", f.Decision, f.Problem)
	}
	if allowed.Wrong > 0 {
		fmt.Fprintf(w, "%d of %d ALLOWs are not supported by the ledger\n", allowed.Wrong, allowed.Allowed)
	}
	if more.tellWrong(w) || allowed.Wrong > 0 {
		return exit(exitFailed, nil)
	}
	fmt.Fprintf(w, "SOUND  %d facts, %d of them erased, last hash %s\n", report.Head, report.Erased, hex.EncodeToString(report.Hash[:]))
	fmt.Fprintf(w, "%d ALLOWs, each with its basis and against no objection; the evidence of %d was erased\n", allowed.Allowed, allowed.Erased)
	more.tell(w)
	return nil
}

// openForReading opens a ledger that others may be writing; done removes what was made for it.
func openForReading(ctx context.Context, f flags, backup string) (store ledger.Ledger, done func() error, err error) {
	if address := f.text("ledger"); address != "" {
		shared, err := ledger.OpenPostgres(ctx, address, ledger.Options{})
		return shared, func() error { return nil }, err
	}
	scratch, err := os.MkdirTemp("", "belpoort-verify-*")
	if err != nil {
		return nil, nil, err
	}
	done = func() error { return os.RemoveAll(scratch) }
	if backup == "" {
		backup = filepath.Join(scratch, "copy.db")
		if _, err = ledger.BackupSQLite(ctx, folder(f.text("data")).ledger(), backup); err != nil {
			return nil, nil, errors.Join(err, done())
		}
	}
	dir := filepath.Join(scratch, "ledger")
	if _, err = ledger.RestoreSQLite(ctx, backup, dir); err != nil {
		return nil, nil, errors.Join(err, done())
	}
	embedded, err := ledger.OpenSQLite(ctx, dir, ledger.Options{})
	if err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return embedded, done, nil
}
