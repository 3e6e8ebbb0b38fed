package ledger

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

const decisionColumns = "SELECT id, time, callee, campaign, verdict, reason, call_id, payload FROM decisions "

// idSlack is how far a decision's id may be from its time.
const idSlack = time.Minute

func (d *Decision) allows() bool { return d.Verdict == int32(eligibility.Allow) }

func countAllows(decisions []Decision) (n int64) {
	for i := range decisions {
		if decisions[i].allows() {
			n++
		}
	}
	return n
}

// query puts a filter in SQL, with its arguments; mark is what the engine writes before an argument's number.
func (f *DecisionFilter) query(mark string, limit int) (query string, args []any) {
	var conditions []string
	where := func(condition string, arg any) {
		args = append(args, arg)
		conditions = append(conditions, fmt.Sprint(condition, mark, len(args)))
	}
	if f.Campaign != "" {
		where("campaign = ", f.Campaign)
	}
	if !f.Callee.IsZero() {
		where("callee = ", f.Callee[:])
	}
	if f.Verdict != 0 {
		where("verdict = ", int64(f.Verdict))
	}
	if f.Reason != 0 {
		where("reason = ", int64(f.Reason))
	}
	f.between(where)
	if len(conditions) > 0 {
		query = "WHERE " + strings.Join(conditions, " AND ")
	}
	args = append(args, limit)
	return fmt.Sprint(decisionColumns, query, " ORDER BY id DESC LIMIT ", mark, len(args)), args
}

// between bounds the ids too, because the rows lie in their order.
func (f *DecisionFilter) between(where func(condition string, arg any)) {
	if !f.From.IsZero() {
		where("time >= ", nanoseconds(f.From))
		where("id >= ", firstID(f.From.Add(-idSlack)))
	}
	if !f.Until.IsZero() {
		where("time < ", nanoseconds(f.Until))
		where("id < ", firstID(f.Until.Add(idSlack)))
	}
	if f.Before != [16]byte{} {
		where("id < ", f.Before[:])
	}
}

func (f *DecisionFilter) check(limit int) error {
	if err := checkLimit(limit); err != nil {
		return err
	}
	if f.Campaign != "" {
		return checkKey("campaign", f.Campaign)
	}
	return nil
}

// firstID is the least id of a decision made at or after an instant.
func firstID(at time.Time) []byte {
	var milliseconds [8]byte
	const greatest = 1<<48 - 1
	binary.BigEndian.PutUint64(milliseconds[:], uint64(min(max(at.UnixMilli(), 0), greatest)))
	return append(milliseconds[2:], make([]byte, 10)...)
}
