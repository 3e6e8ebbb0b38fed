package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/callerid"
	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/journal"
	"github.com/belpoort/belpoort/keyring"
	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/proof"
	"github.com/belpoort/belpoort/record"
)

// soundness is what was found beyond the chain and the bases.
type soundness struct {
	journal *proof.JournalReport // nil: none was compared
	replay  *proof.ReplayReport  // nil: nothing was decided again
}

// lookFurther compares this node's journal with the ledger, and decides ALLOWs again where it is asked to.
func lookFurther(cmd *cobra.Command, store ledger.Ledger, own bool) (s soundness, err error) {
	f := flags{cmd.Flags()}
	data := folder(f.text("data"))
	if own {
		if s.journal, err = compareJournal(cmd.Context(), store, data); err != nil {
			return s, err
		}
	}
	if !f.flag("replay") {
		return s, nil
	}
	every := f.number("replay-every")
	if every < 1 {
		return s, errors.New("--replay-every: want 1 or more")
	}
	replay, err := replayOf(cmd, store, data)
	if err != nil {
		return s, err
	}
	replay.Every = uint64(every)
	report, err := replay.Run(cmd.Context())
	s.replay = &report
	return s, err
}

func compareJournal(ctx context.Context, store ledger.Ledger, data folder) (*proof.JournalReport, error) {
	check := proof.JournalCheck{Ledger: store, Now: time.Now()}
	err := journal.Look(data.journal(), func(r journal.Record) error { return check.Look(ctx, r.Journal, r.Seq, r.Payload) })
	return &check.Report, err
}

// replayOf is what deciding again takes: the law, and the key that opens numbers.
func replayOf(cmd *cobra.Command, store ledger.Ledger, data folder) (*proof.Replay, error) {
	nl, err := loadLaw(cmd)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(data.deploymentKey()); err != nil {
		return nil, fmt.Errorf("--replay takes the deployment's key, in the data folder: %w", err)
	}
	ring, _, err := keyring.Open(string(data))
	if err != nil {
		return nil, err
	}
	return &proof.Replay{
		Ledger: store, Law: nl, Register: registerOf, Person: ring.PersonMark,
		Number: func(callee eligibility.CalleeToken, sealed []byte) string {
			number, err := ring.Open(sealed, callee)
			if err != nil {
				return ""
			}
			return number.E164()
		},
	}, nil
}

func registerOf(list []record.Registration) (eligibility.CallerIDRegister, error) {
	registrations := make([]callerid.Registration, len(list))
	for i := range list {
		registrations[i] = callerid.Registration(list[i])
	}
	return callerid.NewRegister(registrations)
}

// tellWrong says what is wrong, if anything is.
func (s soundness) tellWrong(w io.Writer) (wrong bool) {
	if s.journal != nil && s.journal.Wrong > 0 {
		for _, f := range s.journal.Findings {
			fmt.Fprintf(w, "LOST  decision %s: %s\n", f.Decision, f.Problem)
		}
		fmt.Fprintf(w, "%d of %d decisions of the journal are not in the ledger as it shipped them\n", s.journal.Wrong, s.journal.Shipped)
		wrong = true
	}
	if s.replay != nil && s.replay.Wrong > 0 {
		for _, f := range s.replay.Findings {
			fmt.Fprintf(w, "DIFFERENT  decision %s: %s\n", f.Decision, f.Problem)
		}
		fmt.Fprintf(w, "%d of %d ALLOWs come out otherwise when they are decided again\n", s.replay.Wrong, s.replay.Replayed)
		wrong = true
	}
	return wrong
}

func (s soundness) tell(w io.Writer) {
	if j := s.journal; j != nil {
		fmt.Fprintf(w, "%d decisions of the journal are in the ledger word for word, %d are on their way", j.Shipped-j.Gone, j.Waiting)
		if !j.Oldest.IsZero() {
			fmt.Fprintf(w, ", the oldest of %s", j.Oldest.In(eligibility.Amsterdam).Format("2006-01-02 15:04:05 MST"))
		}
		if j.Gone > 0 {
			fmt.Fprintf(w, "; %d are old, and were destroyed", j.Gone)
		}
		fmt.Fprintln(w)
	}
	if r := s.replay; r != nil {
		fmt.Fprintf(w, "%d ALLOWs decided again, each the same; not decided again: %d under another law version, %d whose facts or number are not there\n",
			r.Replayed, r.OtherLaw, r.Missing)
	}
}
