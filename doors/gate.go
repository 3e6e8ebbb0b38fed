package doors

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// Gate is the service, for doors. Every question goes to the same handlers as over gRPC, with the asker's own key.
type Gate struct {
	door       string // the name under which its questions are counted
	gatekeeper belpoortv1.GatekeeperServiceClient
	objections belpoortv1.ObjectionServiceClient
}

// NewGate asks over a connection. door is the name under which its questions are counted, such as "plain".
func NewGate(conn grpc.ClientConnInterface, door string) *Gate {
	return &Gate{door, belpoortv1.NewGatekeeperServiceClient(conn), belpoortv1.NewObjectionServiceClient(conn)}
}

// DoorHeader tells the service which door a question came through.
const DoorHeader = "belpoort-door"

// as is a context in which the holder of a key asks.
func (g *Gate) as(ctx context.Context, key string) context.Context {
	ctx = metadata.AppendToOutgoingContext(ctx, DoorHeader, g.door)
	if key == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
}

// Answer is a decided call, in words.
type Answer struct {
	Verdict    string // ALLOW, DENY or DEFER; anything but ALLOW means "do not dial"
	Reason     string
	CallerID   string // to show; "" unless allowed
	Permit     string // "" unless allowed
	Decision   string
	RetryAfter int64 // seconds until the hours open, for DEFER; 0 where nothing is known
	ValidUntil time.Time
}

// Allowed is the one way to a yes.
func (a *Answer) Allowed() bool { return a != nil && a.Verdict == "ALLOW" && a.Permit != "" }

// Check asks whether a call may be dialed. The error is always a *Trouble.
func (g *Gate) Check(ctx context.Context, key string, f Fields) (*Answer, error) {
	request, err := checkOf(f)
	if err != nil {
		return nil, err
	}
	answer, err := g.gatekeeper.CheckCall(g.as(ctx, key), request)
	if err != nil && mutantErrorAllows {
		return &Answer{Verdict: "ALLOW", Permit: "-"}, nil
	}
	if err != nil {
		return nil, TroubleOf(err)
	}
	return answerOf(answer, time.Now())
}

// checkOf reads a question. The person called stands under callee or to, the number shown under caller_id or from.
func checkOf(f Fields) (*belpoortv1.CheckCallRequest, error) {
	request := &belpoortv1.CheckCallRequest{
		Callee: f.number(Callee), Campaign: f[Campaign], CallerId: f.number(CallerID), Person: f[Person], RequestId: f[RequestID],
		CallId: f[CallID],
	}
	if request.Callee == "" {
		request.Callee = f.number(To)
	}
	if request.CallId == "" {
		request.CallId = f[Lead]
	}
	if request.CallerId == "" {
		request.CallerId = f.number(From)
	}
	return request, first(
		readWord(f, Presentation, &request.CallerIdPresentation), readWord(f, Mode, &request.Mode), readWord(f, Dialing, &request.Dialing))
}

// answerOf tells a decision in words. One that is no verdict, or an ALLOW without its permit, is no answer.
func answerOf(m *belpoortv1.CheckCallResponse, now time.Time) (*Answer, error) {
	a := &Answer{
		Verdict: wordOf(m.GetVerdict()), Reason: wordOf(m.GetReason()), CallerID: m.GetCallerId(), Permit: m.GetPermit(),
		Decision: m.GetDecisionId(),
	}
	if m.GetVerdict() == belpoortv1.Verdict_VERDICT_UNSPECIFIED || a.Verdict == "ALLOW" && a.Permit == "" {
		return nil, noAnswer()
	}
	if m.GetValidUntil() != nil {
		a.ValidUntil = m.GetValidUntil().AsTime()
	}
	a.RetryAfter = secondsUntil(m.GetRetryTime(), now)
	return a, nil
}

func noAnswer() *Trouble {
	return &Trouble{Code: codes.Internal, Reason: ReasonUnanswered, Sentence: "the service gave no answer that can be acted on"}
}

// secondsUntil is at least 1 where there is an instant.
func secondsUntil(at *timestamppb.Timestamp, now time.Time) int64 {
	if at == nil {
		return 0
	}
	return max(1, int64((at.AsTime().Sub(now)+time.Second-1)/time.Second))
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// word is an enum of the API.
type word interface {
	~int32
	protoreflect.Enum
}

// wordOf is the name of an enum's value without the enum's own, such as DENY; "" for the unspecified and the unknown.
func wordOf(w protoreflect.Enum) string {
	value := w.Descriptor().Values().ByNumber(w.Number())
	if value == nil || value.Number() == 0 {
		return ""
	}
	zero := string(w.Descriptor().Values().ByNumber(0).Name())
	return strings.TrimPrefix(string(value.Name()), strings.TrimSuffix(zero, "UNSPECIFIED"))
}

// readWord reads a word in any case; an absent field leaves what there is. The error is a *Trouble or nil.
func readWord[W word](f Fields, field Field, into *W) error {
	text := strings.ToUpper(f[field])
	if text == "" {
		return nil
	}
	values := (*into).Descriptor().Values()
	prefix := strings.TrimSuffix(string(values.ByNumber(0).Name()), "UNSPECIFIED")
	var words []string
	for i := range values.Len() {
		name := strings.TrimPrefix(string(values.Get(i).Name()), prefix)
		if values.Get(i).Number() == 0 {
			continue
		}
		if name == strings.TrimPrefix(text, prefix) {
			*into = W(values.Get(i).Number())
			return nil
		}
		words = append(words, name)
	}
	slices.Sort(words)
	return wrongWord(field, strings.Join(words, ", "))
}
