package loader

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"google.golang.org/protobuf/proto"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

const objectionsCSV = "telefoon;organisatie;datum;via\n0612345678;a;2026-01-01 10:00;web\n020-1234567;b;20-11-2026 09:30;keuzemenu\n"

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func zstandard(t testing.TB, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

type objectionRow struct {
	Telefoon    string    `parquet:"telefoon"`
	Organisatie string    `parquet:"organisatie"`
	Datum       time.Time `parquet:"datum,timestamp(millisecond)"`
	Via         *string   `parquet:"via,optional"`
}

func parquetOf[T any](t testing.TB, rows ...T) string {
	t.Helper()
	var out bytes.Buffer
	w := parquet.NewGenericWriter[T](&out)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// One set of rows is the same facts in every form.
func TestEveryFormGivesTheSameFacts(t *testing.T) {
	want, _, _, err := load(t, Objections, objectionsCSV)
	if err != nil || len(want) != 2 {
		t.Fatal(err)
	}
	web, menu := "web", "keuzemenu"
	amsterdam := func(s string) time.Time {
		at, problem := readMoment(s, false)
		if problem != "" {
			t.Fatal(problem)
		}
		return at
	}
	lines := `{"telefoon":"0612345678","organisatie":"a","datum":"2026-01-01 10:00","via":"web"}` + "\n\n" +
		`{"via":"keuzemenu","datum":"20-11-2026 09:30","organisatie":"b","telefoon":"020-1234567","product":null}` + "\r\n"
	for name, file := range map[string]string{
		"gzip":                   gzipped(t, objectionsCSV),
		"gzip in two members":    gzipped(t, objectionsCSV[:40]) + gzipped(t, objectionsCSV[40:]),
		"zstd":                   zstandard(t, objectionsCSV),
		"JSON Lines":             lines,
		"JSON Lines with a mark": bom + lines,
		"JSON Lines in gzip":     gzipped(t, lines),
		"Parquet": parquetOf(t, objectionRow{"0612345678", "a", amsterdam("2026-01-01 10:00"), &web},
			objectionRow{"020-1234567", "b", amsterdam("20-11-2026 09:30"), &menu}),
	} {
		got, rejects, _, err := load(t, Objections, file)
		if err != nil || len(got) != len(want) {
			t.Errorf("%s: %d facts, %v, %v", name, len(got), err, rejects)
			continue
		}
		for i := range want {
			if !proto.Equal(got[i], want[i]) {
				t.Errorf("%s: row %d is %v, want %v", name, i+1, got[i], want[i])
			}
		}
	}
}

// A packed file that is cut off, too much, or packed twice, changes nothing, also where rows came before the fault.
func TestBadPackedFilesChangeNothing(t *testing.T) {
	var rows strings.Builder
	rows.WriteString("telefoon;organisatie;datum;via\n")
	for i := range 5000 {
		fmt.Fprintf(&rows, "06%08d;%x;2026-01-01;web\n", 10_000_000+i, i*2_654_435_761)
	}
	whole := gzipped(t, rows.String())
	broken := []byte(whole)
	broken[len(broken)-6] ^= 1
	bomb := rows.String() + strings.Repeat("0612345678;a;2026-01-01;web\n", 4<<20/28*10)
	for name, c := range map[string]struct{ file, problem string }{
		"cut off":             {whole[:len(whole)-100], "damaged or cut off"},
		"cut off in the head": {whole[:8], "damaged or cut off"},
		"a bit flipped":       {string(broken), "damaged or cut off"},
		"zstd cut off":        {zstandard(t, rows.String())[:2000], "damaged or cut off"},
		"a bomb":              {gzipped(t, bomb), "more than 100 times as long"},
		"a bomb in zstd":      {zstandard(t, bomb), "more than 100 times as long"},
		"packed twice":        {gzipped(t, whole), "another packed file"},
		"a zip in gzip":       {gzipped(t, "PK\x03\x04rest of it"), "another packed file"},
		"Parquet in gzip":     {gzipped(t, parquetOf(t, objectionRow{})), "unpack it first"},
	} {
		facts, _, report, err := load(t, Objections, c.file)
		wantFileError(t, err, 0, c.problem)
		if len(facts) != 0 || report.Rows != 0 {
			t.Errorf("%s: %d facts of %d rows", name, len(facts), report.Rows)
		}
	}
}

// A pipe cannot be read twice: what came before the fault is whole rows, and the report says where it ended.
func TestABombInAPipeEndsSoon(t *testing.T) {
	bomb := gzipped(t, objectionsCSV+strings.Repeat("x", 200<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Import(context.Background(), io.MultiReader(strings.NewReader(bomb)), Options{Kind: Objections}, &handed{})
	runtime.ReadMemStats(&after)
	var file *FileError
	if !errors.As(err, &file) || !strings.Contains(err.Error(), "more than 100 times as long") {
		t.Errorf("got %v", err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

// A row of 1 GiB is rejected in the memory of a short one.
func TestARowOfAGibibyteTakesNoMemory(t *testing.T) {
	size := int64(1 << 30)
	if underRace { // which makes it take minutes; scripts/test.sh runs it in full without
		size = 64 << 20
	}
	for name, ends := range map[string][2]string{
		"CSV":        {"telefoon;organisatie;datum;via\n0612345678;", "\n0612345678;a;2026-01-01;web\n"},
		"JSON Lines": {`{"telefoon":"0612345679","organisatie":"a","datum":"2026-01-01","via":"web"}` + "\n{\"telefoon\":\"", "\"}\n" + `{"telefoon":"0612345678","organisatie":"a","datum":"2026-01-01","via":"web"}`},
	} {
		long := io.MultiReader(strings.NewReader(ends[0]), io.LimitReader(same('x'), size), strings.NewReader(ends[1]))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		to := &handed{}
		report, err := Import(context.Background(), long, Options{Kind: Objections}, to)
		runtime.ReadMemStats(&after)
		if err != nil || report.Reasons[TooLong] != 1 || to.facts[len(to.facts)-1].GetCallee() != "+31612345678" {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
			t.Errorf("%s: %d bytes were allocated", name, grown)
		}
	}
}

type same byte

func (s same) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s)
	}
	return len(p), nil
}

func TestBadObjectsAreRejected(t *testing.T) {
	const good = `{"telefoon":"0612345670","organisatie":"a","datum":"2026-01-01","via":"web"}`
	for _, c := range []struct{ name, line, column, reason, problem string }{
		{"no object", `[1,2]`, "", "bad_json", "is no JSON object"},
		{"cut off", `{"telefoon":"0612345`, "", "bad_json", "is no JSON object"},
		{"two objects", good + good, "", "bad_json", "something after"},
		{"a doubled key", `{"via":"web","via":"ivr"}`, "via", "bad_json", "twice"},
		{"an object within", `{"telefoon":{"nr":"0612345678"}}`, "telefoon", "bad_json", "holds an object"},
		{"a list of numbers", `{"telefoon":[612345678]}`, "telefoon", "bad_json", "holds an object, or a list"},
		{"a number for a number", `{"telefoon":612345678,"organisatie":"a","datum":"2026-01-01","via":"web"}`, "telefoon", "spoilt_number", "lacks its zero"},
		{"scientific", `{"telefoon":3.161E+10,"organisatie":"a","datum":"2026-01-01","via":"web"}`, "telefoon", "spoilt_number", "scientific"},
		{"a key that is missing", `{"telefoon":"0612345678","organisatie":"a","via":"web"}`, "datum", "missing", "is empty"},
		{"an unknown key", `{"telefoon":"0612345678","organisatie":"a","datum":"2026-01-01","via":"web","kleur":"x"}`, "kleur", "unknown_column", "is no column of objections"},
		{"a synonym beside", `{"telefoon":"0612345678","phone":"0612345678","organisatie":"a","datum":"2026-01-01","via":"web"}`, "phone", "unknown_column", "a second time"},
		{"not UTF-8", "{\"telefoon\":\"06\xff\"}", "", "bad_encoding", "not UTF-8"},
		{"NUL", `{"telefoon":"0612345678","organisatie":"a\u0000","datum":"2026-01-01","via":"web"}`, "organisatie", "bad_characters", "control character"},
	} {
		facts, rejects, _, err := load(t, Objections, good+"\n"+c.line+"\n"+good+"\n")
		if err != nil || len(facts) != 2 {
			t.Errorf("%s: %d facts around it, %v", c.name, len(facts), err)
		}
		wantReject(t, rejects, "2", c.column, c.reason, c.problem)
		if strings.Contains(fmt.Sprint(rejects), "12345678") {
			t.Errorf("%s: the number is shown: %q", c.name, rejects)
		}
	}
}

func TestParquetOfOtherTypes(t *testing.T) {
	type row struct {
		Telefoon int64    `parquet:"telefoon"`
		Lijst    string   `parquet:"lijst"`
		Sinds    int32    `parquet:"sinds,date"`
		Stand    []string `parquet:"stand_van,list"`
	}
	_, rejects, _, err := load(t, ListEntries, parquetOf(t, row{612345678, "L", 20_000, []string{"2026-01-01"}}))
	if err != nil {
		t.Fatal(err)
	}
	wantReject(t, rejects, "1", "telefoon", "spoilt_number", "lacks its zero")

	type entry struct {
		Telefoon string `parquet:"telefoon"`
		Lijst    string `parquet:"lijst"`
		Sinds    int32  `parquet:"sinds,date"`
		Stand    int32  `parquet:"stand_van,date"`
	}
	facts, rejects, _, err := load(t, ListEntries, parquetOf(t, entry{"0612345678", "L", 20_000, 20_001}))
	if err != nil || len(facts) != 1 {
		t.Fatalf("%v, %q", err, rejects)
	}
	e := facts[0].GetFact().GetListEntry()
	if e.GetList() != "L" || e.GetLoadTime().AsTime().Sub(e.GetSinceTime().AsTime()) != 24*time.Hour || e.GetSinceTime().AsTime().UTC().Format(time.DateOnly) != "2024-10-03" {
		t.Errorf("%v", e)
	}
	pipe := io.MultiReader(strings.NewReader(parquetOf(t, entry{})))
	_, err = Import(context.Background(), pipe, Options{Kind: ListEntries}, &handed{})
	wantFileError(t, err, 0, "cannot be read from a pipe")
	whole := parquetOf(t, entry{"0612345678", "L", 20_000, 20_001})
	for cut := 5; cut < len(whole); cut += 37 {
		var file *FileError
		if facts, _, _, err := load(t, ListEntries, whole[:cut]); !errors.As(err, &file) || len(facts) != 0 {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
}

func TestCallReportsAreRead(t *testing.T) {
	facts, rejects, _, err := load(t, CallReports, "telefoon;campagne;gebeld op;uitkomst;verzet aangeboden\n0612345678;c;20-11-2026 10:00;geen gehoor;nee\n0612345679;c;20-11-2026 10:00;beantwoord;ja\n")
	if err != nil || len(facts) != 2 {
		t.Fatalf("%v, %q", err, rejects)
	}
	r := facts[1].GetFact().GetCallReport()
	if r.GetCampaign() != "c" || r.GetOutcome() != belpoortv1.Outcome_OUTCOME_ANSWERED || !r.GetObjectionOffered() || r.GetDialTime() == nil {
		t.Errorf("%v", r)
	}
}

func mappingOf(t testing.TB, text string) *Mapping {
	t.Helper()
	m, err := ReadMapping("crm.yaml", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A mapping says what the names of columns and the words of cells do not.
func TestAMappingSaysWhatColumnsMean(t *testing.T) {
	m := mappingOf(t, "columns:\n  Tel 1: callee\n  Opt-out: at\n  Notitie: '-'\ndefaults:\n  organisation: volt\n  via: web\nwords:\n  via: {KM: ivr, Kanaal 3: agent}\n")
	use := func(o *Options) { o.Mapping = m }
	for name, file := range map[string]string{
		"CSV":        "TEL_1;opt-out;Notitie;via\n0612345678;2026-01-01;bel 0612345678 niet;km\n0612345679;2026-01-01;;\n0612345670;2026-01-01;;kanaal-3\n",
		"JSON Lines": `{"Tel 1":"0612345678","Opt-out":"2026-01-01","Notitie":"bel 0612345678 niet","via":"KM"}` + "\n" + `{"Tel 1":"0612345679","Opt-out":"2026-01-01"}` + "\n" + `{"Tel 1":"0612345670","Opt-out":"2026-01-01","via":"Kanaal 3"}`,
	} {
		facts, rejects, _, err := load(t, Objections, file, use)
		if err != nil || len(facts) != 3 {
			t.Errorf("%s: %d facts, %v, %q", name, len(facts), err, rejects)
			continue
		}
		want := []belpoortv1.Via{belpoortv1.Via_VIA_IVR, belpoortv1.Via_VIA_WEB, belpoortv1.Via_VIA_AGENT}
		for i, fact := range facts {
			if o := fact.GetFact().GetObjection(); o.GetOrganisation() != "volt" || o.GetVia() != want[i] {
				t.Errorf("%s: row %d: %v", name, i+1, o)
			}
		}
	}
}

func TestWrongMappingsAreRefused(t *testing.T) {
	for text, problem := range map[string]string{
		"columns:\n  a: nope":                      `crm.yaml:2: columns: a is mapped to "nope", which is no column of objections`,
		"columns:\n  a: callee\n  b: callee":       "crm.yaml:3: columns: b and a are both mapped to callee",
		"columns:\n  a-b: callee\n  A B: via":      "crm.yaml:3: columns: A B stands there twice",
		"columns:\n  a: [callee]":                  "crm.yaml:2: columns: a: want one text",
		"columns:\n  ? [a]\n  : callee":            "crm.yaml:2: columns: want a text as key",
		"columns: a":                               "crm.yaml:1: columns: want keys with values",
		"defaults: {nope: x}":                      "crm.yaml:1: defaults: nope is no column of objections that can have one",
		"defaults: {via: web, via: ivr}":           "crm.yaml:1: defaults: via stands there twice",
		"defaults: {callee: '0612345678'}":         "crm.yaml:1: defaults: callee is no column of objections that can have one",
		"defaults: {'0612345678': x}":              "is no column of objections that can have one",
		"words:\n  nope: {a: b}":                   "crm.yaml:2: words: nope is no column of objections",
		"words:\n  via:\n    KM: ivr\n    km: web": "crm.yaml:4: words: via: km stands there twice",
		"words:\n  via:\n    KM: pigeon":           `crm.yaml:3: words: via: km becomes "pigeon", which is no word of this column`,
		"defaults: {via: pigeon}":                  `crm.yaml:1: defaults: via is "pigeon", which is no word of this column`,
		"words: {via: [a]}":                        "crm.yaml:1: words: via: want keys with values",
		"\ncolums: {}":                             "crm.yaml:2: colums: unknown key; known are about, kind, columns, defaults and words",
		"\nkind: consents":                         "crm.yaml:2: kind: consents is what this mapping is for, and the file is one of objections",
		"kind: nope":                               `crm.yaml:1: kind: "nope" is no kind of file`,
		"about: [a]":                               "crm.yaml:1: about: want one text",
		"columns: {}\ncolumns: {}":                 "crm.yaml:2: columns: stands there twice",
		"columns: {}\n---\ncolumns: {}":            "crm.yaml: the mapping has more than one document",
		"":                                         "crm.yaml: the mapping is no YAML",
		"- a":                                      "crm.yaml: the mapping must have some of the keys",
		"columns: {a: 'b":                          "crm.yaml: the mapping is no YAML",
		strings.Repeat("# comment\n", 7_000):       "crm.yaml: the mapping is larger than",
		"a: &x [1]\nb: *x\n'06 12345678': null":    "crm.yaml:1: a: unknown key",
	} {
		m, err := ReadMapping("crm.yaml", strings.NewReader(text))
		if err == nil {
			_, _, _, err = load(t, Objections, objectionsCSV, func(o *Options) { o.Mapping = m })
		}
		if err == nil || !strings.Contains(err.Error(), problem) || strings.Contains(err.Error(), "12345678") {
			t.Errorf("%.40q: %v, want %q", text, err, problem)
		}
	}
}

// A run that goes on where another was killed hands over what is missing, counts every row once, and its rejects file is
// that of one run.
func TestAnImportGoesOn(t *testing.T) {
	var csv, lines strings.Builder
	csv.WriteString("telefoon;organisatie;datum;via\n")
	for i := range 900 {
		number := fmt.Sprintf("06%08d", 10_000_000+i)
		if i%90 == 7 {
			number = "x"
		}
		fmt.Fprintf(&csv, "%s;a;2026-01-01;web\n", number)
		fmt.Fprintf(&lines, `{"telefoon":"%s","organisatie":"a","datum":"2026-01-01","via":"web"}`+"\n", number)
	}
	for _, file := range []string{csv.String(), lines.String()} {
		var places []Progress
		var wholeRejects bytes.Buffer
		opts := Options{Kind: Objections, Rejects: &wholeRejects, BatchSize: 50, Progress: func(p Progress) { places = append(places, p) }}
		whole := &handed{}
		want, err := Import(context.Background(), strings.NewReader(file), opts, whole)
		if err != nil {
			t.Fatal(err)
		}
		for _, place := range places {
			rejects := bytes.NewBuffer(bytes.Clone(wholeRejects.Bytes()[:place.RejectsBytes]))
			rest := &handed{}
			got, err := Import(context.Background(), strings.NewReader(file),
				Options{Kind: Objections, Rejects: rejects, BatchSize: 50, Resume: place.Checkpoint}, rest)
			if err != nil || got.Rows != want.Rows || got.Recorded != want.Recorded || got.Rejected != want.Rejected || got.Reasons[BadNumber] != want.Reasons[BadNumber] {
				t.Fatalf("from row %d: %+v, want %+v; %v", place.Rows, got, want, err)
			}
			if len(rest.facts) != len(whole.facts)-int(place.Recorded) || !slices.EqualFunc(rest.facts, whole.facts[place.Recorded:], func(a, b *belpoortv1.RecordFactRequest) bool { return proto.Equal(a, b) }) {
				t.Fatalf("from row %d: %d facts handed over", place.Rows, len(rest.facts))
			}
			if rejects.String() != wholeRejects.String() {
				t.Fatalf("from row %d: the rejects are\n%s", place.Rows, rejects)
			}
		}
	}
}
