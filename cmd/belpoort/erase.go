package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func eraseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "erase NUMBER", Short: "Erase a person, but not their objections", Args: cobra.ExactArgs(1),
		Long: `Erase a number and what is known of the person [recht op vergetelheid, GDPR art. 17]: consents, relationships, requests and
who the subscriber is. It cannot be undone. Objections, withdrawals, list entries, earlier calls and decisions stay under the
callee token, without the number: they keep the person from being called, and show how they were treated.`,
		Example: `  belpoort erase 06-12345678 --reason "asked by letter, case 2026-114"`,
		RunE:    func(cmd *cobra.Command, args []string) error { return erase(cmd, args[0]) },
	}
	clientFlags(cmd)
	f := cmd.Flags()
	f.String("reason", "", "why, without a name: it stays (at most 500 bytes)")
	f.Bool("yes", false, "do not ask")
	f.String("request-id", "", "makes repeating harmless (default: a new one)")
	f.Bool("json", false, "print the answer as JSON")
	return cmd
}

func erase(cmd *cobra.Command, number string) error {
	f := flags{cmd.Flags()}
	if !f.flag("yes") {
		fmt.Fprintf(cmd.ErrOrStderr(), "Erase what is known of %s? It cannot be undone. Type yes: ", number)
		said, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if strings.TrimSpace(said) != "yes" {
			return usage(errors.New("nothing was erased: the answer was not yes (--yes does not ask)"))
		}
	}
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	request := &belpoortv1.EraseCalleeRequest{Callee: number, Reason: f.text("reason"), RequestId: f.orNewID("request-id")}
	answer, err := call(cmd.Context(), c, belpoortv1.NewRegisterServiceClient(c).EraseCallee, request)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if f.flag("json") {
		return printJSON(out, answer)
	}
	fmt.Fprintf(out, "erased: %d facts and the number; %d facts stay\n", answer.GetErased(), answer.GetKept())
	field(out, "ledger", fmt.Sprintf("position %d", answer.GetPosition()))
	field(out, "token", answer.GetCalleeToken())
	field(out, "recorded", local(answer.GetRecordTime()))
	return nil
}

// orNewID is a request id, or a new one where none was given.
func (f flags) orNewID(name string) string {
	if id := f.text(name); id != "" {
		return id
	}
	return "cli-" + rand.Text()
}
