//go:build !race

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/belpoort/belpoort/bench"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// mostImportMemory bounds the import's memory, however long the file.
const mostImportMemory = 200 << 20

// fromEnvironment is a number of the environment, such as RATE or ROWS.
func fromEnvironment(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s: want a number above 0, not %q", name, text)
	}
	return n
}

// writeConsents writes a file of so many consents, each of another callee, in no order of theirs. Their numbers cannot be
// assigned: subscriber parts begin with 1.
func writeConsents(t *testing.T, rows int) (path string) {
	t.Helper()
	callees, err := bench.NewPopulation(bench.MaxCallees, .999_999, 7)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "consents.csv")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	out := bufio.NewWriterSize(file, 1<<20)
	fmt.Fprintln(out, "Telefoonnummer;Toestemming-ID;Organisatie;Producten;Doel;Naam;Toestemming op;Methode;Bron;Tekst;Bewijs;SHA256;Geverifieerd via;Geverifieerd op")
	day := time.Now().AddDate(0, 0, -30)
	for i := range rows {
		given := day.Add(time.Duration(i%20000) * time.Minute)
		sum := sha256.Sum256([]byte(strconv.Itoa(i)))
		fmt.Fprintf(out, "%s;K-%d;voltwerk;\"stroom, gas\";verkoop;Klant %d;%s;webformulier;https://voltwerk.example/overstappen;actie-v3;https://bewijs.voltwerk.example/K-%d.pdf;%x;sms;%s\n",
			callees.AllowedNumber(uint64(i)), i, i, given.Format("02-01-2006 15:04"), i, sum, given.Add(time.Hour).Format("02-01-2006 15:04"))
	}
	if err := errors.Join(out.Flush(), file.Sync()); err != nil { // what is written back later would be measured, too
		t.Fatal(err)
	}
	return path
}

// checks asks for a while at a steady rate, and gives what the table of `belpoort bench` says.
func (p *process) checks(rate int, length time.Duration) (cells []bench.Cell) {
	p.t.Helper()
	cmd := p.child(p.t.Context(), "bench", "--keep-facts", "--contestants", "allow,deny", "--callers", "0", "--rate", strconv.Itoa(rate),
		"--rounds", "2", "--duration", (length / 2).String(), "--callees", "5000", "--json")
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	_ = cmd.Run() // overload is told in the cells
	var report bench.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || len(report.Cells) != 2 {
		p.t.Fatalf("bench: %v\n%s%s", err, out.String(), problems.String())
	}
	return report.Cells
}

func shownChecks(cells []bench.Cell) string {
	var all []string
	for _, c := range cells {
		all = append(all, fmt.Sprintf("%s p50 %.1f ms, p99 %.1f ms, %d of %d failed", c.Contestant, c.Latency.P50/1000, c.Latency.P99/1000, c.Errors, c.Calls))
	}
	return strings.Join(all, "; ")
}

// usage is the processor time of a process that runs, and the most memory that it had.
func (p *process) usage() (cpu time.Duration, memory int64) {
	p.t.Helper()
	cpu, err := bench.ProcessCPU(p.cmd.Process.Pid)
	if err != nil {
		p.t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return cpu, kib << 10
}

// TestImportAtSpeed imports ROWS consents (a million) into a service on a disk, tells how fast that went and at what cost, and
// imports a part of them again. The import's memory does not grow with the file.
func TestImportAtSpeed(t *testing.T) {
	soak(t)
	rows := fromEnvironment(t, "ROWS", 1_000_000)
	file := writeConsents(t, rows)
	p := serveIn(t, filepath.Join(t.TempDir(), "data"))
	p.stock()
	for _, unchanged := range []bool{false, true} {
		before, _ := p.usage()
		cmd := p.child(t.Context(), "import", "consents", file)
		began := time.Now()
		out, err := cmd.CombinedOutput()
		took := time.Since(began)
		want := fmt.Sprintf("%d rows: %d recorded, 0 unchanged, 0 rejected", rows, rows)
		if unchanged {
			want = fmt.Sprintf("%d rows: 0 recorded, %d unchanged, 0 rejected", rows, rows)
		}
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("%v\n%s", err, out)
		}
		after, served := p.usage()
		spent := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		memory := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
		million := float64(rows) / 1e6
		t.Logf("%d rows (unchanged: %v): %.0f rows/s; CPU for a million rows: import %.1f s, service %.1f s; memory: import %d MiB, service %d MiB",
			rows, unchanged, float64(rows)/took.Seconds(), spent.Seconds()/million, (after-before).Seconds()/million, memory>>20, served>>20)
		if memory > mostImportMemory {
			t.Errorf("the import took %d MiB of memory", memory>>20)
		}
	}
}

// TestImportBesideChecks asks at RATE calls a second (2,000) and registers objections, alone and then beside an import that
// goes as fast as it can. Every objection is in force when it is answered, and no check is answered wrongly.
func TestImportBesideChecks(t *testing.T) {
	length := soak(t)
	rate := fromEnvironment(t, "RATE", 2000)
	file := writeConsents(t, fromEnvironment(t, "ROWS", 3_000_000))
	p := serveIn(t, filepath.Join(t.TempDir(), "data"))
	p.stock()
	alone, quiet := p.measured(rate, length)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	importing := p.child(ctx, "import", "consents", file)
	var said bytes.Buffer
	importing.Stdout, importing.Stderr = &said, &said
	if err := importing.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- importing.Wait() }()
	beside, busy := p.measured(rate, length)
	select {
	case err := <-ended:
		t.Errorf("the import ended before the checks did: %v\n%s", err, said.String())
	default:
	}
	stop()
	if err := <-ended; err == nil {
		t.Error("the import was done before it was stopped")
	}
	t.Logf("%d checks a second alone:  %s; objections %s", rate, shownChecks(alone), quiet)
	t.Logf("%d checks a second beside: %s; objections %s; %s", rate, shownChecks(beside), busy, strings.TrimSpace(said.String()))
}

// measured asks, and registers ten objections a second meanwhile.
func (p *process) measured(rate int, length time.Duration) (checks []bench.Cell, objections string) {
	p.t.Helper()
	conn, err := grpc.NewClient(p.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(bearer(p.operatorKey())))
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	client := belpoortv1.NewObjectionServiceClient(conn)
	stop, ended := make(chan struct{}), make(chan []time.Duration, 1)
	go func() {
		var took []time.Duration
		defer func() { ended <- took }()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
			asked := time.Now()
			answer, err := client.RegisterObjection(p.t.Context(), &belpoortv1.RegisterObjectionRequest{
				Callee: fmt.Sprintf("+31109%06d", n), Organisation: "voltwerk", Via: belpoortv1.Via_VIA_WEB, RequestId: fmt.Sprintf("%d-%d", asked.UnixNano(), n),
			})
			if err != nil || answer.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE {
				p.t.Errorf("objection %d: %v, %v", n, answer.GetState(), err)
			}
			took = append(took, time.Since(asked))
		}
	}()
	checks = p.checks(rate, length)
	close(stop)
	took := <-ended
	slices.Sort(took)
	return checks, fmt.Sprintf("p50 %v, p99 %v, at most %v", partOf(took, .5), partOf(took, .99), partOf(took, 1))
}
