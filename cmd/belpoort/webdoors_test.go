package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// visitor asks at the doors over HTTP.
type visitor struct {
	t    testing.TB
	base string
	key  string
	http *http.Client
}

func (p *process) visitor() *visitor {
	p.t.Helper()
	key, err := os.ReadFile(folder(p.data).operatorKey())
	if err != nil {
		p.t.Fatal(err)
	}
	client := &http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &visitor{p.t, "http://" + p.http, strings.TrimSpace(string(key)), client}
}

// reply is what a door answered.
type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends a request; headers come in pairs and may take away the key.
func (v *visitor) ask(method, path, body string, headers ...string) reply {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.base+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("X-Api-Key", v.key)
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		} else {
			r.Header.Add(headers[i], headers[i+1])
		}
	}
	answer, err := v.http.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return reply{answer.StatusCode, answer.Header, string(text)}
}

const formType = "application/x-www-form-urlencoded"

func (v *visitor) get(path string, pairs ...string) reply {
	v.t.Helper()
	return v.ask("GET", path+"?"+encoded(pairs), "")
}

func (v *visitor) post(path string, pairs ...string) reply {
	v.t.Helper()
	return v.ask("POST", path, encoded(pairs), "Content-Type", formType)
}

func (v *visitor) json(path string, body any) (reply, map[string]any) {
	v.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		v.t.Fatal(err)
	}
	answer := v.ask("POST", path, string(text), "Content-Type", "application/json")
	var said map[string]any
	if err := json.Unmarshal([]byte(answer.body), &said); err != nil {
		v.t.Fatalf("%d %s: %v", answer.status, answer.body, err)
	}
	return answer, said
}

func encoded(pairs []string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return values.Encode()
}

// refusedNumber objected.
const refusedNumber = "+31612345679"

// openedDoors is a service with one who may be called and one who may not.
func openedDoors(t testing.TB) (*process, *visitor) {
	t.Helper()
	p := stocked(t)
	p.mustObject()
	return p, p.visitor()
}

func (p *process) mustObject() {
	p.t.Helper()
	p.must("object", refusedNumber, "--organisation", "voltwerk", "--via", "IVR")
}

// decisions are those kept of a callee, once there are so many.
func (p *process) decisionsOf(number string, want int) []*belpoortv1.Decision {
	p.t.Helper()
	client := belpoortv1.NewRegisterServiceClient(p.dial())
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		answer, err := client.GetCallee(p.t.Context(), &belpoortv1.GetCalleeRequest{Callee: number})
		if err != nil {
			p.t.Fatal(err)
		}
		if found := answer.GetDecisions(); len(found) >= want || time.Now().After(deadline) {
			return found
		}
	}
}

// doorsToCheck ask the same question, and tell verdict, reason and decision.
func (p *process) doorsToCheck(v *visitor, agi string) map[string]func(number string) (verdict, reason, decision string) {
	question := func(number string) []string {
		return []string{"phone_number", number, "campaign_id", "volt", "callerid", shownNumber}
	}
	headers := func(r reply) (string, string, string) {
		return r.header.Get("Belpoort-Verdict"), r.header.Get("Belpoort-Reason"), r.header.Get("Belpoort-Decision")
	}
	gate := belpoortv1.NewGatekeeperServiceClient(p.dial())
	return map[string]func(string) (string, string, string){
		"gRPC": func(number string) (string, string, string) {
			a, err := gate.CheckCall(p.t.Context(), &belpoortv1.CheckCallRequest{Callee: number, Campaign: "volt", CallerId: shownNumber})
			if err != nil {
				p.t.Fatal(err)
			}
			return eligibility.Verdict(a.GetVerdict()).String(), eligibility.Reason(a.GetReason()).String(), a.GetDecisionId()
		},
		"JSON": func(number string) (string, string, string) {
			_, said := v.json("/v1/check", map[string]any{"callee": number, "campaign": "volt", "callerId": shownNumber})
			word := func(field, prefix string) string { return strings.TrimPrefix(fmt.Sprint(said[field]), prefix) }
			return word("verdict", "VERDICT_"), word("reason", "REASON_"), word("decisionId", "")
		},
		"plain GET": func(number string) (string, string, string) {
			return headers(v.get("/v1/check/plain", question(number)...))
		},
		"plain POST": func(number string) (string, string, string) {
			return headers(v.post("/v1/check/plain", question(number)...))
		},
		"FastAGI": func(number string) (string, string, string) {
			said := rings(p.t, agi, "check", checkArguments(p, number)...).talk()
			return said["BELPOORT_VERDICT"], said["BELPOORT_REASON"], said["BELPOORT_DECISION"]
		},
	}
}

// The same question through each door: the same decision, one decision id, one entry in the journal.
func TestOneQuestionAtEveryDoor(t *testing.T) {
	p, agi := stockedWithAGI(t)
	p.mustObject()
	v := p.visitor()
	for number, want := range map[string]string{allowedNumber: "ALLOW OK_CONSENT", refusedNumber: "DENY OBJECTED"} {
		ids := map[string]string{}
		for door, ask := range p.doorsToCheck(v, agi) {
			verdict, reason, id := ask(number)
			if verdict+" "+reason != want || len(id) != 32 || ids[id] != "" {
				t.Errorf("%s: %s %s, decision %q; want %s and a decision of its own", door, verdict, reason, id, want)
			}
			ids[id] = door
		}
		kept := p.decisionsOf(number, len(ids))
		for _, d := range kept {
			if ids[d.GetDecisionId()] == "" {
				t.Errorf("decision %s was answered at no door", d.GetDecisionId())
			}
			if d.GetCampaign() != kept[0].GetCampaign() || d.GetVerdict() != kept[0].GetVerdict() || d.GetReason() != kept[0].GetReason() ||
				d.GetCallerId() != kept[0].GetCallerId() || d.GetClient() != kept[0].GetClient() {
				t.Errorf("%s decided otherwise:\n%v\n%v", ids[d.GetDecisionId()], d, kept[0])
			}
		}
		if len(kept) != len(ids) {
			t.Errorf("%d questions, %d entries", len(ids), len(kept))
		}
	}
	_, metrics := get(p.ops, "/metrics")
	for _, line := range []string{
		`{door="grpc",verdict="ALLOW"} 1`, `{door="json",verdict="DENY"} 1`, `{door="plain",verdict="ALLOW"} 2`,
		`{door="agi",verdict="ALLOW"} 1`, `{door="agi",verdict="DENY"} 1`,
	} {
		if !strings.Contains(metrics, "belpoort_checks_total"+line+"\n") {
			t.Errorf("the metrics lack %s", line)
		}
	}
}

func TestThePlainAnswerInItsStyles(t *testing.T) {
	_, v := openedDoors(t)
	for _, one := range []struct {
		number, style string
		status        int
		kind          string
		like          string // the beginning of the body
		whole         bool
	}{
		{allowedNumber, "", 200, "text/plain; charset=utf-8", "ALLOW eyJ", false},
		{refusedNumber, "", 403, "text/plain; charset=utf-8", "DENY OBJECTED -\n", true},
		{allowedNumber, "10", 200, "text/plain; charset=utf-8", "1", true},
		{refusedNumber, "10", 403, "text/plain; charset=utf-8", "0", true},
		{allowedNumber, "409", 200, "text/plain; charset=utf-8", "ALLOW eyJ", false},
		{refusedNumber, "409", 409, "text/plain; charset=utf-8", "DENY OBJECTED -\n", true},
		{allowedNumber, "kv", 200, "text/plain; charset=utf-8", "verdict=ALLOW\nreason=OK_CONSENT\ndecision=", false},
		{refusedNumber, "kv", 403, "text/plain; charset=utf-8", "verdict=DENY\nreason=OBJECTED\ndecision=", false},
		{allowedNumber, "eligible", 200, "application/json", `{"eligible":true,"verdict":"ALLOW"`, false},
		{refusedNumber, "eligible", 403, "application/json", `{"eligible":false,"verdict":"DENY"`, false},
		{"not a number", "", 403, "text/plain; charset=utf-8", "DENY ", false},
	} {
		r := v.get("/v1/check/plain", "callee", one.number, "campaign", "volt", "caller_id", shownNumber, "style", one.style, "unknown", "field")
		if r.status != one.status || r.header.Get("Content-Type") != one.kind || !strings.HasPrefix(r.body, one.like) || one.whole && r.body != one.like {
			t.Errorf("%s, style %q: %d %s %q", one.number, one.style, r.status, r.header.Get("Content-Type"), r.body)
		}
		allowed := r.status == 200
		for _, name := range []string{"Belpoort-Permit", "Belpoort-Caller-Id"} {
			if (r.header.Get(name) != "") != allowed {
				t.Errorf("%s, style %q: %s is %q", one.number, one.style, name, r.header.Get(name))
			}
		}
		if r.header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(r.header.Get("Server-Timing"), "check;dur=") || r.header.Get("Belpoort-Decision") == "" {
			t.Errorf("%s, style %q: headers %v", one.number, one.style, r.header)
		}
	}
}

// A plus that nobody escaped is the commonest mistake of those who write addresses by hand.
func TestAnUnescapedPlusIsUnderstood(t *testing.T) {
	_, v := openedDoors(t)
	r := v.ask("GET", "/v1/check/plain?callee=+31612345678&campaign=volt&caller_id=+31201234567", "")
	if r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// badRequests at the door for plain checks: what is asked, and the status and reason that come.
var badRequests = []struct {
	name, method, path, body string
	headers                  []string
	status                   int
	reason                   string
}{
	{"HEAD", "HEAD", "?" + wholeQuestion, "", nil, 405, "HTTP_METHOD"},
	{"PUT", "PUT", "?" + wholeQuestion, "", nil, 405, "HTTP_METHOD"},
	{"OPTIONS", "OPTIONS", "?" + wholeQuestion, "", nil, 405, "HTTP_METHOD"},
	{"a method in a header", "POST", "", wholeQuestion, []string{"Content-Type", "text/plain", "X-HTTP-Method-Override", "GET"}, 415, "CONTENT_TYPE"},
	{"another content type", "POST", "", `{"callee":"06-12345678"}`, []string{"Content-Type", "application/json"}, 415, "CONTENT_TYPE"},
	{"no content type", "POST", "", wholeQuestion, nil, 415, "CONTENT_TYPE"},
	{"other characters", "POST", "", wholeQuestion, []string{"Content-Type", formType + "; charset=iso-8859-1"}, 415, "CONTENT_TYPE"},
	{"compressed", "POST", "", wholeQuestion, []string{"Content-Type", formType, "Content-Encoding", "gzip"}, 415, "CONTENT_TYPE"},
	{"query and form", "POST", "?campaign=volt", wholeQuestion, []string{"Content-Type", formType}, 400, "QUERY_AND_FORM"},
	{"a GET with a body", "GET", "?" + wholeQuestion, wholeQuestion, []string{"Content-Type", formType}, 400, "QUERY_AND_FORM"},
	{"a field twice", "GET", "?" + wholeQuestion + "&callee=0612345679", "", nil, 400, "FIELD_TWICE"},
	{"a field under two names", "POST", "", wholeQuestion + "&phone=0612345679", []string{"Content-Type", formType}, 400, "FIELD_TWICE"},
	{"too large", "POST", "", wholeQuestion + "&x=" + strings.Repeat("x", 17<<10), []string{"Content-Type", formType}, 413, "BODY_TOO_LARGE"},
	{"not UTF-8", "GET", "?" + wholeQuestion + "&person=%ff", "", nil, 400, "REQUEST_UNREADABLE"},
	{"broken escape", "GET", "?" + wholeQuestion + "&person=%zz", "", nil, 400, "REQUEST_UNREADABLE"},
	{"unknown style", "GET", "?" + wholeQuestion + "&style=yes", "", nil, 400, "FIELD_INVALID"},
	{"unknown word", "GET", "?" + wholeQuestion + "&mode=robot", "", nil, 400, "FIELD_INVALID"},
	{"no fields", "GET", "", "", nil, 400, "FIELD_MISSING"},
	{"no campaign", "GET", "?callee=0612345678&caller_id=0201234567", "", nil, 400, "FIELD_MISSING"},
	{"unknown campaign", "GET", "?callee=0612345678&caller_id=0201234567&campaign=x", "", nil, 400, "CAMPAIGN_UNKNOWN"},
	{"no key", "GET", "?" + wholeQuestion, "", []string{"X-Api-Key", ""}, 401, "KEY_MISSING"},
	{"an unknown key", "GET", "?" + wholeQuestion, "", []string{"X-Api-Key", "", "Authorization", "Bearer bpk_x"}, 401, "KEY_UNKNOWN"},
	{"two keys", "GET", "?" + wholeQuestion, "", []string{"Authorization", "Bearer bpk_x"}, 401, "KEY_TWICE"},
}

const wholeQuestion = "callee=0612345678&campaign=volt&caller_id=0201234567"

// Whatever is wrong, it is said in the door's own manner, and it is no ALLOW in any of its forms.
func TestBadInputAtThePlainDoorIsNeverAllow(t *testing.T) {
	p, v := openedDoors(t)
	for _, style := range []string{"", "10", "eligible"} {
		for _, one := range badRequests {
			path := "/v1/check/plain" + one.path
			if style != "" && strings.HasPrefix(one.path, "?") && one.reason != "FIELD_INVALID" && one.name != "query and form" {
				path += "&style=" + style
			}
			r := v.ask(one.method, path, one.body, one.headers...)
			if r.status != one.status || r.header.Get("Belpoort-Error") != one.reason || r.header.Get("Belpoort-Verdict") != "" || r.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s, style %q: %d %v %q", one.name, style, r.status, r.header, r.body)
			}
			if strings.Contains(r.body, "ALLOW ") || strings.Contains(r.body, "eligible\":true") || r.body == "1" || strings.Contains(r.body, "0612345679") {
				t.Errorf("%s, style %q: %q", one.name, style, r.body)
			}
			if r.status == 401 && r.header.Get("WWW-Authenticate") == "" || r.status == 405 && r.header.Get("Allow") != "GET, POST" {
				t.Errorf("%s: headers %v", one.name, r.header)
			}
		}
	}
	if log := p.log.String(); strings.Contains(log, "612345678") || strings.Contains(log, "612345679") || strings.Contains(log, v.key) {
		t.Errorf("the log tells a number or a key:\n%s", log)
	}
	for _, path := range []string{"/v1/check/plain/", "//v1/check/plain", "/v1/check/../check/plain", "/V1/check/plain"} {
		if r := v.ask("GET", path+"?"+wholeQuestion, ""); r.status != 404 {
			t.Errorf("%s: %d %q", path, r.status, r.body)
		}
	}
}

// Some can hold a key in the address alone.
func TestAKeyAsThePasswordOfAnAddress(t *testing.T) {
	_, v := openedDoors(t)
	v.base = strings.Replace(v.base, "http://", "http://belpoort:"+v.key+"@", 1)
	if r := v.ask("GET", "/v1/check/plain?"+wholeQuestion, "", "X-Api-Key", ""); r.status != 200 {
		t.Errorf("%d %q", r.status, r.body)
	}
}

func TestAnObjectionByForm(t *testing.T) {
	p, v := openedDoors(t)
	form := []string{"Direction", "outbound-api", "To", allowedNumber, "From", shownNumber, "CallSid", "CA1", "Digits", "9", "campaign", "volt"}
	text := v.post("/v1/objections/form", form...)
	first, _, _ := strings.Cut(text.body, "\n")
	state, receipt, _ := strings.Cut(first, " ")
	if text.status != 200 || state != "IN_FORCE" || len(receipt) != 14 || !strings.Contains(text.body, "vanaf nu") {
		t.Fatalf("%d %q", text.status, text.body)
	}
	if r := v.get("/v1/check/plain", "callee", allowedNumber, "campaign", "volt", "caller_id", shownNumber); r.status != 403 || r.body != "DENY OBJECTED -\n" {
		t.Errorf("after the objection: %d %q", r.status, r.body)
	}
	characters := `<say-as interpret-as="characters">` + receipt[:4] + "</say-as>"
	for as, want := range map[string][2]string{
		"json":     {"application/json", `"receipt":"` + receipt + `"`},
		"twiml":    {"application/xml", `<Response><Say language="nl-NL">Uw verzet`},
		"voicexml": {"application/voicexml+xml", characters},
	} {
		r := v.post("/v1/objections/form", append(form, "as", as)...)
		if r.status != 200 || r.header.Get("Content-Type") != want[0] || !strings.Contains(r.body, want[1]) {
			t.Errorf("as %s: %d %s %q", as, r.status, r.header.Get("Content-Type"), r.body)
		}
	}
	english := v.ask("POST", "/v1/objections/form", encoded(append(form, "lang", "en")), "Content-Type", formType, "Accept", "text/html, application/xml;q=0.9")
	if !strings.Contains(english.body, `<Say language="en-GB">Your objection has been registered`) {
		t.Errorf("%q", english.body)
	}
	found := p.must("explain", allowedNumber, "--campaign", "volt", "--caller-id", shownNumber)
	if strings.Contains(found, "ALLOW") {
		t.Errorf("%s", found)
	}
}

func TestBadObjectionFormsRegisterNothing(t *testing.T) {
	_, v := openedDoors(t)
	for name, one := range map[string]struct {
		form   []string
		status int
		reason string
	}{
		"no number":      {[]string{"campaign", "volt"}, 400, "FIELD_MISSING"},
		"who is it":      {[]string{"campaign", "volt", "From", allowedNumber, "To", refusedNumber}, 400, "FIELD_AMBIGUOUS"},
		"no campaign":    {[]string{"phone", allowedNumber}, 400, "FIELD_MISSING"},
		"no number read": {[]string{"phone", "x", "campaign", "volt"}, 400, "CALLEE_INVALID"},
		"unknown":        {[]string{"phone", allowedNumber, "campaign", "x"}, 404, "CAMPAIGN_UNKNOWN"},
		"form":           {[]string{"phone", allowedNumber, "campaign", "volt", "as", "pdf"}, 400, "FIELD_INVALID"},
		"language":       {[]string{"phone", allowedNumber, "campaign", "volt", "lang", "fr"}, 400, "FIELD_INVALID"},
		"scope":          {[]string{"phone", allowedNumber, "campaign", "volt", "scope", "all"}, 400, "FIELD_INVALID"},
	} {
		for _, as := range []string{"", "twiml"} {
			form := one.form
			if as != "" && one.reason != "FIELD_INVALID" {
				form = append(form, "as", as)
			}
			r := v.post("/v1/objections/form", form...)
			if r.status != one.status || r.header.Get("Belpoort-Error") != one.reason || strings.Contains(r.body, "vanaf nu") {
				t.Errorf("%s: %d %v %q", name, r.status, r.header, r.body)
			}
		}
	}
	if r := v.get("/v1/check/plain", "callee", allowedNumber, "campaign", "volt", "caller_id", shownNumber); r.status != 200 {
		t.Errorf("afterwards: %d %q", r.status, r.body)
	}
}

// Every unary RPC has its address, and OpenAPI tells of it; none of it is a stream.
func TestEveryUnaryRPCHasAJSONForm(t *testing.T) {
	_, v := openedDoors(t)
	r := v.ask("GET", "/openapi.json", "", "X-Api-Key", "")
	var document struct {
		Paths map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal([]byte(r.body), &document); err != nil || r.status != 200 {
		t.Fatal(r.status, err)
	}
	operations := map[string][2]string{}
	for path, methods := range document.Paths {
		for method, operation := range methods {
			operations[operation.OperationID] = [2]string{strings.ToUpper(method), path}
		}
	}
	unary := 0
	for _, file := range []protoreflect.FileDescriptor{
		belpoortv1.File_belpoort_v1_gatekeeper_proto, belpoortv1.File_belpoort_v1_objection_proto, belpoortv1.File_belpoort_v1_register_proto,
		belpoortv1.File_belpoort_v1_catalogue_proto, belpoortv1.File_belpoort_v1_audit_proto,
	} {
		service := file.Services().Get(0)
		for i := range service.Methods().Len() {
			method := service.Methods().Get(i)
			id := string(service.Name() + "_" + method.Name())
			operation, there := operations[id]
			delete(operations, id)
			if stream := method.IsStreamingClient() || method.IsStreamingServer(); stream == there {
				t.Errorf("%s: stream %v, address %v: add its rule to proto/http.yaml, and make proto", id, stream, operation)
			}
			if !there {
				continue
			}
			unary++
			path := strings.NewReplacer("{receipt}", "x", "{campaign}", "volt", "{decisionId}", "x").Replace(operation[1])
			answer := v.ask(operation[0], path, "{}", "Content-Type", "application/json", "X-Api-Key", "")
			if answer.status != 401 || answer.header.Get("Content-Type") != "application/problem+json" || !strings.Contains(answer.body, `"reason":"KEY_MISSING"`) {
				t.Errorf("%s %s without a key: %d %q", operation[0], path, answer.status, answer.body)
			}
		}
	}
	if len(operations) > 0 || unary < 12 {
		t.Errorf("%d RPCs; without an RPC: %v", unary, operations)
	}
}

func TestTheJSONForm(t *testing.T) {
	p, v := openedDoors(t)
	r, said := v.json("/v1/check", map[string]any{"callee": allowedNumber, "campaign": "volt", "caller_id": shownNumber})
	if r.status != 200 || said["verdict"] != "VERDICT_ALLOW" || said["permit"] == "" || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %s", r.status, r.body)
	}
	p.decisionsOf(allowedNumber, 1)
	found := v.ask("GET", fmt.Sprint("/v1/decisions/", said["decisionId"]), "")
	var decision belpoortv1.GetDecisionResponse
	if err := protojson.Unmarshal([]byte(found.body), &decision); err != nil || decision.GetDecision().GetDecisionId() != said["decisionId"] {
		t.Errorf("%d %s: %v", found.status, found.body, err)
	}
	r, said = v.json("/v1/objections", map[string]any{"callee": allowedNumber, "campaign": "volt", "via": "VIA_IVR", "requestId": "r1"})
	if r.status != 200 || said["state"] != "OBJECTION_STATE_IN_FORCE" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := v.ask("GET", fmt.Sprint("/v1/objections/", said["receipt"]), ""); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	for name, one := range map[string]struct {
		body   string
		status int
		reason string
		detail string
	}{
		"unknown field": {`{"calle": "0612345678"}`, 400, "REQUEST_UNREADABLE", "unknown field calle"},
		"twice":         {`{"callee": "1", "callee": "0612345678"}`, 400, "REQUEST_UNREADABLE", "duplicate field callee"},
		"no text":       {`{"callee": 612345678}`, 400, "REQUEST_UNREADABLE", "wrong value for string field callee"},
		"two messages":  {`{"callee": "0612345678"}{}`, 400, "REQUEST_UNREADABLE", "is not JSON"},
		"no JSON":       {`callee=0612345678`, 400, "REQUEST_UNREADABLE", "is not JSON"},
		"nothing":       {``, 400, "FIELD_MISSING", "callee is missing"},
		"campaign":      {`{"callee": "0612345678", "campaign": "x", "callerId": "0201234567"}`, 404, "CAMPAIGN_UNKNOWN", "campaign names"},
		"too large":     {`{"callee": "` + strings.Repeat("1", 300<<10) + `"}`, 413, "BODY_TOO_LARGE", "too large"},
	} {
		r := v.ask("POST", "/v1/check", one.body, "Content-Type", "application/json")
		var problem struct{ Type, Title, Detail, Reason string }
		err := json.Unmarshal([]byte(r.body), &problem)
		if err != nil || r.status != one.status || problem.Reason != one.reason || !strings.Contains(problem.Detail, one.detail) ||
			problem.Title == "" || r.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
		if strings.Contains(r.body, "612345678") || strings.Contains(r.body, "verdict") {
			t.Errorf("%s: %s", name, r.body)
		}
	}
	for timeout, want := range map[string]string{"1n": "DEADLINE_TOO_SHORT", "soon": "REQUEST_UNREADABLE"} {
		r := v.ask("POST", "/v1/check", `{"callee": "0612345678", "campaign": "volt", "callerId": "0201234567"}`, "Content-Type", "application/json", "Grpc-Timeout", timeout)
		if r.status < 400 || r.header.Get("Belpoort-Error") != want {
			t.Errorf("Grpc-Timeout %s: %d %s", timeout, r.status, r.body)
		}
	}
	for path, status := range map[string]int{"/v1/check": 405, "/v1/none": 404, "/v1/catalogue?position=x": 400, "/v1/catalogue": 200, "/readyz": 200, "/livez": 200} {
		if r := v.ask("GET", path, ""); r.status != status {
			t.Errorf("GET %s: %d %s", path, r.status, r.body)
		}
	}
}

func TestTheDoorsSpeakHTTP2(t *testing.T) {
	_, v := openedDoors(t)
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	v.http.Transport = &http.Transport{Protocols: &protocols}
	if r := v.ask("GET", "/v1/check/plain?"+wholeQuestion, ""); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestFormNamesOfOnesOwn(t *testing.T) {
	file := write(t, t.TempDir(), "names.yaml", "callee: [klantnummer]\n")
	p := serveIn(t, t.TempDir(), "--form-names", file)
	p.must("apply", write(t, t.TempDir(), "catalogue.yaml", testCatalogue()))
	v := p.visitor()
	if r := v.post("/v1/objections/form", "Klant_Nummer", allowedNumber, "campaign", "volt"); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	for name, content := range map[string]string{"calle": "calle: [x]", "means digit already": "callee: [Digits]", "cannot unmarshal": "callee: 7"} {
		code, out := cli(t, "serve", "--data", t.TempDir(), "--grpc", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--form-names", write(t, t.TempDir(), "n.yaml", content))
		if code != exitFailed || !strings.Contains(out, "--form-names") || !strings.Contains(out, name) {
			t.Errorf("%s: exit %d, %s", content, code, out)
		}
	}
}

// An IVR tells which digit was pressed in which menu; the catalogue says what that means.
func TestAnOfferByForm(t *testing.T) {
	p := serveIn(t, t.TempDir())
	menu := "  ivr_menus: [{id: m, organisation: voltwerk, digits: {9: OBJECT, 1: NOT_OBJECTED, 5: REPEAT}}]\n  product_families:"
	p.must("apply", write(t, t.TempDir(), "catalogue.yaml", strings.Replace(testCatalogue(), "  product_families:", menu, 1)))
	p.must("import", "consents", write(t, t.TempDir(), "consents.csv", consentsFile(allowedNumber)))
	v := p.visitor()
	check := func(call string) reply {
		t.Helper()
		return v.get("/v1/check/plain", "callee", allowedNumber, "campaign", "volt", "caller_id", shownNumber, "uniqueid", call)
	}
	offer := func(call, digit string, more ...string) reply {
		t.Helper()
		return v.post("/v1/offers/form", append([]string{"uniqueid", call, "menu", "m", "Digits", digit, "how", "AGENT_AND_IVR", "recording_id", "rec-1", "campaign", "volt"}, more...)...)
	}
	if r := check("call-1"); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for _, one := range []struct {
		call, digit string
		status      int
		like        string
	}{
		{"call-1", "5", 202, "REPEAT\n"}, {"call-1", "1", 200, "NOT_OBJECTED\n"}, {"call-1", "7", 400, "ERROR "}, {"call-1", "", 400, "ERROR "},
		{"call-unknown", "1", 404, "ERROR CALL_UNKNOWN"},
	} {
		if r := offer(one.call, one.digit); r.status != one.status || !strings.HasPrefix(r.body, one.like) {
			t.Errorf("%s, digit %q: %d %q", one.call, one.digit, r.status, r.body)
		}
	}
	if r := offer("call-unknown", "1", "phone", allowedNumber, "request_id", "r-9"); r.status != 200 {
		t.Errorf("by number: %d %q", r.status, r.body)
	}
	if r := check("call-2"); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	r := offer("call-2", "9", "as", "voicexml")
	if r.status != 200 || !strings.Contains(r.body, "vanaf nu") || !strings.Contains(r.body, "<say-as") {
		t.Errorf("%d %q", r.status, r.body)
	}
	if r := check("call-3"); r.status != 403 || !strings.HasPrefix(r.body, "DENY OBJECTED") {
		t.Errorf("after the objection: %d %q", r.status, r.body)
	}
}

// A permit names the call, and with it the person and the organisation.
func TestAnObjectionByPermit(t *testing.T) {
	_, v := openedDoors(t)
	allowed := v.get("/v1/check/plain", "callee", allowedNumber, "campaign", "volt", "caller_id", shownNumber)
	r := v.post("/v1/objections/form", "permit", allowed.header.Get("Belpoort-Permit"))
	if r.status != 200 || !strings.HasPrefix(r.body, "IN_FORCE ") {
		t.Errorf("%d %q", r.status, r.body)
	}
	if r := v.get("/v1/check/plain", "callee", allowedNumber, "campaign", "volt", "caller_id", shownNumber); r.status != 403 {
		t.Errorf("after the objection: %d %q", r.status, r.body)
	}
}
