package loader

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

const goodRow = "0612345678;a;2026-01-01;web\n"

func TestFilesThatCannotBeRead(t *testing.T) {
	for _, test := range []struct {
		name, file string
		line       int
		problem    string
	}{
		{"empty", "", 0, "is empty"},
		{"blank", " \r\n\n", 0, "is empty"},
		{"utf-16", "\xff\xfet\x00e\x00l\x00", 0, "UTF-16"},
		{"utf-16 without a mark", "t\x00e\x00l\x00;\x00\n\x00", 1, "NUL byte"},
		{"spreadsheet", "PK\x03\x04rest", 0, "save it as CSV"},
		{"a bit of gzip", "\x1f\x8b\x08\x00", 0, "damaged or cut off"},
		{"a bit of zstd", "\x28\xb5\x2f\xfd\x00", 0, "damaged or cut off"},
		{"a bit of Parquet", "PAR1xxxx", 0, "is Parquet, and damaged or cut off"},
		{"an empty object", "{}\n", 1, "lacks callee"},
		{"no object", "{telefoon\n", 1, "is no JSON object"},
		{"an object in two lines", "{\"telefoon\":\n\"0612345678\"}", 1, "is no JSON object"},
		{"an object with a doubled key", `{"telefoon":"0612345678","telefoon":"0612345679"}`, 1, "names a column twice"},
		{"an object with an unknown key", `{"telefoon":"0612345678","organisatie":"a","datum":"2026-01-01","via":"web","kleur":"x"}`, 1, "is no column of objections"},
		{"ambiguous delimiter", "telefoon;organisatie,naam;datum;via\n", 1, "a semicolon and a comma"},
		{"other delimiter", "telefoon|organisatie|datum|via\n", 1, "is no column of objections"},
		{"sep of no delimiter", "sep=|\ntelefoon|organisatie\n", 1, "names a delimiter"},
		{"unknown column", "telefoon;organisatie;datum;via;kleur\n", 1, `"kleur" is no column of objections: known are callee, record_id, organisation, at, via`},
		{"missing column", "telefoon;organisatie;datum\n", 1, "lacks via (or kanaal, hoe, ontvangen_via)"},
		{"doubled column", "telefoon;organisatie;datum;via;Phone\n", 1, `"Phone" names the column callee a second time`},
		{"same column twice", "via;telefoon;organisatie;datum;via\n", 1, "a second time"},
		{"nameless column", "telefoon;;organisatie;datum;via\n", 1, "its column 2 has no name"},
		{"no header", "0612345678;a;2026-01-01;web\n", 1, `"********78" is no column`},
		{"million columns", strings.Repeat("x;", 1_000_000) + "\n", 1, "longer than 65536 bytes"},
		{"201 columns", strings.Repeat("x;", 200) + "x\n", 1, "more than 200 columns"},
		{"unclosed quote in the header", "telefoon;\"organisatie;datum;via\n" + goodRow, 1, "a quote that is not closed before the end of the file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			facts, _, report, err := load(t, Objections, test.file)
			wantFileError(t, err, test.line, test.problem)
			if len(facts) != 0 || report.Rows != 0 {
				t.Errorf("%d facts, %+v", len(facts), report)
			}
		})
	}
}

func TestRowsThatAreRejected(t *testing.T) {
	const header = "telefoon;organisatie;datum;via;product\n"
	for _, test := range []struct{ name, row, column, reason, problem, value string }{
		{"letters", "06-ABC45678;a;2026-01-01;web;", "telefoon", "bad_number", "may hold only digits", "**-ABC***78"},
		{"short", "0612;a;2026-01-01;web;", "telefoon", "bad_number", "fewer digits", "**12"},
		{"short code", "112;a;2026-01-01;web;", "telefoon", "bad_number", "short code", "**2"},
		{"arabic digits", "٠٦١٢٣٤٥٦٧٨;a;2026-01-01;web;", "telefoon", "bad_number", "may hold only digits", "********٧٨"},
		{"two numbers", "0612345678 / 0201234567;a;2026-01-01;web;", "telefoon", "bad_number", "may hold only digits", "********** / ********67"},
		{"a name", "Jan Jansen;a;2026-01-01;web;", "telefoon", "bad_number", "may hold only digits", "J***"},
		{"scientific", "3,16123E+10;a;2026-01-01;web;", "telefoon", "spoilt_number", "scientific notation: a spreadsheet has spoilt", "*,*****E+10"},
		{"scientific, English", "3.16E+10;a;2026-01-01;web;", "telefoon", "spoilt_number", "scientific notation", "*.**E+10"},
		{"zero lost", "612345678;a;2026-01-01;web;", "telefoon", "spoilt_number", "lacks its zero", "*******78"},
		{"formula", "=06+12345678;a;2026-01-01;web;", "telefoon", "bad_number", "may hold only digits", "'=**+******78"},
		{"no number", ";a;2026-01-01;web;", "telefoon", "missing", "is empty", ""},
		{"no organisation", "0612345678;  ;2026-01-01;web;", "organisatie", "missing", "is empty", ""},
		{"no such day", "0612345678;a;31-02-2026;web;", "datum", "bad_date", "is no day of the calendar", "31-02-2026"},
		{"American date", "0612345678;a;11/20/2026;web;", "datum", "bad_date", "is no day of the calendar", "11/20/2026"},
		{"two-digit year", "0612345678;a;20-11-26;web;", "datum", "bad_date", "four digits", "20-11-26"},
		{"word for a date", "0612345678;a;gisteren;web;", "datum", "bad_date", "must be a date like", "gisteren"},
		{"number for a date", "0612345678;a;0201234567;web;", "datum", "bad_date", "must be a date like", "********67"},
		{"spring gap", "0612345678;a;29-03-2026 02:30;web;", "datum", "bad_date", "skip in spring", "29-03-2026 02:30"},
		{"25 o'clock", "0612345678;a;2026-01-01 25:00;web;", "datum", "bad_date", "no time of the day", "2026-01-01 25:00"},
		{"distant date", "0612345678;a;2300-01-01;web;", "datum", "bad_date", "must lie between", "2300-01-01"},
		{"word", "0612345678;a;2026-01-01;duif;", "via", "bad_word", "must be one of IVR, AGENT", "duif"},
		{"unspecified", "0612345678;a;2026-01-01;UNSPECIFIED;", "via", "bad_word", "must be one of", "UNSPECIFIED"},
		{"rule of the fact", "0612345678;a;2026-01-01;web;gas", "product", "bad_value", "goes only with the scope PRODUCT", "g***"},
		{"long text", "0612345678;" + strings.Repeat("x", 129) + ";2026-01-01;web;", "organisatie", "too_long", "longer than 128 bytes", "x***"},
		{"longer text", "0612345678;" + strings.Repeat("x", 2049) + ";2026-01-01;web;", "organisatie", "too_long", "longer than 2048 bytes", "x***"},
		{"number in a text", "0612345678;org 6-12345678;2026-01-01;web;", "organisatie", "holds_number", "would be kept in clear", "org *-******78"},
		{"line end in a cell", "0612345678;\"a\nb\";2026-01-01;web;", "organisatie", "bad_characters", "a line end", "a***"},
		{"lost letter", "0612345678;caf\uFFFD;2026-01-01;web;", "organisatie", "bad_encoding", "a letter that was lost", "c***"},
		{"too many cells", "0612345678;a;2026-01-01;web;;;x", "", "column_count", "has 7 cells, and the header 5", ""},
		{"too few cells", "0612345678;a;2026-01-01;web", "", "column_count", "has 4 cells, and the header 5", ""},
		{"NUL", "0612345678;a\x00;2026-01-01;web;", "", "nul_byte", "a NUL byte", ""},
		{"bare quote", "0612345678;a\"b;2026-01-01;web;", "", "bad_quotes", "not quoted", ""},
		{"text after a quote", "0612345678;\"a\"b;2026-01-01;web;", "", "bad_quotes", "after the closing quote", ""},
		{"201 columns", strings.Repeat("x;", 200) + "x", "", "too_long", "more than 200 columns", ""},
		{"million columns", strings.Repeat("x;", 1_000_000), "", "too_long", "", ""},
		{"huge cell", "0612345678;" + strings.Repeat("x", 1<<20) + ";2026-01-01;web;", "", "too_long", "longer than 65536 bytes", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, after := "0612345670;a;2026-01-01;web;\n", "\n0612345671;a;2026-01-01;web;"
			facts, rejects, report, err := load(t, Objections, header+before+test.row+after)
			if err != nil || len(facts) != 2 || report.Rows != 3 || facts[0].GetCallee() != "+31612345670" || facts[1].GetCallee() != "+31612345671" {
				t.Fatalf("the rows around it: %d facts, %+v, %v", len(facts), report, err)
			}
			wantReject(t, rejects, "3", test.column, test.reason, test.problem)
			if rejects[0][4] != test.value {
				t.Errorf("value %q, want %q", rejects[0][4], test.value)
			}
		})
	}
}

func TestConsentsMustBeProvable(t *testing.T) {
	columns := []string{"telefoon", "id", "organisatie", "product", "doel", "naam", "toestemming_op", "methode", "bron", "tekst", "bewijs", "sha256"}
	cells := []string{"0612345678", "T-1", "a", "p", "verkoop", "J. Bos", "2026-01-01", "papier", "beurs", "v1", "https://b.example/1", sum}
	if facts, rejects, _, err := load(t, Consents, strings.Join(columns, ",")+"\n"+strings.Join(cells, ",")+"\n"); err != nil || len(facts) != 1 {
		t.Fatalf("the whole row: %q, %v", rejects, err)
	}
	for i, column := range columns {
		without := append([]string{}, cells...)
		without[i] = ""
		_, rejects, _, err := load(t, Consents, strings.Join(columns, ",")+"\n"+strings.Join(without, ",")+"\n")
		if err != nil {
			t.Errorf("%s: %v", column, err)
		}
		wantReject(t, rejects, "2", column, "missing", "is empty")
		_, _, _, err = load(t, Consents, strings.Join(append(append([]string{}, columns[:i]...), columns[i+1:]...), ",")+"\n")
		wantFileError(t, err, 1, "lacks")
	}
	cells[11] = "abc"
	_, rejects, _, _ := load(t, Consents, strings.Join(columns, ",")+"\n"+strings.Join(cells, ",")+"\n")
	wantReject(t, rejects, "2", "sha256", "bad_value", "64 hexadecimal characters")
	cells[11] = sum
	_, rejects, _, _ = load(t, Consents, strings.Join(columns, ",")+",geverifieerd_via,geverifieerd_op\n"+strings.Join(cells, ",")+",sms,\n")
	wantReject(t, rejects, "2", "geverifieerd_op", "missing", "is missing")
}

// A cell that cannot be read must never count as an empty one: this consent would not expire.
func TestABrokenCellIsNeverAnEmptyOne(t *testing.T) {
	const header = "telefoon,id,organisatie,product,doel,naam,toestemming_op,methode,bron,tekst,bewijs,sha256,geldig_tot\n"
	const row = "0612345678,T-1,a,p,verkoop,J. Bos,2026-01-01,papier,beurs,v1,https://b.example/1," + sum
	facts, rejects, _, err := load(t, Consents, header+row+",31-06-2026\n"+row+",30-06-2026\n"+row+",\n")
	if err != nil || len(facts) != 2 || facts[0].GetFact().GetConsent().GetExpireTime() == nil || facts[1].GetFact().GetConsent().GetExpireTime() != nil {
		t.Errorf("%v, %v", facts, err)
	}
	wantReject(t, rejects, "2", "geldig_tot", "bad_date", "is no day of the calendar")
}

func TestSpellingsOfOneFile(t *testing.T) {
	for name, file := range map[string]string{
		"comma":            "telefoon,organisatie,datum,via\n0612345678,a,2026-01-01,web\n",
		"tab":              "telefoon\torganisatie\tdatum\tvia\n0612345678\ta\t2026-01-01\tweb\n",
		"sep line":         "sep=;\r\n" + objectionHeader + goodRow,
		"BOM":              "\xef\xbb\xbf" + objectionHeader + goodRow,
		"BOM and quotes":   "\xef\xbb\xbf\"telefoon\";\"organisatie\";\"datum\";\"via\"\n" + goodRow,
		"CRLF":             strings.ReplaceAll(objectionHeader+goodRow, "\n", "\r\n"),
		"CR":               strings.ReplaceAll(objectionHeader+goodRow, "\n", "\r"),
		"mixed":            strings.TrimSuffix(objectionHeader, "\n") + "\r\n\n\r" + goodRow,
		"no last line end": objectionHeader + strings.TrimSuffix(goodRow, "\n"),
		"blank rows":       "\n \n" + objectionHeader + "\n;;;\n" + goodRow + "; ;;\n\n",
		"empty end":        "telefoon;organisatie;datum;via;;\n0612345678;a;2026-01-01;web;;\n",
		"headers":          "CALLEE;Organization;Opt-Out Date;VIA\n" + goodRow,
		"quoted":           objectionHeader + "\"0612345678\";\"a\";\"2026-01-01\";\"web\"\n",
		"spaces":           objectionHeader + " 0612345678 ;\u00a0a ; 2026-01-01; web \n",
		"API words":        objectionHeader + "+31612345678;a;2026-01-01T23:59:59.999999999+01:00;VIA_WEB\n",
	} {
		facts, rejects, _, err := load(t, Objections, file)
		if err != nil || len(facts) != 1 || len(rejects) != 0 {
			t.Errorf("%s: %d facts, %q, %v", name, len(facts), rejects, err)
			continue
		}
		if o := facts[0].GetFact().GetObjection(); facts[0].GetCallee() != "+31612345678" || o.GetOrganisation() != "a" ||
			o.GetVia() != belpoortv1.Via_VIA_WEB || o.GetObjectTime().GetSeconds() != 1767308399 {
			t.Errorf("%s: %v", name, facts[0])
		}
	}
	file := "telefoon;organisatie;datum;via;kleur\n0612345678;a;2026-01-01;web;0612345678\n"
	if facts, _, _, err := load(t, Objections, file, func(o *Options) { o.IgnoreUnknown = true }); err != nil || len(facts) != 1 {
		t.Errorf("ignored column: %v", err)
	}
}

func TestEncodings(t *testing.T) {
	organisations := func(file string) (names []string, reasons []string) {
		facts, rejects, _, err := load(t, Objections, file)
		if err != nil {
			t.Errorf("%q: %v", file, err)
		}
		for _, f := range facts {
			names = append(names, f.GetFact().GetObjection().GetOrganisation())
		}
		for _, r := range rejects {
			reasons = append(reasons, r[0]+" "+r[2])
		}
		return names, reasons
	}
	row := func(organisation string) string { return "0612345678;" + organisation + ";2026-01-01;web\n" }
	for _, test := range []struct{ name, file, names, reasons string }{
		{"utf-8", objectionHeader + row("café €"), "café €", ""},
		{"windows-1252", objectionHeader + row("caf\xe9 \x80"), "café €", ""},
		{"then utf-8", objectionHeader + row("caf\xe9") + row("café") + row("x"), "café,x", "3 bad_encoding"},
		{"then windows-1252", objectionHeader + row("café") + row("caf\xe9") + row("x"), "café,x", "3 bad_encoding"},
		{"a mark that lies", "\xef\xbb\xbf" + objectionHeader + row("caf\xe9"), "", "2 bad_encoding"},
		{"no character", objectionHeader + row("caf\x81"), "", "2 bad_encoding"},
	} {
		names, reasons := organisations(test.file)
		if strings.Join(names, ",") != test.names || strings.Join(reasons, ",") != test.reasons {
			t.Errorf("%s: names %q, rejects %q", test.name, names, reasons)
		}
	}
}

// An unclosed quote ends the reading: what follows could be rows or the inside of a cell.
func TestUnclosedQuotes(t *testing.T) {
	for name, file := range map[string]string{
		"before the end of the file": objectionHeader + goodRow + "0612345678;a;\"2026-01-01;web\n" + goodRow,
		"within 65536 bytes":         objectionHeader + goodRow + "0612345678;a;\"2026-01-01;web\n" + strings.Repeat(goodRow, 5000) + "\"",
	} {
		facts, rejects, _, err := load(t, Objections, file)
		wantFileError(t, err, 3, "not closed "+name)
		wantReject(t, rejects, "3", "", "bad_quotes", "nothing after it was read")
		if len(facts) != 1 {
			t.Errorf("%s: %d facts", name, len(facts))
		}
	}
}

// endless is a file that goes on and on after its header.
type endless struct {
	header *strings.Reader
	chunk  []byte
	left   int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.header.Len() > 0 {
		return e.header.Read(p)
	}
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := copy(p, e.chunk)
	e.left -= int64(n)
	return n, nil
}

func TestMemoryStaysFlat(t *testing.T) {
	for name, chunk := range map[string]string{
		"one line":         strings.Repeat("x", 4096),
		"one line, quotes": strings.Repeat(`"x";`, 1024),
		"rejected rows":    strings.Repeat("x;"+strings.Repeat("y", 200)+"\n", 400),
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		file := &endless{strings.NewReader(objectionHeader), []byte(chunk), 2 << 20}
		report, err := Import(context.Background(), file, Options{Kind: Objections, Rejects: io.Discard}, &handed{})
		runtime.GC()
		runtime.ReadMemStats(&after)
		if err != nil || report.Rows == 0 || report.Rejected != report.Rows {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
		if name != "rejected rows" && after.TotalAlloc-before.TotalAlloc > 1<<20 {
			t.Errorf("%s: allocated %d bytes for one row", name, after.TotalAlloc-before.TotalAlloc)
		}
		if after.HeapAlloc > before.HeapAlloc+1<<20 {
			t.Errorf("%s: heap grew from %d to %d", name, before.HeapAlloc, after.HeapAlloc)
		}
	}
}

// A file whose reading breaks off, as a truncated archive does: whole rows count, the last half never.
func TestReadingBreaksOff(t *testing.T) {
	broken := errors.New("unexpected end of archive")
	half := io.MultiReader(strings.NewReader(objectionHeader+goodRow+"0612345679;a;2026-01-01;web"), failing{broken})
	to := &handed{}
	report, err := Import(context.Background(), half, Options{Kind: Objections}, to)
	if !errors.Is(err, broken) || len(to.facts) != 1 || report.Rows != 1 || report.Recorded != 1 {
		t.Errorf("%d facts, %+v, %v", len(to.facts), report, err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestRejectsThatCannotBeWritten(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	write.Close()
	_, err = Import(context.Background(), strings.NewReader(objectionHeader+"x;a;b;c\n"), Options{Kind: Objections, Rejects: write}, &handed{})
	if err == nil || !strings.Contains(err.Error(), "writing the rejects") {
		t.Errorf("got %v", err)
	}
}

func TestRejectsGolden(t *testing.T) {
	file, err := os.ReadFile("testdata/messy.csv")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/messy.csv.rejects.csv")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	report, err := Import(context.Background(), bytes.NewReader(file), Options{Kind: Objections, Name: "crm", Rejects: &out}, &handed{})
	if err != nil || report.Recorded != 2 {
		t.Errorf("%+v, %v", report, err)
	}
	if out.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
