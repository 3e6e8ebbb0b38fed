package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

type checks = grpc.BidiStreamingClient[belpoortv1.CheckCallsRequest, belpoortv1.CheckCallsResponse]

func (n *node) pipeline(client string) checks {
	n.t.Helper()
	stream, err := belpoortv1.NewGatekeeperServiceClient(n.conn).CheckCalls(n.as(client))
	if err != nil {
		n.t.Fatal(err)
	}
	return stream
}

func put(t *testing.T, stream checks, id, number string, change func(*belpoortv1.CheckCallRequest)) {
	t.Helper()
	check := checkOf(number)
	check.RequestId = id
	if change != nil {
		change(check)
	}
	if err := stream.Send(&belpoortv1.CheckCallsRequest{Check: check}); err != nil {
		t.Fatal(err)
	}
}

// Every question of a stream gets the answer of CheckCall, journalled and with a permit, and what is wrong with one is no
// matter of the others.
func TestAPipelineAnswersEveryQuestion(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	stream := n.pipeline("dialer-acme")
	const questions = 300
	go func() {
		for i := range questions {
			switch i % 3 {
			case 0:
				put(t, stream, fmt.Sprint(i), callee, nil)
			case 1:
				put(t, stream, fmt.Sprint(i), "0687654321", nil)
			default:
				put(t, stream, fmt.Sprint(i), callee, func(r *belpoortv1.CheckCallRequest) { r.Campaign = "globex-x" })
			}
		}
		_ = stream.CloseSend()
	}()
	answered := map[string]bool{}
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		answered[answer.GetRequestId()] = true
		var i int
		_, _ = fmt.Sscan(answer.GetRequestId(), &i)
		switch i % 3 {
		case 0:
			n.wants(answer.GetCheck(), eligibility.Allow, eligibility.OKConsent)
			if answer.GetCheck().GetPermit() == "" || answer.GetCheck().GetDecisionId() == "" {
				t.Errorf("an ALLOW without permit or decision: %v", answer)
			}
		case 1:
			n.wants(answer.GetCheck(), eligibility.Deny, eligibility.NoBasis)
		default:
			f := answer.GetFailure()
			if answer.GetCheck() != nil || f.GetCode() != int32(codes.PermissionDenied) || f.GetReason() != ReasonOrganisationForbidden || f.GetField() != "campaign" || f.GetDescription() == "" {
				t.Errorf("another's campaign: %v", answer)
			}
		}
	}
	if len(answered) != questions {
		t.Errorf("%d of %d questions answered", len(answered), questions)
	}
	if got := n.journal.Stats().Appended; got != 2*questions/3 {
		t.Errorf("%d decisions in the journal, want %d", got, 2*questions/3)
	}
}

func TestAQuestionWithoutItsIDEndsThePipeline(t *testing.T) {
	n := startNode(t, nil)
	for name, c := range map[string]struct {
		req   *belpoortv1.CheckCallsRequest
		field string
	}{
		"no question": {&belpoortv1.CheckCallsRequest{}, "check"},
		"no id":       {&belpoortv1.CheckCallsRequest{Check: checkOf(callee)}, "check.request_id"},
		"a long id":   {&belpoortv1.CheckCallsRequest{Check: &belpoortv1.CheckCallRequest{RequestId: strings.Repeat("x", 129)}}, "check.request_id"},
	} {
		stream := n.pipeline("dialer-acme")
		if err := stream.Send(c.req); err != nil {
			t.Fatal(err)
		}
		_, err := stream.Recv()
		if _, field := ReasonOf(err); status.Code(err) != codes.InvalidArgument || field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A stream may last, but not longer than its key. The mutant mutant_pipeline_keeps_key must fail here.
func TestAPipelineEndsWithItsKey(t *testing.T) {
	n := startNode(t, nil)
	stream := n.pipeline("dialer-acme")
	put(t, stream, "1", callee, nil)
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(n.dir, "keys.yaml"), []byte("keys: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.Server.keys.looked.Store(0)
	put(t, stream, "2", callee, nil)
	if answer, err := stream.Recv(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("after its key was taken back: %v, %v", answer, err)
	}
}

// However many questions come, no more than the bound are under way, and the rest waits in the stream.
func TestAPipelineIsBounded(t *testing.T) {
	n := startNode(t, func(c *Config) { c.Checks = 1000 })
	reading, release := make(chan struct{}, 1000), make(chan struct{})
	n.breakLedger(func(operation string) error {
		if operation == "Facts" {
			reading <- struct{}{}
			<-release
		}
		return nil
	})
	stream := n.pipeline("dialer-acme")
	for i := range 2 * maxPipelined {
		put(t, stream, fmt.Sprint(i), fmt.Sprintf("06876%05d", i), nil)
	}
	for range maxPipelined {
		<-reading
	}
	time.Sleep(20 * time.Millisecond)
	if more := len(reading); more > 0 {
		t.Errorf("%d calls beyond the bound are under way", more)
	}
	close(release)
	for range 2 * maxPipelined {
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
}

// A stop does not wait for streams that nobody closes.
func TestAStopEndsIdleStreams(t *testing.T) {
	n := startNode(t, nil)
	pipeline := n.pipeline("dialer-acme")
	put(t, pipeline, "1", callee, nil)
	if _, err := pipeline.Recv(); err != nil {
		t.Fatal(err)
	}
	list, err := belpoortv1.NewGatekeeperServiceClient(n.conn).ScreenNumbers(n.as("dialer-acme"))
	if err == nil {
		err = list.Send(listOf(callee))
	}
	if err == nil {
		_, err = list.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := pipeline.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the pipeline ended with %v", err)
	}
	if _, err := list.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the list ended with %v", err)
	}
}
