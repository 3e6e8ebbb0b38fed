package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// Service is a running Belpoort and the callees that it is asked about.
type Service struct {
	conns      []grpc.ClientConnInterface
	clients    []belpoortv1.GatekeeperServiceClient
	population Population
}

// NewService takes connections of a client who may do everything.
func NewService(conns []grpc.ClientConnInterface, population Population) *Service {
	s := &Service{conns: conns, population: population}
	for _, conn := range conns {
		s.clients = append(s.clients, belpoortv1.NewGatekeeperServiceClient(conn))
	}
	return s
}

// Enter adds the run's organisation, caller ID and campaign to the service's catalogue. Leave takes them out again.
func (s *Service) Enter(ctx context.Context) error {
	return s.changeCatalogue(ctx, withBench)
}

// Leave restores the service's catalogue. The facts and the decisions stay: a ledger forgets nothing.
func (s *Service) Leave(ctx context.Context) error {
	return s.changeCatalogue(ctx, func(c *belpoortv1.Catalogue) (*belpoortv1.Catalogue, error) { return withoutBench(c), nil })
}

// factsInMessage keeps a message below the service's limit of 256 KiB.
const factsInMessage = 400

// Load records the population's facts and returns how many there are. Repeating it on the same day changes nothing.
func (s *Service) Load(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := belpoortv1.NewRegisterServiceClient(s.conns[0]).RecordFacts(ctx)
	if err != nil {
		return 0, err
	}
	var message belpoortv1.RecordFactsRequest
	send := func() error {
		defer func() { message.Facts = message.Facts[:0] }()
		return stream.Send(&message)
	}
	// Where the stream has ended, the error that says why comes with the answer.
	_ = s.population.facts(time.Now(), func(fact *belpoortv1.RecordFactRequest) error {
		if message.Facts = append(message.Facts, fact); len(message.Facts) < factsInMessage {
			return nil
		}
		return send()
	})
	if len(message.Facts) > 0 {
		_ = send()
	}
	tally, err := stream.CloseAndRecv()
	if err != nil {
		return 0, err
	}
	if tally.GetRejected() > 0 {
		first := tally.GetRejections()[0]
		return 0, fmt.Errorf("the service rejected %d facts, first: %s: %s", tally.GetRejected(), first.GetField(), first.GetDescription())
	}
	return tally.GetRecorded() + tally.GetUnchanged(), nil
}

// warmers is how many callees are asked about at a time before the run.
const warmers = 32

// Warm asks once about every callee, without leaving a trace but in the service's cache, and fails at the first answer that
// is not as it must be.
func (s *Service) Warm(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Uint64
	var group sync.WaitGroup
	for worker := range warmers {
		group.Go(func() {
			for n := next.Add(1) - 1; n < s.population.allowed+s.population.denied && ctx.Err() == nil; n = next.Add(1) - 1 {
				if err := s.warm(ctx, worker, n); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

func (s *Service) warm(ctx context.Context, worker int, n uint64) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	number, want := s.population.AllowedNumber(n), belpoortv1.Verdict_VERDICT_ALLOW
	if n >= s.population.allowed {
		number, want = s.population.DeniedNumber(n-s.population.allowed), belpoortv1.Verdict_VERDICT_DENY
	}
	request := question(number)
	request.DryRun = true
	for {
		err := s.ask(ctx, worker%len(s.clients), request, want)
		if status.Code(err) != codes.Unavailable {
			return err
		}
		select { // a ledger whose connections are yet to be made is slower than a check waits
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func question(number string) *belpoortv1.CheckCallRequest {
	return &belpoortv1.CheckCallRequest{Callee: number, Campaign: Name, CallerId: callerID}
}

// ask checks a call and whether it is answered with the verdict that the facts must lead to.
func (s *Service) ask(ctx context.Context, conn int, request *belpoortv1.CheckCallRequest, want belpoortv1.Verdict) error {
	answer, err := s.clients[conn].CheckCall(ctx, request)
	if err != nil {
		return err
	}
	if answer.GetVerdict() != want && !mutantBenchAnyVerdict {
		return &WrongVerdict{want, answer.GetVerdict(), answer.GetReason()}
	}
	return nil
}

// WrongVerdict is an answer that the facts do not support, or one that time or policy changed.
type WrongVerdict struct {
	Want, Got belpoortv1.Verdict
	Reason    belpoortv1.Reason
}

func (e *WrongVerdict) Error() string {
	return fmt.Sprintf("want %v, got %v, %v", e.Want, e.Got, e.Reason)
}

// Sizes are how large the messages and records of one allowed call are, in bytes; the baselines have the same.
type Sizes struct {
	Request  int `json:"request"`
	Answer   int `json:"answer"`
	Decision int `json:"decision"`
	Record   int `json:"record"` // everything known about one callee who may be called
}

// recordFrame is what a cached record has besides its facts: callee, position, reading time and seal.
const recordFrame = 48

// Measure makes one real call, to the callee who is asked about last, and looks at what it left.
func (s *Service) Measure(ctx context.Context) (Sizes, error) {
	request := question(s.population.AllowedNumber(s.population.allowed - 1))
	answer, err := s.clients[0].CheckCall(ctx, request)
	if err != nil {
		return Sizes{}, err
	}
	if answer.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW {
		return Sizes{}, &WrongVerdict{belpoortv1.Verdict_VERDICT_ALLOW, answer.GetVerdict(), answer.GetReason()}
	}
	decision, err := s.decision(ctx, answer.GetDecisionId())
	if err != nil {
		return Sizes{}, err
	}
	known, err := belpoortv1.NewRegisterServiceClient(s.conns[0]).GetCallee(ctx, &belpoortv1.GetCalleeRequest{Callee: request.GetCallee()})
	if err != nil {
		return Sizes{}, err
	}
	sizes := Sizes{Request: proto.Size(request), Answer: proto.Size(answer), Decision: proto.Size(decision), Record: recordFrame}
	for _, entry := range known.GetEntries() {
		sizes.Record += proto.Size(entry.GetFact())
	}
	return sizes, nil
}

// decision waits until a decision has come from the journal into the ledger.
func (s *Service) decision(ctx context.Context, id string) (*belpoortv1.Decision, error) {
	client := belpoortv1.NewAuditServiceClient(s.conns[0])
	for {
		answer, err := client.GetDecision(ctx, &belpoortv1.GetDecisionRequest{DecisionId: id})
		if status.Code(err) != codes.NotFound {
			return answer.GetDecision(), err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}

// Names of the contestants that ask the service.
const (
	Allow = "allow"
	Deny  = "deny"
	Mixed = "mixed"
)

// Contestants ask about callees who may be called, about callees who may not, or about both in the population's shares;
// each walks over all of them before it comes back to the first.
func (s *Service) Contestants(cpu func() (time.Duration, error)) []Contestant {
	allow := func(ctx context.Context, conn int, n uint64) error {
		return s.ask(ctx, conn, question(s.population.AllowedNumber(n)), belpoortv1.Verdict_VERDICT_ALLOW)
	}
	deny := func(ctx context.Context, conn int, n uint64) error {
		return s.ask(ctx, conn, question(s.population.DeniedNumber(n)), belpoortv1.Verdict_VERDICT_DENY)
	}
	mixed := func(ctx context.Context, conn int, n uint64) error {
		if s.population.drawn(n) {
			return allow(ctx, conn, n)
		}
		return deny(ctx, conn, n)
	}
	return []Contestant{{Name: Allow, Call: allow, CPU: cpu}, {Name: Deny, Call: deny, CPU: cpu}, {Name: Mixed, Call: mixed, CPU: cpu}}
}
