package disktest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// notRunFile names the file to which NotRun adds its lines; `go test` swallows what a passing package prints.
const notRunFile = "BELPOORT_TEST_NOT_RUN"

// NotRun skips the test, and says so on the standard error and in the file that BELPOORT_TEST_NOT_RUN names.
func NotRun(t testing.TB, why string) {
	t.Helper()
	line := fmt.Sprintf("NOT RUN: %s %s: %s\n", strings.TrimSuffix(filepath.Base(os.Args[0]), ".test"), t.Name(), why)
	fmt.Fprint(os.Stderr, line)
	if path := os.Getenv(notRunFile); path != "" {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteString(line); err != nil {
			t.Fatal(err)
		}
	}
	t.Skip(why)
}
