package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/belpoort/belpoort/rig"
)

// line is a real Kamailio with the configuration of docs/integrations between two sipp: a dialer and a carrier.
type line struct {
	t        *testing.T
	folder   string
	kamailio string // host:port
	carrier  string // file: what arrived there
}

// startBound starts a program that ends with the test, and returns what it prints.
func startBound(t *testing.T, name string, args ...string) *lockedLog {
	t.Helper()
	out := &lockedLog{}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s (scripts/test-setup.sh installs it): %v", name, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	return out
}

func freeUDP(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().String()
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

func startLine(t *testing.T, gate, key string) *line {
	t.Helper()
	folder, carrier := t.TempDir(), freeUDP(t)
	l := &line{t: t, folder: folder, kamailio: freeUDP(t), carrier: filepath.Join(folder, "carrier.log")}
	startBound(t, "sipp", "-sf", write(t, folder, "carrier.xml", carrierSide), "-i", "127.0.0.1", "-p", portOf(carrier), "-trace_msg", "-message_file", l.carrier, "-nostdin")
	log := startBound(t, "kamailio", "-DD", "-E", "-m", "32", "-M", "4", "-Y", folder, "-w", folder, "-f", "../../docs/integrations/kamailio.cfg",
		"-A", "HERE=udp:"+l.kamailio, "-A", `CARRIER="sip:`+carrier+`"`, "-A", `GATE="http://`+gate+`/v1/check/plain"`, "-A", `KEY="`+key+`"`)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("kamailio:\n%s", log)
		}
	})
	eventually(t, "kamailio answers", func() bool { return l.options() })
	return l
}

// options asks Kamailio whether it is there.
func (l *line) options() bool {
	conn, err := net.Dial("udp", l.kamailio)
	if err != nil {
		return false
	}
	defer conn.Close()
	fmt.Fprintf(conn, "OPTIONS sip:%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%d\r\nMax-Forwards: 5\r\nFrom: <sip:t@localhost>;tag=1\r\nTo: <sip:t@localhost>\r\nCall-ID: %d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
		l.kamailio, conn.LocalAddr(), time.Now().UnixNano(), time.Now().UnixNano())
	_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	answer := make([]byte, 64)
	n, err := conn.Read(answer)
	return err == nil && bytes.HasPrefix(answer[:n], []byte("SIP/2.0 200"))
}

// invite is what a dialer sends; RESPONSE is what it must get.
const inviteHead = `<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="dialer">
<send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:SHOWN@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>TOTAG
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:dialer@[local_ip]:[local_port]>
Max-Forwards: 20
X-Campaign: volt
Subject: test
Content-Length: 0

]]></send>
<recv response="100" optional="true"></recv>
<recv response="180" optional="true"></recv>
`

const taken = `<recv response="200" rrs="true"></recv>
<send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:SHOWN@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
[routes]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 20
Content-Length: 0

]]></send>
<send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:SHOWN@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
[routes]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 20
Content-Length: 0

]]></send>
<recv response="200"></recv>
</scenario>
`

const turnedDown = `<recv response="RESPONSE"></recv>
<send><![CDATA[
ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:SHOWN@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 20
Content-Length: 0

]]></send>
</scenario>
`

// carrierSide takes every call, and keeps the route of it.
const carrierSide = `<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="carrier">
<recv request="INVITE" crlf="true"></recv>
<send><![CDATA[
SIP/2.0 180 Ringing
[last_Via:]
[last_From:]
[last_To:];tag=carrier[call_number]
[last_Call-ID:]
[last_CSeq:]
[last_Record-Route:]
Contact: <sip:[local_ip]:[local_port]>
Content-Length: 0

]]></send>
<send retrans="500"><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=carrier[call_number]
[last_Call-ID:]
[last_CSeq:]
[last_Record-Route:]
Contact: <sip:[local_ip]:[local_port]>
Content-Length: 0

]]></send>
<recv request="ACK" crlf="true"></recv>
<recv request="BYE"></recv>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>
`

// call places a call that must get a response, and tells whether it arrived at the carrier.
func (l *line) call(number, shown string, response int, toTag string) (arrived bool) {
	l.t.Helper()
	before := l.arrivals()
	scenario := inviteHead + turnedDown
	if response == 200 {
		scenario = inviteHead + taken
	}
	scenario = strings.NewReplacer("SHOWN", shown, "RESPONSE", strconv.Itoa(response), "TOTAG", toTag).Replace(scenario)
	file := write(l.t, l.folder, "dialer.xml", scenario)
	out, err := l.sipp(file, number)
	for again := 0; err != nil && response == 200 && again < 2; again++ {
		out, err = l.sipp(file, number) // UDP keeps no order, and sipp forgives no 180 that overtakes its 200
	}
	if err != nil {
		l.t.Errorf("a call to %s that must get %d: %v\n%s", number, response, err, lastLines(string(out), 30))
	}
	return l.arrivals() > before
}

func (l *line) sipp(file, number string) ([]byte, error) {
	return exec.CommandContext(l.t.Context(), "sipp", "-sf", file, "-s", number, "-i", "127.0.0.1", "-p", portOf(freeUDP(l.t)),
		"-m", "1", "-timeout", "20s", "-timeout_error", "-nostdin", l.kamailio).CombinedOutput()
}

func lastLines(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (l *line) arrivals() int {
	text, _ := os.ReadFile(l.carrier)
	return strings.Count(string(text), "\nINVITE sip:")
}

func TestTheKamailioRecipe(t *testing.T) {
	p := stocked(t)
	gate := rig.StartProxy(t, p.http)
	l := startLine(t, gate.Address(), p.operatorKey())
	wants := func(what, number, shown string, response int, arrives bool) {
		t.Helper()
		if arrived := l.call(number, shown, response, ""); arrived != arrives {
			t.Errorf("%s: arrived %v, want %v", what, arrived, arrives)
		}
	}
	const allow, shown = "+31612345678", "0201234567"
	wants("allowed", allow, shown, 200, true)
	if text, _ := os.ReadFile(l.carrier); !strings.Contains(string(text), "X-Belpoort-Permit: ey") || strings.Contains(string(text), "X-Campaign") {
		t.Errorf("what the carrier gets:\n%s", text)
	}
	wants("no consent", "0687654321", shown, 603, false)
	wants("wrong caller ID", allow, "0207654321", 603, false)
	gate.Delay(150 * time.Millisecond)
	wants("slow gate", allow, shown, 200, true)
	gate.Delay(3 * time.Second)
	wants("far too slow gate", allow, shown, 503, false)
	gate.Heal()
	gate.Hang()
	wants("hung gate", allow, shown, 503, false)
	gate.Heal()
	gate.Rewrite(func() rig.Wire { return rig.Wire{ToClient: lies} })
	wants("a gate that answers nonsense", allow, shown, 503, false)
	gate.Rewrite(func() rig.Wire { return rig.Wire{} })
	gate.Cut()
	wants("dead gate", allow, shown, 503, false)
	gate.Heal()
	wants("the gate is back", allow, shown, 200, true)
	if l.call(allow, shown, 481, ";tag=forged") {
		t.Error("an INVITE with a to-tag arrives unasked")
	}
	p.must("object", allowedNumber, "--organisation", "voltwerk", "--via", "IVR")
	wants("objected", allow, shown, 603, false)
	p.must("apply", write(t, t.TempDir(), "catalogue.yaml", closedNow()))
	wants("at night", allow, shown, 603, false)
}

// lies is a 200 that does not say ALLOW, such as that of a proxy's own page.
func lies([]byte) []byte {
	const page = "It works! ALLOW everything\n"
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(page), page)
}

// closedNow is the test's catalogue with hours that are over.
func closedNow() string {
	hour := time.Now().In(amsterdam()).Add(-3 * time.Hour)
	from := hour.Format("15") + ":00"
	to := hour.Format("15") + ":30"
	return strings.Replace(testCatalogue(), `hours: "Mon-Sun 00:00-24:00"`, fmt.Sprintf(`hours: "Mon-Sun %s-%s"`, from, to), 1)
}

func amsterdam() *time.Location {
	zone, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		panic(err)
	}
	return zone
}
