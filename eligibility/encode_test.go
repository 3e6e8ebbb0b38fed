package eligibility_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/belpoort/belpoort/eligibility" //nolint:revive // the tests speak the room's words
)

func encoded(tb testing.TB, e *Eligibility) []byte {
	tb.Helper()
	b, err := e.AppendBinary(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// unusual gives facts what the random ones never have but the types allow.
func (w *world) unusual(facts []Fact) {
	for i := range facts {
		f := &facts[i]
		if w.rng.IntN(4) == 0 {
			f.Position = w.rng.Uint64() >> w.rng.IntN(64)
		}
		switch {
		case f.Consent != nil:
			c := f.Consent
			c.Organisations = pick(w, c.Organisations, c.Organisations, nil, []string{}, []string{""}, slices.Repeat([]string{"acme", "héél"}, 40))
			c.Products = pick(w, c.Products, c.Products, nil, []string{}, []string{strings.Repeat("p", 300)})
			c.Purposes = pick(w, c.Purposes, nil, []Purpose{PurposeService, PurposeResearch}, []Purpose{0})
			c.GivenAt = pick(w, c.GivenAt, c.GivenAt, c.GivenAt.Add(1), time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC))
			c.FirstCallWithin = pick(w, c.FirstCallWithin, Duration{Days: 36_500}, Duration{Months: -1, Hours: math.MaxInt32})
			if c.Verified != nil && w.rng.IntN(8) == 0 {
				c.Verified = &Verification{Method: VerifiedByApp} // its date is one that never comes
			}
		case f.Subscriber != nil && w.rng.IntN(4) == 0:
			f.Subscriber.Born = pick(w, Date{9999, 12, 31}, Date{Day: 1}, Date{-1, -1, -1})
		case f.CallReport != nil && w.rng.IntN(4) == 0:
			f.CallReport.Campaign = ""
		}
	}
}

func (w *world) eligibility(facts []Fact) *Eligibility {
	var callee CalleeToken
	binary.NativeEndian.PutUint64(callee[8:], w.rng.Uint64())
	read := pick(w, time.Time{}, w.when().UTC(), time.Unix(w.rng.Int64()>>w.rng.IntN(64), w.rng.Int64N(1e9)).UTC())
	return Fold(callee, w.rng.Uint64()>>w.rng.IntN(64), read, facts)
}

// A record that comes from another node is the record, and every field of it was something in at least two records.
func TestDecodedIsTheSame(t *testing.T) {
	w := newWorld(t, 21)
	seen := map[string]map[string]bool{}
	for i := range referencePairs(4000, 200_000) {
		call, facts, at := w.question()
		if i%2 == 0 {
			w.unusual(facts)
			facts = append(facts, w.afterwards(facts, at)...)
		}
		e := w.eligibility(facts)
		b := encoded(t, e)
		d, err := DecodeEligibility(b)
		if err != nil || !reflect.DeepEqual(e, d) {
			t.Fatalf("%v\n%+v\nis read as\n%+v", err, e, d)
		}
		if d.MemorySize() != e.MemorySize() || d.CalleeToken() != e.CalleeToken() || d.LedgerPosition() != e.LedgerPosition() || !d.ReadTime().Equal(e.ReadTime()) {
			t.Fatalf("%+v weighs %d as %d", e, e.MemorySize(), d.MemorySize())
		}
		if again, err := d.AppendBinary([]byte("before")); err != nil || !bytes.Equal(again, append([]byte("before"), b...)) {
			t.Fatalf("%x is written again as %x, %v", b, again, err)
		}
		for _, call := range []*Call{call, w.call()} {
			for _, at := range []time.Time{at, w.when()} {
				if x, y := Decide(e, call, w.cat, w.law, at), Decide(d, call, w.cat, w.law, at); !reflect.DeepEqual(x, y) {
					t.Fatalf("%+v decides %+v, as read %+v", e, x, y)
				}
			}
		}
		noteValues(seen, reflect.ValueOf(e).Elem())
	}
	for field, values := range seen {
		if len(values) < 2 {
			t.Errorf("%s was never another one than %v: nothing is known of it", field, values)
		}
	}
}

// noteValues collects up to two values of every field of a struct and of the structs that it holds.
func noteValues(seen map[string]map[string]bool, v reflect.Value) {
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Name()+"."+v.Type().Field(i).Name
		if seen[name] == nil {
			seen[name] = map[string]bool{}
		}
		if len(seen[name]) < 2 {
			seen[name][fmt.Sprint(f)] = true
		}
		if f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct {
			for j := range f.Len() {
				noteValues(seen, f.Index(j))
			}
		}
	}
}

// A record that names one thing only is read at the least length that the form has for it.
func TestDecodedIsTheSameWithOneFact(t *testing.T) {
	for _, f := range []Fact{
		{Subscriber: &Subscriber{}}, {Consent: &Consent{}}, {Consent: &Consent{Organisations: []string{}}}, {Withdrawal: &Withdrawal{}},
		{Withdrawal: &Withdrawal{ConsentID: "gone"}}, {Relationship: &Relationship{}}, {CallRequest: &CallRequest{}}, {Objection: &Objection{}},
		{CallReport: &CallReport{}}, {ListEntry: &ListEntry{}}, {},
	} {
		for n := range 4 {
			e := fold(slices.Repeat([]Fact{f}, n))
			if d, err := DecodeEligibility(encoded(t, e)); err != nil || !reflect.DeepEqual(d, e) {
				t.Errorf("%d times: %v\n%+v\nis read as\n%+v", n, err, e, d)
			}
		}
	}
}

// structFields lists what Eligibility is made of.
func structFields(list []string, s reflect.Type) []string {
	var inside []reflect.Type
	for f := range s.Fields() {
		list = append(list, s.Name()+"."+f.Name+" "+f.Type.String())
		held := f.Type
		for held.Kind() == reflect.Slice || held.Kind() == reflect.Pointer || held.Kind() == reflect.Array {
			held = held.Elem()
		}
		if held.Kind() == reflect.Struct && held != reflect.TypeFor[time.Time]() {
			inside = append(inside, held)
		}
	}
	for _, held := range inside {
		if !slices.ContainsFunc(list, func(line string) bool { return strings.HasPrefix(line, held.Name()+".") }) {
			list = structFields(list, held)
		}
	}
	return list
}

// fieldsOfVersion are the fields that a version of the encoded form carries, or counts anew.
var fieldsOfVersion = map[byte]string{2: `
Eligibility: callee CalleeToken, position uint64, readTime time.Time, subscribers []subscriber, consents []consent,
  withdrawals []withdrawal, relationships []relationship, requests []request, objections []objection, histories []history,
  lists []listEntry, erased erased, dates []Instant
subscriber: since Instant, position uint64, kind SubscriberKind, privateLine bool, published bool, establishedIn string, born Date
Date: Year int, Month time.Month, Day int
consent: id string, position uint64, organisations []string, products []string, purposes uint8, person string, given Instant,
  givenLocal local, halfYear Instant, year Instant, expires Instant, firstCall Duration, verified Instant, withdrawn Instant,
  phone bool, bundled bool, ownInitiative bool, shown bool
local: date Date, clock int64
Duration: Months int, Days int, Hours int
withdrawal: organisation string, at Instant
relationship: kind RelationshipKind, position uint64, organisation string, product string, started Instant, ended Instant,
  fromSubject bool, noOffer bool
request: position uint64, organisation string, product string, requested Instant, callAt Instant
objection: position uint64, organisation string, at Instant, scope ObjectionScope, product string, corrected Instant, correction uint64
erased: at Instant, position uint64
history: campaign string, calls []pastCall
pastCall: at Instant, outcome Outcome
listEntry: list string, position uint64, since Instant, loaded Instant
`}

func TestEveryFieldIsEncoded(t *testing.T) {
	version := encoded(t, fold(nil))[0]
	var want []string
	text := strings.ReplaceAll(strings.TrimSpace(fieldsOfVersion[version]), ",\n ", ",")
	for line := range strings.Lines(text) {
		name, fields, _ := strings.Cut(strings.TrimSpace(line), ": ")
		for _, f := range strings.Split(fields, ", ") {
			want = append(want, name+"."+f)
		}
	}
	got := structFields(nil, reflect.TypeFor[Eligibility]())
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], "eligibility.", "")
	}
	slices.Sort(got)
	slices.Sort(want)
	for _, f := range got {
		if !slices.Contains(want, f) {
			t.Errorf("%s is not in version %d of the encoded form: encode it, raise encodedVersion and list it here", f, version)
		}
	}
	for _, f := range want {
		if !slices.Contains(got, f) {
			t.Errorf("%s is gone from version %d of the encoded form: raise encodedVersion and list what is left", f, version)
		}
	}
}

// fixedFacts are one fact of every kind and more.
func fixedFacts() []Fact {
	at := func(day, hour int) time.Time { return time.Date(2026, 3, day, hour, 0, 0, 7, time.UTC) }
	return []Fact{
		{Position: 1, Subscriber: &Subscriber{Kind: SoleTrader, PrivateLine: true, EstablishedIn: "BE", Born: Date{1980, 2, 29}, Since: at(1, 8)}},
		{Position: 2, Subscriber: &Subscriber{Kind: LegalPerson, PublishedForUnsolicited: true}},
		{Position: 3, Consent: &Consent{
			ID: "c-1", Organisations: []string{"acme", "globex"}, Products: []string{"power"}, Purposes: []Purpose{PurposeCommercial, PurposeResearch},
			Person: "P", GivenAt: at(2, 9), Method: WebForm, Source: "s", Wording: "w", Evidence: &Evidence{"u", "h"},
			Verified: &Verification{VerifiedBySMS, at(2, 10)}, ExpiresAt: at(30, 9), FirstCallWithin: Duration{Months: 9}, OwnInitiative: true,
		}},
		{Position: 300, Consent: &Consent{ID: "c-2", Channels: []Channel{Email}, Products: []string{}, GivenAt: at(3, 9), Method: Paper, Bundled: true}},
		{Position: 301, Withdrawal: &Withdrawal{ConsentID: "c-2", At: at(4, 9), Via: ViaWeb}},
		{Position: 302, Withdrawal: &Withdrawal{Organisation: "globex", At: at(5, 9), Via: ViaWeb}},
		{Position: 303, Relationship: &Relationship{Kind: Sale, Organisation: "acme", Product: "gas", StartedAt: at(6, 9), EndedAt: at(7, 9), NumberSource: Enriched}},
		{Position: 304, Relationship: &Relationship{Kind: Donation, Organisation: "heart", StartedAt: at(6, 9), NoObjectionOfferAtCollection: true}},
		{Position: 305, CallRequest: &CallRequest{Organisation: "acme", Product: "gas", RequestedAt: at(8, 9), CallAt: at(8, 15)}},
		{Position: 306, CallRequest: &CallRequest{Organisation: "acme", RequestedAt: at(8, 9)}},
		{Position: 307, Objection: &Objection{Organisation: "globex", At: at(9, 9), Scope: ScopeProduct, Product: "gas"}},
		{Position: 308, Objection: &Objection{Organisation: "lung", At: at(9, 10)}},
		{Position: 309, CallReport: &CallReport{Campaign: "acme-a", At: at(10, 9), Outcome: NoAnswer}},
		{Position: 310, CallReport: &CallReport{Campaign: "acme-a", At: at(11, 9), Outcome: Abandoned}},
		{Position: 311, ListEntry: &ListEntry{List: "TPS", Since: at(1, 1), LoadedAt: at(12, 9)}},
		{Position: 312, ListEntry: &ListEntry{List: "ONDERZOEKFILTER", LoadedAt: at(12, 10)}},
		{Position: 313, Correction: &Correction{Objection: 308, At: at(12, 11), ProposedBy: "a", ApprovedBy: "b"}},
		{Position: 314, Erasure: &Erasure{At: at(1, 0), Born: Date{2010, 1, 2}}},
	}
}

// fixedForms is what a version makes of fixedFacts.
var fixedForms = map[byte]string{2: `
02010203000000000000000000000000105a00000003000000b802a0c89e9b0d2a040204020000000000000080000400ba020000000000000080
00b41f02040502010700f4f0c0a8981802f81e043a034200ac020300010007a04a443049991807a099d5c4979918bd12030303040602050107a0
fbb29bfa981807a09f97db92a1180740b4e3e1fd9818120000020607a0e86659e69918030401af02040307a037f8ed349a1807a0868982839a18
0302b002050007a037f8ed349a180301b102040307a0d51a17d29a180760293fbce59a1800b202040007a0d51a17d29a18030001b302060307a0
24acab209b18000102b40204000740dddcf1239b1807e082c1f5129c18b9020206030307a0733d406f9b180507a0c2ced4bd9b180301b7020307
a01160690c9c1807a0e79bd591981800b8020f0740ca90af0f9c18160000000000000080000000000000008007a0e79bd59198180700f4f0c0a8
981807a0fbb29bfa98180740b4e3e1fd981807a04a443049991807a099d5c497991807a0e86659e6991807a037f8ed349a1807a037f8ed349a18
07a0d51a17d29a1807a0d51a17d29a1807a024acab209b180740dddcf1239b1807a0733d406f9b1807a0c2ced4bd9b1807a01160690c9c180740
ca90af0f9c1807e082c1f5129c18ffffffffffffff7fba0207002f6b8f8e98184245632d32632d3161636d65676c6f626578706f77657250676c
6f62657861636d65676173686561727461636d6567617361636d65676c6f6265786761736c756e6761636d652d615450534f4e4445525a4f454b
46494c544552
`}

// Nodes of two builds share what they write: under one version the same facts give the same bytes, for ever.
func TestEncodedFormIsFixed(t *testing.T) {
	e := Fold(CalleeToken{1, 2, 3, 15: 16}, 312, time.Date(2026, 3, 13, 9, 0, 0, 42, time.UTC), fixedFacts())
	b := encoded(t, e)
	if got, want := hex.EncodeToString(b), strings.Join(strings.Fields(fixedForms[b[0]]), ""); got != want {
		t.Errorf("the form of version %d, or what Fold makes of the same facts, has changed: raise encodedVersion.\ngot  %s\nwant %s", b[0], got, want)
	}
}

// someEncodings are records of many sizes.
func someEncodings(tb testing.TB, n int) (*world, [][]byte) {
	tb.Helper()
	w := newWorld(tb, 22)
	all := [][]byte{encoded(tb, fold(nil)), encoded(tb, fold(fixedFacts())), encoded(tb, fold(benchmarkFacts(1)))}
	for range n {
		_, facts, _ := w.question()
		all = append(all, encoded(tb, w.eligibility(facts)))
	}
	return w, all
}

// wantHarmless takes a damaged form: an error, or a record that says what the form says and that can be decided about.
func wantHarmless(tb testing.TB, w *world, b []byte) *Eligibility {
	tb.Helper()
	e, err := DecodeEligibility(b)
	if err != nil {
		if e != nil || !errors.Is(err, ErrEncoded) {
			tb.Fatalf("%x is read as %v, %v", b, e, err)
		}
		return nil
	}
	if again, err := e.AppendBinary(nil); err != nil || !bytes.Equal(again, b) {
		tb.Fatalf("%x is read as %+v, which is written as %x, %v", b, e, again, err)
	}
	at := time.Date(2026, 11, 18, 14, 0, 0, 0, Amsterdam)
	_ = Decide(e, w.call(), w.cat, w.law, at)
	return e
}

func TestDamagedFormsAreHarmless(t *testing.T) {
	w, all := someEncodings(t, 12)
	refused, read := 0, 0
	for _, b := range all {
		for i := range b {
			if wantHarmless(t, w, b[:i:i]) != nil {
				t.Fatalf("%d of %d bytes are a record", i, len(b))
			}
			for bit := range 8 {
				damaged := bytes.Clone(b)
				damaged[i] ^= 1 << bit
				if wantHarmless(t, w, damaged) == nil {
					refused++
				} else {
					read++
				}
			}
		}
		if wantHarmless(t, w, append(bytes.Clone(b), 0)) != nil {
			t.Fatal("a record with something behind it is a record")
		}
	}
	t.Logf("%d flipped bits refused, %d read as another record", refused, read)
}

// Two forms of one record, or dates that cannot be searched by halves, were written by nobody.
func TestFormsThatNobodyWritesAreRefused(t *testing.T) {
	at := time.Date(2026, 3, 1, 0, 0, 0, 12345, time.UTC)
	instant := func(i Instant) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(i)) } //nolint:gosec // its bits
	of := func(t time.Time) []byte { return instant(InstantOf(t, Never)) }
	dates := slices.Concat(of(at), of(at.Add(1)))
	for name, c := range map[string]struct {
		fact     Fact
		from, to []byte
	}{
		"dates out of order":       {Fact{Consent: &Consent{GivenAt: at, Verified: &Verification{At: at.Add(1)}}}, dates, slices.Concat(dates[8:], dates[:8])},
		"an expiry that never is":  {Fact{Consent: &Consent{ExpiresAt: at}}, of(at), instant(Never)},
		"a birth on no day":        {Fact{Subscriber: &Subscriber{Born: Date{30, 31, 32}}}, []byte{60, 62, 64}, []byte{0, 0, 0}},
		"a term of no time":        {Fact{Consent: &Consent{FirstCallWithin: Duration{30, 31, 32}}}, []byte{60, 62, 64}, []byte{0, 0, 0}},
		"a number longer than due": {Fact{Subscriber: &Subscriber{Born: Date{30, 31, 32}}}, []byte{60, 62, 64}, []byte{60, 62, 64 | 0x80, 0}},
	} {
		b := encoded(t, fold([]Fact{c.fact}))
		if !bytes.Contains(b, c.from) {
			t.Fatalf("%s: %x is not in %x", name, c.from, b)
		}
		last := bytes.LastIndex(b, c.from)
		b = slices.Concat(b[:last], c.to, b[last+len(c.from):])
		if e, err := DecodeEligibility(b); !errors.Is(err, ErrEncoded) {
			t.Errorf("%s is read as %+v, %v", name, e, err)
		}
	}
}

func TestOtherVersionsAreRefused(t *testing.T) {
	b := encoded(t, fold(fixedFacts()))
	for version := range 256 {
		b[0] = byte(version)
		_, err := DecodeEligibility(b)
		if version == 2 && err != nil || version != 2 && (!errors.Is(err, ErrEncoded) || !strings.Contains(err.Error(), fmt.Sprintf("version %d,", version))) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// A newer version's word must be a miss, not an objection of no known scope.
func TestUnknownWordsAreRefused(t *testing.T) {
	for name, f := range map[string]Fact{
		"kind":         {Subscriber: &Subscriber{Kind: UnknownKind + 1}},
		"relationship": {Relationship: &Relationship{Kind: FreeDownload + 1}},
		"scope":        {Objection: &Objection{Scope: ScopeGroup + 1}},
		"outcome":      {CallReport: &CallReport{Outcome: Failed + 1}},
		"purpose":      {Consent: &Consent{Purposes: []Purpose{PurposeResearch + 1}}},
	} {
		if _, err := DecodeEligibility(encoded(t, fold([]Fact{f}))); !errors.Is(err, ErrEncoded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLimitOfTheEncodedForm(t *testing.T) {
	size := func(person int) (int, *Eligibility) {
		e := fold([]Fact{{Consent: &Consent{Person: strings.Repeat("p", person)}}})
		b, _ := e.AppendBinary(nil)
		return len(b), e
	}
	small, _ := size(100_000) // whose length takes as many bytes as that of the longest
	longest, e := size(100_000 + EncodedLimit - small)
	if longest != EncodedLimit {
		t.Fatalf("the longest has %d bytes", longest)
	}
	if d, err := DecodeEligibility(encoded(t, e)); err != nil || !reflect.DeepEqual(d, e) {
		t.Errorf("the longest form: %v", err)
	}
	_, e = size(100_000 + EncodedLimit - small + 1)
	if b, err := e.AppendBinary([]byte("before")); !errors.Is(err, ErrEncoded) || string(b) != "before" {
		t.Errorf("one byte longer: %d bytes, %v", len(b), err)
	}
	if _, err := DecodeEligibility(append(encoded(t, fold(nil)), make([]byte, EncodedLimit)...)); !errors.Is(err, ErrEncoded) {
		t.Errorf("a form beyond the limit: %v", err)
	}
}

// What claims to hold more than there is must not cost the memory that it claims.
func TestHostileCountsCostLittle(t *testing.T) {
	base := encoded(t, fold(nil))
	const body = 4096
	for at := 17; at < len(base); at++ {
		for _, count := range [][]byte{{0xff, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, {0xff, 0x1f, 0, 0}, {0x80, 0x02, 0, 0}} {
			b := slices.Concat(base[:at], count, make([]byte, body))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := DecodeEligibility(b)
			runtime.ReadMemStats(&after)
			if cost := after.TotalAlloc - before.TotalAlloc; cost > 100*body {
				t.Errorf("%x at %d costs %d bytes, %v", count, at, cost, err)
			}
		}
	}
}

// The reading time is that of another machine: its zone and its process's clock mean nothing elsewhere.
func TestDecodedReadingTimeIsUTC(t *testing.T) {
	for _, read := range []time.Time{time.Now(), time.Now().In(Amsterdam), time.Now().Round(0).UTC()} {
		d, err := DecodeEligibility(encoded(t, Fold(CalleeToken{1}, 1, read, nil)))
		if err != nil || !d.ReadTime().Equal(read) || d.ReadTime() != read.Round(0).UTC() {
			t.Errorf("%v is read as %v, %v", read, d.ReadTime(), err)
		}
	}
}

// The bytes that were read may be used for something else.
func TestDecodedKeepsNothingOfTheBytes(t *testing.T) {
	e := fold(fixedFacts())
	b := encoded(t, e)
	d, err := DecodeEligibility(b)
	clear(b)
	if err != nil || !reflect.DeepEqual(d, e) {
		t.Errorf("%v, %+v", err, d)
	}
}

// One for the text; and for the record, its text, its words, its consents and its dates.
func TestEncodedFormsCostFewAllocations(t *testing.T) {
	e, room := fold(benchmarkFacts(1)), make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { _, _ = e.AppendBinary(room) }); n > 1 {
		t.Errorf("AppendBinary allocates %v times", n)
	}
	b := encoded(t, e)
	if n := testing.AllocsPerRun(100, func() { _, _ = DecodeEligibility(b) }); n > 5 {
		t.Errorf("DecodeEligibility allocates %v times", n)
	}
}

func FuzzDecodeEligibility(f *testing.F) {
	w, all := someEncodings(f, 40)
	for _, b := range all {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 1<<14 { // a decision is not made to be quick with a callee of a million dates
			wantHarmless(t, w, b)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(itoa(n), func(b *testing.B) {
			e, out := fold(benchmarkFacts(n)), make([]byte, 0, 1<<16)
			b.ReportAllocs()
			for b.Loop() {
				out, _ = e.AppendBinary(out[:0])
			}
			b.ReportMetric(float64(len(out)), "bytes")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(itoa(n), func(b *testing.B) {
			in := encoded(b, fold(benchmarkFacts(n)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeEligibility(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
