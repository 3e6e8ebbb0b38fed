package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// asks puts a question to the page's look-up box.
func (p *process) asks(key, form, body string) (int, string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "http://"+p.ops+"/console/look", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", form)
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// A look-up needs a key with the role, and a question that can be read; no refusal repeats the number.
func TestLookUpsThatAreRefused(t *testing.T) {
	p := stocked(t)
	operator, err := os.ReadFile(folder(p.data).operatorKey())
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(string(operator))
	_, dialer := cli(t, "keys", "new", "--id", "d", "--role", "dialer", "--organisation", "voltwerk", "--data", p.data)
	time.Sleep(1500 * time.Millisecond) // the service looks for new keys once a second
	good := `{"callee": "` + allowedNumber + `", "campaign": "volt", "caller_id": ""}`
	for name, one := range map[string]struct {
		key, form, body string
		status          int
		says            string
	}{
		"allowed":       {key, "application/json", good, 200, `"verdict":"ALLOW"`},
		"no number":     {key, "application/json", `{"callee": "112", "campaign": "volt"}`, 200, `"headline":"CALLEE_INVALID"`},
		"no key":        {"", "application/json", good, 401, "KEY_MISSING"},
		"a wrong key":   {"bpk_no", "application/json", good, 401, "KEY_UNKNOWN"},
		"without role":  {strings.TrimSpace(dialer), "application/json", good, 403, "ROLE_NOT_ALLOWED"},
		"a form":        {key, "application/x-www-form-urlencoded", "callee=" + allowedNumber, 400, "application/json"},
		"no JSON":       {key, "application/json", `{"callee": ` + allowedNumber, 400, "FIELD_INVALID"},
		"unknown field": {key, "application/json", `{"callee": "06-12345678", "kampagne": "volt"}`, 400, "FIELD_INVALID"},
		"no campaign":   {key, "application/json", `{"callee": "` + allowedNumber + `", "campaign": "none", "caller_id": "020-1234567"}`, 400, "CAMPAIGN_UNKNOWN"},
		"too much":      {key, "application/json", `{"callee": "` + strings.Repeat("6", 5000) + `"}`, 400, "FIELD_INVALID"},
	} {
		status, body := p.asks(one.key, one.form, one.body)
		if status != one.status || !strings.Contains(body, one.says) {
			t.Errorf("%s: %d %s", name, status, body)
		}
		if strings.Contains(body, "12345678") {
			t.Errorf("%s: the answer repeats the number: %s", name, body)
		}
	}
	if status, _ := get(p.ops, "/console/look"); status != http.StatusNotFound {
		t.Errorf("GET of a look-up: %d", status)
	}
	if strings.Contains(p.log.String(), "12345678") {
		t.Error("the log holds the number")
	}
}

// The page comes from this process alone, may load nothing from elsewhere, and goes on telling.
func TestThePageNeedsNoOtherPlace(t *testing.T) {
	p := stocked(t)
	for path, says := range map[string]string{
		"/": "<title>Belpoort</title>", "/console/app.js": "EventSource", "/console/plots.js": "uPlot", "/console/look.js": "Bearer",
		"/console/style.css": "prefers-color-scheme", "/console/icon.svg": "<svg", "/console/uplot/uPlot.iife.min.js": "uPlot (v1.6.32)",
		"/console/uplot/LICENSE": "The MIT License",
	} {
		status, body := get(p.ops, path)
		if status != 200 || !strings.Contains(body, says) {
			t.Errorf("%s: %d %.100s", path, status, body)
		}
		if !strings.Contains(path, "uplot") && strings.Contains(strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), "://") {
			t.Errorf("%s names another place", path)
		}
	}
	answer, err := http.Get("http://" + p.ops + "/console/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if policy := answer.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'self'") {
		t.Errorf("Content-Security-Policy: %q", policy)
	}
	told, lines := 0, bufio.NewReader(answer.Body)
	for told < 3 {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if data, is := strings.CutPrefix(line, "data: "); is {
			var message struct {
				Ready bool
				Parts []struct{ Name, Level string }
			}
			if err := json.Unmarshal([]byte(data), &message); err != nil || !message.Ready || len(message.Parts) < 4 || message.Parts[0].Level != "ok" {
				t.Fatalf("%v: %s", err, data)
			}
			told++
		}
	}
}

// A thousand connections that ask nothing keep nobody from asking.
func TestAThousandIdleConnectionsHoldNobodyUp(t *testing.T) {
	p := stocked(t)
	for i := range 1000 {
		to := p.grpc
		if i%2 == 0 {
			to = p.ops
		}
		conn, err := net.Dial("tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
	if code, answer := p.check(allowedNumber); code != exitOK {
		t.Errorf("exit %d: %v", code, answer)
	}
	if status, body := get(p.ops, "/readyz"); status != 200 {
		t.Errorf("/readyz: %d %s", status, body)
	}
	for range maxViewersSeen {
		r, err := http.Get("http://" + p.ops + "/console/events")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Body.Close() })
	}
	if status, body := get(p.ops, "/console/events"); status != http.StatusServiceUnavailable {
		t.Errorf("one viewer too many: %d %.100s", status, body)
	}
	if status, _ := get(p.ops, "/metrics"); status != 200 {
		t.Errorf("/metrics beside many viewers: %d", status)
	}
}

// maxViewersSeen is how many may look at the page at once.
const maxViewersSeen = 64

// The log's level changes while the service runs, for a level that there is.
func TestTheLogLevelChangesWhileRunning(t *testing.T) {
	p := stocked(t)
	set := func(form, body string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+p.ops+"/log/level", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", form)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	p.check(allowedNumber)
	if strings.Contains(p.log.String(), "request answered") {
		t.Error("a request is logged at info")
	}
	if set("text/plain", `{"level": "debug"}`) == 200 || set("application/json", `{"level": "loud"}`) == 200 {
		t.Error("a wrong request was taken")
	}
	if status, body := get(p.ops, "/log/level"); status != 200 || !strings.Contains(body, `"info"`) {
		t.Errorf("%d %s", status, body)
	}
	if status := set("application/json", `{"level": "debug"}`); status != 200 {
		t.Errorf("PUT: %d", status)
	}
	p.check(allowedNumber)
	if !strings.Contains(p.log.String(), "request answered") {
		t.Error("a request is not logged at debug")
	}
}

// A scrape that asks for a form that does not exist gets the plain one.
func TestAScrapeWithABadAcceptHeader(t *testing.T) {
	p := stocked(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.ops+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/x-nonsense;q=;;,*")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 || !strings.Contains(string(body), "belpoort_build_info{") {
		t.Errorf("%d, %v: %.200s", answer.StatusCode, err, body)
	}
}
