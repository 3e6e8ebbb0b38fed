package main

import (
	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/scenario"
)

func scenariosCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "scenarios", Short: "Run the law as cases"}
	run := &cobra.Command{
		Use: "run FILE...", Short: "Run scenario files through the engine that answers checks", Args: cobra.MinimumNArgs(1),
		Long: `Run scenario files through the same engine that answers checks, without a service. One line for each scenario, "ok" or
"FAIL" with what was wanted and what came, then "N passed, N failed". The form of the files is in docs/scenarios.md.`,
		Example: "  belpoort scenarios run eligibility/testdata/nl.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			nl, err := loadLaw(cmd)
			if err != nil {
				return exit(exitFailed, err)
			}
			_, failed, err := scenario.Run(args, nl, cmd.OutOrStdout())
			if err != nil {
				return usage(err)
			}
			if failed > 0 {
				return exit(exitFailed, nil)
			}
			return nil
		},
	}
	lawFlag(run)
	cmd.AddCommand(run)
	return cmd
}
