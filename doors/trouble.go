package doors

import (
	"math"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// domain is that of the service's own reasons.
const domain = "belpoort"

// Reasons of the doors, besides those that the service gives.
const (
	ReasonTwice      = "FIELD_TWICE"
	ReasonAmbiguous  = "FIELD_AMBIGUOUS"
	ReasonWord       = "FIELD_INVALID"
	ReasonMissing    = "FIELD_MISSING"
	ReasonUnanswered = "INTERNAL"
)

// Wrong is the code of what the asker did wrong.
const Wrong = codes.InvalidArgument

// Trouble is why there is no answer. It never stands beside a verdict.
type Trouble struct {
	Code       codes.Code
	Reason     string // stable; docs/operations.md lists them
	Field      string // the field that is wrong; "" where none is
	Sentence   string // for people; safe to show
	RetryAfter int64  // seconds after which asking again makes sense; 0 where that is not known
}

func (t *Trouble) Error() string { return t.Sentence }

// onTheWay are the reasons for what went wrong before the service could give one.
var onTheWay = map[codes.Code]string{
	codes.DeadlineExceeded: "DEADLINE_TOO_SHORT", codes.Canceled: "CANCELLED", codes.Unavailable: "NOT_SERVING",
	codes.Internal: ReasonUnanswered, codes.Unknown: ReasonUnanswered,
}

// TroubleOf reads what the service answered instead of an answer.
func TroubleOf(err error) *Trouble {
	s := status.Convert(err)
	t := &Trouble{Code: s.Code(), Reason: s.Code().String(), Sentence: s.Message()}
	if reason, ok := onTheWay[t.Code]; ok {
		t.Reason = reason
	}
	for _, detail := range s.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == domain {
				t.Reason, t.Field = detail.GetReason(), detail.GetMetadata()["field"]
			}
		case *errdetails.RetryInfo:
			t.RetryAfter = int64(math.Ceil(detail.GetRetryDelay().AsDuration().Seconds()))
		}
	}
	return t
}

// wrongWord names a field whose word is none, and the words there are.
func wrongWord(field Field, words string) *Trouble {
	return &Trouble{Code: Wrong, Reason: ReasonWord, Field: string(field), Sentence: string(field) + " must be one of " + words}
}

func missing(field Field, sentence string) *Trouble {
	return &Trouble{Code: Wrong, Reason: ReasonMissing, Field: string(field), Sentence: sentence}
}
