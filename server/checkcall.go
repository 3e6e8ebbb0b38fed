package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ops"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/telephony"
)

// maxRounds bounds how often a check is decided again because facts about its callee keep coming in.
const maxRounds = 4

// gatekeeper answers dialers.
type gatekeeper struct {
	belpoortv1.UnimplementedGatekeeperServiceServer
	s *Server
}

// CheckCall decides one call, once however often its client asks. Whatever goes wrong is an error, and never an ALLOW.
func (g *gatekeeper) CheckCall(ctx context.Context, req *belpoortv1.CheckCallRequest) (*belpoortv1.CheckCallResponse, error) {
	s := g.s
	came := arrival{at: arrivedAt(ctx, time.Now()), issued: s.clock(), uptime: s.lately()}
	if !s.proven.Load() {
		return nil, fail(codes.Unavailable, ReasonNotServing, "the service is not ready")
	}
	if err := s.withinRate(ctx, came.uptime); err != nil {
		return nil, err
	}
	seat, err := s.admit(ctx, came)
	if err != nil {
		return nil, err
	}
	defer seat.leave()
	turn, err := s.repeats.take(ctx, req, came.uptime, seat)
	if err != nil {
		return nil, err
	}
	defer turn.end()
	if again := s.answerAgain(turn); again != nil {
		return again, nil
	}
	return s.checkCall(ctx, req, came, seat, turn)
}

// arrival is when a check came in.
type arrival struct {
	at     time.Time     // when its header had been read: for its duration
	issued time.Time     // by the clock: what its permit counts from
	uptime time.Duration // by the clock that nobody sets; a little earlier
}

// checkCall decides a call that was not decided before, again and again while facts about its callee come in.
func (s *Server) checkCall(
	ctx context.Context, req *belpoortv1.CheckCallRequest, came arrival, seat *admitted, turn *asked,
) (*belpoortv1.CheckCallResponse, error) {
	for range maxRounds {
		seat.compute()
		q, err := s.question(ctx, req)
		if err != nil {
			return nil, err
		}
		q.seat = seat
		k, err := s.known(ctx, q)
		if err != nil {
			k = s.knownHere(q, err)
		}
		d, m := s.decide(q, k)
		if err := s.mayAnswer(k, &d); err != nil {
			if mutantAllowUnchecked {
				return &belpoortv1.CheckCallResponse{Verdict: belpoortv1.Verdict_VERDICT_ALLOW}, nil
			}
			return nil, err
		}
		if !s.mayStand(q, k) {
			continue
		}
		token, err := s.permitFor(q, m, came.issued)
		if err != nil {
			return nil, err
		}
		if err := s.journalDecision(ctx, q, m); err != nil {
			return nil, err
		}
		if d.Verdict == eligibility.Allow && !s.mayStand(q, k) {
			continue // a fact came in while the ALLOW went to disk; it was never answered
		}
		if d.Verdict == eligibility.Allow && s.uptime()-came.uptime > maxAllowAge && !mutantNoAgeLimit {
			return nil, fail(codes.Unavailable, ReasonTooLate, "the answer comes too late to be dialed on")
		}
		s.settleHold(q, m)
		s.recent.note(m)
		s.noteDecision(ctx, m, time.Since(came.at))
		answer := answerOf(q, m, d.RetryTime)
		if token != "" {
			answer.Permit, answer.PermitExpireTime = token, timestamppb.New(came.issued.Add(validFor))
		}
		turn.keep(&given{came, q.token, q.force, k.e, d, answer}, k)
		return answer, nil
	}
	return nil, fail(codes.Unavailable, ReasonCalleeBusy, "facts about this callee come in faster than they can be decided on")
}

// permitFor signs the permit of an ALLOW, before that goes to disk: one that cannot be signed is not allowed. "" for what
// carries none.
func (s *Server) permitFor(q *question, m *belpoortv1.Decision, issued time.Time) (string, error) {
	if q.dryRun || m.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW {
		return "", nil
	}
	defer q.span.Part("permit", q.span.Now())
	token, err := s.permits.Sign(Permit{
		DecisionID: decisionIDOf(m.GetDecisionId()), Callee: q.token, CallerID: q.call.CallerID,
		Campaign: q.call.Campaign.ID, Organisation: q.call.Campaign.Organisation.ID,
		Issued: issued, DialUntil: issued.Add(validFor), ReportUntil: issued.Add(reportFor),
	})
	if err != nil {
		return "", unavailable(ReasonPermitsUnavailable, "the signing of permits", err)
	}
	return token, nil
}

// question is a check after validation: one call, under one catalogue and one law.
type question struct {
	call      eligibility.Call
	token     eligibility.CalleeToken // zero: the callee is no telephone number
	force     *inForce
	client    *client
	requestID string
	callID    string
	dryRun    bool
	hold      Hold // zero for a dry run
	seat      *admitted
	at        time.Time // the instant that a screening asks about; zero: now
	span      *ops.Span // nil: the check is not traced
}

// question validates a request and brings its numbers to canonical form. A malformed number is no error: the law refuses
// it with a verdict.
func (s *Server) question(ctx context.Context, req *belpoortv1.CheckCallRequest) (*question, error) {
	force, span := s.force.Load(), s.traces.Of(ctx)
	defer span.Part("validate", span.Now())
	if mutantNumberInTrace {
		span.Part(req.GetCallee(), span.Now())
	}
	q := &question{force: force, span: span, client: clientOf(ctx), requestID: req.GetRequestId(), callID: req.GetCallId(), dryRun: req.GetDryRun()}
	callee, err := s.readCall(&q.call, q.force, callWords{
		callee: req.GetCallee(), campaign: req.GetCampaign(), callerID: req.GetCallerId(), person: req.GetPerson(),
		presentation: req.GetCallerIdPresentation(), mode: req.GetMode(), dialing: req.GetDialing(),
	})
	if err != nil {
		return nil, err
	}
	if err := firstError(printable("request_id", q.requestID, maxRequestID), readCallID(q.callID), namesNobody(q.callID, q.call.Callee)); err != nil {
		return nil, err
	}
	if !q.client.mayActFor(q.call.Campaign.Organisation.ID) {
		return nil, forbiddenOrganisation("campaign")
	}
	q.token = s.ring.Token(callee)
	if !q.dryRun && s.allowWindow > 0 {
		q.hold = Hold{ID: q.holder(), For: s.allowWindow}
	}
	return q, nil
}

// callWords are the words in which a client describes a call.
type callWords struct {
	callee, campaign, callerID, person string
	presentation                       belpoortv1.CallerIdPresentation
	mode                               belpoortv1.Mode
	dialing                            belpoortv1.Dialing
}

// readCall reads a call; the callee is the zero Number where it is no telephone number.
func (s *Server) readCall(call *eligibility.Call, force *inForce, w callWords) (telephony.Number, error) {
	if err := needed("callee", w.callee, maxNumber); err != nil {
		return telephony.Number{}, err
	}
	if err := s.readCircumstances(call, force, w); err != nil {
		return telephony.Number{}, err
	}
	var callee telephony.Number
	callee, call.Callee = readCallee(w.callee)
	return callee, nil
}

// readCallee gives the zero Number and "" for what is no telephone number.
func readCallee(written string) (telephony.Number, string) {
	callee, err := telephony.Canonical(written)
	if err != nil {
		return telephony.Number{}, ""
	}
	return callee, callee.E164()
}

// readCircumstances reads everything of a call but its callee.
func (s *Server) readCircumstances(call *eligibility.Call, force *inForce, w callWords) error {
	var err error
	if err := firstError(needed("campaign", w.campaign, maxName),
		short("caller_id", w.callerID, maxNumber), short("person", w.person, maxPerson)); err != nil {
		return err
	}
	if call.Presentation, err = record.PresentationFromProto("caller_id_presentation", w.presentation); err != nil {
		return recordError(err)
	}
	if call.Mode, err = record.ModeFromProto("mode", w.mode); err != nil {
		return recordError(err)
	}
	if call.Dialing, err = record.DialingFromProto("dialing", w.dialing); err != nil {
		return recordError(err)
	}
	if w.callerID == "" && call.Presentation <= eligibility.PresentationAllowed {
		return missing("caller_id")
	}
	if call.Campaign = force.catalogue.Campaigns[w.campaign]; call.Campaign == nil {
		return unknownCampaign("campaign")
	}
	call.Person = w.person
	if shown, err := telephony.Canonical(w.callerID); err == nil {
		call.CallerID = shown.E164()
	}
	return nil
}

// decide asks the law, and writes its answer as the journal holds it.
func (s *Server) decide(q *question, k known) (eligibility.Decision, *belpoortv1.Decision) {
	began := time.Now()
	d, at := s.verdict(q, k)
	s.took(q.span, ops.StageDecide, began)
	c := record.Circumstances{
		At: at, Callee: q.token, LawVersion: q.force.law.Version, LedgerPosition: k.e.LedgerPosition(),
		CataloguePosition: q.force.position, StatesPosition: q.force.states.position, Client: q.client.id, RequestID: q.requestID,
		CallID: q.callID,
		Person: s.ring.PersonMark(q.token, q.call.Person),
	}
	if !q.dryRun {
		c.DecisionID = newDecisionID(at)
	}
	return d, record.DecisionToProto(&d, &q.call, c)
}

// verdict asks the law, and this node about the callee's other calls and objections. The instant, where none was asked
// about, is now, but never before the record's own reading.
func (s *Server) verdict(q *question, k known) (d eligibility.Decision, at time.Time) {
	at = q.at
	if at.IsZero() {
		at = s.clock()
		if !mutantClockAlone {
			at = later(at, k.e.ReadTime())
		}
	}
	q.call.Unreported = asLawSees(k.unreported)
	d = eligibility.Decide(k.e, &q.call, q.force.catalogue, q.force.law, at)
	if d.Verdict == eligibility.Allow && !k.free && !mutantHoldIgnored {
		d = underWay(at, s.allowWindow, &d)
	}
	if refused, is := s.refusedByPending(q, at); is {
		d = refused
	}
	return d, at
}

// holder is the identity under which a check holds its callee: a client that repeats its question is the same call.
func (q *question) holder() (id [16]byte) {
	if q.requestID == "" {
		rand.Read(id[:])
		return id
	}
	sum := sha256.Sum256([]byte(q.client.id + "/" + q.requestID))
	return [16]byte(sum[:16])
}

// newDecisionID is 48 bits of milliseconds, so that ids made together are stored together, and 80 random bits.
func newDecisionID(at time.Time) string {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], uint64(at.UnixMilli())<<16)
	rand.Read(id[6:])
	return hex.EncodeToString(id[:])
}

// journalDecision puts a decision in the journal. An ALLOW must be on disk before it is answered; a refusal need not be,
// and a journal that cannot take it is no reason to let anybody dial.
func (s *Server) journalDecision(ctx context.Context, q *question, m *belpoortv1.Decision) error {
	if q.dryRun {
		return nil
	}
	payload, err := record.MarshalDecision(m)
	if err != nil {
		return internal(err)
	}
	began := time.Now()
	defer func() { s.took(q.span, ops.StageJournal, began) }()
	if m.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW || mutantAnswerBeforeJournal {
		seq, err := s.journal.AppendNoWait(payload)
		if err != nil {
			s.log.Warn("a refusal was not journalled", zap.String("decision_id", m.GetDecisionId()), zap.Error(err))
			return nil
		}
		s.noteJournalled(seq)
		return nil
	}
	q.seat.pause()
	seq, err := s.journal.Append(ctx, payload)
	if err != nil {
		return unavailable(ReasonJournalUnavailable, "the journal", err)
	}
	s.noteJournalled(seq)
	return nil
}

func (s *Server) noteJournalled(seq uint64) {
	for {
		known := s.journalled.Load()
		if seq <= known || s.journalled.CompareAndSwap(known, seq) {
			return
		}
	}
}

// noteDecision counts a decision and writes it down for people: by token, never by number.
func (s *Server) noteDecision(ctx context.Context, m *belpoortv1.Decision, took time.Duration) {
	span := s.traces.Of(ctx)
	d := ops.Decided{
		Verdict: int(m.GetVerdict()), Reason: int(m.GetReason()), Door: doorOf(ctx), Campaign: m.GetCampaign(),
		DecisionID: m.GetDecisionId(), At: m.GetDecideTime().AsTime(), Took: took,
		Organisation: m.GetOrganisation(), CalleeToken: m.GetCalleeToken(), Client: m.GetClient(), LawVersion: m.GetLawVersion(),
		LedgerPosition: m.GetLedgerPosition(), TraceID: span.TraceID(),
	}
	s.metrics.Decided(d)
	s.written.Note(&d)
	span.Decided(&d)
}

// answerOf is a decision as the dialer sees it.
func answerOf(q *question, m *belpoortv1.Decision, retry time.Time) *belpoortv1.CheckCallResponse {
	answer := &belpoortv1.CheckCallResponse{
		Verdict: m.GetVerdict(), Reason: m.GetReason(), Reasons: m.GetReasons(), Basis: m.GetBasis(),
		Obligations: m.GetObligations(), DecisionId: m.GetDecisionId(), ValidUntil: m.GetValidUntil(),
		RetryTime: record.Stamp(retry), LawVersion: m.GetLawVersion(), LedgerPosition: m.GetLedgerPosition(),
	}
	if m.GetVerdict() == belpoortv1.Verdict_VERDICT_ALLOW {
		answer.CallerId = q.call.CallerID
	}
	return answer
}
