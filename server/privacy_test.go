package server

import (
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/status"

	"github.com/belpoort/belpoort/ops"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/telephony"
)

const markers = 40

// core is the part of a marker number that every spelling holds.
func core(i int) string { return fmt.Sprintf("6%08d", 31415900+i) }

// spellings are what people write for a marker number, and what is none.
func spellings(i int) []string {
	c := core(i)
	return []string{"0" + c, "+31" + c, "0031" + c, "+31 (0)" + c, "0" + c + "x", c, "0" + c + c + c + c}
}

// T24: nothing but a request and the sealed column holds a number. The mutant mutant_number_in_error must fail here.
func TestNumbersLeaveNoTrace(t *testing.T) {
	n := startNode(t, nil)
	var said strings.Builder
	for i := range markers {
		for _, number := range spellings(i) {
			n.useEverywhere(number, fmt.Sprint(i), &said)
		}
	}
	n.breakLedger(func(string) error { panic("with " + spellings(0)[0]) })
	n.useEverywhere(spellings(0)[1], "panic", &said)
	n.breakLedger(func(string) error { return nil })
	n.breakJournal(func(string) error { return errBroken })
	n.useEverywhere(spellings(1)[1], "journal", &said)
	n.breakJournal(func(string) error { return nil })
	if err := n.journal.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	n.metrics.Handler(ops.Pages{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	places := map[string]string{"logs": n.logs.String(), "metrics": w.Body.String(), "errors and answers": said.String()}
	n.addFiles(places)
	if !strings.Contains(places["logs"], "callee_token") || !strings.Contains(places["logs"], `"msg":"panic"`) || len(places) < 5 {
		t.Fatalf("too little was looked at: %d places", len(places))
	}
	for place, text := range places {
		for i := range markers {
			if at := strings.Index(text, core(i)); at >= 0 {
				t.Errorf("%s holds a number: %q", place, text[max(0, at-60):min(len(text), at+60)])
				break
			}
		}
	}
}

// useEverywhere sends a number through every door that takes one, and keeps what came back.
func (n *node) useEverywhere(number, id string, said *strings.Builder) {
	n.t.Helper()
	keep := func(answer fmt.Stringer, err error) {
		fmt.Fprintln(said, answer, err, status.Convert(err).Details())
	}
	check := checkOf(number)
	keep(n.check("dialer-acme", check))
	check = checkOf(callee)
	check.CallerId = number
	keep(n.check("dialer-acme", check))
	check = checkOf(number)
	check.Campaign = "0" + number[1:] // somebody mixed up the fields
	keep(n.check("dialer-acme", check))
	keep(n.recordAs("register-acme", &belpoortv1.RecordFactRequest{Callee: number, Fact: consentOf("c", "acme"), RequestId: "r-" + id}))
	keep(n.recordAs("register-acme", &belpoortv1.RecordFactRequest{Callee: number, Fact: consentOf("c", "0"+number[1:]), RequestId: "x-" + id}))
	keep(n.explain("compliance-all", func(r *belpoortv1.ExplainCallRequest) { r.Callee = number }))
	compared := comparedCall(number)
	compared.CallerId = number
	mixed := comparedCall(callee)
	mixed.Campaign = number
	keep(n.compareAs("compliance-all", supposePolicy(n.t, map[string]any{"minimum_age": 18}), []*belpoortv1.ComparedCall{compared, mixed}))
	keep(n.object("ivr-acme", objectionOf(number, "o-"+id)))
	keep(n.getObjection("ivr-acme", number))
	keep(n.decisionAs("compliance-all", number))
	keep(n.calleeAs("compliance-all", number))
	m := testCatalogue()
	m.Campaigns[0].Organisation = number
	keep(n.applyAs("ops-all", &belpoortv1.ApplyCatalogueRequest{Catalogue: m, DryRun: true}))
}

// addFiles reads every file of the node.
func (n *node) addFiles(places map[string]string) {
	n.t.Helper()
	err := filepath.WalkDir(n.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		places[filepath.Base(path)] = string(data)
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

func TestTheNumberIsSealedInTheLedger(t *testing.T) {
	n := startNode(t, nil)
	n.record("0"+core(1), consentOf("c-1", "acme"), "r-1")
	got, err := n.calleeAs("compliance-all", "0"+core(1))
	if err != nil {
		t.Fatal(err)
	}
	number, err := telephony.Canonical("0" + core(1))
	if err != nil {
		t.Fatal(err)
	}
	token := n.ring.Token(number)
	if token.String() != got.GetCalleeToken() {
		t.Fatalf("token %v, answered %s", token, got.GetCalleeToken())
	}
	sealed, err := n.door.ledger.SealedNumber(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := n.ring.Open(sealed, token); err != nil || opened != number {
		t.Errorf("the seal opens to %v, %v", opened, err)
	}
}
