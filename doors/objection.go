package doors

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// Objected is an objection that the service has taken.
type Objected struct {
	Receipt string
	InForce bool // false: kept safely, on its way to be in force everywhere
	At      time.Time
}

// Object registers an objection. Where a number is told and no request id, one is taken from the call's id, so that a
// repeat from the same call is the same objection. The error is always a *Trouble; then the objection is not known to be
// registered.
func (g *Gate) Object(ctx context.Context, key string, f Fields) (*Objected, error) {
	request, err := objectionOf(f)
	if err != nil {
		return nil, err
	}
	answer, err := g.objections.RegisterObjection(g.as(ctx, key), request)
	if status.Code(err) == codes.AlreadyExists && f[RequestID] == "" {
		// Two switches may give two calls one id: then this is another objection, and one too many harms nobody.
		request.RequestId = newRequestID()
		answer, err = g.objections.RegisterObjection(g.as(ctx, key), request)
	}
	if err != nil {
		return nil, TroubleOf(err)
	}
	return objectedOf(answer.GetReceipt(), answer.GetState(), answer.GetRecordTime().AsTime())
}

func objectedOf(receipt string, state belpoortv1.ObjectionState, at time.Time) (*Objected, error) {
	o := &Objected{Receipt: receipt, At: at}
	switch state {
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
	request := &belpoortv1.RegisterObjectionRequest{
		Organisation: f[Organisation], Campaign: f[Campaign], Via: belpoortv1.Via_VIA_IVR, Product: f[Product], OwnWords: f[OwnWords],
		RequestId: requestIDOf(f),
	}
	var err error
	if request.Permit, request.Callee, request.CallId, err = f.whose(false); err != nil {
		return nil, err
	}
	return request, first(readWord(f, Via, &request.Via), readWord(f, Scope, &request.Scope), readWord(f, By, &request.By))
}

// whose names the person in the one way that the service wants: by the permit where there is one; else by the number, which
// is what protects the person, or, where the call matters more, by the dialer's id of the call.
func (f Fields) whose(callFirst bool) (permit, callee, call string, err error) {
	_, number, unclear := f.theirs()
	switch {
	case f[Permit] != "":
		return f[Permit], "", "", nil
	case f[CallID] != "" && (callFirst || number == ""):
		return "", "", f[CallID], nil
	case number != "":
		return "", number, "", nil
	case unclear != nil:
		return "", "", "", unclear
	case f[Lead] != "":
		return "", "", f[Lead], nil
	default:
		return "", "", "", missing(Callee, "callee is missing, and neither a permit nor a call_id names the call")
	}
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

// Offered is an offer of the right of objection that the service has taken.
type Offered struct {
	Result    string    // what came of it, as it was recorded: OBJECTED, NOT_OBJECTED ...; "" where nothing was
	Meaning   string    // what the digit means: REPEAT is recorded nowhere; "" without a digit
	Objection *Objected // nil where the person did not object
}

// reasonCallUnknown is the service's: no call has this id.
const reasonCallUnknown = "CALL_UNKNOWN"

// Offer records that the right of objection was offered, and the objection that came of it. Where no call is known by the
// id, it is recorded under the number, if that is told too. The error is always a *Trouble.
func (g *Gate) Offer(ctx context.Context, key string, f Fields) (*Offered, error) {
	request, err := offerOf(f)
	if err != nil {
		return nil, err
	}
	answer, err := g.objections.RecordObjectionOffer(g.as(ctx, key), request)
	if _, number, _ := f.theirs(); err != nil && request.GetCallId() != "" && number != "" && TroubleOf(err).Reason == reasonCallUnknown {
		request.CallId, request.Callee = "", number
		answer, err = g.objections.RecordObjectionOffer(g.as(ctx, key), request)
	}
	if err != nil {
		return nil, TroubleOf(err)
	}
	return offeredOf(answer, time.Now())
}

func offerOf(f Fields) (*belpoortv1.RecordObjectionOfferRequest, error) {
	request := &belpoortv1.RecordObjectionOfferRequest{
		Campaign: f[Campaign], Recording: f[Recording], Menu: f[Menu], Digit: f[Digit], RequestId: requestIDOf(f),
	}
	var err error
	if request.Permit, request.Callee, request.CallId, err = f.whose(true); err != nil {
		return nil, err
	}
	return request, first(readWord(f, Via, &request.Via), readWord(f, How, &request.How), readWord(f, Result, &request.Result))
}

func offeredOf(m *belpoortv1.RecordObjectionOfferResponse, now time.Time) (*Offered, error) {
	o := &Offered{Result: wordOf(m.GetResult()), Meaning: wordOf(m.GetMeaning())}
	objected := m.GetResult() == belpoortv1.OfferResult_OFFER_RESULT_OBJECTED || m.GetMeaning() == belpoortv1.IvrDigit_MEANING_OBJECT
	if !objected && m.GetReceipt() == "" {
		if m.GetPosition() == 0 && m.GetMeaning() != belpoortv1.IvrDigit_MEANING_REPEAT {
			return nil, noAnswer()
		}
		return o, nil
	}
	var err error
	o.Objection, err = objectedOf(m.GetReceipt(), m.GetObjectionState(), now)
	return o, err
}
