// Belpoort is a pre-dial gatekeeper for call centers: it says of each call, before it is made, whether the law lets it be
// made, and proves it later. This room wires the others together and is the only one that reads flags, the environment
// and files named by a user. It must not decide anything itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/cobra"
)

// version is stamped by the build.
var version = "dev"

// Exit codes, as the help says them.
const (
	exitOK          = 0 // done; check: ALLOW; scenarios: all passed
	exitFailed      = 1 // it did not work
	exitUsage       = 2 // the command, a flag or an input file is wrong
	exitDeny        = 3 // check: DENY
	exitDefer       = 4 // check: DEFER
	exitUnavailable = 5 // the service cannot be reached, or could not answer: do not dial
)

const exitCodesHelp = `Exit codes:
  0  done (check: ALLOW; scenarios run: all passed; import: no row rejected; drill: no path broken)
  1  it did not work (scenarios run: some failed; import: some rows rejected; drill: a path is broken)
  2  the command, a flag or an input file is wrong
  3  check: DENY
  4  check: DEFER
  5  the service cannot be reached or could not answer: do not dial`

// exitError carries an exit code; its sentence may be empty where the output has said it all.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func exit(code int, err error) error { return &exitError{code, err} }

func usage(err error) error {
	if err == nil {
		return nil
	}
	return exit(exitUsage, err)
}

// usageUnlessTold is usage for what has no exit code of its own.
func usageUnlessTold(err error) error {
	var told *exitError
	if errors.As(err, &told) {
		return err
	}
	return usage(err)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program as a value: tests call it as a shell would.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitUsage
	if e, ok := errors.AsType[*exitError](err); ok {
		code = e.code
	}
	if err.Error() != "" {
		fmt.Fprintln(errOut, "belpoort:", withoutControls(err.Error()))
	}
	return code
}

// withoutControls keeps what an error repeats of names and files from commanding the terminal.
func withoutControls(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "belpoort",
		Short: "A pre-dial gatekeeper: may this call be made?",
		Long: `Belpoort stands between a call centre's dialers and the telephone network. Before each call a dialer asks it;
only an explicit ALLOW may be dialed. It holds consents, objections and the Dutch opt-in law (Tw art. 11.7), and can show
for every call why it was allowed.

Every flag can also be set in the environment (--grpc as BELPOORT_GRPC) or in the YAML file named by --config
(grpc: 127.0.0.1:2357). A flag beats the environment, the environment beats the file.

` + exitCodesHelp,
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return usage(applyConfig(cmd, os.LookupEnv)) },
	}
	root.PersistentFlags().String("config", "", "YAML file with flags' values by name")
	root.PersistentFlags().String("data", "./belpoort-data", "data folder: ledger, journal, keys")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath()))
	})
	root.AddCommand(
		serveCommand(),
		checkCommand(),
		explainCommand(),
		objectCommand(),
		offerCommand(),
		eraseCommand(),
		retentionCommand(),
		correctCommand(),
		applyCommand(),
		campaignsCommand(),
		importCommand(),
		importsCommand(),
		screenCommand(),
		decisionsCommand(),
		calleeCommand(),
		drillCommand(),
		scenariosCommand(),
		sampleCommand(),
		keysCommand(),
		migrateCommand(),
		benchCommand(),
		verifyCommand(),
		backupCommand(),
		restoreCommand(),
		ledgerCommand(),
		supportBundleCommand(),
		versionCommand(),
	)
	return root
}

func versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version of this binary and of its law", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			nl, err := loadLaw(cmd)
			if err != nil {
				return exit(exitFailed, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "belpoort %s\nlaw %s %s\n", version, nl.Jurisdiction, nl.Version)
			return nil
		},
	}
	lawFlag(cmd)
	return cmd
}
