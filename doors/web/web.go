// Package web is the doors over HTTP: the JSON form of every unary RPC, the plain answer to a check for dialers that can do
// no more than fetch an address, and the forms in which IVRs and screens send objections and offers. It knows HTTP. It must
// not know the law, nor the service behind the connection over which it asks with the caller's key: no answer is made here.
package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/doors"
)

// Config is what the doors need; all of it is required.
type Config struct {
	Conn  grpc.ClientConnInterface // to the service
	Names *doors.Names             // of the fields of forms
	Live  func() error             // why this process should be restarted, or nil; safe to show
	Ready func() error             // why no check is answered, or nil; safe to show
	Log   *zap.Logger
}

// The largest bodies, in bytes: that of a message of the API, and that of a form.
const (
	maxBody = 256 << 10
	maxForm = 16 << 10
)

type web struct {
	gate  *doors.Gate // for plain checks
	forms *doors.Gate
	names *doors.Names
	twin  http.Handler
	live  func() error
	ready func() error
	log   *zap.Logger
}

// Handler serves the doors.
func Handler(c Config) (http.Handler, error) {
	twin, err := newTwin(c.Conn)
	if err != nil {
		return nil, err
	}
	return &web{doors.NewGate(c.Conn, "plain"), doors.NewGate(c.Conn, "form"), c.Names, twin, c.Live, c.Ready, c.Log}, nil
}

// ServeHTTP compares whole paths and never redirects: whoever follows one could take its 200 for an answer.
func (d *web) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer d.recovered(w, r)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if parent := r.Header.Values(doors.TraceParent); len(parent) == 1 {
		r = r.WithContext(doors.InTrace(r.Context(), parent[0]))
	}
	switch r.URL.Path {
	case "/v1/check/plain":
		d.checkPlain(w, r)
	case "/v1/objections/form":
		d.objectionForm(w, r)
	case "/v1/offers/form":
		d.offerForm(w, r)
	case "/openapi.json":
		d.openAPI(w, r)
	case "/livez":
		health(w, r, d.live)
	case "/readyz":
		health(w, r, d.ready)
	default:
		d.json(w, r)
	}
}

// recovered answers a panic; its value, which could hold a number, is not written down.
func (d *web) recovered(w http.ResponseWriter, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(cause)
	}
	kind := fmt.Sprintf("%T", cause)
	if fault, ok := cause.(runtime.Error); ok {
		kind = fault.Error()
	}
	d.log.Error("panic", zap.String("in", "http"), zap.String("kind", kind), zap.ByteString("stack", debug.Stack()))
	writeProblem(w, http.StatusInternalServerError, &doors.Trouble{
		Code: codes.Internal, Reason: doors.ReasonUnanswered, Sentence: "something went wrong inside; nothing was allowed",
	})
}

func health(w http.ResponseWriter, r *http.Request, state func() error) {
	if refused := onlyMethods(w, r, http.MethodGet); refused != nil {
		writeProblem(w, refused.status, refused.trouble)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := state(); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, err)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
