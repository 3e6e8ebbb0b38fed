package proof

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/record"
)

// Shipped is what is read of a ledger about a node's journal.
type Shipped interface {
	Place(ctx context.Context, source string) (uint64, error)
	Decision(ctx context.Context, id [16]byte) (ledger.Decision, error)
}

// retainable is how old a decision is that may have been destroyed since it was shipped: the shortest term of retention.
const retainable = 31 * 24 * time.Hour

// JournalReport is what a comparison of a node's journal with the ledger found.
type JournalReport struct {
	Shipped  uint64    // decisions that the ledger says it has, each compared with the journal's
	Waiting  uint64    // decisions on their way to the ledger
	Oldest   time.Time // of those on their way; zero: none
	Gone     uint64    // shipped, not there any more, and old enough to have been destroyed
	Wrong    uint64
	Findings []Finding
}

// JournalCheck compares a node's journal with a ledger, record by record. The ledger must have been copied before the journal
// is read, so that what is shipped meanwhile counts as on its way.
type JournalCheck struct {
	Ledger Shipped
	Now    time.Time
	Report JournalReport

	places map[string]uint64
}

// Look compares one record of the journal.
func (c *JournalCheck) Look(ctx context.Context, journal string, seq uint64, payload []byte) error {
	place, err := c.place(ctx, journal)
	if err != nil {
		return err
	}
	m, err := record.UnmarshalDecision(payload)
	if err != nil {
		c.find(fmt.Sprintf("record %d", seq), "it cannot be read in the journal")
		return nil
	}
	at := m.GetDecideTime().AsTime()
	if seq > place {
		c.Report.Waiting++
		if c.Report.Oldest.IsZero() || at.Before(c.Report.Oldest) {
			c.Report.Oldest = at
		}
		return nil
	}
	c.Report.Shipped++
	return c.compare(ctx, m.GetDecisionId(), at, payload)
}

func (c *JournalCheck) place(ctx context.Context, journal string) (uint64, error) {
	if place, known := c.places[journal]; known {
		return place, nil
	}
	place, err := c.Ledger.Place(ctx, journal)
	if c.places == nil {
		c.places = map[string]uint64{}
	}
	c.places[journal] = place
	return place, err
}

// compare looks for a shipped decision in the ledger.
func (c *JournalCheck) compare(ctx context.Context, name string, at time.Time, payload []byte) error {
	raw, err := hex.DecodeString(name)
	if err != nil || len(raw) != 16 {
		c.find(name, "the journal has it without an id")
		return nil
	}
	found, err := c.Ledger.Decision(ctx, [16]byte(raw))
	switch {
	case errors.Is(err, ledger.ErrNotFound) && c.Now.Sub(at) > retainable:
		c.Report.Gone++
	case errors.Is(err, ledger.ErrNotFound):
		c.find(name, "the journal has it as shipped, and the ledger does not have it")
	case err != nil:
		return err
	case !bytes.Equal(found.Payload, payload) && !mutantJournalUncompared:
		c.find(name, "the ledger has it in other words than the journal")
	}
	return nil
}

func (c *JournalCheck) find(decision, problem string) {
	c.Report.Wrong++
	if len(c.Report.Findings) < MaxFindings {
		c.Report.Findings = append(c.Report.Findings, Finding{decision, problem})
	}
}
