package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/ledger"
)

func migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "migrate", Short: "Bring the schema of a PostgreSQL ledger up to date", Args: cobra.NoArgs,
		Long: `Bring the schema of a ledger on PostgreSQL up to date, and say from which version to which; in an empty database,
create it. It may run while older nodes serve, several times, and at several places at once.

The service does the same when it starts. This command is for a rollout that wants it done before, or by another role;
that role must own the database and its tables.`,
		Example: `  belpoort migrate --ledger postgres://belpoort@db1:5432/belpoort?sslmode=verify-full
  BELPOORT_LEDGER=postgres://... belpoort migrate`,
		RunE: func(cmd *cobra.Command, _ []string) error { return migrate(cmd) },
	}
	cmd.Flags().String("ledger", "", "the ledger's database, postgres://USER:PASSWORD@HOST:PORT/DATABASE (required)")
	return cmd
}

func migrate(cmd *cobra.Command) error {
	url := flags{cmd.Flags()}.text("ledger")
	if url == "" {
		return usage(errors.New("--ledger is missing, want postgres://...; the embedded ledger is migrated when it is opened"))
	}
	from, to, err := ledger.MigratePostgres(cmd.Context(), url)
	if errors.Is(err, ledger.ErrInvalid) {
		return usage(fmt.Errorf("--ledger: %w", err))
	}
	if err != nil {
		return exit(exitFailed, err)
	}
	if from == to {
		fmt.Fprintf(cmd.OutOrStdout(), "schema version %d: up to date\n", to)
		return nil
	}
	fmt.Fprintf(cmd.OutOrStdout(), "schema migrated from version %d to %d\n", from, to)
	return nil
}
