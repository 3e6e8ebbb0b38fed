package fence

import (
	"os"
	"testing"
	"time"
)

// soaking reports whether the long forms were asked for.
func soaking() bool { return os.Getenv("SOAK") != "" && os.Getenv("SOAK") != "0" }

// soak is how long a test runs: longer where SOAK says so.
func soak(t *testing.T, otherwise time.Duration) time.Duration {
	t.Helper()
	if !soaking() {
		return otherwise
	}
	length, err := time.ParseDuration(os.Getenv("SOAK"))
	if err != nil {
		t.Fatal(err)
	}
	return length
}
