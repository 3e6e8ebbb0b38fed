package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/keyring"
	"github.com/belpoort/belpoort/ledger"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/telephony"
)

// oldPerson is who consented years ago.
const oldPerson = "W. van Voorbij"

// yearsOld makes the ledger of a service that has not recorded anything yet that of one that ran years ago: a consent that has
// ended, an objection, and so many decisions, every other one an ALLOW.
func yearsOld(t *testing.T, p *process, decisions int) {
	t.Helper()
	ring, _, err := keyring.Open(p.data)
	if err != nil {
		t.Fatal(err)
	}
	then := time.Now().AddDate(-6, 0, 0)
	l, err := ledger.OpenSQLite(t.Context(), folder(p.data).ledger(), ledger.Options{Clock: func() time.Time { return then }})
	if err != nil {
		t.Fatal(err)
	}
	number := func(written string) telephony.Number {
		canonical, err := telephony.Canonical(written)
		if err != nil {
			t.Fatal(err)
		}
		return canonical
	}
	for i, fact := range []eligibility.Fact{
		{Consent: &eligibility.Consent{ID: "old", Organisations: []string{"voltwerk"}, Products: []string{"power"}, Person: oldPerson, GivenAt: then}},
		{Objection: &eligibility.Objection{Organisation: "voltwerk", At: then, Via: eligibility.ViaWeb, Scope: eligibility.ScopeOrganisation, By: eligibility.BySubscriber}},
	} {
		payload, err := record.Marshal(fact)
		if err != nil {
			t.Fatal(err)
		}
		callee := number(allowedNumber)
		f := ledger.Append{RequestKey: fmt.Sprint("old/", i), Callee: ring.Token(callee), SealedNumber: ring.Seal(callee, ring.Token(callee)), Kind: record.KindOf(fact), Payload: payload}
		if _, err := l.Append(t.Context(), []ledger.Append{f}); err != nil {
			t.Fatal(err)
		}
	}
	for from := 0; from < decisions; from += 5000 {
		var all []ledger.Decision
		for i := from; i < min(decisions, from+5000); i++ {
			all = append(all, oldDecision(t, then.Add(time.Duration(i)*time.Second), i))
		}
		if err := l.ShipDecisions(t.Context(), fmt.Sprint("old ", from), 0, uint64(len(all)), all); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func oldDecision(t *testing.T, at time.Time, i int) ledger.Decision {
	t.Helper()
	d := ledger.Decision{Time: at, Callee: eligibility.CalleeToken{9, byte(i), byte(i >> 8)}, Campaign: "volt", Verdict: int32(eligibility.Allow)}
	if i%2 == 1 {
		d.Verdict = int32(eligibility.Deny)
	}
	binary.BigEndian.PutUint64(d.ID[:], uint64(at.UnixMilli())<<16)
	binary.BigEndian.PutUint64(d.ID[8:], uint64(i))
	var err error
	d.Payload, err = record.MarshalDecision(&belpoortv1.Decision{
		DecisionId: hex.EncodeToString(d.ID[:]), DecideTime: timestamppb.New(at), CalleeToken: d.Callee.String(), Campaign: "volt",
		Organisation: "voltwerk", Verdict: belpoortv1.Verdict(d.Verdict), Basis: &belpoortv1.Basis{Kind: belpoortv1.Reason_REASON_OK_LEGAL_PERSON},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// spaced is what a command prints, without the columns of its table.
func (p *process) spaced(args ...string) string {
	p.t.Helper()
	return strings.Join(strings.Fields(p.must(args...)), " ")
}

const testPolicy = "refusals: 13 months\ncalls: 5 years\nbases: 5 years # proof\nlists: 31 days\n"

// TestRetentionFromTheCommandLine: a dry run counts, a run that is killed half way is run again while calls are checked, and
// then nothing of what was old is left: not in the lists, not in any file; the objection refuses, the chain holds, and a
// backup is taken and walked.
func TestRetentionFromTheCommandLine(t *testing.T) {
	const decisions = 20_000
	p := serveIn(t, filepath.Join(t.TempDir(), "data"))
	p.stop()
	yearsOld(t, p, decisions)
	p.begin()
	p.awaitReady()
	p.must("apply", write(t, t.TempDir(), "catalogue.yaml", testCatalogue()))
	policy := write(t, t.TempDir(), "retention.yaml", testPolicy)
	dry := p.spaced("retention", "--dry-run", "--policy", policy)
	for _, part := range []string{"allows 10000 10000", "refusals 10000 10000", "consents 1 1", "numbers 1 1", "WOULD GO"} {
		if !strings.Contains(dry, part) {
			t.Fatalf("no %q in\n%s", part, dry)
		}
	}
	if len(p.filesWith(oldPerson)) == 0 {
		t.Fatal("no file holds the name before, so the test shows nothing")
	}
	if code, said := p.cli("retention", "run", "--policy", policy); code != exitUsage || !strings.Contains(said, "nothing was destroyed") {
		t.Errorf("without a yes: exit %d, %s", code, said)
	}
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		_, _ = p.cli("retention", "run", "--policy", policy, "--yes")
	}()
	time.Sleep(300 * time.Millisecond)
	p.kill()
	p.begin()
	p.awaitReady()
	<-cut
	var checked int
	var longest time.Duration
	ended := make(chan string)
	go func() {
		_, said := p.cli("retention", "run", "--policy", policy, "--yes")
		ended <- said
	}()
	said := ""
	for said == "" {
		began := time.Now()
		if code, answer := p.check(allowedNumber); code != exitDeny || answer["reason"] != "REASON_OBJECTED" {
			t.Fatalf("meanwhile: exit %d, %v", code, answer)
		}
		checked, longest = checked+1, max(longest, time.Since(began))
		select {
		case said = <-ended:
		default:
		}
	}
	t.Logf("%d checks meanwhile, the longest %v with its process\n%s", checked, longest, said)
	if !strings.Contains(said, "DESTROYED") {
		t.Errorf("it says %s", said)
	}
	p.kill()
	if paths := p.filesWith(oldPerson); len(paths) > 0 {
		t.Errorf("the name stands in %v", paths)
	}
	p.begin()
	p.awaitReady()
	if again := p.spaced("retention", "--dry-run", "--policy", policy); !strings.Contains(again, "allows 0 0") || strings.Contains(again, "consents") {
		t.Errorf("again:\n%s", again)
	}
	if code, answer := p.check(allowedNumber); code != exitDeny || answer["reason"] != "REASON_OBJECTED" {
		t.Errorf("after: exit %d, %v", code, answer)
	}
	backup := filepath.Join(t.TempDir(), "after.db")
	for _, args := range [][]string{{"backup", backup, "--data", p.data}, {"ledger", "verify", backup}, {"ledger", "verify", "--data", p.data}} {
		if code, out := cli(t, args...); code != exitOK {
			t.Errorf("%v: exit %d: %s", args, code, out)
		}
	}
}

func TestWrongRetentionPolicies(t *testing.T) {
	files := t.TempDir()
	for name, c := range map[string]struct{ content, says string }{
		"empty":   {"", "want a map"},
		"list":    {"- calls", "want a map"},
		"unknown": {"calls: 5 years\n objections: 1 year\n", "yaml"},
		"key":     {"calls: 5 years\nobjections: 1 year\n", ":2:1: objections: unknown key"},
		"twice":   {"calls: 5 years\ncalls: 6 years\n", "calls"},
		"nothing": {"calls:\n", ":1:7: calls: want a term"},
		"map":     {"calls: {a: b}\n", ":1:8: calls: want a term"},
		"large":   {strings.Repeat("# long\n", 10_000), "larger than"},
	} {
		path := write(t, files, name, c.content)
		if code, out := cli(t, "retention", "--dry-run", "--policy", path); code != exitUsage || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit %d: %s", name, code, out)
		}
	}
	for _, args := range [][]string{{"retention"}, {"retention", "--dry-run"}, {"retention", "--dry-run", "--policy", files + "/none"}} {
		if code, out := cli(t, args...); code != exitUsage || out == "" {
			t.Errorf("%v: exit %d: %s", args, code, out)
		}
	}
}
