package console

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// maxQuestion bounds a look-up, in bytes.
const maxQuestion = 4 << 10

// maxTimeline bounds how many events a look-up shows.
const maxTimeline = 200

// question is what somebody wants to know. It comes in a body, never in an address, which others might log.
type question struct {
	Callee   string `json:"callee"`
	Campaign string `json:"campaign"`
	CallerID string `json:"caller_id"`
}

// found is the answer.
type found struct {
	Verdict  string  `json:"verdict"`
	Headline string  `json:"headline"`
	Sentence string  `json:"sentence"`
	Regime   string  `json:"regime"`
	Steps    []step  `json:"steps"`
	Timeline []event `json:"timeline"` // newest first
}

type step struct {
	Rule    string `json:"rule"`
	Passed  bool   `json:"passed"`
	Inputs  string `json:"inputs"`
	Article string `json:"article"`
	Source  string `json:"source"`
}

type event struct {
	At      time.Time `json:"at"`
	What    string    `json:"what"`
	Revokes bool      `json:"revokes"`
}

func (c *console) look(w http.ResponseWriter, r *http.Request) {
	q, err := readQuestion(w, r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error(), "FIELD_INVALID")
		return
	}
	ctx, cancel := within(r)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", r.Header.Get("Authorization"))
	if q.CallerID == "" {
		q.CallerID, err = c.callerIDOf(ctx, q.Campaign)
	}
	if err != nil {
		refuseStatus(w, err)
		return
	}
	explained, err := c.Audit.ExplainCall(ctx, &belpoortv1.ExplainCallRequest{Callee: q.Callee, Campaign: q.Campaign, CallerId: q.CallerID})
	if err != nil {
		refuseStatus(w, err)
		return
	}
	held, err := c.Register.GetCallee(ctx, &belpoortv1.GetCalleeRequest{Callee: q.Callee})
	if status.Code(err) == codes.InvalidArgument {
		held, err = &belpoortv1.GetCalleeResponse{}, nil // no telephone number: nothing is held on it
	}
	if err != nil {
		refuseStatus(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answerOf(explained, held)) // the reader has left
}

// callerIDOf is a number that a campaign may show, for those who ask about the callee only; "" where it has none.
func (c *console) callerIDOf(ctx context.Context, campaign string) (string, error) {
	answer, err := c.Catalogue.GetCatalogue(ctx, &belpoortv1.GetCatalogueRequest{})
	if err != nil {
		return "", err
	}
	for _, one := range answer.GetCatalogue().GetCampaigns() {
		if one.GetId() != campaign {
			continue
		}
		for _, shown := range answer.GetCatalogue().GetCallerIds() {
			if shown.GetOrganisation() == one.GetOrganisation() {
				return shown.GetNumber(), nil
			}
		}
	}
	return "", nil
}

func readQuestion(w http.ResponseWriter, r *http.Request) (q question, err error) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return q, errors.New("the question must be application/json")
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&q) != nil { // whose words could hold a number
		return q, errors.New("the question is no JSON object of callee, campaign and caller_id")
	}
	return q, nil
}

func answerOf(a *belpoortv1.ExplainCallResponse, held *belpoortv1.GetCalleeResponse) found {
	f := found{
		Verdict: word(a.GetVerdict(), "VERDICT_"), Headline: word(a.GetReason(), "REASON_"), Sentence: a.GetSentence(), Regime: a.GetRegime(),
	}
	for _, s := range a.GetSteps() {
		f.Steps = append(f.Steps, step{s.GetRule(), s.GetPassed(), s.GetInputs(), s.GetArticle(), s.GetSource()})
	}
	for _, entry := range held.GetEntries() {
		f.Timeline = append(f.Timeline, eventOf(entry))
	}
	for _, d := range held.GetDecisions() {
		f.Timeline = append(f.Timeline, event{At: d.GetDecideTime().AsTime(), What: fmt.Sprintf("%s %s in %s, decision %s",
			word(d.GetVerdict(), "VERDICT_"), word(d.GetReason(), "REASON_"), d.GetCampaign(), d.GetDecisionId())})
	}
	slices.SortStableFunc(f.Timeline, func(a, b event) int { return b.At.Compare(a.At) })
	f.Timeline = f.Timeline[:min(len(f.Timeline), maxTimeline)]
	return f
}

func word(enum interface{ String() string }, prefix string) string {
	return strings.TrimPrefix(enum.String(), prefix)
}

// eventOf tells of a fact by its kind, whatever kinds there are, and by what it names for whom it holds.
func eventOf(entry *belpoortv1.LedgerEntry) event {
	e := event{At: entry.GetRecordTime().AsTime(), What: "erased"}
	fact := entry.GetFact().ProtoReflect()
	kind := fact.WhichOneof(fact.Descriptor().Oneofs().ByName("kind"))
	if kind == nil {
		return e
	}
	e.Revokes = kind.Name() == "objection" || kind.Name() == "withdrawal"
	e.What = strings.ReplaceAll(string(kind.Name()), "_", " ")
	content := fact.Get(kind).Message()
	for _, name := range []protoreflect.Name{"organisation", "organisations", "campaign", "product", "outcome", "via", "receipt"} {
		if text := textOf(content, name); text != "" {
			e.What += ", " + text
		}
	}
	e.What += fmt.Sprintf(" (position %d, %s)", entry.GetPosition(), hex.EncodeToString(entry.GetHash()[:min(4, len(entry.GetHash()))]))
	return e
}

// textOf is a field as people read it; "" where the message has no such field, or nothing in it.
func textOf(m protoreflect.Message, name protoreflect.Name) string {
	field := m.Descriptor().Fields().ByName(name)
	if field == nil || !m.Has(field) {
		return ""
	}
	value := m.Get(field)
	switch {
	case field.IsList():
		var all []string
		for i := range value.List().Len() {
			all = append(all, value.List().Get(i).String())
		}
		return strings.Join(all, " and ")
	case field.Kind() == protoreflect.EnumKind:
		word := string(field.Enum().Values().ByNumber(value.Enum()).Name())
		return word[strings.IndexByte(word, '_')+1:]
	default:
		return value.String()
	}
}

// refuseStatus answers what a service refused, in its own words.
func refuseStatus(w http.ResponseWriter, err error) {
	s := status.Convert(err)
	reason := ""
	for _, detail := range s.Details() {
		if info, is := detail.(*errdetails.ErrorInfo); is {
			reason = info.GetReason()
		}
	}
	refuse(w, httpStatus(s.Code()), s.Message(), reason)
}

func httpStatus(code codes.Code) int {
	switch code {
	case codes.InvalidArgument, codes.NotFound, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	default:
		return http.StatusServiceUnavailable
	}
}

func refuse(w http.ResponseWriter, code int, sentence, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": sentence, "reason": reason})
}
