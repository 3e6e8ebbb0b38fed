package client

import (
	"errors"
	"fmt"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// DialWithin is how long an ALLOW is good for dialing, from when its question was sent.
const DialWithin = 2 * time.Second

// MayDial is the one way to a yes: it is true only of an ALLOW that came without error, carries a permit, and whose question
// was sent less than DialWithin ago by this machine's clock. Ask it at the moment of dialing, with the time.Now() from
// before the check. The server's clock has no say in it, for it may be another's. Everything else, an answer that this
// package does not understand included, means: do not dial.
func MayDial(response *belpoortv1.CheckCallResponse, err error, sentAt time.Time) bool {
	return WhyNot(response, err, sentAt) == nil
}

// WhyNot says in words for a log why MayDial is false, or nil where it is true. It holds no number.
func WhyNot(response *belpoortv1.CheckCallResponse, err error, sentAt time.Time) error {
	age := ageOf(sentAt, time.Now())
	switch {
	case err != nil:
		return fmt.Errorf("could not be checked: %w", err)
	case response == nil:
		return errors.New("could not be checked: there is no answer")
	case response.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW:
		return fmt.Errorf("%v, %v", response.GetVerdict(), response.GetReason())
	case response.GetPermit() == "" || response.GetDecisionId() == "":
		return errors.New("the answer to a dry run gives no leave to dial")
	case !response.GetPermitExpireTime().IsValid():
		return errors.New("the permit does not say how long it is good for")
	case (age < 0 || age >= DialWithin) && !mutantAnyAge:
		return fmt.Errorf("the question was sent %v ago, want less than %v: ask again", age.Round(time.Millisecond), DialWithin)
	}
	return nil
}

// ageOf takes the longer of two measures: a clock that was set back does not make an answer younger, nor does a monotonic
// clock that stood still while the machine slept.
func ageOf(sentAt, now time.Time) time.Duration {
	monotonic, wall := now.Sub(sentAt), now.Round(0).Sub(sentAt.Round(0))
	return max(monotonic, wall)
}
