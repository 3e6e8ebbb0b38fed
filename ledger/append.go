package ledger

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"
)

const (
	maxQueue = 1024 // appends waiting for their turn
	maxGroup = 256  // small appends in one group
	// bulkFrom is from how many facts on an append is bulk: such ones give way to all others.
	bulkFrom = 65
	// groupFacts is from how many facts on a group takes no more: small appends that come then wait for no more than these.
	groupFacts = 1024
	// bulkFacts is how many facts bulk appends bring into one transaction of SQLite. A larger one writes fewer pages for each
	// fact, because more of them share one.
	bulkFacts = 32 << 10
	// bulkTime is how long it takes bulk appends at most, where they are slow: what it has changed others wait for in its commit.
	bulkTime = 50 * time.Millisecond
	// bulkPatience is how old a transaction with bulk appends must be to end as soon as others wait for it.
	bulkPatience = 20 * time.Millisecond
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
	bulk    chan *waiting
	closing chan struct{}
	stopped chan struct{}
	keyed   bool // facts without a request key get one from their content
}

func newGroups(path string) groups {
	return groups{
		path: path, queue: make(chan *waiting, maxQueue), bulk: make(chan *waiting, maxQueue), closing: make(chan struct{}), stopped: make(chan struct{}),
	}
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
	if s.keyed {
		w.giveKeys()
	}
	lane := s.queue
	if len(facts) >= bulkFrom {
		lane = s.bulk
	}
	select {
	case lane <- w:
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
	w := &waiting{
		ctx: ctx, facts: slices.Clone(facts), payloads: make([][32]byte, len(facts)), answer: make(chan answer, 1),
	}
	kept := make([]byte, 0, size)
	for i := range w.facts {
		f := &w.facts[i]
		w.payloads[i] = sha256.Sum256(f.Payload)
		kept, f.Payload = keep(kept, f.Payload)
		kept, f.SealedNumber = keep(kept, f.SealedNumber)
	}
	return w
}

func (w *waiting) giveKeys() {
	for i := range w.facts {
		if f := &w.facts[i]; f.RequestKey == "" {
			f.RequestKey = contentKey(f)
		}
	}
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
		var first *waiting
		select {
		case first = <-s.queue:
		default:
			select {
			case <-s.closing:
				return
			case first = <-s.queue:
			case first = <-s.bulk:
			}
		}
		select {
		case <-s.closing:
			return
		default:
			write(s.gather(first))
		}
	}
}

// gather takes what waits, small appends first. Bulk ones are taken last, but always some.
func (s *groups) gather(first *waiting) []*waiting {
	group, facts := s.gatherFrom(s.queue, []*waiting{first}, len(first.facts), maxGroup)
	if facts < groupFacts {
		group, _ = s.gatherFrom(s.bulk, group, facts, 2*maxGroup)
	}
	return group
}

func (s *groups) gatherFrom(lane chan *waiting, group []*waiting, facts, most int) ([]*waiting, int) {
	for len(group) < most && facts < groupFacts {
		select {
		case next := <-lane:
			group = append(group, next)
			facts += len(next.facts)
		default:
			return group, facts
		}
	}
	return group, facts
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
	next, filed := s.tip, func() {}
	err := s.transaction(func() (err error) {
		if group, answers, err = s.placeGroups(&next, group); err == nil {
			filed, err = s.fileYoung(s.young.share(int(next.position - s.tip.position)))
		}
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
		filed()
		s.young.turnOver(s.young.size)
	}
	acknowledge(group, answers)
}

// placeGroups writes a group and, where there are bulk appends, what comes after it. It gives all that were in it.
func (s *SQLite) placeGroups(next *tip, group []*waiting) (all []*waiting, answers []answer, err error) {
	next.time = max(next.time, s.clock().UnixNano())
	before, load := next.position, bulkLoad{began: time.Now()}
	for len(group) > 0 {
		all = append(all, group...)
		placed, err := s.placeAll(next, group)
		if err != nil {
			return all, nil, err
		}
		answers = append(answers, placed...)
		load.take(group)
		if load.bulk {
			s.bulkAt.Store(time.Now().UnixNano())
		}
		group = s.more(&load)
	}
	if next.position == before {
		return all, answers, nil
	}
	return all, answers, s.writer.exec(moveHeadQuery, int64(next.position), next.hash[:])
}

// bulkLoad is what is in a transaction with bulk appends.
type bulkLoad struct {
	facts       int
	bulk, small bool // such appends are in it
	began       time.Time
}

func (l *bulkLoad) take(group []*waiting) {
	for _, w := range group {
		l.facts += len(w.facts)
		l.bulk, l.small = l.bulk || len(w.facts) >= bulkFrom, l.small || len(w.facts) < bulkFrom
	}
}

// over reports that the transaction has had its time, which is less where others wait for it.
func (l *bulkLoad) over(othersWait bool) bool {
	took := time.Since(l.began)
	return !mutantBulkFirst && (took > bulkTime || took > bulkPatience && (l.small || othersWait))
}

// more gives what the transaction under way takes besides: small appends that have come, after which it is soon over, and a
// bulk one.
func (s *SQLite) more(l *bulkLoad) []*waiting {
	if l.facts >= bulkFacts || l.over(s.waiters.Load() > 0) {
		return nil
	}
	var group []*waiting
	if l.bulk && !mutantBulkFirst {
		group, _ = s.gatherFrom(s.queue, nil, 0, maxGroup)
		if len(group) > 0 && time.Since(l.began) > bulkPatience {
			return group
		}
	}
	select {
	case w := <-s.bulk:
		return append(group, w)
	default:
		return group
	}
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
