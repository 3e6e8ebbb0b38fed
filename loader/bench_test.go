package loader

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

const consentHeader = "Telefoonnummer;Toestemming-ID;Organisatie;Producten;Doel;Naam;Toestemming op;Methode;Bron;Tekst;Bewijs;SHA256;Geverifieerd via;Geverifieerd op\n"

func consentRow(n int) string {
	return fmt.Sprintf("010-1%06d;K-%d;voltwerk;\"stroom, gas\";verkoop;Klant %d;11-10-2026 14:05;webformulier;https://voltwerk.example/overstappen;"+
		"actie-v3;https://bewijs.voltwerk.example/K-%d.pdf;20234e375f6c6870fad516180f19cf840da2511021ccdcb1d882817499b39c0f;sms;11-10-2026 14:07\n", n%1_000_000, n, n, n)
}

// BenchmarkRow is one row of a CSV with consents on its way to a fact that is ready to be handed over.
func BenchmarkRow(b *testing.B) {
	file := consentHeader + strings.Repeat(consentRow(1), 1000)
	read := &countingReader{}
	rows, header, err := openSource(strings.NewReader(file), read)
	if err != nil {
		b.Fatal(err)
	}
	layout, err := layOut(Options{Kind: Consents, Clock: time.Now}, header)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%1000 == 0 {
			b.StopTimer()
			rows, _, _ = openSource(strings.NewReader(file), read)
			b.StartTimer()
		}
		found, err := rows.next()
		if err != nil {
			b.Fatal(err)
		}
		if _, wrong := layout.fact(found); wrong != nil {
			b.Fatal(*wrong)
		}
	}
}

// BenchmarkImportUnderWay is a whole file, of 20,000 rows, with a recorder that costs nothing.
func BenchmarkImportUnderWay(b *testing.B) {
	const rows = 20_000
	var file strings.Builder
	file.WriteString(consentHeader)
	for n := range rows {
		file.WriteString(consentRow(n))
	}
	all := recorderFunc(func(_ context.Context, facts []*belpoortv1.RecordFactRequest) (Result, error) {
		return Result{Recorded: uint64(len(facts))}, nil
	})
	b.ReportAllocs()
	for b.Loop() {
		report, err := Import(b.Context(), strings.NewReader(file.String()), Options{Kind: Consents, UnderWay: MaxUnderWay}, all)
		if err != nil || report.Recorded != rows {
			b.Fatal(report, err)
		}
	}
	b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
}
