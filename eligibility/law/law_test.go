package law

import "testing"

func TestNL(t *testing.T) {
	if _, err := NL(); err != nil {
		t.Fatal(err)
	}
}
