package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func importsOf(t testing.TB, p *process, args ...string) *belpoortv1.ListImportsResponse {
	t.Helper()
	m := &belpoortv1.ListImportsResponse{}
	if out := p.must(append([]string{"imports", "--json"}, args...)...); true {
		if err := protojson.Unmarshal([]byte(out), m); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return m
}

// cliApart is cli with the two outputs apart, and something on standard input.
func cliApart(t testing.TB, in string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(in), &o, &e)
	return code, o.String(), e.String()
}

func shownReport(t testing.TB, out string) (shown importShown) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &shown); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return shown
}

const optOuts = "Tel,Opt-out at,How\n06-12345678,2026-11-01 10:00,KM\n06-12345679,2026-11-02 11:00,\n06-1234567x,2026-11-02 11:00,\n"

// A mapping, a preset and defaults say what a file means, and wrong ones say where they are wrong, before a row is taken.
func TestMappingsInTheCommand(t *testing.T) {
	p := stocked(t)
	dir := t.TempDir()
	file := write(t, dir, "optouts.csv", optOuts)
	good := write(t, dir, "crm.yaml", "kind: objections\ncolumns:\n  Opt-out at: at\n  How: via\ndefaults:\n  organisation: voltwerk\n  via: web\nwords:\n  via: {KM: ivr}\n")
	code, out := p.cli("import", "objections", file, "--mapping", good)
	if code != exitFailed || !strings.Contains(out, "3 rows: 2 recorded, 0 unchanged, 1 rejected") {
		t.Fatalf("exit %d\n%s", code, out)
	}
	if code, answer := p.check(allowedNumber); code != exitDeny || answer["reason"] != "REASON_OBJECTED" {
		t.Errorf("an imported objection does not take force: exit %d, %v", code, answer)
	}
	if m := importsOf(t, p).GetImports()[0].GetReport(); m.GetMapping() != "crm.yaml" || m.GetKind() != "objections" || m.GetClient() != "operator" {
		t.Errorf("%v", m)
	}
	for _, c := range []struct {
		mapping string
		args    []string
		want    string
	}{
		{"columns:\n  How: via\n  Opt-out at: moment\n", nil, `bad.yaml:3: columns: opt_out_at is mapped to "moment", which is no column of objections`},
		{"colums: {}\n", nil, "bad.yaml:1: colums: unknown key"},
		{"words:\n  via:\n    KM: pigeon\n", nil, `bad.yaml:3: words: via: km becomes "pigeon"`},
		{"\nkind: consents\n", nil, "bad.yaml:2: kind: consents is what this mapping is for"},
		{"columns: [\n", nil, "bad.yaml: the mapping is no YAML"},
		{"", nil, "bad.yaml"},
		{"columns: {}\n", []string{"--default", "organisation"}, "--default: want COLUMN=TEXT"},
		{"columns: {}\n", []string{"--default", "kleur=rood"}, "defaults: kleur is no column"},
		{"columns: {}\n", []string{"--preset", "opt-outs"}, "two mappings"},
	} {
		bad := write(t, dir, "bad.yaml", c.mapping)
		code, out := p.cli(append([]string{"import", "objections", file, "--mapping", bad}, c.args...)...)
		if code != exitUsage || !strings.Contains(out, c.want) {
			t.Errorf("%q %q: exit %d\n%s", c.mapping, c.args, code, out)
		}
	}
	if code, out := p.cli("import", "objections", file, "--mapping", filepath.Join(dir, "none.yaml")); code != exitUsage || !strings.Contains(out, "none.yaml") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if n := len(importsOf(t, p).GetImports()); n != 2 {
		t.Errorf("%d reports: an import that never began has one", n)
	}
}

// A preset is printed as the file that it is, works when it is given back, and stands in the help.
func TestPresetsInTheCommand(t *testing.T) {
	p := serveIn(t, filepath.Join(t.TempDir(), "data"))
	dir := t.TempDir()
	if code, out := cli(t, "sample", dir); code != exitOK {
		t.Fatal(out)
	}
	p.must("apply", filepath.Join(dir, "catalogue.yaml"))
	code, text := cli(t, "import", "--preset", "vicidial-calls", "--print-mapping")
	if code != exitOK || !strings.Contains(text, "phone_number_dialed: callee") {
		t.Fatalf("exit %d\n%s", code, text)
	}
	changed := write(t, dir, "ours.yaml", strings.Replace(text, "campaign: {}", "campaign: {VOLTDEMO: voltwerk-demo}", 1))
	code, out := p.cli("import", "call-reports", filepath.Join(dir, "calls-vicidial.csv"), "--mapping", changed)
	if code != exitFailed || !strings.Contains(out, "6 rows: 4 recorded, 0 unchanged, 2 rejected") {
		t.Errorf("exit %d\n%s", code, out)
	}
	code, out = p.cli("import", "consents", filepath.Join(dir, "consents-web-form.jsonl"), "--preset", "web-form")
	if code != exitFailed || !strings.Contains(out, "4 rows: 2 recorded") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if m := importsOf(t, p).GetImports()[0].GetReport(); m.GetMapping() != "preset web-form" {
		t.Errorf("%v", m)
	}
	if code, out := cli(t, "import", "--preset", "none", "--print-mapping"); code != exitUsage || !strings.Contains(out, "there are opt-outs, vicidial-calls, web-form") {
		t.Errorf("exit %d\n%s", code, out)
	}
	_, help := cli(t, "import", "--help")
	for _, name := range presetNames() {
		if !strings.Contains(help, "  "+name+" ") {
			t.Errorf("the help does not list %s", name)
		}
	}
}

// What a dry run shows needs no service and no key, and no number stands in it.
func TestADryRunNeedsNoService(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "c.csv", consentsFile(allowedNumber, "06-12345679", "geen", "06-12345670"))
	code, out := cli(t, "import", "consents", file, "--dry-run", "--data", filepath.Join(dir, "none"))
	for _, want := range []string{
		"4 rows: 0 recorded, 0 unchanged, 1 rejected, 3 valid (dry run)", "1  bad_number", "would be recorded:", "+********678", "consent.consent_id", "c-a",
		"consent.purposes", "COMMERCIAL", "consent.verified.method", "CET",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if code != exitFailed || strings.Contains(out, "12345678") || strings.Contains(out, "12345679") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if _, err := os.Stat(file + ".import"); !os.IsNotExist(err) {
		t.Errorf("a dry run notes how far it is: %v", err)
	}
	code, out, _ = cliApart(t, "", "import", "consents", file, "--dry-run", "--json", "--data", filepath.Join(dir, "none"))
	if shown := shownReport(t, out); code != exitFailed || shown.Valid != 3 || shown.Rejected != 1 || shown.Position != 0 || shown.Import != "" {
		t.Errorf("exit %d, %+v", code, shown)
	}
}

// The same content, kind, source and mapping has the same id, everything else another; scripts get one line of JSON for each
// file, and cron nothing where all is well.
func TestIDsAndReportsForScripts(t *testing.T) {
	p := stocked(t)
	dir := t.TempDir()
	file := write(t, dir, "a.csv", "telefoon;organisatie;datum;via\n06-12345671;voltwerk;2026-11-01 10:00;web\n")
	same := write(t, dir, "b 0612345678.csv", "telefoon;organisatie;datum;via\n06-12345671;voltwerk;2026-11-01 10:00;web\n")
	other := write(t, dir, "c.csv", "telefoon;organisatie;datum;via\n06-12345672;voltwerk;2026-11-01 10:00;web\n")
	idOf := func(args ...string) importShown {
		t.Helper()
		code, out, errOut := cliApart(t, "", append(args, "--json", "--data", p.data, "--address", p.grpc)...)
		if code != exitOK || errOut != "" {
			t.Fatalf("exit %d\n%s%s", code, out, errOut)
		}
		return shownReport(t, out)
	}
	first := idOf("import", "objections", file)
	if first.Recorded != 1 || first.Outcome != "completed" || first.Position == 0 || len(first.SHA256) != 64 || !strings.HasPrefix(first.Import, "imp-") {
		t.Errorf("%+v", first)
	}
	if again := idOf("import", "objections", same); again.Import != first.Import || again.Unchanged != 1 || again.Position == first.Position {
		t.Errorf("%+v", again)
	}
	for name, args := range map[string][]string{
		"another content": {"import", "objections", other}, "another source": {"import", "objections", file, "--source", "crm"},
		"a default": {"import", "objections", file, "--default", "scope=organisation"}, "lenient": {"import", "objections", file, "--ignore-unknown"},
	} {
		if found := idOf(args...); found.Import == first.Import {
			t.Errorf("%s has the same id", name)
		}
	}
	if named := idOf("import", "objections", file, "--id", "2026-11-01.optouts"); named.Import != "2026-11-01.optouts" {
		t.Errorf("%+v", named)
	}
	code, out, errOut := cliApart(t, "", "import", "objections", file, other, "--json", "--data", p.data, "--address", p.grpc)
	if code != exitOK || strings.Count(out, "\n") != 2 {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	code, out, errOut = cliApart(t, "", "import", "objections", file, "--quiet", "--data", p.data, "--address", p.grpc)
	if code != exitOK || out+errOut != "" {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	all := importsOf(t, p).GetImports()
	for _, i := range all {
		if strings.Contains(i.String(), "12345678") {
			t.Errorf("a number stands in the report: %v", i)
		}
	}
	if of := importsOf(t, p, first.Import).GetImports(); len(of) < 3 || len(of) >= len(all) || of[0].GetReport().GetImportId() != first.Import {
		t.Errorf("%d of %d reports are of %s", len(of), len(all), first.Import)
	}
	if out := p.must("imports", first.Import); !strings.Contains(out, "b ********78.csv") || !strings.Contains(out, first.SHA256) {
		t.Errorf("%s", out)
	}
	if code, out := p.cli("imports", "imp-never"); code != exitFailed || !strings.Contains(out, "no import imp-never") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// An import of a pipe has an id at its end; repeating it changes nothing.
func TestAPipeIsImported(t *testing.T) {
	p := stocked(t)
	rejects := filepath.Join(t.TempDir(), "r.csv")
	in := "telefoon;organisatie;datum;via\n06-12345671;voltwerk;2026-11-01 10:00;web\nx;voltwerk;2026-11-01 10:00;web\n"
	var ids []string
	for _, recorded := range []uint64{1, 0} {
		code, out, errOut := cliApart(t, in, "import", "objections", "-", "--json", "--rejects", rejects, "--data", p.data, "--address", p.grpc)
		shown := shownReport(t, out)
		if code != exitFailed || shown.Recorded != recorded || shown.Recorded+shown.Unchanged != 1 || shown.Rejected != 1 || shown.SHA256 == "" || errOut != "" {
			t.Errorf("exit %d, %+v\n%s", code, shown, errOut)
		}
		ids = append(ids, shown.Import)
	}
	if ids[0] != ids[1] {
		t.Errorf("%q", ids)
	}
	if code, out := p.cli("import", "objections", "-"); code != exitUsage || !strings.Contains(out, "--rejects is needed") {
		t.Errorf("exit %d\n%s", code, out)
	}
}
