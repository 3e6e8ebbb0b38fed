package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// Screen is the contestant that asks about lists, as a call centre does before a campaign. A call is one message.
const Screen = "screen"

// The service's own limits: numbers in a message, and streams of one key.
const (
	listNumbers   = 1000
	screenStreams = 4
)

// maxLists is how many different lists are made; after the last comes the first.
const maxLists = 64

// list is one message, and what it must be answered.
type list struct {
	request *belpoortv1.ScreenNumbersRequest
	want    []belpoortv1.Verdict
}

// lists draws lists from the population, in its shares.
func (p Population) lists() []list {
	callees := p.allowed + p.denied
	all := make([]list, min(maxLists, (callees+listNumbers-1)/listNumbers))
	for i := range all {
		l := list{request: &belpoortv1.ScreenNumbersRequest{Campaign: Name, CallerId: callerID}}
		for n := range min(listNumbers, callees) {
			at := uint64(i)*listNumbers + n
			number, want := p.AllowedNumber(at), belpoortv1.Verdict_VERDICT_ALLOW
			if !p.drawn(at) {
				number, want = p.DeniedNumber(at), belpoortv1.Verdict_VERDICT_DENY
			}
			l.request.Callees, l.want = append(l.request.Callees, number), append(l.want, want)
		}
		all[i] = l
	}
	return all
}

// check looks at every verdict of an answer.
func (l *list) check(answer *belpoortv1.ScreenNumbersResponse) error {
	if mutantBenchAnyVerdict {
		return nil
	}
	if got, want := len(answer.GetNumbers()), len(l.want); got != want {
		return fmt.Errorf("an answer about %d numbers, want %d", got, want)
	}
	for i, number := range answer.GetNumbers() {
		if number.GetVerdict() != l.want[i] {
			return &WrongVerdict{l.want[i], number.GetVerdict(), number.GetReason()}
		}
	}
	return nil
}

// Screening asks about lists over a stream on each of the first connections, until ctx ends.
func (s *Service) Screening(ctx context.Context, cpu func() (time.Duration, error)) Contestant {
	lists := s.population.lists()
	streams := make([]*listStream, min(len(s.clients), screenStreams))
	for i := range streams {
		streams[i] = &listStream{ctx: ctx, client: s.clients[i]}
	}
	call := func(ctx context.Context, conn int, n uint64) error {
		l := &lists[n%uint64(len(lists))]
		answer, err := streams[conn%len(streams)].ask(ctx, l.request)
		if err != nil {
			return err
		}
		return l.check(answer)
	}
	return Contestant{Name: Screen, Call: call, CPU: cpu, Numbers: len(lists[0].want)}
}

// listStream is a stream that callers share: answers come in the order of the messages. It is opened at the first.
type listStream struct {
	ctx    context.Context
	client belpoortv1.GatekeeperServiceClient

	mu     sync.Mutex
	stream grpc.BidiStreamingClient[belpoortv1.ScreenNumbersRequest, belpoortv1.ScreenNumbersResponse] // nil: none, or a broken one
	asked  chan chan<- listAnswer
}

type listAnswer struct {
	answer *belpoortv1.ScreenNumbersResponse
	err    error
}

// streamLasts is longer than any run.
const streamLasts = 24 * time.Hour

// maxAsked is how many messages may wait for an answer on a stream.
const maxAsked = MaxCallers

// ask asks again, once, where the stream was ended: the service closes connections when they are old.
func (s *listStream) ask(ctx context.Context, request *belpoortv1.ScreenNumbersRequest) (*belpoortv1.ScreenNumbersResponse, error) {
	answer, err := s.askOnce(ctx, request)
	if status.Code(err) == codes.Unavailable {
		return s.askOnce(ctx, request)
	}
	return answer, err
}

func (s *listStream) askOnce(ctx context.Context, request *belpoortv1.ScreenNumbersRequest) (*belpoortv1.ScreenNumbersResponse, error) {
	mine := make(chan listAnswer, 1)
	if err := s.send(request, mine); err != nil {
		return nil, err
	}
	select {
	case got := <-mine:
		return got.answer, got.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *listStream) send(request *belpoortv1.ScreenNumbersRequest, answer chan<- listAnswer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream == nil {
		ctx, cancel := context.WithTimeout(s.ctx, streamLasts) // the service gives a stream without a deadline a minute
		stream, err := s.client.ScreenNumbers(ctx)
		if err != nil {
			cancel()
			return err
		}
		context.AfterFunc(stream.Context(), cancel)
		s.stream, s.asked = stream, make(chan chan<- listAnswer, maxAsked)
		go s.receive(stream, s.asked)
	}
	select {
	case s.asked <- answer:
	default:
		return errors.New("too many lists wait for their answers")
	}
	// Where the stream has ended, the error that says why comes with the answer.
	_ = s.stream.Send(request)
	return nil
}

// receive hands out answers until the stream breaks, and then its error to all who wait.
func (s *listStream) receive(
	stream grpc.BidiStreamingClient[belpoortv1.ScreenNumbersRequest, belpoortv1.ScreenNumbersResponse], asked chan chan<- listAnswer,
) {
	for {
		answer, err := stream.Recv()
		if err != nil {
			s.broke(asked, err)
			return
		}
		(<-asked) <- listAnswer{answer: answer}
	}
}

func (s *listStream) broke(asked chan chan<- listAnswer, err error) {
	s.mu.Lock()
	s.stream = nil
	s.mu.Unlock()
	close(asked) // nobody sends to it without the stream
	for waiting := range asked {
		waiting <- listAnswer{err: err}
	}
}

// ListRatio compares lists with calls that are asked about singly, under the same load; 1 is as good.
type ListRatio struct {
	Load             Load     `json:"load"`
	Contestant       string   `json:"contestant"`
	Single           string   `json:"single"`
	NumbersPerSecond float64  `json:"numbers_per_second"`
	CPUPerNumber     *float64 `json:"cpu_per_number"` // null: not known
}

// ListRatios compares every contestant that answers lists with those that answer single checks under the same load.
func ListRatios(cells []Cell) []ListRatio {
	var ratios []ListRatio
	for i := range cells {
		for j := range cells {
			c, single := &cells[i], &cells[j]
			if !c.lists() || single.lists() || single.Baseline || c.Load != single.Load || c.CallsPerSecond == 0 || single.CallsPerSecond == 0 {
				continue
			}
			r := ListRatio{Load: c.Load, Contestant: c.Contestant, Single: single.Contestant, NumbersPerSecond: c.NumbersPerSecond / single.CallsPerSecond}
			if c.CPUPerCall != nil && single.CPUPerCall != nil && *single.CPUPerCall > 0 {
				cpu := *c.CPUPerCall / float64(c.Numbers) / *single.CPUPerCall
				r.CPUPerNumber = &cpu
			}
			ratios = append(ratios, r)
		}
	}
	return ratios
}
