package agi

import (
	"cmp"
	"context"

	"github.com/belpoort/belpoort/doors"
)

// offered records that the right of objection was offered in a call, and what came of it. BELPOORT_STATE is RECORDED, or
// where an objection came of it how far that has come, or REPEAT for a digit that means nothing else, or ERROR.
func (d *Door) offered(c *conversation, args *arguments, wrong error) error {
	if err := c.setAll(variable{state, failed}, variable{receipt, ""}); err != nil {
		return err
	}
	c.fillInCall(args.fields)
	offered, err := d.askOffered(args, wrong)
	if err != nil {
		return c.explain(err)
	}
	switch {
	case offered.Objection != nil:
		return c.tell(offered.Objection)
	case offered.Result != "":
		return c.setAll(variable{reason, ""}, variable{state, "RECORDED"})
	default:
		return c.setAll(variable{reason, ""}, variable{state, cmp.Or(offered.Meaning, failed)})
	}
}

func (d *Door) askOffered(args *arguments, wrong error) (*doors.Offered, error) {
	if wrong != nil {
		return nil, wrong
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeWithin)
	defer cancel()
	return d.gate.Offer(ctx, args.key, args.fields)
}
