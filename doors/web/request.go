package web

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/doors"
)

// Reasons that only HTTP has.
const (
	reasonMethod      = "HTTP_METHOD"
	reasonContentType = "CONTENT_TYPE"
	reasonTooLarge    = "BODY_TOO_LARGE"
	reasonUnreadable  = "REQUEST_UNREADABLE"
	reasonBoth        = "QUERY_AND_FORM"
	reasonNoPath      = "NO_SUCH_PATH"
	reasonKeys        = "KEY_TWICE"
)

// refusal is a request that goes no further.
type refusal struct {
	status  int
	trouble *doors.Trouble
}

func refuse(status int, reason, sentence string) *refusal {
	return &refusal{status, &doors.Trouble{Code: doors.Wrong, Reason: reason, Sentence: sentence}}
}

// onlyMethods refuses other methods, HEAD among them: an answer without its body says nothing.
func onlyMethods(w http.ResponseWriter, r *http.Request, methods ...string) *refusal {
	if slices.Contains(methods, r.Method) {
		return nil
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	return refuse(http.StatusMethodNotAllowed, reasonMethod, "use "+strings.Join(methods, " or "))
}

// contentType refuses a body of another type, or in other characters than UTF-8.
func contentType(r *http.Request, want string) *refusal {
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := strings.ToLower(parameters["charset"])
	if err != nil || kind != want || len(r.Header.Values("Content-Type")) != 1 || charset != "" && charset != "utf-8" && charset != "us-ascii" {
		return refuse(http.StatusUnsupportedMediaType, reasonContentType, "the body must be "+want+" in UTF-8")
	}
	if r.Header.Get("Content-Encoding") != "" {
		return refuse(http.StatusUnsupportedMediaType, reasonContentType, "the body must not be compressed")
	}
	return nil
}

// bodyOf reads a whole body.
func bodyOf(w http.ResponseWriter, r *http.Request, most int64) ([]byte, *refusal) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, refuse(http.StatusRequestEntityTooLarge, reasonTooLarge, "the body is too large")
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, reasonUnreadable, "the body did not arrive whole")
	}
	return body, nil
}

// fieldsOf reads the fields of a GET from the query, or of a POST from the body, and never from both.
func (d *web) fieldsOf(w http.ResponseWriter, r *http.Request) (doors.Fields, *refusal) {
	if refused := onlyMethods(w, r, http.MethodGet, http.MethodPost); refused != nil {
		return nil, refused
	}
	form := r.URL.RawQuery
	if r.Method == http.MethodPost {
		if form != "" {
			return nil, refuse(http.StatusBadRequest, reasonBoth, "a POST carries its fields in the body alone; take them out of the address")
		}
		if refused := contentType(r, "application/x-www-form-urlencoded"); refused != nil {
			return nil, refused
		}
	}
	body, refused := bodyOf(w, r, maxForm)
	switch {
	case refused != nil:
		return nil, refused
	case r.Method == http.MethodPost:
		form = string(body)
	case len(body) > 0:
		return nil, refuse(http.StatusBadRequest, reasonBoth, "a GET carries its fields in the address alone; use POST for a form")
	}
	return d.parse(form)
}

// parse takes the pairs one by one, because a map would hide which names stand twice.
func (d *web) parse(form string) (doors.Fields, *refusal) {
	fields := doors.Fields{}
	if len(form) > maxForm {
		return nil, refuse(http.StatusRequestEntityTooLarge, reasonTooLarge, "the query is too large")
	}
	for pair := range strings.SplitSeq(form, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, refuse(http.StatusBadRequest, reasonUnreadable, "the fields are not percent-encoded UTF-8")
		}
		if trouble, ok := errors.AsType[*doors.Trouble](fields.Add(d.names, name, value)); ok {
			return fields, &refusal{http.StatusBadRequest, trouble}
		}
	}
	return fields, nil
}

// keyOf finds the caller's API key: in X-Api-Key, as a bearer token, or as the password of an address such as
// https://belpoort:<key>@host/, which is all that some systems can hold. "" where there is none.
func keyOf(r *http.Request) (string, *refusal) {
	authorization, plain := r.Header.Values("Authorization"), r.Header.Values("X-Api-Key")
	if len(authorization)+len(plain) > 1 {
		return "", &refusal{http.StatusUnauthorized, &doors.Trouble{Code: codes.Unauthenticated, Reason: reasonKeys, Sentence: "give one key, once"}}
	}
	if len(plain) == 1 {
		return plain[0], nil
	}
	if _, password, ok := r.BasicAuth(); ok {
		return password, nil
	}
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "bearer") {
		return key, nil
	}
	return "", nil
}
