package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// stockedWithAGI is a stocked service with FastAGI.
func stockedWithAGI(t testing.TB) (p *process, agiAddress string) {
	t.Helper()
	agiAddress = freeAddress(t)
	p = serveIn(t, t.TempDir()+"/data", "--agi", agiAddress)
	p.stock()
	return p, agiAddress
}

// exchange speaks FastAGI as Asterisk does.
type exchange struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
	vars map[string]string
	said []string
	slow time.Duration // before each answer
}

// dials opens a conversation.
func dials(t testing.TB, address string) *exchange {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &exchange{t: t, conn: conn, in: bufio.NewReader(conn), vars: map[string]string{}}
}

// rings opens a conversation and introduces a call.
func rings(t testing.TB, address, script string, lines ...string) *exchange {
	t.Helper()
	x := dials(t, address)
	x.send("agi_network: yes\nagi_network_script: %s\nagi_request: agi://127.0.0.1/%s\nagi_uniqueid: 1763769600.1\nagi_callerid: unknown\n", script, script)
	for _, line := range lines {
		x.send("%s\n", line)
	}
	return x
}

func (x *exchange) send(format string, args ...any) {
	x.t.Helper()
	if _, err := fmt.Fprintf(x.conn, format, args...); err != nil {
		x.t.Fatal(err)
	}
}

// talk takes commands until Belpoort ends the conversation, and returns the variables of the call.
func (x *exchange) talk() map[string]string {
	x.t.Helper()
	x.send("\n")
	return x.goOn()
}

func (x *exchange) goOn() map[string]string {
	x.t.Helper()
	_ = x.conn.SetDeadline(time.Now().Add(30 * time.Second))
	for {
		command, err := x.in.ReadString('\n')
		if err != nil {
			return x.vars
		}
		time.Sleep(x.slow)
		x.take(strings.TrimSuffix(command, "\n"))
		if _, err := fmt.Fprint(x.conn, "200 result=1\n"); err != nil {
			return x.vars
		}
	}
}

func (x *exchange) take(command string) {
	x.t.Helper()
	rest, isSet := strings.CutPrefix(command, "SET VARIABLE ")
	name, value, found := strings.Cut(rest, " ")
	sentence, isSaid := strings.CutPrefix(command, "VERBOSE ")
	switch {
	case isSet && found:
		x.vars[name] = strings.Trim(value, `"`)
	case isSaid:
		x.said = append(x.said, sentence)
	default:
		x.t.Errorf("Belpoort commands %q", command)
	}
}

func checkArguments(p *process, number string) []string {
	return []string{"agi_arg_1: key=" + p.operatorKey(), "agi_arg_2: callee=" + number, "agi_arg_3: campaign=volt", "agi_arg_4: caller_id=" + shownNumber}
}

func wantVariables(t *testing.T, what string, got map[string]string, want ...string) {
	t.Helper()
	for i := 0; i+1 < len(want); i += 2 {
		if got[want[i]] != want[i+1] {
			t.Errorf("%s: %s is %q, want %q", what, want[i], got[want[i]], want[i+1])
		}
	}
}

func TestAnExchangeAsksOverFastAGI(t *testing.T) {
	p, at := stockedWithAGI(t)
	got := rings(t, at, "check", checkArguments(p, allowedNumber)...).talk()
	wantVariables(t, "allowed", got, "BELPOORT_VERDICT", "ALLOW", "BELPOORT_REASON", "OK_CONSENT", "BELPOORT_CALLER_ID", "+31201234567", "DIALSTATUS", "")
	if len(strings.Split(got["BELPOORT_PERMIT"], ".")) != 3 || len(got["BELPOORT_DECISION"]) != 32 {
		t.Errorf("permit or decision is missing: %v", got)
	}
	query := "check?callee=%2B31612345678&campaign=volt&caller_id=+31201234567&key=" + p.operatorKey()
	wantVariables(t, "in the query", rings(t, at, query).talk(), "BELPOORT_VERDICT", "ALLOW")
	shown := rings(t, at, "check", checkArguments(p, allowedNumber)[:3]...)
	shown.send("agi_arg_4: person=J. Jansen\n")
	wantVariables(t, "without caller ID", shown.talk(), "BELPOORT_VERDICT", "ERROR", "BELPOORT_REASON", "FIELD_MISSING")

	refused := rings(t, at, "check", append(checkArguments(p, "0687654321"), "agi_arg_5: mode=vicidial")...).talk()
	wantVariables(t, "refused", refused, "BELPOORT_VERDICT", "DENY", "BELPOORT_REASON", "NO_BASIS", "BELPOORT_PERMIT", "", "DIALSTATUS", "DNC", "HANGUPCAUSE", "34")
	withheld := rings(t, at, "check", append(checkArguments(p, allowedNumber), "agi_callingpres: 32")...).talk()
	wantVariables(t, "withheld", withheld, "BELPOORT_VERDICT", "DENY", "BELPOORT_REASON", "CALLER_ID_WITHHELD")

	objection := []string{"agi_arg_1: key=" + p.operatorKey(), "agi_arg_2: phone_number=" + allowedNumber, "agi_arg_3: campaign=volt"}
	registered := rings(t, at, "objection", objection...).talk()
	wantVariables(t, "objection", registered, "BELPOORT_STATE", "IN_FORCE", "BELPOORT_REASON", "")
	if registered["BELPOORT_RECEIPT"] == "" {
		t.Error("an objection without a receipt")
	}
	again := rings(t, at, "objection", objection...).talk()
	wantVariables(t, "objection, again", again, "BELPOORT_STATE", "IN_FORCE", "BELPOORT_RECEIPT", registered["BELPOORT_RECEIPT"])
	got = rings(t, at, "check", checkArguments(p, allowedNumber)...).talk()
	wantVariables(t, "objected", got, "BELPOORT_VERDICT", "DENY", "BELPOORT_REASON", "OBJECTED")
}

// The call is named by the exchange's own id of it, which the check has told.
func TestAnExchangeTellsWhatCameOfTheOffer(t *testing.T) {
	p, at := stockedWithAGI(t)
	wantVariables(t, "check", rings(t, at, "check", checkArguments(p, allowedNumber)...).talk(), "BELPOORT_VERDICT", "ALLOW")
	offer := []string{"agi_arg_1: key=" + p.operatorKey(), "agi_arg_2: campaign=volt", "agi_arg_3: how=IVR"}
	missed := rings(t, at, "offered", offer...).talk()
	wantVariables(t, "without a result", missed, "BELPOORT_STATE", "ERROR", "BELPOORT_REASON", "FIELD_MISSING")
	objected := rings(t, at, "offered", append(offer, "agi_arg_4: result=OBJECTED")...).talk()
	wantVariables(t, "objected", objected, "BELPOORT_STATE", "IN_FORCE", "BELPOORT_REASON", "")
	if objected["BELPOORT_RECEIPT"] == "" {
		t.Error("an objection without a receipt")
	}
	wantVariables(t, "check again", rings(t, at, "check", checkArguments(p, allowedNumber)...).talk(), "BELPOORT_REASON", "OBJECTED")
}

func TestAnExchangeThatAsksWronglyIsTold(t *testing.T) {
	p, at := stockedWithAGI(t)
	good := checkArguments(p, allowedNumber)
	for name, c := range map[string]struct {
		script string
		lines  []string
		reason string
	}{
		"no key":             {"check", good[1:2], "KEY_MISSING"},
		"unknown key":        {"check", append([]string{"agi_arg_1: key=nobody"}, good[1:]...), "KEY_UNKNOWN"},
		"no callee":          {"check", append([]string{good[0], "agi_arg_2: callee="}, good[2:]...), "FIELD_MISSING"},
		"no arguments":       {"check", nil, "KEY_MISSING"},
		"unknown campaign":   {"check", []string{good[0], good[1], "agi_arg_3: campaign=none", good[3]}, "CAMPAIGN_UNKNOWN"},
		"misspelt":           {"check", append(good[:4:4], "agi_arg_5: presentaton=RESTRICTED"), "FIELD_INVALID"},
		"twice":              {"check", append(good[:4:4], "agi_arg_5: phone=0612345678"), "FIELD_TWICE"},
		"key twice":          {"check", append(good[:4:4], "agi_arg_5: key=other"), "FIELD_INVALID"},
		"nameless":           {"check", append(good[:4:4], "agi_arg_5: 0612345678"), "FIELD_INVALID"},
		"unknown word":       {"check", append(good[:4:4], "agi_arg_5: dialing=LOUD"), "FIELD_INVALID"},
		"badly escaped":      {"check?callee=%zz", good, "FIELD_INVALID"},
		"unknown script":     {"checks", good, "SCRIPT_UNKNOWN"},
		"no script":          {"", good, "SCRIPT_UNKNOWN"},
		"objection of none":  {"objection", good[:1], "CALL_UNKNOWN"},
		"objection, no key":  {"objection", good[1:3], "KEY_MISSING"},
		"objection, unknown": {"objection", []string{good[0], good[1], "agi_arg_3: organisation=none"}, "ORGANISATION_UNKNOWN"},
	} {
		lines := renumbered(c.lines)
		x := rings(t, at, c.script, lines...)
		x.vars["BELPOORT_VERDICT"], x.vars["BELPOORT_STATE"] = "", ""
		got := x.talk()
		wantVariables(t, name, got, "BELPOORT_REASON", c.reason)
		for _, v := range []string{got["BELPOORT_VERDICT"], got["BELPOORT_STATE"]} {
			if v != "" && v != "ERROR" {
				t.Errorf("%s: %v", name, got)
			}
		}
		if got["BELPOORT_VERDICT"]+got["BELPOORT_STATE"] == "" {
			t.Errorf("%s: no verdict and no state: %v", name, got)
		}
		for _, sentence := range x.said {
			if strings.Contains(sentence, "12345678") {
				t.Errorf("%s: the console shows a number: %s", name, sentence)
			}
		}
	}
}

// renumbered gives arguments the numbers that Asterisk would.
func renumbered(lines []string) []string {
	var all []string
	for _, line := range lines {
		if _, value, isArgument := strings.Cut(line, ": "); isArgument && strings.HasPrefix(line, "agi_arg_") {
			line = fmt.Sprintf("agi_arg_%d: %s", len(all)+1, value)
		}
		all = append(all, line)
	}
	return all
}

// Whatever an exchange or somebody else sends, and wherever it stops, nothing is allowed and the next one is served.
func TestBrokenConversationsAllowNothing(t *testing.T) {
	p, at := stockedWithAGI(t)
	good := checkArguments(p, allowedNumber)
	for name, harm := range map[string]func(x *exchange){
		"hangs up at once":    func(*exchange) {},
		"hangs up in between": func(x *exchange) { x.send("%s\n", good[0]) },
		"hangs up after it asked": func(x *exchange) {
			x.send("\n")
			_, _ = x.in.ReadString('\n')
		},
		"junk":             func(x *exchange) { x.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n") },
		"a line too long":  func(x *exchange) { x.send("agi_arg_1: %s\n", strings.Repeat("x", 5000)) },
		"too many lines":   func(x *exchange) { x.send("%s", manyLines(500)) },
		"a variable twice": func(x *exchange) { x.send("agi_callerid: 1\n") },
		"does not set": func(x *exchange) {
			x.send("\n")
			_, _ = x.in.ReadString('\n')
			x.send("510 Invalid or unknown command\n")
		},
		"answers at length": func(x *exchange) {
			x.send("\n")
			_, _ = x.in.ReadString('\n')
			x.send("520-Invalid command syntax.  Proper usage follows:\n")
		},
		"a dead channel": func(x *exchange) {
			x.send("\n")
			_, _ = x.in.ReadString('\n')
			x.send("HANGUP\n511 Command Not Permitted on a dead channel or intercept routine\n")
		},
	} {
		x := rings(t, at, "check", good...)
		x.vars["BELPOORT_VERDICT"] = "ALLOW" // of an earlier call
		harm(x)
		_ = x.conn.(*net.TCPConn).CloseWrite()
		_ = x.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		rest := remainder(x)
		if strings.Contains(rest, `BELPOORT_VERDICT "ALLOW"`) {
			t.Errorf("%s: ALLOW\n%s", name, rest)
		}
	}
	wantVariables(t, "afterwards", rings(t, at, "check", good...).talk(), "BELPOORT_VERDICT", "ALLOW")
	if log := p.log.String(); strings.Contains(log, "12345678") {
		t.Errorf("the log shows a number:\n%s", log)
	}
}

func manyLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "agi_x%d: y\n", i)
	}
	return b.String()
}

func remainder(x *exchange) string {
	var b strings.Builder
	for {
		line, err := x.in.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			return b.String()
		}
	}
}

// A second check of the same call begins by taking the first one's ALLOW back.
func TestAnEarlierAllowIsTakenBackFirst(t *testing.T) {
	p, at := stockedWithAGI(t)
	x := rings(t, at, "check", checkArguments(p, allowedNumber)...)
	x.send("\n")
	first, err := x.in.ReadString('\n')
	if err != nil || first != "SET VARIABLE BELPOORT_VERDICT \"ERROR\"\n" {
		t.Errorf("the first command is %q, %v", first, err)
	}
}

// An exchange that takes its time with each variable is told ALLOW too late, and told so.
func TestASlowExchangeGetsNoOldAllow(t *testing.T) {
	p, at := stockedWithAGI(t)
	x := rings(t, at, "check", checkArguments(p, allowedNumber)...)
	x.slow = 600 * time.Millisecond
	wantVariables(t, "slow", x.talk(), "BELPOORT_VERDICT", "ERROR", "BELPOORT_REASON", "ANSWER_TOO_LATE")
}

func TestOneExchangeTooManyIsTurnedAway(t *testing.T) {
	p, at := stockedWithAGI(t)
	var held []net.Conn
	for range 256 {
		conn, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	extra, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	_ = extra.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := extra.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes", n)
	}
	// Those that say nothing are sent away after two seconds.
	eventually(t, "there is room again", func() bool {
		return asksInOneGo(t, at, checkArguments(p, allowedNumber))["BELPOORT_VERDICT"] == "ALLOW"
	})
	for _, conn := range held {
		_ = conn.Close()
	}
}

// asksInOneGo is a check by somebody who may be turned away.
func asksInOneGo(t *testing.T, at string, lines []string) map[string]string {
	t.Helper()
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "agi_network_script: check\n%s\n\n", strings.Join(lines, "\n"))
	x := &exchange{t: t, conn: conn, in: bufio.NewReader(conn), vars: map[string]string{}}
	return x.goOn()
}

func TestFastAGIStaysOnLoopbackUnlessTold(t *testing.T) {
	for says, args := range map[string][]string{
		"FastAGI knows no TLS": {"--agi", "0.0.0.0:0"},
		"--agi-from":           {"--agi", "0.0.0.0:0", "--plaintext"},
		"want a network":       {"--agi", "127.0.0.1:0", "--agi-from", "everybody"},
		"needs --agi":          {"--agi-from", "192.0.2.0/24"},
	} {
		code, out := cli(t, append([]string{"serve", "--data", t.TempDir(), "--grpc", "127.0.0.1:0", "--ops", "127.0.0.1:0"}, args...)...)
		if code == exitOK || !strings.Contains(out, says) {
			t.Errorf("%v: exit %d\n%s", args, code, out)
		}
	}
}

// A service that stops lets a conversation under way come to its end.
func TestAStopLetsAConversationFinish(t *testing.T) {
	p, at := stockedWithAGI(t)
	x := rings(t, at, "check", checkArguments(p, allowedNumber)...)
	x.send("\n")
	first, err := x.in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	x.take(strings.TrimSpace(first))
	stopped := make(chan bool)
	go func() {
		defer close(stopped)
		p.stop()
	}()
	eventually(t, "the door is closed", func() bool {
		conn, err := net.Dial("tcp", at)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	x.send("200 result=1\n")
	wantVariables(t, "under way", x.goOn(), "BELPOORT_VERDICT", "ALLOW")
	<-stopped
}
