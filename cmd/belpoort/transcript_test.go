package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/belpoort/belpoort/rig"
)

var recordAsterisk = flag.Bool("record-asterisk", false, "write down a conversation with the Asterisk on this machine")

var transcriptFile = filepath.Join("testdata", "asterisk-22.10.1.txt")

// listenIn writes down what passes: the exchange's lines after "A ", Belpoort's after "B ", without the key.
func listenIn(through *rig.Proxy, key string) func() string {
	var mu sync.Mutex
	var said strings.Builder
	side := func(who string) func([]byte) []byte {
		return func(chunk []byte) []byte {
			mu.Lock()
			defer mu.Unlock()
			for text := range strings.Lines(string(chunk)) {
				said.WriteString(who + " " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), key, "KEY") + "\n")
			}
			return chunk
		}
	}
	through.Rewrite(func() rig.Wire { return rig.Wire{ToServer: side("A"), ToClient: side("B")} })
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return said.String()
	}
}

// TestRecordAConversationWithAsterisk writes what TestAConversationAsAsteriskHeldIt says again. It needs a real Asterisk, so it runs on demand.
func TestRecordAConversationWithAsterisk(t *testing.T) {
	if !*recordAsterisk {
		t.Skip("only with -record-asterisk: it writes " + transcriptFile)
	}
	p, at := stockedWithAGI(t)
	through := rig.StartProxy(t, at)
	said := listenIn(through, p.operatorKey())
	a := startAsterisk(t, through.Address(), p.operatorKey())
	a.call("dialer", "0612345678")
	a.call("dialer", "0687654321")
	private := regexp.MustCompile(`(agi_request: agi://)[^/]+`)
	if err := os.WriteFile(transcriptFile, []byte(private.ReplaceAllString(said(), "${1}127.0.0.1")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// changing are the values that differ from call to call.
var changing = regexp.MustCompile(`^(SET VARIABLE BELPOORT_(?:PERMIT|DECISION)) ".+"$`)

// TestAConversationAsAsteriskHeldIt says again, word for word, what a real Asterisk 22.10.1 said, and must hear the same.
func TestAConversationAsAsteriskHeldIt(t *testing.T) {
	p, at := stockedWithAGI(t)
	text, err := os.ReadFile(transcriptFile)
	if err != nil {
		t.Fatal(err)
	}
	var x *exchange
	heard, allowed := 0, 0
	for line := range strings.Lines(string(text)) {
		who, said, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if who == "A" {
			if said == "agi_network: yes" {
				x = dials(t, at)
			}
			x.send("%s\n", strings.ReplaceAll(said, "KEY", p.operatorKey()))
			continue
		}
		got, err := x.in.ReadString('\n')
		if err != nil {
			t.Fatalf("instead of %q: %v", said, err)
		}
		got = strings.TrimSuffix(got, "\n")
		if changing.ReplaceAllString(got, "$1") != changing.ReplaceAllString(said, "$1") {
			t.Fatalf("Belpoort says %q, then it said %q", got, said)
		}
		heard++
		if got == `SET VARIABLE BELPOORT_VERDICT "ALLOW"` {
			allowed++
		}
	}
	if heard < 12 || allowed != 1 {
		t.Errorf("%d commands, %d calls allowed", heard, allowed)
	}
}
