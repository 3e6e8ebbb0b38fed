package eligibility

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// encodedVersion is the first byte of an encoded Eligibility. It is raised whenever a field is added or changed, and also
// whenever Fold makes something else of the same facts: a record folded by other rules must not be believed.
const encodedVersion = 2

// EncodedLimit is the longest encoded form that is written or read, in bytes. A callee with that many facts is not shared.
const EncodedLimit = 1 << 20

// encodedHead is the version, the callee, the length of all text and the number of all words in lists of words.
const encodedHead = 1 + len(CalleeToken{}) + 4 + 4

// ErrEncoded says that some bytes are no Eligibility in the form of this version, or that an Eligibility is too long for it.
var ErrEncoded = errors.New("encoded eligibility")

var errDamaged = fmt.Errorf("%w: damaged", ErrEncoded)

var _ encoding.BinaryAppender = (*Eligibility)(nil)

// AppendBinary appends the form that DecodeEligibility reads: equal records have equal forms, and every form that is read
// is the one that would be written. The reading time comes back in UTC and without the process's
// own clock reading. Beyond EncodedLimit it fails with ErrEncoded and returns dst as it was.
//
// The form is no proof of anything: who stores it where others can write must seal it.
func (e *Eligibility) AppendBinary(dst []byte) ([]byte, error) {
	var text [512]byte
	w := recordWriter{out: dst, text: text[:0]}
	w.out = append(append(w.out, encodedVersion), e.callee[:]...)
	lengths := len(w.out)
	w.out = append(w.out, make([]byte, 8)...)
	w.record(e)
	if len(w.out)-len(dst)+len(w.text) > EncodedLimit {
		return dst, fmt.Errorf("%w: longer than %d bytes", ErrEncoded, EncodedLimit)
	}
	// All text stands together at the end, so that a reader needs one copy of it for all its strings and keeps no more.
	binary.LittleEndian.PutUint32(w.out[lengths:], uint32(len(w.text))) //nolint:gosec // bounded by EncodedLimit
	binary.LittleEndian.PutUint32(w.out[lengths+4:], w.words)
	return append(w.out, w.text...), nil
}

// DecodeEligibility reads what AppendBinary wrote. What was written by another version, was damaged, or is followed by
// something else fails with ErrEncoded; so does a word that this version does not know. It keeps nothing of b.
func DecodeEligibility(b []byte) (*Eligibility, error) {
	switch {
	case len(b) == 0 || len(b) > EncodedLimit:
		return nil, fmt.Errorf("%w: %d bytes", ErrEncoded, len(b))
	case b[0] != encodedVersion:
		return nil, fmt.Errorf("%w: version %d, want %d", ErrEncoded, b[0], encodedVersion)
	case len(b) < encodedHead:
		return nil, errDamaged
	}
	length, words := binary.LittleEndian.Uint32(b[encodedHead-8:]), binary.LittleEndian.Uint32(b[encodedHead-4:])
	rest := b[encodedHead:]
	// Each word has its length before the text, so there are no more words than bytes there.
	if uint64(length)+uint64(words) > uint64(len(rest)) {
		return nil, errDamaged
	}
	split := len(rest) - int(length)
	r := recordReader{in: rest[:split], text: string(rest[split:])}
	if words > 0 {
		r.words = make([]string, words)
	}
	e := &Eligibility{callee: CalleeToken(b[1:])}
	r.record(e)
	if r.failed || len(r.in)+len(r.text)+len(r.words) > 0 {
		return nil, errDamaged
	}
	return e, nil
}

type recordWriter struct {
	out   []byte
	text  []byte
	words uint32
}

// recordReader reads from in. After a failure it reads zeros: whoever reads a list is held to its length, which is bounded.
type recordReader struct {
	in     []byte
	text   string
	words  []string
	failed bool
}

// The fewest bytes that one of these takes in the encoded form.
const (
	leastSubscriber   = 12
	leastConsent      = 15
	leastWithdrawal   = 9
	leastRelationship = 13
	leastRequest      = 12
	leastObjection    = 14
	leastHistory      = 2
	leastCall         = 9
	leastList         = 11
	leastDate         = 8
)

func (w *recordWriter) record(e *Eligibility) {
	w.number(e.position)
	w.signed(e.readTime.Unix())
	w.number(uint64(e.readTime.Nanosecond())) //nolint:gosec // never negative
	w.count(len(e.subscribers), e.subscribers == nil)
	for i := range e.subscribers {
		w.subscriber(&e.subscribers[i])
	}
	w.count(len(e.consents), e.consents == nil)
	for i := range e.consents {
		w.consent(&e.consents[i])
	}
	w.count(len(e.withdrawals), e.withdrawals == nil)
	for i := range e.withdrawals {
		w.withdrawal(&e.withdrawals[i])
	}
	w.count(len(e.relationships), e.relationships == nil)
	for i := range e.relationships {
		w.relationship(&e.relationships[i])
	}
	w.count(len(e.requests), e.requests == nil)
	for i := range e.requests {
		w.request(&e.requests[i])
	}
	w.count(len(e.objections), e.objections == nil)
	for i := range e.objections {
		w.objection(&e.objections[i])
	}
	w.count(len(e.histories), e.histories == nil)
	for i := range e.histories {
		w.history(&e.histories[i])
	}
	w.count(len(e.lists), e.lists == nil)
	for i := range e.lists {
		w.listEntry(&e.lists[i])
	}
	w.count(len(e.dates), e.dates == nil)
	for _, at := range e.dates {
		w.instant(at)
	}
	w.number(e.erased.position)
	w.instant(e.erased.at)
}

func (r *recordReader) record(e *Eligibility) {
	e.position = r.number()
	e.readTime = r.time()
	e.subscribers = listOf[subscriber](r, leastSubscriber)
	for i := range e.subscribers {
		r.subscriber(&e.subscribers[i])
	}
	e.consents = listOf[consent](r, leastConsent)
	for i := range e.consents {
		r.consent(&e.consents[i])
	}
	e.withdrawals = listOf[withdrawal](r, leastWithdrawal)
	for i := range e.withdrawals {
		r.withdrawal(&e.withdrawals[i])
	}
	e.relationships = listOf[relationship](r, leastRelationship)
	for i := range e.relationships {
		r.relationship(&e.relationships[i])
	}
	e.requests = listOf[request](r, leastRequest)
	for i := range e.requests {
		r.request(&e.requests[i])
	}
	e.objections = listOf[objection](r, leastObjection)
	for i := range e.objections {
		r.objection(&e.objections[i])
	}
	e.histories = listOf[history](r, leastHistory)
	for i := range e.histories {
		r.history(&e.histories[i])
	}
	e.lists = listOf[listEntry](r, leastList)
	for i := range e.lists {
		r.listEntry(&e.lists[i])
	}
	e.dates = listOf[Instant](r, leastDate)
	for i := range e.dates {
		e.dates[i] = r.instant()
		r.require(i == 0 || e.dates[i-1] <= e.dates[i]) // they are searched by halves
	}
	e.erased.position = r.number()
	e.erased.at = r.instant()
}

func (w *recordWriter) subscriber(s *subscriber) {
	w.flags(s.privateLine, s.published, !s.born.IsZero())
	w.byte(byte(s.kind))
	w.number(s.position)
	w.instant(s.since)
	w.string(s.establishedIn)
	if !s.born.IsZero() {
		w.signed(int64(s.born.Year))
		w.signed(int64(s.born.Month))
		w.signed(int64(s.born.Day))
	}
}

func (r *recordReader) subscriber(s *subscriber) {
	flags := r.flags(3)
	s.privateLine, s.published = flags&1 != 0, flags&2 != 0
	s.kind = wordFrom[SubscriberKind](r)
	s.position = r.number()
	s.since = r.instant()
	s.establishedIn = r.string()
	if flags&4 != 0 {
		s.born = Date{Year: r.int(), Month: time.Month(r.int()), Day: r.int()}
		r.require(!s.born.IsZero())
	}
}

func (w *recordWriter) consent(c *consent) {
	withdrawn := c.withdrawn
	if mutantEncodeDropsWithdrawn {
		withdrawn = Never
	}
	w.flags(c.phone, c.bundled, c.ownInitiative, c.shown, c.expires != Never, c.verified != Never, withdrawn != Never, !c.firstCall.IsZero())
	w.byte(c.purposes)
	w.number(c.position)
	w.string(c.id)
	w.list(c.organisations)
	w.list(c.products)
	w.string(c.person)
	w.instant(c.given)
	w.unlessNever(c.expires)
	w.unlessNever(c.verified)
	w.unlessNever(withdrawn)
	if !c.firstCall.IsZero() {
		w.signed(int64(c.firstCall.Months))
		w.signed(int64(c.firstCall.Days))
		w.signed(int64(c.firstCall.Hours))
	}
}

func (r *recordReader) consent(c *consent) {
	flags := r.flags(8)
	c.phone, c.bundled, c.ownInitiative, c.shown = flags&1 != 0, flags&2 != 0, flags&4 != 0, flags&8 != 0
	c.purposes = r.byte()
	r.require(int(c.purposes)>>len(purposeWords) == 0)
	c.position = r.number()
	c.id = r.string()
	c.organisations = r.list()
	c.products = r.list()
	c.person = r.string()
	c.given = r.instant()
	c.expires = r.ifThere(flags & 16)
	c.verified = r.ifThere(flags & 32)
	c.withdrawn = r.ifThere(flags & 64)
	if flags&128 != 0 {
		c.firstCall = Duration{Months: r.int(), Days: r.int(), Hours: r.int()}
		r.require(!c.firstCall.IsZero())
	}
	// Counted anew: a record must not carry the calendar of whoever wrote it.
	if c.given != always {
		c.givenLocal = localOf(c.given)
		c.halfYear, c.year = sixMonths.afterLocal(c.givenLocal), twelveMonths.afterLocal(c.givenLocal)
	}
}

func (w *recordWriter) withdrawal(x *withdrawal) {
	w.string(x.organisation)
	w.instant(x.at)
}

func (r *recordReader) withdrawal(x *withdrawal) {
	x.organisation = r.string()
	x.at = r.instant()
}

func (w *recordWriter) relationship(x *relationship) {
	w.flags(x.fromSubject, x.noOffer, x.ended != Never)
	w.byte(byte(x.kind))
	w.number(x.position)
	w.string(x.organisation)
	w.string(x.product)
	w.instant(x.started)
	w.unlessNever(x.ended)
}

func (r *recordReader) relationship(x *relationship) {
	flags := r.flags(3)
	x.fromSubject, x.noOffer = flags&1 != 0, flags&2 != 0
	x.kind = wordFrom[RelationshipKind](r)
	x.position = r.number()
	x.organisation = r.string()
	x.product = r.string()
	x.started = r.instant()
	x.ended = r.ifThere(flags & 4)
}

func (w *recordWriter) request(x *request) {
	w.flags(x.callAt != Never)
	w.number(x.position)
	w.string(x.organisation)
	w.string(x.product)
	w.instant(x.requested)
	w.unlessNever(x.callAt)
}

func (r *recordReader) request(x *request) {
	flags := r.flags(1)
	x.position = r.number()
	x.organisation = r.string()
	x.product = r.string()
	x.requested = r.instant()
	x.callAt = r.ifThere(flags & 1)
}

func (w *recordWriter) objection(x *objection) {
	w.flags(x.corrected != Never)
	w.byte(byte(x.scope))
	w.number(x.position)
	w.string(x.organisation)
	w.string(x.product)
	w.instant(x.at)
	w.unlessNever(x.corrected)
	w.number(x.correction)
}

func (r *recordReader) objection(x *objection) {
	flags := r.flags(1)
	x.scope = wordFrom[ObjectionScope](r)
	x.position = r.number()
	x.organisation = r.string()
	x.product = r.string()
	x.at = r.instant()
	x.corrected = r.ifThere(flags & 1)
	x.correction = r.number()
}

func (w *recordWriter) history(h *history) {
	w.string(h.campaign)
	w.count(len(h.calls), h.calls == nil)
	for i := range h.calls {
		w.byte(byte(h.calls[i].outcome))
		w.instant(h.calls[i].at)
	}
}

func (r *recordReader) history(h *history) {
	h.campaign = r.string()
	h.calls = listOf[pastCall](r, leastCall)
	for i := range h.calls {
		h.calls[i].outcome = wordFrom[Outcome](r)
		h.calls[i].at = r.instant()
	}
}

func (w *recordWriter) listEntry(l *listEntry) {
	w.flags(l.since != Never)
	w.number(l.position)
	w.string(l.list)
	w.instant(l.loaded)
	w.unlessNever(l.since)
}

func (r *recordReader) listEntry(l *listEntry) {
	flags := r.flags(1)
	l.position = r.number()
	l.list = r.string()
	l.loaded = r.instant()
	l.since = r.ifThere(flags & 1)
}

// listOf makes a list that is yet to be read; one that is empty is not nil.
func listOf[T any](r *recordReader, least int) []T {
	n := r.count(least)
	if n < 0 {
		return nil
	}
	return make([]T, n)
}

func (w *recordWriter) count(n int, isNil bool) {
	if isNil {
		n = -1
	}
	w.number(uint64(n + 1)) //nolint:gosec // never negative
}

// count is -1 for nil. There cannot be more of them than the bytes that are left can hold.
func (r *recordReader) count(least int) int {
	n := r.number()
	if n == 0 || !r.require(n-1 <= uint64(len(r.in)/least)) { //nolint:gosec // never negative
		return -1
	}
	return int(n - 1) //nolint:gosec // bounded
}

func (w *recordWriter) string(s string) {
	w.number(uint64(len(s)))
	w.text = append(w.text, s...)
}

func (r *recordReader) string() string {
	n := r.number()
	if !r.require(n <= uint64(len(r.text))) {
		return ""
	}
	s := r.text[:n]
	r.text = r.text[n:]
	return s
}

func (w *recordWriter) list(words []string) {
	w.count(len(words), words == nil)
	w.words += uint32(len(words)) //nolint:gosec // a count that does not fit makes the form too long
	for _, s := range words {
		w.string(s)
	}
}

// list takes its words from the array that all lists of a record share.
func (r *recordReader) list() []string {
	n := r.count(1)
	switch {
	case n < 0:
		return nil
	case n == 0:
		return []string{}
	case !r.require(n <= len(r.words)):
		return nil
	}
	words := r.words[:n:n]
	r.words = r.words[n:]
	for i := range words {
		words[i] = r.string()
	}
	return words
}

func (w *recordWriter) instant(i Instant) {
	w.out = binary.LittleEndian.AppendUint64(w.out, uint64(i)) //nolint:gosec // read back the same way
}

func (r *recordReader) instant() Instant {
	if !r.require(len(r.in) >= 8) {
		return 0
	}
	i := Instant(binary.LittleEndian.Uint64(r.in)) //nolint:gosec // written the same way
	r.in = r.in[8:]
	return i
}

// unlessNever leaves out an instant that is Never; a flag tells whether it is there.
func (w *recordWriter) unlessNever(i Instant) {
	if i != Never {
		w.instant(i)
	}
}

func (r *recordReader) ifThere(flag byte) Instant {
	if flag == 0 {
		return Never
	}
	i := r.instant()
	r.require(i != Never)
	return i
}

func (r *recordReader) time() time.Time {
	seconds, nanos := r.signed(), r.number()
	if !r.require(nanos < uint64(time.Second)) {
		return time.Time{}
	}
	return time.Unix(seconds, int64(nanos)).UTC() //nolint:gosec // bounded
}

func (w *recordWriter) flags(set ...bool) {
	var flags byte
	for i, on := range set {
		if on {
			flags |= 1 << i
		}
	}
	w.byte(flags)
}

// flags reads a byte of which the lowest bits have a meaning.
func (r *recordReader) flags(meaning int) byte {
	b := r.byte()
	r.require(int(b)>>meaning == 0)
	return b
}

// wordFrom reads a word. One that only a newer version knows must not be taken for nothing: it may be a wider objection.
func wordFrom[W SubscriberKind | RelationshipKind | ObjectionScope | Outcome](r *recordReader) W {
	word := W(r.byte())
	r.require(word == 0 || Known(word))
	return word
}

func (w *recordWriter) byte(b byte) { w.out = append(w.out, b) }

func (r *recordReader) byte() byte {
	if !r.require(len(r.in) > 0) {
		return 0
	}
	b := r.in[0]
	r.in = r.in[1:]
	return b
}

func (w *recordWriter) number(n uint64) { w.out = binary.AppendUvarint(w.out, n) }

func (r *recordReader) number() uint64 {
	if len(r.in) > 0 && r.in[0] < 0x80 {
		n := uint64(r.in[0])
		r.in = r.in[1:]
		return n
	}
	n, length := binary.Uvarint(r.in)
	// The last byte of a number is zero only where it could have been left out.
	if !r.require(length > 0 && r.in[length-1] != 0) {
		return 0
	}
	r.in = r.in[length:]
	return n
}

func (w *recordWriter) signed(n int64) { w.number(uint64(n)<<1 ^ uint64(n>>63)) } //nolint:gosec // zigzag

func (r *recordReader) signed() int64 {
	n := r.number()
	return int64(n>>1) ^ -int64(n&1) //nolint:gosec // zigzag
}

// int is a part of a date or a duration.
func (r *recordReader) int() int {
	n := r.signed()
	if !r.require(n >= math.MinInt32 && n <= math.MaxInt32) {
		return 0
	}
	return int(n)
}

// require notes a failure; nothing is read after it.
func (r *recordReader) require(ok bool) bool {
	if !ok {
		r.failed, r.in, r.text, r.words = true, nil, "", nil
	}
	return ok
}
