package agi

import (
	"context"
	"time"

	"github.com/belpoort/belpoort/doors"
)

// How long the service may take: for a check half of what its answer is good for, for a write as long as a caller waits.
const (
	checkWithin = time.Second
	writeWithin = 5 * time.Second
)

// dialWithin is how long an ALLOW is good for, from when its question was asked.
const dialWithin = 2 * time.Second

// Reasons of this door, besides those of all doors.
const (
	reasonScript = "SCRIPT_UNKNOWN"
	reasonLate   = "ANSWER_TOO_LATE"
)

// The verdict of what could not be checked, and the state of what is not known to be registered. Like every verdict but
// ALLOW it means: do not dial.
const (
	failed  = "ERROR"
	allowed = "ALLOW"
)

// variable is one of the exchange's call.
type variable struct{ name, value string }

func (c *conversation) setAll(all ...variable) error {
	for _, v := range all {
		if err := c.set(v.name, v.value); err != nil {
			return err
		}
	}
	return nil
}

// hold is a conversation from beginning to end.
func (d *Door) hold(c *conversation) error {
	if err := c.hello(); err != nil {
		return err
	}
	args, wrong := c.arguments(d.names)
	switch args.script {
	case "check":
		return d.check(c, args, wrong)
	case "objection":
		return d.object(c, args, wrong)
	case "offered":
		return d.offered(c, args, wrong)
	default:
		return c.setAll(variable{verdict, failed}, variable{state, failed}, variable{reason, reasonScript})
	}
}

// The variables that a dialplan reads.
const (
	verdict  = "BELPOORT_VERDICT"
	state    = "BELPOORT_STATE"
	reason   = "BELPOORT_REASON"
	callerID = "BELPOORT_CALLER_ID"
	permit   = "BELPOORT_PERMIT"
	decision = "BELPOORT_DECISION"
	receipt  = "BELPOORT_RECEIPT"
)

// check asks whether the call may be dialed. The verdict is taken back before the question and given last, so that a
// conversation that breaks never leaves an earlier call's ALLOW, nor one without its permit.
func (d *Door) check(c *conversation, args *arguments, wrong error) error {
	if !mutantVerdictStays {
		if err := c.set(verdict, failed); err != nil {
			return err
		}
	}
	c.fillIn(args.fields)
	asked := time.Now()
	answer, err := d.askCheck(args, wrong)
	if err != nil {
		return c.refuse(args, failed, err)
	}
	if err := c.setAll(
		variable{reason, answer.Reason}, variable{callerID, answer.CallerID}, variable{permit, answer.Permit}, variable{decision, answer.Decision},
	); err != nil {
		return err
	}
	if !answer.Allowed() {
		return c.refuse(args, answer.Verdict, nil)
	}
	return c.allow(args, asked)
}

func (d *Door) askCheck(args *arguments, wrong error) (*doors.Answer, error) {
	if wrong != nil {
		return nil, wrong
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkWithin)
	defer cancel()
	return d.gate.Check(ctx, args.key, args.fields)
}

// allow says ALLOW while it is fresh, and takes it back when the exchange took so long to hear it that it is not.
func (c *conversation) allow(args *arguments, asked time.Time) error {
	fresh := func() bool { return time.Since(asked) < dialWithin || mutantLateAllow }
	if fresh() {
		if err := c.set(verdict, allowed); err != nil {
			return err
		}
	}
	if fresh() {
		return nil
	}
	return c.refuse(args, failed, &doors.Trouble{Reason: reasonLate, Sentence: "the ALLOW has become too old on its way to the exchange"})
}

// refuse gives a verdict that is not ALLOW, and why where it is no decision. The verdict goes first: whatever breaks after
// it changes nothing.
func (c *conversation) refuse(args *arguments, word string, trouble error) error {
	if err := c.set(verdict, word); err != nil {
		return err
	}
	if args.style == vicidial {
		if err := c.setAll(vicidialRefusal...); err != nil {
			return err
		}
	}
	if trouble == nil {
		return nil
	}
	if err := c.setAll(variable{callerID, ""}, variable{permit, ""}, variable{decision, ""}); err != nil {
		return err
	}
	return c.explain(trouble)
}

// vicidialRefusal is how VICIdial knows a number that must not be called.
var vicidialRefusal = []variable{{"DIALSTATUS", "DNC"}, {"HANGUPCAUSE", "34"}}

// explain gives the dialplan the reason, and whoever watches the exchange's console the sentence.
func (c *conversation) explain(trouble error) error {
	t, ok := trouble.(*doors.Trouble)
	if !ok {
		t = doors.TroubleOf(trouble)
	}
	if err := c.set(reason, t.Reason); err != nil {
		return err
	}
	return c.say(t.Sentence)
}

// fillIn takes from the exchange what the dialplan leaves out and the exchange knows for certain: the call's id, and the
// number that it is about to show. Which number it is about to call it does not know.
func (c *conversation) fillIn(f doors.Fields) {
	c.fillInCall(f)
	if shown := c.told["agi_callerid"]; shown != "unknown" && f[doors.From] == "" {
		fill(f, doors.CallerID, shown)
	}
	if restricted[c.told["agi_callingpres"]] {
		fill(f, doors.Presentation, "RESTRICTED")
	}
}

func (c *conversation) fillInCall(f doors.Fields) { fill(f, doors.CallID, c.told["agi_uniqueid"]) }

func fill(f doors.Fields, field doors.Field, value string) {
	if f[field] == "" && value != "" {
		f[field] = value
	}
}

// restricted are the values of Q.931's octet 3a, as Asterisk writes them, that keep the number from the callee.
var restricted = map[string]bool{"32": true, "33": true, "34": true, "35": true}
