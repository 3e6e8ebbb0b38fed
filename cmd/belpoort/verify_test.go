package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/permit"
)

var permitIssued = time.Date(2026, 11, 18, 13, 0, 0, 0, time.UTC)

// permitFolder is a data folder with keys, and a permit that they signed.
func permitFolder(t *testing.T) (data, token string) {
	t.Helper()
	data = t.TempDir()
	if err := os.Mkdir(filepath.Join(data, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	keys, err := permit.OpenKeys(folder(data).permitKeys(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err = keys.Sign(permit.Permit{
		DecisionID: [16]byte{1}, Callee: eligibility.CalleeToken{0xb1}, CallerID: "+31501234567", Campaign: "voltwerk-demo",
		Organisation: "voltwerk", Issued: permitIssued, DialUntil: permitIssued.Add(1500 * time.Millisecond),
		ReportUntil: permitIssued.Add(permit.DefaultReport),
	})
	if err != nil {
		t.Fatal(err)
	}
	return data, token
}

func TestVerifyPermit(t *testing.T) {
	data, token := permitFolder(t)
	other, _ := permitFolder(t)
	for _, c := range []struct {
		args string
		code int
		want []string
	}{
		{"--at 2026-11-18T14:00:01+01:00", exitOK, []string{
			"VALID\n", "decision      01000000000000000000000000000000", "callee        b1000000000000000000000000000000",
			"caller ID     +31501234567", "campaign      voltwerk-demo", "organisation  voltwerk",
			"issued        2026-11-18 14:00:00.000 CET", "dial until    2026-11-18 14:00:01.500 CET",
			"report until  2026-11-19 14:00:00.000 CET",
		}},
		{"--at 2026-11-18T14:00:01.5+01:00", exitFailed, []string{"INVALID  EXPIRED", "has expired", "voltwerk-demo"}},
		{"--at 2026-11-18T13:59:58+01:00", exitFailed, []string{"INVALID  NOT_YET"}},
		{"--report --at 2026-11-19T13:00:00+01:00", exitOK, []string{"VALID\n"}},
		{"--report --at 2026-11-19T14:00:00+01:00", exitOK, []string{"VALID  LATE"}},
		{"--report --at 2027-11-19T14:00:00+01:00", exitFailed, []string{"INVALID  EXPIRED"}},
		{"--keys " + folder(other).permitKeys(), exitFailed, []string{"INVALID  UNKNOWN_KEY"}},
		{"--at yesterday", exitUsage, []string{"--at"}},
		{"--keys " + data, exitUsage, []string{"no plain file"}},
		{"--keys " + data + "/none", exitUsage, []string{"does not exist"}},
		{"--public " + data + "/none", exitUsage, []string{"--public"}},
		{"--public " + folder(data).permitKeys(), exitUsage, []string{"secret"}},
		{"--public a --keys b", exitUsage, []string{"public"}},
	} {
		code, out := cli(t, append([]string{"verify", "permit", token, "--data", data}, strings.Fields(c.args)...)...)
		if code != c.code {
			t.Errorf("%s: exit %d, want %d\n%s", c.args, code, c.code, out)
		}
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", c.args, want, out)
			}
		}
	}
	if code, out := cli(t, "verify", "permit", "nonsense", "--data", data); code != exitFailed || !strings.Contains(out, "MALFORMED") || strings.Contains(out, "callee") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestVerifyPermitAsJSON(t *testing.T) {
	data, token := permitFolder(t)
	verified := func(wantCode int, args ...string) (found permitFinding) {
		t.Helper()
		code, out := cli(t, append([]string{"verify", "permit", token, "--json", "--data", data}, args...)...)
		if err := json.Unmarshal([]byte(out), &found); err != nil || code != wantCode {
			t.Fatalf("exit %d, %v\n%s", code, err, out)
		}
		return found
	}
	good := verified(exitOK, "--at", "2026-11-18T13:00:00Z")
	if !good.Valid || good.Reason != "" || good.Permit.Campaign != "voltwerk-demo" || !good.Permit.DialUntil.Equal(permitIssued.Add(1500*time.Millisecond)) {
		t.Errorf("%+v", good)
	}
	if late := verified(exitOK, "--report", "--at", "2026-11-20T13:00:00Z"); !late.Valid || !late.Late {
		t.Errorf("%+v", late)
	}
	if old := verified(exitFailed, "--at", "2026-11-18T13:00:02Z"); old.Valid || old.Reason != "EXPIRED" || old.Permit == nil {
		t.Errorf("%+v", old)
	}
	token = token[:len(token)-4] + "AAAA"
	if forged := verified(exitFailed, "--at", "2026-11-18T13:00:00Z"); forged.Valid || forged.Reason != "BAD_SIGNATURE" || forged.Permit != nil {
		t.Errorf("a forged permit: %+v", forged)
	}
}

// The way of an auditor: public keys only, after a rotation, and the permit on the standard input.
func TestVerifyPermitWithPublicKeysAfterARotation(t *testing.T) {
	data, token := permitFolder(t)
	if code, out := cli(t, "keys", "rotate-permits", "--lead", "1h", "--data", data); code != exitOK || !strings.Contains(out, "within 1h0m0s") {
		t.Fatalf("exit %d\n%s", code, out)
	}
	code, out := cli(t, "keys", "rotate-permits", "--data", data)
	if code != exitUsage || !strings.Contains(out, "under way") {
		t.Errorf("exit %d\n%s", code, out)
	}
	code, public := cli(t, "keys", "permits", "--data", data)
	if code != exitOK || strings.Count(public, `"x"`) != 2 || strings.Contains(public, `"d"`) {
		t.Fatalf("exit %d\n%s", code, public)
	}
	path := filepath.Join(t.TempDir(), "public.json")
	if err := os.WriteFile(path, []byte(public), 0o644); err != nil {
		t.Fatal(err)
	}
	var verified bytes.Buffer
	args := []string{"verify", "permit", "-", "--public", path, "--at", "2026-11-18T13:00:01Z"}
	if code := run(t.Context(), args, strings.NewReader(token+"\n"), &verified, &verified); code != exitOK || !strings.HasPrefix(verified.String(), "VALID\n") {
		t.Errorf("exit %d\n%s", code, &verified)
	}
	if _, err := os.Stat("permit-keys.json"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was left here: %v", err)
	}
}
