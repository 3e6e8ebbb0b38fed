package server

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/belpoort/belpoort/record"
)

// Domain is the domain of every ErrorInfo.
const Domain = "belpoort"

// The reasons of errors, as google.rpc.ErrorInfo carries them. Sentences may change, reasons may not.
const (
	ReasonFieldInvalid          = "FIELD_INVALID"
	ReasonFieldMissing          = "FIELD_MISSING"
	ReasonCalleeInvalid         = "CALLEE_INVALID"
	ReasonCampaignUnknown       = "CAMPAIGN_UNKNOWN"
	ReasonOrganisationUnknown   = "ORGANISATION_UNKNOWN"
	ReasonOrganisationForbidden = "ORGANISATION_NOT_ALLOWED"
	ReasonRoleForbidden         = "ROLE_NOT_ALLOWED"
	ReasonMethodForbidden       = "METHOD_NOT_ALLOWED"
	ReasonKeyMissing            = "KEY_MISSING"
	ReasonKeyUnknown            = "KEY_UNKNOWN"
	ReasonRequestReused         = "REQUEST_ID_REUSED"
	ReasonReceiptTaken          = "RECEIPT_TAKEN"
	ReasonCatalogueMoved        = "CATALOGUE_MOVED"
	ReasonNoCatalogue           = "NO_CATALOGUE"
	ReasonCampaignRuns          = "CAMPAIGN_NOT_SUSPENDED"
	ReasonStatesBusy            = "CAMPAIGN_STATES_BUSY"
	ReasonRetentionRuns         = "RETENTION_RUNS"
	ReasonObjectionUnknown      = "OBJECTION_UNKNOWN"
	ReasonCalleeErased          = "CALLEE_ERASED"
	ReasonCorrectionUnknown     = "CORRECTION_UNKNOWN"
	ReasonCorrectionRefused     = "CORRECTION_REFUSED"
	ReasonDecisionUnknown       = "DECISION_UNKNOWN"
	ReasonCallUnknown           = "CALL_UNKNOWN"
	ReasonCallAmbiguous         = "CALL_AMBIGUOUS"
	ReasonMenuUnknown           = "MENU_UNKNOWN"
	ReasonDigitUnknown          = "DIGIT_UNKNOWN"
	ReasonPositionUnknown       = "POSITION_UNKNOWN"
	ReasonLedgerMoved           = "LEDGER_NOT_THAT_ONE"
	ReasonLedgerUnavailable     = "LEDGER_UNAVAILABLE"
	ReasonJournalUnavailable    = "JOURNAL_UNAVAILABLE"
	ReasonPermitInvalid         = "PERMIT_INVALID"
	ReasonPermitsUnavailable    = "PERMITS_UNAVAILABLE"
	ReasonLedgerBusy            = "LEDGER_BUSY"
	ReasonCalleeBusy            = "CALLEE_BUSY"
	ReasonOverloaded            = "OVERLOADED"
	ReasonRateLimited           = "RATE_LIMITED"
	ReasonScreeningLimit        = "SCREENING_LIMIT"
	ReasonTooLate               = "ANSWER_TOO_LATE"
	ReasonAllowWithheld         = "ALLOW_WITHHELD"
	ReasonNotServing            = "NOT_SERVING"
	ReasonDeadline              = "DEADLINE_TOO_SHORT"
	ReasonCancelled             = "CANCELLED"
	ReasonInternal              = "INTERNAL"
)

// failure is an error with a code, a stable reason, a sentence that is safe to show, and a private cause for the log.
// Neither sentence nor cause may hold what a client sent in a field that could be a telephone number.
type failure struct {
	code     codes.Code
	reason   string
	field    string // the field that is wrong; "" where none is
	sentence string
	cause    error
}

func (f *failure) Error() string { return f.sentence }

func (f *failure) Unwrap() error { return f.cause }

// GRPCStatus is what the client sees.
func (f *failure) GRPCStatus() *status.Status {
	info := &errdetails.ErrorInfo{Reason: f.reason, Domain: Domain}
	details := []protoadapt.MessageV1{protoadapt.MessageV1Of(info)}
	if f.field != "" {
		info.Metadata = map[string]string{"field": f.field}
		details = append(details, protoadapt.MessageV1Of(&errdetails.BadRequest{
			FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: f.field, Description: f.sentence, Reason: f.reason}},
		}))
	}
	if f.reason == ReasonOverloaded || f.reason == ReasonRateLimited {
		details = append(details, protoadapt.MessageV1Of(&errdetails.RetryInfo{RetryDelay: durationpb.New(pushback)}))
	}
	plain := status.New(f.code, f.sentence)
	detailed, err := plain.WithDetails(details...)
	if err != nil {
		return plain
	}
	return detailed
}

func fail(code codes.Code, reason, format string, args ...any) *failure {
	return &failure{code: code, reason: reason, sentence: fmt.Sprintf(format, args...)}
}

func (f *failure) because(cause error) *failure {
	f.cause = cause
	return f
}

// invalid names the field that is wrong.
func invalid(field, format string, args ...any) *failure {
	return &failure{codes.InvalidArgument, ReasonFieldInvalid, field, field + " " + fmt.Sprintf(format, args...), nil}
}

func missing(field string) *failure {
	return &failure{codes.InvalidArgument, ReasonFieldMissing, field, field + " is missing", nil}
}

// invalidRecord turns what the room record found into an answer.
func invalidRecord(err error) *failure {
	var field *record.FieldError
	if errors.As(err, &field) {
		return invalid(field.Field, "%s", field.Problem)
	}
	return internal(err)
}

func unknownCampaign(field string) *failure {
	return &failure{codes.NotFound, ReasonCampaignUnknown, field, field + " names a campaign that the catalogue does not have", nil}
}

func unknownOrganisation(field string) *failure {
	return &failure{
		codes.NotFound, ReasonOrganisationUnknown, field, field + " names an organisation that the catalogue does not have", nil,
	}
}

func forbiddenOrganisation(field string) *failure {
	return &failure{
		codes.PermissionDenied, ReasonOrganisationForbidden, field, field + " names an organisation for which this key may not act", nil,
	}
}

func internal(cause error) *failure {
	return fail(codes.Internal, ReasonInternal, "something went wrong inside; nothing was allowed").because(cause)
}

// unavailable is the answer when a store did not do its work: not in time, or not at all.
func unavailable(reason, what string, cause error) *failure {
	var known *failure
	switch {
	case errors.As(cause, &known):
		return known
	case errors.Is(cause, context.DeadlineExceeded):
		return fail(codes.DeadlineExceeded, ReasonDeadline, "%s did not answer within the deadline", what).because(cause)
	case errors.Is(cause, context.Canceled):
		return fail(codes.Canceled, ReasonCancelled, "the request was cancelled").because(cause)
	default:
		return fail(codes.Unavailable, reason, "%s is not available", what).because(cause)
	}
}

func ledgerUnavailable(cause error) *failure {
	return unavailable(ReasonLedgerUnavailable, "the ledger", cause)
}

// ReasonOf reads the stable reason and the field out of an error that a Belpoort server answered; "" where it has none.
func ReasonOf(err error) (reason, field string) {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == Domain {
			return info.GetReason(), info.GetMetadata()["field"]
		}
	}
	return "", ""
}
