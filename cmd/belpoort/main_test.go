package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// beMain makes the test binary behave as belpoort itself, so that tests can kill a real process.
const beMain = "BELPOORT_TEST_BE_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(beMain) == "1" {
		main()
		return
	}
	if said := os.Getenv(beCrowd); said != "" {
		crowdMain(said)
		return
	}
	if err := os.Setenv(envPrefix+"HTTP", "127.0.0.1:0"); err != nil { // where a test does not say which port
		panic(err)
	}
	os.Exit(m.Run())
}

// process is a running `belpoort serve`.
type process struct {
	t               testing.TB
	cmd             *exec.Cmd
	args            []string // besides data and addresses
	data            string
	grpc, http, ops string
	log             *lockedLog
	out             *os.File // its standard output; nil: nowhere
	exited          chan error
	apart           *syscall.SysProcAttr // nil: dies with the test, and nothing else
}

// serveIn starts a service on a data folder and waits until it is ready. A callee is not kept for one call at a time, so
// that tests may ask again.
func serveIn(t testing.TB, data string, args ...string) *process {
	t.Helper()
	p := &process{t: t, data: data, grpc: freeAddress(t), http: freeAddress(t), ops: freeAddress(t), args: []string{"--allow-window", "0"}}
	p.begin(args...)
	p.awaitReady()
	return p
}

// begin starts the process, which may have run before.
func (p *process) begin(args ...string) {
	p.t.Helper()
	p.log, p.exited = &lockedLog{}, make(chan error, 1)
	p.args = append(p.args, args...)
	p.cmd = exec.Command(os.Args[0], append([]string{"serve", "--data", p.data, "--grpc", p.grpc, "--http", p.http, "--ops", p.ops}, p.args...)...)
	p.cmd.Env = append(os.Environ(), beMain+"=1")
	p.cmd.Stderr = p.log
	if p.out != nil {
		p.cmd.Stdout = p.out
	}
	if p.cmd.SysProcAttr = p.apart; p.apart == nil {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd, exited := p.cmd, p.exited
	go func() { exited <- cmd.Wait() }()
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		err := <-exited
		exited <- err
	})
}

func (p *process) awaitReady() {
	p.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if status, _ := get(p.ops, "/readyz"); status == 200 {
			return
		}
		select {
		case err := <-p.exited:
			p.exited <- err
			p.t.Fatalf("serve ended: %v\n%s", err, p.log)
		default:
		}
	}
	p.t.Fatalf("not ready\n%s", p.log)
}

// kill ends the process as a power cut would end it, without a word.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	err := <-p.exited
	p.exited <- err
}

// stop asks the process to stop, and waits for it.
func (p *process) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(os.Interrupt)
	select {
	case err := <-p.exited:
		p.exited <- err
		if err != nil {
			p.t.Fatalf("serve ended: %v\n%s", err, p.log)
		}
	case <-time.After(60 * time.Second):
		p.t.Fatalf("serve did not stop\n%s", p.log)
	}
}

// cli runs a command against the process, as a shell would, and returns its exit code and output.
func (p *process) cli(args ...string) (int, string) {
	p.t.Helper()
	return cli(p.t, append(args, "--data", p.data, "--address", p.grpc)...)
}

func cli(t testing.TB, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(""), &out, &out)
	return code, out.String()
}

// must runs a command that has to succeed.
func (p *process) must(args ...string) string {
	p.t.Helper()
	code, out := p.cli(args...)
	if code != exitOK {
		rejects, _ := os.ReadFile(strings.TrimSuffix(args[len(args)-1], ".csv") + ".rejects.csv")
		p.t.Fatalf("belpoort %s: exit %d\n%s%s", strings.Join(args, " "), code, out, rejects)
	}
	return out
}

// freeAddress is below the ports that the kernel gives to connections: one of those could be taken, even by a connection to
// itself, while its process is not there.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(10_000))))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port on 127.0.0.1 between 10000 and 20000")
	return ""
}

func write(t testing.TB, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// testCatalogue is open at all hours, so that tests pass at night, and puts up with many attempts, and for a day with calls
// that nobody reports.
func testCatalogue() string {
	tested := time.Now().AddDate(0, -1, 0).Format(time.RFC3339)
	return `catalogue:
  organisations:
  - {id: voltwerk, legal_name: Voltwerk B.V., class: COMMERCIAL, brand: voltwerk, group: voltwerk}
  - {id: other, legal_name: Other B.V., class: COMMERCIAL, brand: other, group: other}
  caller_ids:
  - {number: "+31201234567", organisation: voltwerk, valid_from: 2024-01-01T00:00:00+01:00, callback_tested_at: ` + tested + `, published_url: "https://voltwerk.example/bel"}
  campaigns:
  - {id: volt, organisation: voltwerk, purpose: COMMERCIAL, product: power, mode: HUMAN, dialing: PREDICTIVE}
  product_families: {energy: [power, gas]}
policy:
  hours: "Mon-Sun 00:00-24:00"
  max_attempts: {per_day: 1000, per_campaign: 1000}
  offer_deadline: 24 hours
  holidays: []
  kings_day: open
  early_close: {"05-04": null, "12-05": null, "12-24": null, GOOD_FRIDAY: null}
`
}

const (
	allowedNumber = "06-12345678"
	shownNumber   = "020-1234567"
)

// consentRow is the plain consent for allowedNumber, in the form of a CRM's export.
func consentsFile(numbers ...string) string {
	var b strings.Builder
	b.WriteString("telefoonnummer;toestemming_id;organisatie;product;doel;persoon;toestemming_op;methode;bron;tekstversie;bewijs;bewijs_sha256;geverifieerd_op;geverifieerd_via\n")
	at := time.Now().AddDate(0, -1, 0).Format("02-01-2006 15:04")
	for i, n := range numbers {
		b.WriteString(n + ";c-" + string(rune('a'+i%26)) + ";voltwerk;power;COMMERCIAL;J. Jansen;" + at +
			";webformulier;https://voltwerk.example/bel-mij;web-1;s3://proof/1;7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069;" + at + ";sms\n")
	}
	return b.String()
}

// stocked is a service with the test's catalogue and one consent.
func stocked(t testing.TB) *process {
	t.Helper()
	p := serveIn(t, filepath.Join(t.TempDir(), "data"))
	p.stock()
	return p
}

// stock loads the test's catalogue and one consent.
func (p *process) stock() {
	p.t.Helper()
	files := p.t.TempDir()
	p.must("apply", write(p.t, files, "catalogue.yaml", testCatalogue()))
	p.must("import", "consents", write(p.t, files, "consents.csv", consentsFile(allowedNumber)))
}

func (p *process) check(number string, more ...string) (int, map[string]any) {
	p.t.Helper()
	args := append([]string{"check", number, "--campaign", "volt", "--caller-id", shownNumber, "--json"}, more...)
	code, out := p.cli(args...)
	var answer map[string]any
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		p.t.Fatalf("exit %d: %s", code, out)
	}
	return code, answer
}

func contextWithTimeout(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
