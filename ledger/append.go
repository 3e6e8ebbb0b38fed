package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

const (
	maxQueue = 1024 // appends waiting for their turn
	maxGroup = 256  // appends in one transaction
	// groupFacts closes a group early, so that small appends do not wait behind several large ones.
	groupFacts = 1024
)

// waiting is an Append on its way into a group.
type waiting struct {
	ctx      context.Context
	facts    []Append
	payloads [][32]byte // hashes of the facts' payloads
	answer   chan answer
}

type answer struct {
	facts []Appended
	err   error
}

// groups gathers the appends of a ledger for the one goroutine that writes them.
type groups struct {
	path    string // what the ledger is called in errors
	queue   chan *waiting
	closing chan struct{}
	stopped chan struct{}
}

func newGroups(path string) groups {
	return groups{path: path, queue: make(chan *waiting, maxQueue), closing: make(chan struct{}), stopped: make(chan struct{})}
}

// Append hands the facts to the one goroutine that writes; everything that needs no lock is done before.
func (s *groups) Append(ctx context.Context, facts []Append) ([]Appended, error) {
	if err := checkFacts(facts); err != nil || len(facts) == 0 {
		return nil, err
	}
	if err := s.live(ctx); err != nil {
		return nil, err
	}
	w := newWaiting(ctx, facts)
	select {
	case s.queue <- w:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.closing:
		return nil, s.gone()
	}
	select {
	case a := <-w.answer:
		return a.facts, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.stopped:
		return s.lastWord(w)
	}
}

// newWaiting copies the payloads, because a caller whose context ends may use its buffers again while they are written.
func newWaiting(ctx context.Context, facts []Append) *waiting {
	size := 0
	for i := range facts {
		size += len(facts[i].Payload) + len(facts[i].SealedNumber)
	}
	w := &waiting{ctx: ctx, facts: slices.Clone(facts), payloads: make([][32]byte, len(facts)), answer: make(chan answer, 1)}
	kept := make([]byte, 0, size)
	for i := range w.facts {
		f := &w.facts[i]
		w.payloads[i] = sha256.Sum256(f.Payload)
		kept, f.Payload = keep(kept, f.Payload)
		kept, f.SealedNumber = keep(kept, f.SealedNumber)
	}
	return w
}

func keep(kept, b []byte) (all, copied []byte) {
	start := len(kept)
	kept = append(kept, b...)
	return kept, kept[start:len(kept):len(kept)]
}

// lastWord is for an append that met the closing ledger: answered by the last group, or never written.
func (s *groups) lastWord(w *waiting) ([]Appended, error) {
	select {
	case a := <-w.answer:
		return a.facts, a.err
	default:
		return nil, s.gone()
	}
}

// appendInGroups writes whatever has gathered while the last group was written, one fsync for all.
func (s *groups) appendInGroups(write func([]*waiting)) {
	defer close(s.stopped)
	for {
		select {
		case <-s.closing:
			return
		case first := <-s.queue:
			write(s.gather(first))
		}
	}
}

func (s *groups) gather(first *waiting) []*waiting {
	group := []*waiting{first}
	facts := len(first.facts)
	for len(group) < maxGroup && facts < groupFacts {
		select {
		case next := <-s.queue:
			group = append(group, next)
			facts += len(next.facts)
		default:
			return group
		}
	}
	return group
}

// live says why nothing can be asked of the ledger now, if so.
func (s *groups) live(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.closing:
		return s.gone()
	default:
		return nil
	}
}

func (s *groups) gone() error { return fmt.Errorf("%w: %s is closed", ErrUnavailable, s.path) }

func (s *SQLite) writeGroup(group []*waiting) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	var answers []answer
	next := s.tip
	err := s.transaction(func() (err error) {
		answers, err = s.placeGroup(&next, group)
		if mutantAckBeforeWrite {
			acknowledge(group, answers)
			group = nil
		}
		return err
	})
	if err != nil {
		answers = everyone(len(group), err)
	} else {
		s.tip = next
		s.head.move(next.position)
	}
	acknowledge(group, answers)
}

func acknowledge(group []*waiting, answers []answer) {
	for i, w := range group {
		w.answer <- answers[i]
	}
}

func everyone(n int, err error) []answer {
	answers := make([]answer, n)
	for i := range answers {
		answers[i].err = err
	}
	return answers
}

// placeGroup writes a group. One that is refused, or whose caller has gone, does not fail its neighbours; an error is
// one that fails them all.
func (s *SQLite) placeGroup(next *tip, group []*waiting) ([]answer, error) {
	next.time = max(next.time, s.clock().UnixNano())
	before := next.position
	answers := make([]answer, len(group))
	for i, w := range group {
		if err := w.ctx.Err(); err != nil {
			answers[i].err = err
			continue
		}
		facts, err := s.writer.place(next, w)
		if err != nil && !isRefusal(err) {
			return nil, err
		}
		answers[i] = answer{facts, err}
	}
	if next.position == before {
		return answers, nil
	}
	return answers, s.writer.exec(moveHeadQuery, int64(next.position), next.hash[:])
}

func isRefusal(err error) bool {
	var refusal *FactError
	return errors.As(err, &refusal)
}
