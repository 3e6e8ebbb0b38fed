package doors

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// Objected is an objection that the service has taken.
type Objected struct {
	Receipt string
	InForce bool // false: kept safely, on its way to be in force everywhere
	At      time.Time
}

// Object registers an objection. Without a request id it takes one from the call's id, so that a repeat from the same call
// is the same objection. The error is always a *Trouble; then the objection is not known to be registered.
func (g *Gate) Object(ctx context.Context, key string, f Fields) (*Objected, error) {
	request, err := objectionOf(f)
	if err != nil {
		return nil, err
	}
	var trailer metadata.MD
	answer, err := g.objections.RegisterObjection(g.as(ctx, key), request, grpc.Trailer(&trailer))
	if status.Code(err) == codes.AlreadyExists && f[RequestID] == "" {
		// Two switches may give two calls one id: then this is another objection, and one too many harms nobody.
		request.RequestId = newRequestID()
		answer, err = g.objections.RegisterObjection(g.as(ctx, key), request, grpc.Trailer(&trailer))
	}
	if err != nil {
		return nil, TroubleOf(err, trailer)
	}
	return objectedOf(answer)
}

func objectedOf(m *belpoortv1.RegisterObjectionResponse) (*Objected, error) {
	o := &Objected{Receipt: m.GetReceipt(), At: m.GetRecordTime().AsTime()}
	switch m.GetState() {
	case belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE:
		o.InForce = true
	case belpoortv1.ObjectionState_OBJECTION_STATE_PENDING:
		o.InForce = mutantPendingInForce
	default:
		return nil, noAnswer()
	}
	if o.Receipt == "" {
		return nil, noAnswer()
	}
	return o, nil
}

func objectionOf(f Fields) (*belpoortv1.RegisterObjectionRequest, error) {
	field, callee, err := f.theirs()
	if err != nil {
		return nil, err
	}
	if callee == "" {
		return nil, missing(Callee, "callee is missing: "+string(field)+" is not given either")
	}
	request := &belpoortv1.RegisterObjectionRequest{
		Callee: callee, Organisation: f[Organisation], Campaign: f[Campaign], Via: belpoortv1.Via_VIA_IVR, Product: f[Product],
		RequestId: requestIDOf(f),
	}
	return request, first(readWord(f, Via, &request.Via), readWord(f, Scope, &request.Scope), readWord(f, By, &request.By))
}

// requestIDOf is the asker's own, else one that the call's id leads to: hashed, because some switches put numbers in it.
// A lead's id is none: the same person may object again, years later.
func requestIDOf(f Fields) string {
	switch {
	case f[RequestID] != "":
		return f[RequestID]
	case f[CallID] != "":
		sum := sha256.Sum256([]byte(f[Campaign] + "\x00" + f[Organisation] + "\x00" + f[CallID]))
		return "call-" + hex.EncodeToString(sum[:16])
	default:
		return newRequestID()
	}
}

func newRequestID() string { return "door-" + rand.Text() }

// Offered is an offer of the right of objection that the service has recorded.
type Offered struct {
	Objection *Objected // the objection that came of it; nil where none did
}

// Offer records that the right of objection was offered. The error is always a *Trouble.
func (g *Gate) Offer(ctx context.Context, key string, f Fields) (*Offered, error) {
	request := &belpoortv1.RecordObjectionOfferRequest{Permit: f[Permit], Via: belpoortv1.Via_VIA_IVR, RequestId: requestIDOf(f)}
	if err := readWord(f, Via, &request.Via); err != nil {
		return nil, err
	}
	var trailer metadata.MD
	if _, err := g.objections.RecordObjectionOffer(g.as(ctx, key), request, grpc.Trailer(&trailer)); err != nil {
		return nil, TroubleOf(err, trailer)
	}
	return &Offered{}, nil
}
