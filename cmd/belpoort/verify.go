package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/permit"
)

// permitKeys is where the keys lie that sign permits.
func (f folder) permitKeys() string { return filepath.Join(string(f), "keys", "permit-keys.json") }

func verifyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "verify", Short: "Check what the service has given out, without asking it"}
	cmd.AddCommand(verifyPermitCommand())
	return cmd
}

func verifyPermitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "permit TOKEN", Short: "Check a permit offline and print what it says", Args: cobra.ExactArgs(1),
		Long: `Check that a permit is this deployment's, unchanged, and valid; print what it says. The callee stands in it by token
only, never by number. TOKEN may be - for the standard input. Nothing is asked of the service.

Without --report the permit must be good for dialing, which it is for two seconds at most: give --at to check it at the
moment of the call. With --report it must be good for a report to refer to it.

Exits 0 when it is valid, 1 with the reason when it is not, 2 when that could not be found out.`,
		Example: `  belpoort verify permit "$PERMIT" --report
  belpoort verify permit "$PERMIT" --at 2026-11-18T14:00:00.5+01:00 --public permit-keys.public.json`,
		RunE: func(cmd *cobra.Command, args []string) error { return verifyPermit(cmd, args[0]) },
	}
	f := cmd.Flags()
	f.String("keys", "", "the key file (default: keys/permit-keys.json in the data folder)")
	f.String("public", "", "a file of public keys, as 'belpoort keys permits' prints it")
	f.String("at", "", "the instant, such as 2026-11-18T14:00:00+01:00 (default: now)")
	f.Bool("report", false, "valid for a report, rather than for dialing")
	f.Bool("json", false, "print the result as JSON")
	cmd.MarkFlagsMutuallyExclusive("keys", "public")
	return cmd
}

// permitFinding is what verify permit found. Of a permit that is not authentic nothing is told but the reason.
type permitFinding struct {
	Valid  bool          `json:"valid"`
	Reason string        `json:"reason,omitempty"`
	Late   bool          `json:"late,omitempty"`
	At     time.Time     `json:"at"`
	Permit *permitSaying `json:"permit,omitempty"`

	fault error
}

type permitSaying struct {
	DecisionID   string    `json:"decision_id"`
	CalleeToken  string    `json:"callee_token"`
	CallerID     string    `json:"caller_id,omitempty"`
	Campaign     string    `json:"campaign"`
	Organisation string    `json:"organisation"`
	Issued       time.Time `json:"issued"`
	DialUntil    time.Time `json:"dial_until"`
	ReportUntil  time.Time `json:"report_until"`
	Key          string    `json:"key"`
}

func verifyPermit(cmd *cobra.Command, token string) error {
	f := flags{cmd.Flags()}
	at, err := parseTime("at", f.text("at"))
	if err != nil {
		return usage(err)
	}
	when := time.Now()
	if at != nil {
		when = at.AsTime()
	}
	if token, err = readToken(cmd.InOrStdin(), token); err != nil {
		return usage(err)
	}
	keys, err := permitKeysOf(f)
	if err != nil {
		return usage(err)
	}
	found := findPermit(keys, token, when, f.flag("report"))
	if err := found.print(cmd.OutOrStdout(), f.flag("json")); err != nil {
		return exit(exitFailed, err)
	}
	if !found.Valid {
		return exit(exitFailed, nil)
	}
	return nil
}

// readToken takes the token from the command line or, for "-", from in; one byte too many is left for the check to refuse.
func readToken(in io.Reader, token string) (string, error) {
	if token != "-" {
		return token, nil
	}
	text, err := io.ReadAll(io.LimitReader(in, permit.MaxTokenBytes+3))
	return strings.TrimRight(string(text), "\r\n"), err
}

func permitKeysOf(f flags) (*permit.Keys, error) {
	if path := f.text("public"); path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--public: %w", err)
		}
		return permit.ReadPublic(data)
	}
	path := f.text("keys")
	if path == "" {
		path = folder(f.text("data")).permitKeys()
	}
	keys, err := permit.ReadKeys(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist; name the keys with --keys or --public", path)
	}
	return keys, err
}

func findPermit(keys *permit.Keys, token string, at time.Time, report bool) permitFinding {
	found := permitFinding{At: at.UTC()}
	if report {
		_, found.Late, found.fault = keys.ForReport(token, at)
	} else {
		_, found.fault = keys.ForDialing(token, at)
	}
	found.Valid = found.fault == nil
	if fault, is := errors.AsType[permit.Fault](found.fault); is {
		found.Reason = fault.Code()
	}
	if p, key, err := keys.Signer(token); err == nil {
		found.Permit = &permitSaying{
			DecisionID: hex.EncodeToString(p.DecisionID[:]), CalleeToken: p.Callee.String(), CallerID: p.CallerID,
			Campaign: p.Campaign, Organisation: p.Organisation, Issued: p.Issued, DialUntil: p.DialUntil,
			ReportUntil: p.ReportUntil, Key: key,
		}
	}
	return found
}

func (found permitFinding) print(w io.Writer, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(found)
	}
	switch {
	case !found.Valid:
		fmt.Fprintf(w, "INVALID  %s\n  %s\n", found.Reason, found.fault)
	case found.Late:
		fmt.Fprintln(w, "VALID  LATE")
	default:
		fmt.Fprintln(w, "VALID")
	}
	if p := found.Permit; p != nil {
		for _, line := range [][2]string{
			{"decision", p.DecisionID}, {"callee", p.CalleeToken}, {"caller ID", p.CallerID}, {"campaign", p.Campaign},
			{"organisation", p.Organisation}, {"issued", instantOf(p.Issued)}, {"dial until", instantOf(p.DialUntil)},
			{"report until", instantOf(p.ReportUntil)}, {"key", p.Key},
		} {
			if line[1] != "" {
				fmt.Fprintf(w, "  %-13s %s\n", line[0], line[1])
			}
		}
	}
	return nil
}

// instantOf shows the milliseconds, which decide over a permit.
func instantOf(t time.Time) string {
	return t.In(eligibility.Amsterdam).Format("2006-01-02 15:04:05.000 MST")
}

func permitPublicKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "permits", Short: "Print the public keys with which anybody can check permits", Args: cobra.NoArgs,
		Long: `Print the public keys that check permits, as a JWK set (RFC 8037). A key that is yet to sign is among them, so print them
anew after each rotation and hand them out within its lead.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, err := permitKeysOf(flags{cmd.Flags()})
			if err != nil {
				return usage(err)
			}
			data, err := permit.PublicSet(keys.Public())
			if err == nil {
				_, err = cmd.OutOrStdout().Write(data)
			}
			return err
		},
	}
	cmd.Flags().String("keys", "", "the key file (default: keys/permit-keys.json in the data folder)")
	return cmd
}

func rotatePermitKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate-permits", Short: "Let a new key sign permits", Args: cobra.NoArgs,
		Long: `Add a new key to the key file, that signs permits from the end of --lead on; the old one ends a minute later and checks
its permits until they are gone. A running service takes the file up within a second. With several nodes, copy the file to
each of the others within the lead (mode 0600): what a node without it signs afterwards is refused.

To distrust a key at once, take its entry out of the file after its successor has begun.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return rotatePermitKeys(cmd) },
	}
	cmd.Flags().String("keys", "", "the key file (default: keys/permit-keys.json in the data folder)")
	cmd.Flags().Duration("lead", permit.DefaultLead, "how long the new key waits before it signs; 0 for a single node")
	return cmd
}

func rotatePermitKeys(cmd *cobra.Command) error {
	f := flags{cmd.Flags()}
	path := f.text("keys")
	if path == "" {
		path = folder(f.text("data")).permitKeys()
	}
	done, err := permit.Rotate(path, time.Now(), f.duration("lead"))
	if err != nil {
		return usage(err)
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s signs from %s\n", done.New.ID, instantOf(done.New.From))
	fmt.Fprintf(w, "%s signs until %s; its permits are gone by %s\n", done.Old.ID, instantOf(done.Old.Until), instantOf(done.Gone))
	if lead := f.duration("lead"); lead > 0 {
		fmt.Fprintf(w, "Other nodes need a copy of %s within %v.\n", path, lead)
	}
	return nil
}
