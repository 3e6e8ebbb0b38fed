package web

import (
	"encoding/json"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/doors"
)

// problem is a problem document as of RFC 9457, with our stable reason and the field that is wrong.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Reason string `json:"reason"`
	Field  string `json:"field,omitempty"`
}

func writeProblem(w http.ResponseWriter, status int, t *doors.Trouble) {
	body, err := json.Marshal(problem{"urn:belpoort:error:" + t.Reason, titleOf(status), status, t.Sentence, t.Reason, t.Field})
	if err != nil {
		body = []byte("{}")
	}
	troubleHeaders(w, status, t)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

func titleOf(status int) string {
	if status == statusClientGone {
		return "Client Closed Request"
	}
	return http.StatusText(status)
}

// troubleHeaders are those of every answer that is none.
func troubleHeaders(w http.ResponseWriter, status int, t *doors.Trouble) {
	w.Header().Set("Belpoort-Error", t.Reason)
	if t.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(t.RetryAfter, 10))
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="belpoort"`)
	}
}

// statusClientGone is for the log of whoever stands in between: nobody reads it any more.
const statusClientGone = 499

var statuses = map[codes.Code]int{
	codes.InvalidArgument: http.StatusBadRequest, codes.OutOfRange: http.StatusBadRequest, codes.FailedPrecondition: http.StatusConflict,
	codes.Unauthenticated: http.StatusUnauthorized, codes.PermissionDenied: http.StatusForbidden, codes.NotFound: http.StatusNotFound,
	codes.AlreadyExists: http.StatusConflict, codes.Aborted: http.StatusConflict, codes.ResourceExhausted: http.StatusTooManyRequests,
	codes.Canceled: statusClientGone, codes.DeadlineExceeded: http.StatusGatewayTimeout, codes.Unimplemented: http.StatusNotImplemented,
	codes.Unavailable: http.StatusServiceUnavailable,
}

// statusOf is the HTTP status of a gRPC code other than OK; what is not known is an error inside.
func statusOf(code codes.Code) int {
	if status, ok := statuses[code]; ok {
		return status
	}
	return http.StatusInternalServerError
}
