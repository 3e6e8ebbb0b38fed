package ops

import (
	"bytes"
	"encoding/json"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// The decision log's bounds: decisions that wait to be written, about 300 bytes each, and what goes to the file at once.
const (
	maxWaitingDecisions = 8192
	decisionBlock       = 64 << 10
	decisionCloseTime   = time.Second
)

// DecisionLog writes a line for each answered decision, for people and their tools; what counts as evidence is in the ledger.
// A nil *DecisionLog writes nothing. It never waits for its file: what does not fit into a bounded queue is dropped and
// counted.
type DecisionLog struct {
	to      io.Writer
	words   Words
	waiting chan Decided
	dropped atomic.Uint64
	behind  func()
	told    atomic.Int64 // when behind was told last, in Unix seconds

	closing chan struct{}
	once    sync.Once
	ended   chan struct{}
}

// NewDecisionLog writes to a file or stream that is opened already. behind learns, once a minute at most, that decisions are
// dropped.
func NewDecisionLog(to io.Writer, words Words, behind func()) *DecisionLog {
	l := &DecisionLog{
		to: to, words: words, waiting: make(chan Decided, maxWaitingDecisions), behind: behind,
		closing: make(chan struct{}), ended: make(chan struct{}),
	}
	go l.write()
	return l
}

// Note takes a decision; dry runs have no place in the log.
func (l *DecisionLog) Note(d *Decided) {
	if l == nil || d.DecisionID == "" {
		return
	}
	select {
	case l.waiting <- *d:
	default:
		if mutantDecisionLogWaits {
			l.waiting <- *d
		}
		l.drop()
	}
}

func (l *DecisionLog) drop() {
	l.dropped.Add(1)
	now, last := time.Now().Unix(), l.told.Load()
	if now-last >= int64(complainEvery/time.Second) && l.told.CompareAndSwap(last, now) {
		go l.behind() // the caller does not wait for that either
	}
}

// Dropped counts decisions that were not written because the writing had fallen behind.
func (l *DecisionLog) Dropped() uint64 { return l.dropped.Load() }

// Close writes what waits, for a second at most. Decisions that come later are not written.
func (l *DecisionLog) Close() {
	if l == nil {
		return
	}
	l.once.Do(func() { close(l.closing) })
	select {
	case <-l.ended:
	case <-time.After(decisionCloseTime):
	}
}

func (l *DecisionLog) write() {
	defer close(l.ended)
	for {
		select {
		case d := <-l.waiting:
			l.writeWith(&d)
		case <-l.closing:
			for len(l.waiting) > 0 {
				d := <-l.waiting
				l.writeWith(&d)
			}
			return
		}
	}
}

// writeWith hands a decision to the file, with those that wait behind it, as whole lines.
func (l *DecisionLog) writeWith(d *Decided) {
	var block bytes.Buffer
	lines := json.NewEncoder(&block)
	lines.SetEscapeHTML(false)
	_ = lines.Encode(l.lineOf(d)) // strings and figures alone
	for len(l.waiting) > 0 && block.Len() < decisionBlock {
		next := <-l.waiting
		_ = lines.Encode(l.lineOf(&next))
	}
	_, _ = l.to.Write(block.Bytes()) // the file tells of its own troubles
}

// decisionLine is a line of the decision log; docs/operations.md explains each key.
type decisionLine struct {
	DecisionID     string    `json:"decision_id"`
	Time           time.Time `json:"time"`
	CalleeToken    string    `json:"callee_token"`
	Campaign       string    `json:"campaign"`
	Organisation   string    `json:"organisation"`
	Verdict        string    `json:"verdict"`
	Reason         string    `json:"reason"`
	LawVersion     string    `json:"law_version"`
	LedgerPosition uint64    `json:"ledger_position"`
	Door           string    `json:"door"`
	Client         string    `json:"client"`
	Took           float64   `json:"took_seconds"`
	TraceID        string    `json:"trace_id,omitempty"`
}

func (l *DecisionLog) lineOf(d *Decided) decisionLine {
	return decisionLine{
		d.DecisionID, d.At.UTC(), d.CalleeToken, d.Campaign, d.Organisation, l.words.verdict(d.Verdict), l.words.reason(d.Reason),
		d.LawVersion, d.LedgerPosition, d.Door, d.Client, d.Took.Seconds(), d.TraceID,
	}
}
