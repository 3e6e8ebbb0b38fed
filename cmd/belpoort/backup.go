package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/ledger"
)

func backupCommand() *cobra.Command {
	return &cobra.Command{
		Use: "backup [FILE]", Short: "Copy the embedded ledger while it serves", Args: cobra.MaximumNArgs(1),
		Long: `Copy the ledger in the data folder into one new file (default: belpoort-<time>.db here), while the service writes it or
not. The copy holds every fact that was acknowledged before, and the decisions that had reached the ledger by then, which
is within a second (belpoort_journal_lag_seconds). It is walked whole, hash by hash, before it gets its name.

The keys are not in it: keep keys/deployment.key apart, for without it no number in the ledger can be found or read. A
ledger on PostgreSQL is backed up in PostgreSQL's own ways.`,
		Example: `  belpoort backup /backups/belpoort-monday.db --data /var/lib/belpoort`,
		RunE: func(cmd *cobra.Command, args []string) error {
			to := "belpoort-" + time.Now().UTC().Format("20060102T150405Z") + ".db"
			if len(args) == 1 {
				to = args[0]
			}
			taken, err := ledger.BackupSQLite(cmd.Context(), folder(flags{cmd.Flags()}.text("data")).ledger(), to)
			if err != nil {
				return copyFailed(err)
			}
			printCopy(cmd.OutOrStdout(), "backup", taken)
			return nil
		},
	}
}

func restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use: "restore FILE", Short: "Make a ledger of a backup, in a data folder without one", Args: cobra.ExactArgs(1),
		Long: `Make a ledger of a backup, in a data folder that has none; the file is walked whole first. Put keys/deployment.key of
the same deployment into the folder before you start the service.

What was registered after the backup was taken is not in it. Objections among it must be registered again, from your IVR's
and agents' systems, before the first call.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			data := folder(flags{cmd.Flags()}.text("data"))
			if left, _ := filepath.Glob(filepath.Join(data.journal(), "*.journal")); len(left) > 0 {
				return usage(fmt.Errorf("%s holds a journal of another ledger: restore into an empty data folder", data))
			}
			done, err := ledger.RestoreSQLite(cmd.Context(), args[0], data.ledger())
			if err != nil {
				return copyFailed(err)
			}
			printCopy(cmd.OutOrStdout(), "restored", done)
			fmt.Fprintf(cmd.OutOrStdout(), "Objections after position %d are not in it: register them again before the first call.\n", done.Head)
			return nil
		},
	}
}

// copyFailed tells a wrong command from a copy that did not work.
func copyFailed(err error) error {
	if errors.Is(err, ledger.ErrInvalid) || errors.Is(err, ledger.ErrNotFound) {
		return usage(err)
	}
	return exit(exitFailed, err)
}

func printCopy(w io.Writer, what string, b ledger.Backup) {
	fmt.Fprintf(w, "%s: %s, %d bytes\n", what, b.Path, b.Bytes)
	fmt.Fprintf(w, "position %d, hash %s; walked whole, %d of the facts erased\n", b.Head, hex.EncodeToString(b.Hash[:]), b.Erased)
}

func ledgerCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "ledger", Short: "Look after the ledger"}
	cmd.AddCommand(ledgerVerifyCommand())
	return cmd
}
