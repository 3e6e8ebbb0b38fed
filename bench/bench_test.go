package bench

import (
	"context"
	"errors"
	"math"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

var someSizes = Sizes{Request: 60, Answer: 120, Decision: 240, Record: 300}

// serveOn serves what register registers on a free port, and returns connections to it.
func serveOn(t *testing.T, connections int, register func(*grpc.Server)) []grpc.ClientConnInterface {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	register(server)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return dial(t, listener.Addr().String(), connections)
}

func dial(t *testing.T, address string, connections int) []grpc.ClientConnInterface {
	t.Helper()
	conns := make([]grpc.ClientConnInterface, connections)
	for i := range conns {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conns[i] = conn
	}
	return conns
}

func echoWith(t *testing.T, work func(context.Context) error) []grpc.ClientConnInterface {
	return serveOn(t, 1, func(s *grpc.Server) { s.RegisterService(&echoService, &echo{answerOf(someSizes.Answer), work}) })
}

// A server that stalls once is charged for every call that was due meanwhile, though this client had room for two of them.
func TestAnOpenLoopChargesAStallToEveryCallThatWasDue(t *testing.T) {
	const stall = 200 * time.Millisecond
	var mu sync.Mutex
	answered := 0
	conns := echoWith(t, func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if answered++; answered == 250 {
			time.Sleep(stall)
		}
		return nil
	})
	plan := Plan{
		Loads: []Load{{Rate: 500}}, Connections: 1, Rounds: 1, Duration: time.Second, Timeout: 10 * time.Second, InFlight: 2,
	}
	cells, err := Run(t.Context(), plan, []Contestant{BaselineContestant(Echo, conns, someSizes, nil)})
	if err != nil {
		t.Fatal(err)
	}
	c := cells[0]
	if c.Calls != 500 || c.Errors != 0 {
		t.Fatalf("%d calls, %d errors: %v", c.Calls, c.Errors, c.Failures)
	}
	// 100 of 500 calls were due within the stall, so one in a hundred waited for nearly all of it.
	if p99 := time.Duration(c.Latency.P99) * time.Microsecond; p99 < stall*9/10 {
		t.Errorf("p99 is %v after a stall of %v", p99, stall)
	}
	if c.SentLateP99 == nil || *c.SentLateP99 < float64((stall*8/10).Microseconds()) {
		t.Error("calls are not said to have been sent late")
	}
}

// liar answers every check with one verdict, or with an error.
type liar struct {
	belpoortv1.UnimplementedGatekeeperServiceServer
	verdict belpoortv1.Verdict
	err     error
}

func (l *liar) CheckCall(context.Context, *belpoortv1.CheckCallRequest) (*belpoortv1.CheckCallResponse, error) {
	return &belpoortv1.CheckCallResponse{Verdict: l.verdict, Reason: belpoortv1.Reason_REASON_NO_BASIS}, l.err
}

func population(t *testing.T) Population {
	t.Helper()
	p, err := NewPopulation(100, 0.5, 1)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEveryAnswerIsLookedAt(t *testing.T) {
	for name, c := range map[string]struct {
		server     *liar
		contestant string
		wrong      bool
		says       string
	}{
		"deny where allow is due":        {&liar{verdict: belpoortv1.Verdict_VERDICT_DENY}, Allow, true, "want VERDICT_ALLOW, got VERDICT_DENY, REASON_NO_BASIS"},
		"defer where allow is due":       {&liar{verdict: belpoortv1.Verdict_VERDICT_DEFER}, Allow, true, "got VERDICT_DEFER"},
		"no verdict where a deny is due": {&liar{}, Deny, true, "got VERDICT_UNSPECIFIED"},
		"allow where deny is due":        {&liar{verdict: belpoortv1.Verdict_VERDICT_ALLOW}, Deny, true, "want VERDICT_DENY"},
		"an error":                       {&liar{err: status.Error(codes.Unavailable, "no journal")}, Allow, true, "no journal"},
		"allow as it is due":             {&liar{verdict: belpoortv1.Verdict_VERDICT_ALLOW}, Allow, false, ""},
		"deny as it is due":              {&liar{verdict: belpoortv1.Verdict_VERDICT_DENY}, Deny, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			conns := serveOn(t, 1, func(s *grpc.Server) { belpoortv1.RegisterGatekeeperServiceServer(s, c.server) })
			var asked []Contestant
			for _, contestant := range NewService(conns, population(t)).Contestants(nil) {
				if contestant.Name == c.contestant {
					asked = append(asked, contestant)
				}
			}
			plan := Plan{Loads: []Load{{Callers: 2}}, Connections: 1, Rounds: 1, Duration: 20 * time.Millisecond, Timeout: time.Second}
			cells, err := Run(t.Context(), plan, asked)
			if err != nil {
				t.Fatal(err)
			}
			report := Report{Cells: cells}
			n, first := report.Errors()
			if c.wrong && (n == 0 || n != cells[0].Calls || cells[0].CallsPerSecond != 0) || !c.wrong && n != 0 {
				t.Errorf("%d errors in %d calls, %v calls/s", n, cells[0].Calls, cells[0].CallsPerSecond)
			}
			if c.wrong && !strings.Contains(first, c.says) {
				t.Errorf("the failure is %q, want it to say %q", first, c.says)
			}
		})
	}
}

// screener answers lists with one verdict; a list too short where that is said.
type screener struct {
	belpoortv1.UnimplementedGatekeeperServiceServer
	verdict belpoortv1.Verdict
	short   int
	ends    int // the stream, after so many answers
}

func (s *screener) ScreenNumbers(stream grpc.BidiStreamingServer[belpoortv1.ScreenNumbersRequest, belpoortv1.ScreenNumbersResponse]) error {
	for answered := 1; ; answered++ {
		request, err := stream.Recv()
		if err != nil {
			return nil
		}
		answer := &belpoortv1.ScreenNumbersResponse{}
		for range len(request.GetCallees()) - s.short {
			answer.Numbers = append(answer.Numbers, &belpoortv1.ScreenedNumber{Verdict: s.verdict})
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
		if answered == s.ends {
			return status.Error(codes.Unavailable, "the connection is old")
		}
	}
}

// Every number of a list is looked at; a stream that the service ends is opened anew.
func TestEveryNumberOfAListIsLookedAt(t *testing.T) {
	everybody := Population{allowed: 100, denied: 1, share: 1} // so that lists hold who may be called alone
	for name, c := range map[string]struct {
		server *screener
		says   string
	}{
		"as it is due":       {&screener{verdict: belpoortv1.Verdict_VERDICT_ALLOW}, ""},
		"streams that end":   {&screener{verdict: belpoortv1.Verdict_VERDICT_ALLOW, ends: 3}, ""},
		"deny":               {&screener{verdict: belpoortv1.Verdict_VERDICT_DENY}, "want VERDICT_ALLOW, got VERDICT_DENY"},
		"a number too few":   {&screener{verdict: belpoortv1.Verdict_VERDICT_ALLOW, short: 1}, "an answer about 100 numbers, want 101"},
		"streams that break": {&screener{verdict: belpoortv1.Verdict_VERDICT_ALLOW, short: 101, ends: 1}, "an answer about 0 numbers"},
	} {
		t.Run(name, func(t *testing.T) {
			conns := serveOn(t, 2, func(s *grpc.Server) { belpoortv1.RegisterGatekeeperServiceServer(s, c.server) })
			asked := NewService(conns, everybody).Screening(t.Context(), nil)
			plan := Plan{
				Loads: []Load{{Callers: 2}, {Rate: 100}}, Connections: 2, Rounds: 1, Duration: 20 * time.Millisecond, Timeout: 5 * time.Second,
			}
			cells, err := Run(t.Context(), plan, []Contestant{asked})
			if err != nil {
				t.Fatal(err)
			}
			if len(cells) != 1 || cells[0].Load.Rate != 0 {
				t.Fatalf("lists are asked in closed loops only: %+v", cells)
			}
			report := Report{Cells: cells}
			n, first := report.Errors()
			if c.says == "" && (n != 0 || cells[0].Numbers != 101 || cells[0].NumbersPerSecond != 101*cells[0].CallsPerSecond) {
				t.Errorf("%d errors, first %s; %+v", n, first, cells[0])
			}
			if c.says != "" && (n != cells[0].Calls || !strings.Contains(first, c.says)) {
				t.Errorf("%d errors in %d calls, first %q, want it to say %q", n, cells[0].Calls, first, c.says)
			}
		})
	}
}

// What a server does after its answers is waited for, and counts as its CPU time.
func TestWorkPutOffUntilAfterTheAnswersCounts(t *testing.T) {
	const putOff = 150 * time.Millisecond
	var last time.Time
	lazy := Contestant{
		Name: "lazy",
		Call: func(context.Context, int, uint64) error {
			time.Sleep(time.Millisecond)
			last = time.Now()
			return nil
		},
		CPU: func() (time.Duration, error) { // as if it worked all of putOff after its last answer
			if last.IsZero() {
				return 0, nil
			}
			return min(time.Since(last), putOff), nil
		},
	}
	plan := Plan{Loads: []Load{{Callers: 1}}, Connections: 1, Rounds: 1, Duration: 20 * time.Millisecond, Timeout: time.Second}
	cells, err := Run(t.Context(), plan, []Contestant{lazy})
	if err != nil {
		t.Fatal(err)
	}
	c := cells[0]
	if *c.Rest < 0.1 {
		t.Errorf("worked on for %v s", *c.Rest)
	}
	if spent := *c.CPUPerCall * float64(c.Calls) / 1e6; spent < 0.1 { // the calls of the lead-in are few, and took their part
		t.Errorf("%v s of CPU time over %d calls", spent, c.Calls)
	}
}

func TestProcessCPU(t *testing.T) {
	before, err := ProcessCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for began, x := time.Now(), 1.0; time.Since(began) < 30*time.Millisecond; x = math.Sqrt(x + 1) {
	}
	after, err := ProcessCPU(os.Getpid())
	if err != nil || after <= before {
		t.Errorf("%v, then %v, %v", before, after, err)
	}
	if _, err := ProcessCPU(1<<22 + 1); err == nil {
		t.Error("a process that cannot exist has CPU time")
	}
}

func TestPlansAreChecked(t *testing.T) {
	good := Plan{Loads: []Load{{Callers: 1}}, Connections: 1, Rounds: 1, Duration: time.Second, Timeout: time.Second}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for names, spoil := range map[string]func(*Plan){
		"load":        func(p *Plan) { p.Loads = nil },
		"callers":     func(p *Plan) { p.Loads = []Load{{Callers: MaxCallers + 1}} },
		"rate":        func(p *Plan) { p.Loads = []Load{{Rate: MaxRate + 1}} },
		"or a rate":   func(p *Plan) { p.Loads = []Load{{Callers: 1, Rate: 1}} },
		"above 0":     func(p *Plan) { p.Loads = []Load{{Callers: -1}} },
		"connections": func(p *Plan) { p.Connections = 0 },
		"rounds":      func(p *Plan) { p.Rounds = 0 },
		"duration":    func(p *Plan) { p.Duration = time.Microsecond },
		"timeout":     func(p *Plan) { p.Timeout = 0 },
		"in flight":   func(p *Plan) { p.InFlight = -1 },
	} {
		p := good
		spoil(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), names) {
			t.Errorf("%s: %v", names, err)
		}
	}
}

// Each contestant meets each load in each round, and another one begins each time.
func TestRoundsTakeTurns(t *testing.T) {
	var order strings.Builder
	quick := func(name string) Contestant {
		seen := ""
		return Contestant{Name: name, Call: func(context.Context, int, uint64) error { seen = name; return nil }, CPU: func() (time.Duration, error) {
			if seen == "" {
				order.WriteString(name)
			}
			seen = ""
			return 0, nil
		}}
	}
	plan := Plan{Loads: []Load{{Callers: 1}}, Connections: 1, Rounds: 3, Duration: 9 * time.Millisecond, Timeout: time.Second}
	cells, err := Run(t.Context(), plan, []Contestant{quick("a"), quick("b"), quick("c")})
	if err != nil {
		t.Fatal(err)
	}
	// CPU is read at the beginning of a slice, after its end and once more at rest: only the second follows calls.
	if got := order.String(); got != "aabbccbbccaaccaabb" {
		t.Errorf("the order is %s", got)
	}
	for _, c := range cells {
		if len(c.Rounds) != plan.Rounds {
			t.Errorf("%s has %d rounds", c.Contestant, len(c.Rounds))
		}
	}
}

// However many callers there are, no more lists are under way than the service takes in.
func TestFewListsAreAskedAtOnce(t *testing.T) {
	var now, most atomic.Int32
	call := func(context.Context, int, uint64) error {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(2 * time.Millisecond)
		now.Add(-1)
		return nil
	}
	plan := Plan{Loads: []Load{{Callers: 64}}, Connections: 1, Rounds: 1, Duration: 40 * time.Millisecond, Timeout: time.Second}
	for numbers, want := range map[int]int32{1: 64, 1000: listsAtOnce} {
		most.Store(0)
		if _, err := Run(t.Context(), plan, []Contestant{{Name: "c", Call: call, Numbers: numbers}}); err != nil {
			t.Fatal(err)
		}
		if got := most.Load(); got > want || got < want/2 {
			t.Errorf("%d numbers in a call: %d calls at once, want %d", numbers, got, want)
		}
	}
}

// However slow the first answers are, nothing is reported that was not measured.
func TestEveryCallerIsHeard(t *testing.T) {
	slow := Contestant{Name: "slow", Call: func(context.Context, int, uint64) error { time.Sleep(20 * time.Millisecond); return nil }}
	plan := Plan{Loads: []Load{{Callers: 3}}, Connections: 1, Rounds: 1, Duration: 10 * time.Millisecond, Timeout: time.Second}
	cells, err := Run(t.Context(), plan, []Contestant{slow})
	if err != nil || cells[0].Calls != 3 || cells[0].Latency.P50 < 20_000 {
		t.Errorf("%+v, %v", cells, err)
	}
}

func TestARunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	slow := Contestant{Name: "slow", Call: func(ctx context.Context, _ int, n uint64) error {
		if n == 3 {
			cancel()
		}
		time.Sleep(time.Millisecond)
		return ctx.Err()
	}}
	for _, l := range []Load{{Callers: 4}, {Rate: 1000}} {
		plan := Plan{Loads: []Load{l}, Connections: 1, Rounds: 1, Duration: time.Hour, Timeout: time.Second}
		if _, err := Run(ctx, plan, []Contestant{slow}); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: %v", l, err)
		}
	}
}
