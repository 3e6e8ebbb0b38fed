package server

import (
	"context"
	"errors"
	"io"
	"runtime"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// The limits that the comments of ScreenNumbers state.
const (
	maxScreenedNumbers = 1000
	maxScreenStreams   = 4
)

const (
	// screenAhead is how many messages of one stream are taken in before the first of them is answered.
	screenAhead = 4
	// screenPart is how many numbers are looked up one after the other. Between two parts others get the processor.
	screenPart = 50
)

// listInHand is one message of a screening on its way to an answer.
type listInHand struct {
	req    *belpoortv1.ScreenNumbersRequest
	answer *belpoortv1.ScreenNumbersResponse
	err    error
	done   chan struct{}
}

// ScreenNumbers says of lists how CheckCall would answer. Messages are decided side by side and answered in order; what is
// wrong with one ends the stream.
func (g *gatekeeper) ScreenNumbers(stream grpc.BidiStreamingServer[belpoortv1.ScreenNumbersRequest, belpoortv1.ScreenNumbersResponse]) error {
	s := g.s
	if !s.proven.Load() {
		return fail(codes.Unavailable, ReasonNotServing, "the service is not ready")
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	client := clientOf(ctx)
	if err := s.screenings.begin(client.id); err != nil {
		return err
	}
	defer s.screenings.end(client.id)
	lists := make(chan *listInHand, screenAhead)
	go s.takeLists(ctx, stream, client, lists)
	for {
		list, err := s.nextList(ctx, lists)
		if err != nil || list == nil {
			return err
		}
		if list.err != nil {
			return list.err
		}
		if err := stream.Send(list.answer); err != nil {
			return err
		}
	}
}

// nextList waits for the next message and its answer; nil after the last.
func (s *Server) nextList(ctx context.Context, lists <-chan *listInHand) (*listInHand, error) {
	select {
	case list, more := <-lists:
		if !more {
			return nil, nil
		}
		select {
		case <-list.done:
			return list, nil
		case <-ctx.Done():
			return nil, ledgerUnavailable(ctx.Err())
		}
	case <-s.ending:
		return nil, fail(codes.Unavailable, ReasonNotServing, "the service is stopping")
	case <-ctx.Done():
		return nil, ledgerUnavailable(ctx.Err())
	}
}

// takeLists reads a stream to its end and lets each message be decided. It outlives the handler by the one Recv that the
// handler's return cuts off.
func (s *Server) takeLists(
	ctx context.Context, stream grpc.BidiStreamingServer[belpoortv1.ScreenNumbersRequest, belpoortv1.ScreenNumbersResponse],
	client *client, lists chan<- *listInHand,
) {
	defer close(lists)
	for {
		list := &listInHand{done: make(chan struct{})}
		list.req, list.err = stream.Recv()
		if errors.Is(list.err, io.EOF) {
			return
		}
		if list.err == nil { // counted here, in the order of the stream
			list.err = s.screenings.count(client.id, len(list.req.GetCallees()), s.clock())
		}
		if list.err != nil {
			close(list.done)
		}
		select {
		case lists <- list:
		case <-ctx.Done():
			return
		}
		if list.err != nil {
			return
		}
		go func() {
			defer close(list.done)
			list.answer, list.err = guarded(s, ctx, func(ctx context.Context) (*belpoortv1.ScreenNumbersResponse, error) {
				return s.screenInTurn(ctx, client, list.req)
			})
		}()
	}
}

// screenInTurn waits for a place: as many messages are decided at a time as there are processors, whoever sent them.
func (s *Server) screenInTurn(
	ctx context.Context, client *client, req *belpoortv1.ScreenNumbersRequest,
) (*belpoortv1.ScreenNumbersResponse, error) {
	select {
	case s.screenings.turns <- struct{}{}:
		defer func() { <-s.screenings.turns }()
	case <-ctx.Done():
		return nil, ledgerUnavailable(ctx.Err())
	}
	for range maxRounds {
		sc, err := s.screeningOf(client, req)
		if err != nil {
			return nil, err
		}
		answer, err := sc.answer(ctx, req)
		if err != nil {
			return nil, err
		}
		if s.force.Load() == sc.q.force {
			return answer, nil
		}
	}
	return nil, fail(codes.Unavailable, ReasonCalleeBusy, "catalogue or law change faster than a list can be decided")
}

// screening is one message being decided: a question about the first number that is then put about each.
type screening struct {
	s       *Server
	q       question
	warm    bool
	callees []screened
}

// screened is what is found out about one number.
type screened struct {
	number string // E.164; "" for what is no telephone number
	token  eligibility.CalleeToken
	known  known
	err    error // the facts cannot be read
}

// screeningOf reads a message; its numbers are read by answer.
func (s *Server) screeningOf(client *client, req *belpoortv1.ScreenNumbersRequest) (*screening, error) {
	count := len(req.GetCallees())
	switch {
	case count == 0:
		return nil, missing("callees")
	case count > maxScreenedNumbers:
		return nil, invalid("callees", "holds more than %d numbers in one message", maxScreenedNumbers)
	case len(req.GetPersons()) != 0 && len(req.GetPersons()) != count:
		return nil, invalid("persons", "must be empty, or as many as callees")
	}
	sc := &screening{s: s, warm: req.GetWarm(), callees: make([]screened, count)}
	sc.q = question{force: s.force.Load(), client: client, dryRun: true}
	words := callWords{campaign: req.GetCampaign(), callerID: req.GetCallerId()}
	if err := s.readCircumstances(&sc.q.call, sc.q.force, words); err != nil {
		return nil, err
	}
	if !client.mayActFor(sc.q.call.Campaign.Organisation.ID) && !mutantScreenAnyOrganisation {
		return nil, forbiddenOrganisation("campaign")
	}
	if at := req.GetDialTime(); at != nil {
		var err error
		if sc.q.at, err = s.instantOf(at, nobody); err != nil {
			return nil, err
		}
	}
	return sc, nil
}

// answer decides every number of a message.
func (sc *screening) answer(ctx context.Context, req *belpoortv1.ScreenNumbersRequest) (*belpoortv1.ScreenNumbersResponse, error) {
	if err := sc.read(req); err != nil {
		return nil, err
	}
	if err := sc.learn(ctx); err != nil {
		return nil, err
	}
	return sc.decide(req)
}

// read brings the numbers to canonical form.
func (sc *screening) read(req *belpoortv1.ScreenNumbersRequest) error {
	for i, written := range req.GetCallees() {
		if written == "" || len(written) > maxNumber {
			return needed(indexed("callees", i), written, maxNumber)
		}
		if len(req.GetPersons()) > 0 && len(req.GetPersons()[i]) > maxPerson {
			return short(indexed("persons", i), req.GetPersons()[i], maxPerson)
		}
		c := &sc.callees[i]
		number, e164 := readCallee(written)
		c.number, c.token = e164, sc.s.ring.Token(number)
		if i%screenPart == screenPart-1 {
			runtime.Gosched()
		}
	}
	return nil
}

// decide puts the question about each number, and writes the answers into few pieces of memory.
func (sc *screening) decide(req *belpoortv1.ScreenNumbersRequest) (*belpoortv1.ScreenNumbersResponse, error) {
	numbers := make([]belpoortv1.ScreenedNumber, len(sc.callees))
	answer := &belpoortv1.ScreenNumbersResponse{
		Numbers: make([]*belpoortv1.ScreenedNumber, len(sc.callees)), LawVersion: sc.q.force.law.Version, CataloguePosition: sc.q.force.position,
	}
	at, now := sc.q.at, sc.q.at.IsZero()
	if now {
		at = sc.s.clock()
	}
	answer.DialTime = timestamppb.New(at)
	counts := map[eligibility.Verdict]int{}
	for i := range sc.callees {
		c := &sc.callees[i]
		answer.Numbers[i] = &numbers[i]
		if c.err != nil {
			numbers[i].Verdict, numbers[i].Reason = belpoortv1.Verdict_VERDICT_DENY, belpoortv1.Reason_REASON_UNAVAILABLE
			counts[eligibility.Deny]++
			continue
		}
		sc.q.call.Callee, sc.q.token = c.number, c.token
		if now { // one reading of the clock for all
			sc.q.at = later(at, c.known.e.ReadTime())
		}
		if len(req.GetPersons()) > 0 {
			sc.q.call.Person = req.GetPersons()[i]
		}
		d, _ := sc.s.verdict(&sc.q, c.known)
		if err := sc.s.mayAnswer(c.known, &d); err != nil {
			return nil, err
		}
		counts[d.Verdict]++
		numbers[i].Verdict, numbers[i].Reason = belpoortv1.Verdict(d.Verdict), belpoortv1.Reason(d.Reason)
		numbers[i].ValidUntil, numbers[i].Basis = record.Stamp(d.ValidUntil), record.BasisToProto(&d)
		if i%screenPart == screenPart-1 {
			runtime.Gosched()
		}
	}
	for verdict, n := range counts {
		sc.s.metrics.Screened(int(verdict), n)
	}
	return answer, nil
}
