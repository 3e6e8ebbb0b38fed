package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/server"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Make API keys for dialers, IVRs and people"}
	cmd.AddCommand(newKeyCommand(), installKeysCommand(), permitPublicKeysCommand(), rotatePermitKeysCommand())
	return cmd
}

func newKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "new", Short: "Make an API key", Args: cobra.NoArgs,
		Long: `Make an API key: its hash is added to the key file, the key itself is printed once and kept nowhere. A running service
takes it up within a second.`,
		Example: "  belpoort keys new --id dialer-1 --role dialer --organisation voltwerk",
		RunE:    func(cmd *cobra.Command, _ []string) error { return newKey(cmd) },
	}
	f := cmd.Flags()
	f.String("id", "", "name of the client: lower-case letters, digits and hyphens (required)")
	f.StringSlice("role", nil, "dialer, ivr, register, compliance or ops; may be repeated (required)")
	f.StringSlice("organisation", nil, "id of an organisation it may act for, or * for all; may be repeated (required)")
	f.String("api-keys", "", "the key file (default: keys/api-keys.yaml in the data folder)")
	return cmd
}

// newKey adds an entry and lets the service's own reader judge the new file before it takes the old one's place.
func newKey(cmd *cobra.Command) error {
	f := flags{cmd.Flags()}
	path := f.text("api-keys")
	if path == "" {
		path = folder(f.text("data")).keyFile()
	}
	old, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return usage(fmt.Errorf("%s does not exist; start the service once, or name the file with --api-keys", path))
	}
	if err != nil {
		return exit(exitFailed, err)
	}
	plain, sum := server.NewKey()
	content := string(old) + keyEntry(f.text("id"), sum, f.texts("role"), f.texts("organisation"))
	candidate := path + ".new"
	if err := writeNew(candidate, content); err != nil {
		return exit(exitFailed, err)
	}
	defer os.Remove(candidate)
	if _, err := server.OpenKeys(candidate, nil); err != nil {
		return usage(err)
	}
	if err := os.Rename(candidate, path); err != nil {
		return exit(exitFailed, err)
	}
	fmt.Fprintln(cmd.OutOrStdout(), plain)
	return nil
}
