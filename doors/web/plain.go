package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/doors"
)

// style is how the answer to a plain check is written. In each, 200 and its word of consent come with ALLOW alone.
type style struct {
	refused int // the status of DENY and DEFER
	kind    string
	write   func(a *doors.Answer, t *doors.Trouble) string // one of them is nil
}

const plainText = "text/plain; charset=utf-8"

var styles = map[string]style{
	"line":     {http.StatusForbidden, plainText, line},
	"10":       {http.StatusForbidden, plainText, oneOrZero},
	"409":      {http.StatusConflict, plainText, line},
	"kv":       {http.StatusForbidden, plainText, keysAndValues},
	"eligible": {http.StatusForbidden, "application/json", eligible},
}

func styleOf(name string) (style, *refusal) {
	if name == "" {
		name = "line"
	}
	if s, ok := styles[name]; ok {
		return s, nil
	}
	var known []string
	for name := range styles {
		known = append(known, name)
	}
	slices.Sort(known)
	return styles["line"], &refusal{http.StatusBadRequest, &doors.Trouble{
		Code: doors.Wrong, Reason: doors.ReasonWord, Field: string(doors.Style), Sentence: "style must be one of " + strings.Join(known, ", "),
	}}
}

// checkPlain answers a check in one line: 200 for ALLOW, 403 for DENY and DEFER and for nothing else, and another status
// where there is no verdict.
func (d *web) checkPlain(w http.ResponseWriter, r *http.Request) {
	fields, refused := d.fieldsOf(w, r)
	s, unknown := styleOf(fields[doors.Style])
	key, unkeyed := keyOf(r)
	for _, refused := range []*refusal{refused, unknown, unkeyed} {
		if refused != nil {
			s.trouble(w, refused.status, refused.trouble)
			return
		}
	}
	began := time.Now()
	answer, err := d.gate.Check(r.Context(), key, fields)
	w.Header().Set("Server-Timing", fmt.Sprintf("check;dur=%.3f", float64(time.Since(began))/float64(time.Millisecond)))
	if trouble, ok := errors.AsType[*doors.Trouble](err); ok {
		s.trouble(w, plainStatus(trouble.Code), trouble)
		return
	}
	s.answer(w, answer)
}

// plainStatus keeps 403 for verdicts, and 404 for addresses: a key that may not ask is a 401, a campaign that does not exist
// a 400, and everything that is not the asker's fault 503.
func plainStatus(code codes.Code) int {
	switch code {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.Unauthenticated, codes.PermissionDenied:
		return http.StatusUnauthorized
	default:
		return http.StatusServiceUnavailable
	}
}

func (s style) answer(w http.ResponseWriter, a *doors.Answer) {
	status := s.refused
	if a.Allowed() || mutantRefusalOK {
		status = http.StatusOK
	}
	h := w.Header()
	for name, value := range map[string]string{
		"Belpoort-Verdict": a.Verdict, "Belpoort-Reason": a.Reason, "Belpoort-Decision": a.Decision, "Belpoort-Permit": a.Permit,
		"Belpoort-Caller-Id": a.CallerID, "Retry-After": retryAfter(a.RetryAfter, ""),
	} {
		if value != "" {
			h.Set(name, value)
		}
	}
	h.Set("Content-Type", s.kind)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(s.write(a, nil)))
}

func (s style) trouble(w http.ResponseWriter, status int, t *doors.Trouble) {
	troubleHeaders(w, status, t)
	w.Header().Set("Content-Type", s.kind)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(s.write(nil, t)))
}

func retryAfter(seconds int64, unknown string) string {
	if seconds == 0 {
		return unknown
	}
	return strconv.FormatInt(seconds, 10)
}

func line(a *doors.Answer, t *doors.Trouble) string {
	switch {
	case t != nil:
		return "ERROR " + t.Reason + " " + t.Sentence + "\n"
	case a.Allowed():
		return "ALLOW " + a.Permit + "\n"
	default:
		return "DENY " + a.Reason + " " + retryAfter(a.RetryAfter, "-") + "\n"
	}
}

// oneOrZero is for those who compare the whole body, so that nothing follows it.
func oneOrZero(a *doors.Answer, _ *doors.Trouble) string {
	if a.Allowed() {
		return "1"
	}
	return "0"
}

func keysAndValues(a *doors.Answer, t *doors.Trouble) string {
	if t != nil {
		return "verdict=ERROR\nreason=" + t.Reason + "\nmessage=" + t.Sentence + "\n"
	}
	var out strings.Builder
	for _, pair := range [][2]string{
		{"verdict", a.Verdict}, {"reason", a.Reason}, {"decision", a.Decision}, {"permit", a.Permit}, {"caller_id", a.CallerID},
		{"retry_after", retryAfter(a.RetryAfter, "")},
	} {
		if pair[1] != "" {
			out.WriteString(pair[0] + "=" + pair[1] + "\n")
		}
	}
	return out.String()
}

func eligible(a *doors.Answer, t *doors.Trouble) string {
	said := struct {
		Eligible   bool   `json:"eligible"`
		Verdict    string `json:"verdict,omitempty"`
		Reason     string `json:"reason"`
		Decision   string `json:"decision,omitempty"`
		Permit     string `json:"permit,omitempty"`
		CallerID   string `json:"callerId,omitempty"`
		RetryAfter int64  `json:"retryAfter,omitempty"`
		Error      string `json:"error,omitempty"`
	}{Eligible: a.Allowed()}
	if t != nil {
		said.Reason, said.Error = t.Reason, t.Sentence
	} else {
		said.Verdict, said.Reason, said.Decision, said.Permit, said.CallerID, said.RetryAfter =
			a.Verdict, a.Reason, a.Decision, a.Permit, a.CallerID, a.RetryAfter
	}
	text, err := json.Marshal(said)
	if err != nil {
		return `{"eligible":false}`
	}
	return string(text) + "\n"
}
