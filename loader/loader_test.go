package loader

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// handed collects what the loader hands over: that is its output. It is no register.
type handed struct {
	facts   []*belpoortv1.RecordFactRequest
	batches []int
	refuse  func(*belpoortv1.RecordFactRequest) (Rejected, bool)
	fail    error // at the second batch
}

func (h *handed) Record(_ context.Context, facts []*belpoortv1.RecordFactRequest) (Result, error) {
	if h.fail != nil && len(h.batches) > 0 {
		return Result{}, h.fail
	}
	h.batches = append(h.batches, len(facts))
	var result Result
	for i, fact := range facts {
		if h.refuse != nil {
			if rejected, yes := h.refuse(fact); yes {
				rejected.Index = i
				result.Rejected = append(result.Rejected, rejected)
				continue
			}
		}
		result.Recorded++
		h.facts = append(h.facts, fact)
	}
	return result, nil
}

// load imports a text and returns what was handed over, the rejects and the report; the accounts must add up.
func load(t testing.TB, kind Kind, file string, change ...func(*Options)) (facts []*belpoortv1.RecordFactRequest, rejects [][]string, report Report, err error) {
	t.Helper()
	var out bytes.Buffer
	opts := Options{Kind: kind, Name: "test", Rejects: &out}
	for _, c := range change {
		c(&opts)
	}
	to := &handed{}
	report, err = Import(context.Background(), strings.NewReader(file), opts, to)
	if sum := report.Recorded + report.Unchanged + report.Rejected + report.Unconfirmed + report.Valid; sum != report.Rows {
		t.Errorf("%d rows, but %d accounted for: %+v", report.Rows, sum, report)
	}
	if uint64(len(to.facts)) != report.Recorded {
		t.Errorf("%d facts handed over, report says %d", len(to.facts), report.Recorded)
	}
	return to.facts, readRejects(t, out.Bytes(), report), report, err
}

func readRejects(t testing.TB, written []byte, report Report) [][]string {
	t.Helper()
	lines, err := csv.NewReader(bytes.NewReader(written)).ReadAll()
	if err != nil {
		t.Fatalf("rejects file: %v", err)
	}
	if len(lines) > 0 {
		lines = lines[1:]
	}
	if uint64(len(lines)) != report.Rejected {
		t.Errorf("%d rejects written, report says %d", len(lines), report.Rejected)
	}
	return lines
}

const objectionHeader = "telefoon;organisatie;datum;via\n"

func amsterdam(t testing.TB, s string) *timestamppb.Timestamp {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return timestamppb.New(at)
}

const sum = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"

func TestEveryKind(t *testing.T) {
	for _, test := range []struct {
		kind Kind
		file string
		want *belpoortv1.Fact
	}{
		{
			Consents,
			"Telefoonnummer;Toestemming ID;Organisaties;Producten;Doel;Kanaal;Naam;Toestemming op;Methode;Bron;Tekst;Bewijs;SHA256;Geverifieerd via;Geverifieerd op;Geldig tot;Eerste oproep binnen;Actieve handeling;Gebundeld;Eigen initiatief\n" +
				"06-12345678;T-1;voltwerk|zon;\"stroom, gas\";commercieel;telefoon;J. de Vries;20-11-2026 14:05;webformulier;https://x.example;v3;https://b.example/1.pdf;" + strings.ToUpper(sum) + ";SMS;2026-11-20T14:06:00+01:00;20/11/2027;9 maanden;nee;ja;ja\n",
			&belpoortv1.Fact{Kind: &belpoortv1.Fact_Consent{Consent: &belpoortv1.Consent{
				ConsentId: "T-1", Organisations: []string{"voltwerk", "zon"}, Products: []string{"stroom", "gas"},
				Purposes: []belpoortv1.Purpose{belpoortv1.Purpose_PURPOSE_COMMERCIAL}, Channels: []belpoortv1.Channel{belpoortv1.Channel_CHANNEL_PHONE},
				Person: "J. de Vries", GiveTime: amsterdam(t, "2026-11-20T14:05:00+01:00"), Method: belpoortv1.ConsentMethod_CONSENT_METHOD_WEB_FORM,
				Source: "https://x.example", Wording: "v3", Evidence: &belpoortv1.Evidence{Uri: "https://b.example/1.pdf", Sha256: sum},
				Verified: &belpoortv1.Verification{
					Method: belpoortv1.VerificationMethod_VERIFICATION_METHOD_SMS, VerifyTime: amsterdam(t, "2026-11-20T14:06:00+01:00"),
				},
				ExpireTime: amsterdam(t, "2027-11-20T00:00:00+01:00"), FirstCallWithin: "9 months", Preticked: true, Bundled: true, OwnInitiative: true,
			}}},
		},
		{
			Withdrawals, "phone,organisation,withdrawn_at,via\n0031 6 12345678,voltwerk,2026-07-01 09:00,e-mail\n",
			&belpoortv1.Fact{Kind: &belpoortv1.Fact_Withdrawal{Withdrawal: &belpoortv1.Withdrawal{
				Organisation: "voltwerk", WithdrawTime: amsterdam(t, "2026-07-01T09:00:00+02:00"), Via: belpoortv1.Via_VIA_EMAIL,
			}}},
		},
		{
			Relationships, "callee\tsoort\torganisatie\tproduct\tsinds\ttot\tnummer van\tverzet aangeboden\n+31612345678\tdonateur\tbijenbond\tbijen\t1-2-2025\t\tbetrokkene\tnee\n",
			&belpoortv1.Fact{Kind: &belpoortv1.Fact_Relationship{Relationship: &belpoortv1.Relationship{
				Kind: belpoortv1.RelationshipKind_RELATIONSHIP_KIND_DONATION, Organisation: "bijenbond", Product: "bijen",
				StartTime: amsterdam(t, "2025-02-01T00:00:00+01:00"), NumberSource: belpoortv1.NumberSource_NUMBER_SOURCE_SUBJECT,
				NoObjectionOfferAtCollection: true,
			}}},
		},
		{
			CallRequests, "number,organisation,product,requested_at,call_at,source\n0612345678,voltwerk,warmtepomp,2026-11-19T20:00:00Z,2026-11-20 10:30,website\n",
			&belpoortv1.Fact{Kind: &belpoortv1.Fact_CallRequest{CallRequest: &belpoortv1.CallRequest{
				Organisation: "voltwerk", Product: "warmtepomp", RequestTime: amsterdam(t, "2026-11-19T20:00:00Z"),
				CallTime: amsterdam(t, "2026-11-20T10:30:00+01:00"), Source: "website",
			}}},
		},
		{
			Objections, "telefoon;organisatie;verzet_op;via;reikwijdte;product;door\n(06) 12345678;voltwerk;18-11-2026;keuzemenu;product;gas;huisgenoot\n",
			&belpoortv1.Fact{Kind: &belpoortv1.Fact_Objection{Objection: &belpoortv1.Objection{
				Organisation: "voltwerk", ObjectTime: amsterdam(t, "2026-11-18T23:59:59.999999999+01:00"), Via: belpoortv1.Via_VIA_IVR,
				Scope: belpoortv1.ObjectionScope_OBJECTION_SCOPE_PRODUCT, Product: "gas", By: belpoortv1.ObjectedBy_OBJECTED_BY_HOUSEHOLD_MEMBER,
			}}},
		},
		{
			Subscribers, "tel,rechtsvorm,geboren,sinds\n0612345678,Eenmanszaak,31-12-1990,2020-01-01\n",
			&belpoortv1.Fact{Kind: &belpoortv1.Fact_Subscriber{Subscriber: &belpoortv1.Subscriber{
				Kind: belpoortv1.SubscriberKind_SUBSCRIBER_KIND_SOLE_TRADER, Born: "1990-12-31", SinceTime: amsterdam(t, "2020-01-01T00:00:00+01:00"),
			}}},
		},
	} {
		facts, rejects, _, err := load(t, test.kind, test.file)
		if err != nil || len(facts) != 1 || len(rejects) != 0 {
			t.Errorf("%s: %d facts, rejects %q, %v", test.kind, len(facts), rejects, err)
			continue
		}
		want := &belpoortv1.RecordFactRequest{Callee: "+31612345678", Fact: test.want}
		if !proto.Equal(facts[0], want) {
			t.Errorf("%s: got %v\nwant %v", test.kind, facts[0], want)
		}
	}
}

// Handing the same file over twice must give the same facts, byte for byte: the register then finds them unchanged.
func TestTheSameFileGivesTheSameFacts(t *testing.T) {
	file := objectionHeader + "0612345678;a;29-03-2026 03:00;web\n06 11;a;x;y\n0612345679;b;25-10-2026 02:30;post\n"
	first, firstRejects, _, _ := load(t, Objections, file)
	second, secondRejects, _, _ := load(t, Objections, file)
	if len(first) != 2 || len(firstRejects) != 1 || !slices.EqualFunc(first, second, func(a, b *belpoortv1.RecordFactRequest) bool { return proto.Equal(a, b) }) {
		t.Errorf("first %v, second %v", first, second)
	}
	if fmt.Sprint(firstRejects) != fmt.Sprint(secondRejects) {
		t.Errorf("rejects %q, then %q", firstRejects, secondRejects)
	}
}

func TestRequestIDs(t *testing.T) {
	const header = "id;telefoon;organisatie;datum;via\n"
	facts, _, _, err := load(t, Objections, header+"77;0612345678;a;2026-01-01;web\n;0612345678;a;2026-01-01;web\n")
	if err != nil || len(facts) != 2 || facts[0].GetRequestId() != "test/objections/77" || facts[1].GetRequestId() != "" {
		t.Errorf("got %v, %v", facts, err)
	}
	_, _, _, err = load(t, Objections, header, func(o *Options) { o.Name = "" })
	wantFileError(t, err, 1, "needs the name of the source")
	_, rejects, _, _ := load(t, Objections, header+strings.Repeat("7", 130)+";0612345678;a;2026-01-01;web\n")
	wantReject(t, rejects, "2", "id", "too_long", "more than 128 bytes")
	_, rejects, _, _ = load(t, Objections, header+"nr 06 1234 5678;0612345678;a;2026-01-01;web\n")
	wantReject(t, rejects, "2", "id", "holds_number", "kept in clear")
}

func TestBatches(t *testing.T) {
	var file strings.Builder
	file.WriteString(objectionHeader)
	for i := range 1200 {
		fmt.Fprintf(&file, "06%08d;a;2026-01-01;web\n", 10000000+i)
	}
	to := &handed{}
	var seen []Progress
	report, err := Import(context.Background(), strings.NewReader(file.String()), Options{Kind: Objections, Progress: func(p Progress) { seen = append(seen, p) }}, to)
	if err != nil || fmt.Sprint(to.batches) != "[500 500 200]" || report.Recorded != 1200 {
		t.Errorf("batches %v, %+v, %v", to.batches, report, err)
	}
	if last := seen[len(seen)-1]; len(seen) != 3 || last.Recorded != 1200 || last.Bytes != int64(file.Len()) {
		t.Errorf("progress %+v", seen)
	}
}

func TestABatchStaysBelowItsBytes(t *testing.T) {
	row := "0612345678;a;p;2026-01-01;https://x.example/" + strings.Repeat("x", 1900) + "\n"
	to := &handed{}
	largest := 0
	measured := recorderFunc(func(ctx context.Context, facts []*belpoortv1.RecordFactRequest) (Result, error) {
		largest = max(largest, proto.Size(&belpoortv1.RecordFactsRequest{Facts: facts}))
		return to.Record(ctx, facts)
	})
	file := "telefoon;organisatie;product;datum;bron\n" + strings.Repeat(row, 400)
	if report, err := Import(context.Background(), strings.NewReader(file), Options{Kind: CallRequests}, measured); err != nil || report.Recorded != 400 {
		t.Fatalf("%+v, %v", report, err)
	}
	if largest > MaxBatchSize || largest < MaxBatchSize/2 {
		t.Errorf("largest batch %d bytes", largest)
	}
}

type recorderFunc func(context.Context, []*belpoortv1.RecordFactRequest) (Result, error)

func (f recorderFunc) Record(ctx context.Context, facts []*belpoortv1.RecordFactRequest) (Result, error) {
	return f(ctx, facts)
}

func TestTheRegisterRefuses(t *testing.T) {
	to := &handed{refuse: func(f *belpoortv1.RecordFactRequest) (Rejected, bool) {
		return Rejected{Field: "fact.objection.object_time", Description: "lies in the future; caller was 31612345679"}, f.GetCallee() == "+31612345679"
	}}
	var out bytes.Buffer
	file := objectionHeader + "0612345678;a;2026-01-01;web\n0612345679;a;2096-01-01;web\nx;a;2026-01-01;web\n"
	report, err := Import(context.Background(), strings.NewReader(file), Options{Kind: Objections, Rejects: &out}, to)
	if err != nil || report.Recorded != 1 || report.Reasons[Refused] != 1 || report.Reasons[BadNumber] != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	want := "line,column,reason,problem,value\n3,datum,refused,lies in the future; caller was *********79,\n4,telefoon,bad_number,"
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("rejects %q", out.String())
	}
}

func TestAnErrorOfTheRecorderStopsTheImport(t *testing.T) {
	file := objectionHeader + strings.Repeat("0612345678;a;2026-01-01;web\n", 10)
	lost := errors.New("connection lost")
	report, err := Import(context.Background(), strings.NewReader(file), Options{Kind: Objections, BatchSize: 3}, &handed{fail: lost})
	if !errors.Is(err, lost) || !strings.Contains(err.Error(), "lines 5 to 7") || report.Rows != 6 || report.Recorded != 3 || report.Unconfirmed != 3 {
		t.Errorf("%+v, %v", report, err)
	}
	short := recorderFunc(func(context.Context, []*belpoortv1.RecordFactRequest) (Result, error) {
		return Result{Recorded: 2}, nil
	})
	if report, err := Import(context.Background(), strings.NewReader(file), Options{Kind: Objections, BatchSize: 3}, short); err == nil || report.Unconfirmed != 3 {
		t.Errorf("an answer that lacks a fact: %+v, %v", report, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if report, err := Import(ctx, strings.NewReader(file), Options{Kind: Objections}, &handed{}); !errors.Is(err, context.Canceled) || report.Recorded != 0 {
		t.Errorf("cancelled: %+v, %v", report, err)
	}
}

func TestADryRunHandsNothingOver(t *testing.T) {
	file := objectionHeader + "0612345678;a;2026-01-01;web\n0612345678;a;31-02-2026;web\n"
	_, rejects, report, err := load(t, Objections, file, func(o *Options) { o.DryRun = true })
	if err != nil || report.Valid != 1 || report.Rejected != 1 || report.Recorded != 0 || len(rejects) != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, opts := range map[string]Options{
		"kind":       {Kind: "invoices"},
		"name":       {Kind: Objections, Name: "../crm"},
		"batch size": {Kind: Objections, BatchSize: 501},
		"under way":  {Kind: Objections, UnderWay: 33},
	} {
		if _, err := Import(context.Background(), strings.NewReader(objectionHeader), opts, &handed{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Import(context.Background(), strings.NewReader(objectionHeader), Options{Kind: Objections}, nil); err == nil {
		t.Error("no recorder: no error")
	}
}

// No two columns of a kind may answer to one header, and no header may be written so that it is never found.
func TestHeadersAreUnambiguous(t *testing.T) {
	for _, k := range Kinds() {
		seen := map[string]string{}
		for _, c := range Columns(k) {
			for _, h := range append(c.Headers, c.Name) {
				if other, twice := seen[h]; twice {
					t.Errorf("%s: %q means %s and %s", k, h, other, c.Name)
				}
				if plainWord(h) != h {
					t.Errorf("%s: %q is never found: headers are compared as %q", k, h, plainWord(h))
				}
				seen[h] = c.Name
			}
		}
	}
}

func wantFileError(t *testing.T, err error, line int, problem string) {
	t.Helper()
	var file *FileError
	if !errors.As(err, &file) || file.Line != line || !strings.Contains(file.Problem, problem) {
		t.Errorf("got %v, want line %d and %q", err, line, problem)
	}
}

func wantReject(t *testing.T, rejects [][]string, line, column, reason, problem string) {
	t.Helper()
	if len(rejects) != 1 || rejects[0][0] != line || rejects[0][1] != column || rejects[0][2] != reason || !strings.Contains(rejects[0][3], problem) {
		t.Errorf("got rejects %q, want %s, %s, %s, %q", rejects, line, column, reason, problem)
	}
}
