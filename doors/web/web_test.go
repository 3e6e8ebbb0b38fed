package web

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/doors"
)

// In no style is anything but an ALLOW with its permit answered 200, or in words that could be taken for one.
func TestOnlyAnAllowIsOK(t *testing.T) {
	for name, s := range styles {
		for _, a := range []*doors.Answer{
			{Verdict: "DENY", Reason: "OBJECTED", Decision: "d"}, {Verdict: "DEFER", Reason: "HOURS", RetryAfter: 3600}, {Verdict: "DENY", Permit: "p"},
			{}, {Verdict: "ALLOW"},
		} {
			w := httptest.NewRecorder()
			s.answer(w, a)
			if body := w.Body.String(); w.Code != s.refused || w.Code < 400 || strings.HasPrefix(body, "ALLOW") || body == "1" || strings.Contains(body, "true") {
				t.Errorf("style %s, %+v: %d %q", name, a, w.Code, body)
			}
		}
		w := httptest.NewRecorder()
		s.answer(w, &doors.Answer{Verdict: "ALLOW", Permit: "p"})
		if w.Code != http.StatusOK {
			t.Errorf("style %s: an ALLOW is %d", name, w.Code)
		}
	}
	w := httptest.NewRecorder()
	styles["line"].answer(w, &doors.Answer{Verdict: "DEFER", Reason: "HOURS", RetryAfter: 3600})
	if w.Body.String() != "DENY HOURS 3600\n" || w.Header().Get("Retry-After") != "3600" || w.Header().Get("Belpoort-Verdict") != "DEFER" {
		t.Errorf("%q, %v", w.Body, w.Header())
	}
}

// No error comes with a verdict's status: not with 200, and in no style with the one of a refusal.
func TestNoErrorLooksLikeAVerdict(t *testing.T) {
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		if status := plainStatus(code); status == 200 || status == 403 || status == 409 || status < 400 {
			t.Errorf("%v is answered %d", code, status)
		}
		if status := statusOf(code); status < 400 {
			t.Errorf("%v is answered %d", code, status)
		}
	}
}

func TestOnlyAnObjectionInForceIsOK(t *testing.T) {
	for _, form := range forms {
		for inForce, want := range map[bool]int{true: http.StatusOK, false: http.StatusAccepted} {
			w := httptest.NewRecorder()
			v := voice{form, "nl"}
			v.answer(w, objected(&doors.Objected{Receipt: "4K7Q-9T2M-8XRC", InForce: inForce}).in("nl"))
			if w.Code != want || strings.Contains(w.Body.String(), "vanaf nu") != inForce || strings.Contains(w.Body.String(), "IN_FORCE") && !inForce {
				t.Errorf("%s, in force %v: %d %q", form, inForce, w.Code, w.Body)
			}
		}
	}
}

func TestErrorsOfJSONShowNoValues(t *testing.T) {
	for text, want := range map[string]string{
		`proto: (line 1:12): invalid value for string field callee: 31612345678`: "wrong value for string field callee, line 1:12",
		`proto: (line 1:2): unknown field "calle"`:                               "unknown field calle, line 1:2",
		`proto: (line 1:2): unknown field "0612345678"`:                          "is not JSON of this message, line 1:2",
		`proto: syntax error (line 1:1): unexpected token 0612345678`:            "is not JSON of this message, line 1:1",
	} {
		if got := withoutValues(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// The generated handlers that call a server directly skip every interceptor, authentication included.
func TestTheAPIIsAskedOverAConnectionOnly(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 8 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if found := regexp.MustCompile(`Register\w+Handler(Server|FromEndpoint)?\(`).FindString(string(text)); found != "" && !strings.HasSuffix(file, "_test.go") {
			t.Errorf("%s calls %s", file, found)
		}
	}
}
