package loader

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"strings"
	"testing"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"google.golang.org/protobuf/proto"

	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/telephony"
)

// FuzzImport: whatever the bytes, no panic; every row is in one account; what is handed over is whole and canonical;
// what is rejected starts no formula.
func FuzzImport(f *testing.F) {
	f.Add([]byte(objectionHeader+goodRow+"x;=1+1;31-02-2026;\x00\n"), byte(4))
	f.Add([]byte("sep=,\ntel,rechtsvorm,geboren\n0612345678,bv,\"1990-1-1\"\n\"0612345678,bv,\n"), byte(5))
	f.Add([]byte("\xef\xbb\xbfcallee\tsoort\torganisatie\tsinds\tverzet_aangeboden\r\n06 12345678\tdonatie\tcaf\xe9\t1/1/2020\tja\r"), byte(2))
	f.Add([]byte("id;telefoon;organisatie;datum;product\n@x;0612345678;a;25-10-2026 02:30;p\n"), byte(3))
	f.Fuzz(func(t *testing.T, file []byte, which byte) {
		kind := Kinds()[int(which)%len(Kinds())]
		var out bytes.Buffer
		to := recorderFunc(func(_ context.Context, facts []*belpoortv1.RecordFactRequest) (Result, error) {
			for _, fact := range facts {
				checkHandedOver(t, fact)
			}
			return Result{Recorded: uint64(len(facts))}, nil
		})
		report, err := Import(context.Background(), bytes.NewReader(file), Options{Kind: kind, Name: "fuzz", Rejects: &out, BatchSize: 3}, to)
		var fileError *FileError
		if err != nil && !errors.As(err, &fileError) {
			t.Fatalf("error of an unexpected kind: %v", err)
		}
		if report.Recorded+report.Rejected != report.Rows {
			t.Fatalf("accounts do not add up: %+v", report)
		}
		checkRejects(t, out.Bytes(), report)
	})
}

func checkHandedOver(t *testing.T, fact *belpoortv1.RecordFactRequest) {
	t.Helper()
	if n, err := telephony.Canonical(fact.GetCallee()); err != nil || n.E164() != fact.GetCallee() {
		t.Fatalf("callee is not canonical: %v", err)
	}
	if _, err := record.FactFromProto(fact.GetFact()); err != nil {
		t.Fatal(err)
	}
	if len(fact.GetRequestId()) > maxRequestID || proto.Size(fact) > MaxBatchSize {
		t.Fatal("over a limit")
	}
	if _, err := proto.Marshal(fact); err != nil {
		t.Fatal(err)
	}
}

func checkRejects(t *testing.T, written []byte, report Report) {
	t.Helper()
	lines, err := csv.NewReader(bytes.NewReader(written)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if max(1, uint64(len(lines)))-1 != report.Rejected {
		t.Fatalf("%d lines for %d rejects", len(lines), report.Rejected)
	}
	for _, line := range lines {
		for _, cell := range line {
			if cell != "" && strings.ContainsRune(formulaSigns, firstRune(cell)) {
				t.Fatalf("a cell that a spreadsheet runs: %q", cell)
			}
		}
	}
}

func BenchmarkImport(b *testing.B) {
	var file bytes.Buffer
	file.WriteString(objectionHeader)
	for range 10_000 {
		file.WriteString("06-12345678;voltwerk;18-11-2026 14:05;website\n")
	}
	b.SetBytes(int64(file.Len()))
	b.ReportAllocs()
	for b.Loop() {
		report, err := Import(context.Background(), bytes.NewReader(file.Bytes()), Options{Kind: Objections, DryRun: true}, nil)
		if err != nil || report.Valid != 10_000 {
			b.Fatal(report, err)
		}
	}
	b.ReportMetric(float64(b.N)*10_000/b.Elapsed().Seconds(), "rows/s")
}
