package bench

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// answersAGI answers every conversation with the same commands, and returns where.
func answersAGI(t *testing.T, commands ...string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go converseAs(conn, commands)
		}
	}()
	return listener.Addr().String()
}

// converseAs reads the introduction and gives commands, each after the answer to the one before.
func converseAs(conn net.Conn, commands []string) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if line == "\n" {
			break
		}
	}
	for _, command := range commands {
		_, _ = fmt.Fprintln(conn, command)
		if answer, err := in.ReadString('\n'); err != nil || answer != "200 result=1\n" {
			return
		}
	}
}

func TestEveryAnswerOverFastAGIIsLookedAt(t *testing.T) {
	const back, permit, decision = `SET VARIABLE BELPOORT_VERDICT "ERROR"`, `SET VARIABLE BELPOORT_PERMIT "a.b.c"`, `SET VARIABLE BELPOORT_DECISION "0f"`
	verdict := func(word string) string { return `SET VARIABLE BELPOORT_VERDICT "` + word + `"` }
	reason := func(word string) string { return `SET VARIABLE BELPOORT_REASON "` + word + `"` }
	for name, c := range map[string]struct {
		commands []string
		says     string // "" where the answer is right
	}{
		"allow":                  {[]string{back, reason("OK_CONSENT"), permit, decision, verdict("ALLOW")}, ""},
		"deny":                   {[]string{back, reason("NO_BASIS"), decision, verdict("DENY")}, "want VERDICT_ALLOW, got VERDICT_DENY, REASON_NO_BASIS"},
		"an allow taken back":    {[]string{back, permit, decision, verdict("ALLOW"), verdict("ERROR"), reason("ANSWER_TOO_LATE")}, "ERROR, ANSWER_TOO_LATE"},
		"an allow and no permit": {[]string{back, decision, verdict("ALLOW")}, "without its permit"},
		"turned away":            {nil, "without a verdict"},
		"an error":               {[]string{back, `VERBOSE "belpoort: who are you"`, reason("KEY_UNKNOWN")}, "ERROR, KEY_UNKNOWN"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := NewService(nil, population(t)).Exchange(answersAGI(t, c.commands...), "bpk_x", nil)
			plan := Plan{Loads: []Load{{Callers: 2}}, Connections: 1, Rounds: 1, Duration: 20 * time.Millisecond, Timeout: 5 * time.Second}
			cells, err := Run(t.Context(), plan, []Contestant{asked})
			if err != nil {
				t.Fatal(err)
			}
			report := Report{Cells: cells}
			n, first := report.Errors()
			if (n == 0) != (c.says == "") || n != 0 && n != cells[0].Calls || !strings.Contains(first, c.says) {
				t.Errorf("%d errors in %d calls, first %q; want %q", n, cells[0].Calls, first, c.says)
			}
		})
	}
}
