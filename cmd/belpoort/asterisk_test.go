package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/belpoort/belpoort/disktest"
	"github.com/belpoort/belpoort/rig"
)

// asterisk is a real exchange with the dialplan of docs/integrations, and behind it a carrier that writes down what arrives.
type asterisk struct {
	t       *testing.T
	config  string
	arrived string // file: number and caller ID of each call at the carrier
	ended   string // file: how each call ended
}

const asteriskConfig = `[directories]
astetcdir => FOLDER
astvarlibdir => FOLDER/lib
astdbdir => FOLDER
astkeydir => FOLDER
astspooldir => FOLDER/spool
astrundir => FOLDER
astlogdir => FOLDER
[options]
verbose = 3
`

// The dialplan of docs/integrations, and what stands around it: who dials, and the carrier.
const asteriskDialplan = `#include "RECIPE"

[belpoort-out](+)
exten => h,1,System(echo "${BELPOORT_VERDICT} ${BELPOORT_REASON} ${DIALSTATUS} ${HANGUPCAUSE}" >> ENDED)

[dialer]
exten => _X.,1,Set(CAMPAIGN=volt)
 same => n,Set(CALLERID(num)=0201234567)
 same => n,Goto(belpoort-out,${EXTEN},1)

[wrong-number-shown]
exten => _X.,1,Set(CAMPAIGN=volt)
 same => n,Set(CALLERID(num)=0207654321)
 same => n,Goto(belpoort-out,${EXTEN},1)

; A channel in which an earlier call was allowed.
[second-call]
exten => _X.,1,Set(BELPOORT_VERDICT=ALLOW)
 same => n,Goto(dialer,${EXTEN},1)

[ivr]
exten => _X.,1,Set(CAMPAIGN=volt)
 same => n,Set(CALLEE=${EXTEN})
 same => n,Goto(belpoort-objection,9,1)

[carrier]
exten => _X.,1,System(echo "${EXTEN} ${CALLERID(num)}" >> ARRIVED)
 same => n,Answer()
 same => n,Hangup()
`

func startAsterisk(t *testing.T, gate, key string) *asterisk {
	t.Helper()
	if _, err := exec.LookPath("asterisk"); err != nil {
		disktest.NotRun(t, "no asterisk on this machine (Debian 12 has no package of it): the dialplan of docs/integrations was not run; the recorded conversation of a real one was")
	}
	folder := t.TempDir()
	recipe, err := filepath.Abs("../../docs/integrations/asterisk-extensions.conf")
	if err != nil {
		t.Fatal(err)
	}
	a := &asterisk{t, write(t, folder, "asterisk.conf", strings.ReplaceAll(asteriskConfig, "FOLDER", folder)),
		filepath.Join(folder, "arrived"), filepath.Join(folder, "ended")}
	write(t, folder, "modules.conf", "[modules]\nautoload=yes\n")
	write(t, folder, "extensions.conf", strings.NewReplacer("RECIPE", recipe, "ENDED", a.ended, "ARRIVED", a.arrived).Replace(asteriskDialplan))
	cmd := exec.Command("asterisk", "-f", "-C", a.config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, "the exchange is up", func() bool {
		_, err := a.command("core waitfullybooted")
		return err == nil
	})
	for name, value := range map[string]string{
		"BELPOORT_KEY": key, "BELPOORT_AT": "agi://" + gate, "TRUNK_BEFORE": "Local/", "TRUNK_AFTER": "@carrier",
	} {
		if out, err := a.command(fmt.Sprintf("dialplan set global %s %s", name, value)); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return a
}

func (a *asterisk) command(text string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "asterisk", "-C", a.config, "-rx", text).CombinedOutput()
	return string(out), err
}

// call places one call, waits until it is over, and tells whether it arrived and how it ended.
func (a *asterisk) call(from, number string) (arrived, ended string) {
	a.t.Helper()
	_ = os.Remove(a.arrived)
	_ = os.Remove(a.ended)
	if out, err := a.command(fmt.Sprintf("channel originate Local/%s@%s/n application Wait 1", number, from)); err != nil {
		a.t.Fatalf("%v\n%s", err, out)
	}
	eventually(a.t, "the call is over", func() bool {
		text, _ := os.ReadFile(a.ended)
		ended = strings.TrimSpace(string(text))
		return ended != ""
	})
	text, _ := os.ReadFile(a.arrived)
	return strings.TrimSpace(string(text)), ended
}

func TestTheAsteriskRecipe(t *testing.T) {
	p, at := stockedWithAGI(t)
	line := rig.StartProxy(t, at)
	defer line.Heal()
	a := startAsterisk(t, line.Address(), p.operatorKey())
	wants := func(what, from, number, arrives, ends string) {
		t.Helper()
		arrived, ended := a.call(from, number)
		if (arrived != arrives) || !strings.HasPrefix(ended, ends) {
			t.Errorf("%s: arrived %q, want %q; ended %q, want %q", what, arrived, arrives, ended, ends)
		}
	}
	const allow, deny = "0612345678", "0687654321"
	wants("allowed", "dialer", allow, allow+" +31201234567", "ALLOW OK_CONSENT ANSWER 16")
	wants("no consent", "dialer", deny, "", "DENY NO_BASIS DNC 34")
	wants("wrong caller ID", "wrong-number-shown", allow, "", "DENY CALLER_ID_NOT_REGISTERED DNC 34")
	line.Delay(20 * time.Millisecond) // each way, for each of the eight exchanges of words: 300 ms in all
	wants("slow gate", "dialer", allow, allow+" +31201234567", "ALLOW OK_CONSENT ANSWER")
	line.Delay(500 * time.Millisecond) // the ALLOW is too old before the exchange has heard it
	wants("far too slow gate", "second-call", allow, "", "")
	line.Hang()
	wants("hung gate", "second-call", allow, "", "")
	line.Heal()
	line.Cut()
	wants("dead gate", "second-call", allow, "", "")
	line.Heal()
	wants("the gate is back", "dialer", allow, allow+" +31201234567", "ALLOW OK_CONSENT ANSWER")
	if out, err := a.command("channel originate Local/" + allow + "@ivr/n application Wait 1"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	eventually(t, "the objection is registered", func() bool {
		code, _ := p.check(allow)
		return code == exitDeny
	})
	wants("objected", "dialer", allow, "", "DENY OBJECTED DNC 34")
}
