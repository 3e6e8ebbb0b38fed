package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// personsName is that of consentsFile.
const personsName = "J. Jansen"

// filesWith are the files of the data folder that hold a text.
func (p *process) filesWith(text string) (paths []string) {
	p.t.Helper()
	_ = filepath.WalkDir(p.data, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if content, _ := os.ReadFile(path); bytes.Contains(content, []byte(text)) {
				paths = append(paths, path)
			}
		}
		return nil
	})
	return paths
}

// TestErasedFromTheCommandLine: an objection, an erasure, and the process killed at once. No file holds the name, though it
// was in questions too; the objection refuses; the chain holds. A stale import brings nothing back.
func TestErasedFromTheCommandLine(t *testing.T) {
	p := stocked(t)
	if code, answer := p.check(allowedNumber, "--person", personsName); code != exitOK {
		t.Fatalf("before: %v", answer)
	}
	if len(p.filesWith(personsName)) == 0 {
		t.Fatal("no file holds the name before, so the test shows nothing")
	}
	p.must("object", allowedNumber, "--organisation", "voltwerk", "--via", "WEB")
	if code, said := p.cli("erase", allowedNumber); code != exitUsage || !strings.Contains(said, "nothing was erased") {
		t.Errorf("without a yes: exit %d, %s", code, said)
	}
	if said := p.must("erase", allowedNumber, "--yes", "--reason", "case 1"); !strings.Contains(said, "erased: 1 facts and the number; 1 facts stay") {
		t.Errorf("it says %q", said)
	}
	p.kill()
	if paths := p.filesWith(personsName); len(paths) > 0 {
		t.Errorf("the name stands in %v", paths)
	}
	p.begin()
	p.awaitReady()
	stale := write(t, t.TempDir(), "stale.csv", strings.ReplaceAll(consentsFile(allowedNumber), ";c-a;", ";c-again;"))
	p.must("import", "consents", stale)
	if code, answer := p.check(allowedNumber); code == exitOK || answer["reason"] != "REASON_OBJECTED" {
		t.Errorf("after: exit %d, %v", code, answer)
	}
}

// TestCorrectedFromTheCommandLine takes two keys.
func TestCorrectedFromTheCommandLine(t *testing.T) {
	p := stocked(t)
	code, key := cli(t, "keys", "new", "--data", p.data, "--id", "second", "--role", "compliance", "--organisation", "*")
	if code != exitOK {
		t.Fatal(key)
	}
	second := write(t, t.TempDir(), "second.key", key)
	receipt := fieldOf(t, p.must("object", allowedNumber, "--organisation", "voltwerk", "--via", "WEB"), "receipt")
	if code, said := p.cli("correct", "propose", receipt); code == exitOK || !strings.Contains(said, "reason") {
		t.Errorf("without a reason: exit %d, %s", code, said)
	}
	id := fieldOf(t, p.must("correct", "propose", receipt, "--reason", "typed wrong"), "id")
	if code, said := p.cli("correct", "approve", id); code == exitOK || !strings.Contains(said, "another person") {
		t.Errorf("approved alone: exit %d, %s", code, said)
	}
	if code, answer := p.check(allowedNumber); code == exitOK {
		t.Errorf("before: %v", answer)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		code, said := p.cli("correct", "approve", id, "--key-file", second)
		if code == exitOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("approving: exit %d, %s", code, said)
		}
	}
	if code, answer := p.check(allowedNumber); code != exitOK {
		t.Errorf("after: exit %d, %v", code, answer)
	}
}

// fieldOf is the value behind a label in what a command printed.
func fieldOf(t *testing.T, said, label string) string {
	t.Helper()
	for line := range strings.Lines(said) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), label+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no %s in %q", label, said)
	return ""
}
