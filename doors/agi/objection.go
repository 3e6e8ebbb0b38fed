package agi

import (
	"context"

	"github.com/belpoort/belpoort/doors"
)

// object registers an objection [recht van verzet]. BELPOORT_STATE tells what the caller may be told: IN_FORCE, PENDING, or
// ERROR, after which the dialplan asks again.
func (d *Door) object(c *conversation, args *arguments, wrong error) error {
	if err := c.setAll(variable{state, failed}, variable{receipt, ""}); err != nil {
		return err
	}
	c.fillInCall(args.fields)
	objected, err := d.askObjection(args, wrong)
	if err != nil {
		return c.explain(err)
	}
	return c.tell(objected)
}

// tell gives the receipt first: a state without one would be of no use to the caller.
func (c *conversation) tell(objected *doors.Objected) error {
	word := "PENDING"
	if objected.InForce {
		word = "IN_FORCE"
	}
	return c.setAll(variable{reason, ""}, variable{receipt, objected.Receipt}, variable{state, word})
}

// askObjection does not end with the call: who objected and hung up has objected.
func (d *Door) askObjection(args *arguments, wrong error) (*doors.Objected, error) {
	if wrong != nil {
		return nil, wrong
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeWithin)
	defer cancel()
	return d.gate.Object(ctx, args.key, args.fields)
}
