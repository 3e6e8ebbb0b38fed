package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/examples"
)

func sampleCommand() *cobra.Command {
	return &cobra.Command{
		Use: "sample FOLDER", Short: "Write sample data: a catalogue and CSV files of three invented organisations", Args: cobra.ExactArgs(1),
		Long: `Write the sample data of examples/ with every date moved to today: a catalogue and Dutch CSV files of an energy
supplier, a charity and a newspaper. All of them are invented, and so are the numbers.`,
		Example: "  belpoort sample ./samples",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return usage(err)
			}
			if err := examples.Write(args[0], time.Now()); err != nil {
				return usage(err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "sample data written to", args[0])
			return nil
		},
	}
}
