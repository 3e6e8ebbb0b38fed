package web

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/belpoort/belpoort/doors"
	gateway "github.com/belpoort/belpoort/doors/gateway/belpoort/v1"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

//go:embed openapi.swagger.json
var openAPIDocument []byte

func (d *web) openAPI(w http.ResponseWriter, r *http.Request) {
	if refused := onlyMethods(w, r, http.MethodGet); refused != nil {
		writeProblem(w, refused.status, refused.trouble)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPIDocument)
}

// newTwin is the JSON form of the API. It asks over the connection, so that every interceptor is met; the handlers that the
// generated code could call directly would skip them.
func newTwin(conn grpc.ClientConnInterface) (http.Handler, error) {
	none := func(string) (string, bool) { return "", false }
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, strictJSON{}),
		runtime.WithIncomingHeaderMatcher(none), runtime.WithOutgoingHeaderMatcher(none), runtime.WithOutgoingTrailerMatcher(none),
		runtime.WithMetadata(func(ctx context.Context, _ *http.Request) metadata.MD {
			asked, _ := metadata.FromOutgoingContext(ctx)
			return metadata.Join(asked, metadata.Pairs(doors.DoorHeader, "json"))
		}),
		runtime.WithErrorHandler(answerError), runtime.WithRoutingErrorHandler(answerRoutingError),
		runtime.WithForwardResponseOption(pendingIsAccepted),
		runtime.WithDisablePathLengthFallback(), runtime.WithDisableHTTPMethodOverride(), runtime.WithWriteContentLength(),
	)
	ctx := context.Background()
	return mux, errors.Join(
		gateway.RegisterGatekeeperServiceHandlerClient(ctx, mux, belpoortv1.NewGatekeeperServiceClient(conn)),
		gateway.RegisterObjectionServiceHandlerClient(ctx, mux, belpoortv1.NewObjectionServiceClient(conn)),
		gateway.RegisterRegisterServiceHandlerClient(ctx, mux, belpoortv1.NewRegisterServiceClient(conn)),
		gateway.RegisterCatalogueServiceHandlerClient(ctx, mux, belpoortv1.NewCatalogueServiceClient(conn)),
		gateway.RegisterAuditServiceHandlerClient(ctx, mux, belpoortv1.NewAuditServiceClient(conn)),
	)
}

// json lets a request through to the API with nothing but its key, its deadline and its body.
func (d *web) json(w http.ResponseWriter, r *http.Request) {
	key, refused := keyOf(r)
	if refused == nil {
		refused = onlyMethods(w, r, http.MethodGet, http.MethodPost)
	}
	if refused == nil && r.Method == http.MethodPost {
		refused = contentType(r, "application/json")
	}
	var body []byte
	if refused == nil {
		body, refused = bodyOf(w, r, maxBody)
	}
	if refused != nil {
		writeProblem(w, refused.status, refused.trouble)
		return
	}
	clean := r.Clone(r.Context())
	clean.Header = http.Header{}
	if key != "" {
		clean.Header.Set("Authorization", "Bearer "+key)
	}
	if timeout := r.Header.Get("Grpc-Timeout"); timeout != "" {
		clean.Header.Set("Grpc-Timeout", timeout)
	}
	clean.Body = io.NopCloser(bytes.NewReader(body))
	d.twin.ServeHTTP(w, clean)
}

// pendingIsAccepted: 200 would say that an objection is in force.
func pendingIsAccepted(_ context.Context, w http.ResponseWriter, m proto.Message) error {
	pending := false
	switch m := m.(type) {
	case *belpoortv1.RegisterObjectionResponse:
		pending = m.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE
	case interface {
		GetObjectionState() belpoortv1.ObjectionState
		GetReceipt() string
	}:
		pending = m.GetReceipt() != "" && m.GetObjectionState() != belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE
	}
	if pending {
		w.WriteHeader(http.StatusAccepted)
	}
	return nil
}

// ours marks the errors that strictJSON made, which are safe to show.
const ours = "the body: "

func answerError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	t := doors.TroubleOf(err)
	if t.Reason == t.Code.String() && t.Code == codes.InvalidArgument {
		t.Reason = reasonUnreadable
		if !strings.HasPrefix(t.Sentence, ours) {
			t.Sentence = "the address, its query or the header Grpc-Timeout cannot be read"
		}
	}
	writeProblem(w, statusOf(t.Code), t)
}

func answerRoutingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, status int) {
	switch status {
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		other := http.MethodPost
		if r.Method == http.MethodPost {
			other = http.MethodGet
		}
		refused := onlyMethods(w, r, other)
		writeProblem(w, refused.status, refused.trouble)
	case http.StatusNotFound:
		writeProblem(w, status, &doors.Trouble{Code: codes.NotFound, Reason: reasonNoPath, Sentence: "nothing is served here; /openapi.json lists what is"})
	default:
		writeProblem(w, http.StatusBadRequest, &doors.Trouble{Code: doors.Wrong, Reason: reasonUnreadable, Sentence: "the address cannot be read"})
	}
}

// strictJSON is proto3 JSON. A field that does not exist, one that stands twice and anything after the message are errors,
// and its errors hold nothing of what was sent but the names of fields.
type strictJSON struct{}

var writeJSON = protojson.MarshalOptions{EmitUnpopulated: true}

func (strictJSON) ContentType(any) string { return "application/json" }

func (strictJSON) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, errors.New("no message of the API")
	}
	return writeJSON.Marshal(m)
}

func (strictJSON) Unmarshal(data []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return errors.New("no message of the API")
	}
	if err := protojson.Unmarshal(data, m); err != nil {
		return errors.New(ours + withoutValues(err.Error()))
	}
	return nil
}

func (s strictJSON) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		data, err := io.ReadAll(r)
		if err != nil || len(data) == 0 {
			return io.EOF
		}
		return s.Unmarshal(data, v)
	})
}

func (s strictJSON) NewEncoder(w io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(v any) error {
		data, err := s.Marshal(v)
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	})
}

var (
	unknownField = regexp.MustCompile(`(unknown|duplicate) field "([A-Za-z_.]{1,64})"`)
	wrongValue   = regexp.MustCompile(`invalid value for ([a-z0-9]+) (?:field|type)(?: ([A-Za-z_]{1,64}))?`)
	place        = regexp.MustCompile(`\((line \d+:\d+)\)`)
)

// withoutValues is what may be said of an error of protojson, which would quote the wrong value.
func withoutValues(text string) string {
	said := "is not JSON of this message"
	if found := unknownField.FindStringSubmatch(text); found != nil {
		said = found[1] + " field " + found[2]
	} else if found := wrongValue.FindStringSubmatch(text); found != nil {
		said = strings.TrimSpace("wrong value for " + found[1] + " field " + found[2])
	}
	if found := place.FindStringSubmatch(text); found != nil {
		said += ", " + found[1]
	}
	return said
}
