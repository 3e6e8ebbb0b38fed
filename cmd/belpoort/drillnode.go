package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// askAgain is how soon a node is asked again during a drill.
const askAgain = 2 * time.Millisecond

// ask asks a node for a call to the canary, without consequences.
func (n *drilledNode) ask(ctx context.Context, d *drill) (*belpoortv1.CheckCallResponse, error) {
	return call(ctx, n.connection, belpoortv1.NewGatekeeperServiceClient(n).CheckCall, &belpoortv1.CheckCallRequest{
		Callee: d.canary.GetNumber(), Campaign: d.canary.GetCampaign(), CallerId: d.canary.GetCallerId(), DryRun: true,
	})
}

// now is the time by the node's clock.
func (n *drilledNode) now(ctx context.Context, d *drill) (time.Time, error) {
	answer, err := call(ctx, n.connection, belpoortv1.NewAuditServiceClient(n).ExplainCall, &belpoortv1.ExplainCallRequest{
		Callee: d.canary.GetNumber(), Campaign: d.canary.GetCampaign(), CallerId: d.canary.GetCallerId(),
	})
	return answer.GetDialTime().AsTime(), err
}

// object is the door of gRPC.
func (n *drilledNode) object(ctx context.Context, d *drill) (time.Time, error) {
	answer, err := call(ctx, n.connection, belpoortv1.NewObjectionServiceClient(n).RegisterObjection, &belpoortv1.RegisterObjectionRequest{
		Callee: d.canary.GetNumber(), Campaign: d.canary.GetCampaign(), Via: belpoortv1.Via_VIA_IVR, RequestId: d.key(),
	})
	if err == nil && answer.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE {
		err = errors.New("answered, but not in force: the ledger is away")
	}
	return answer.GetRecordTime().AsTime(), err
}

// awaitAllow waits until a node allows the call; "" or why it does not.
func (n *drilledNode) awaitAllow(ctx context.Context, d *drill) (broken string) {
	for began := time.Now(); ; time.Sleep(askAgain) {
		answer, err := n.ask(ctx, d)
		switch {
		case answer.GetVerdict() == belpoortv1.Verdict_VERDICT_ALLOW:
			return ""
		case time.Since(began) > d.within || ctx.Err() != nil:
			return "no ALLOW after a consent: " + told(answer, err)
		}
	}
}

func told(answer *belpoortv1.CheckCallResponse, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%v %v", eligibility.Verdict(answer.GetVerdict()), eligibility.Reason(answer.GetReason()))
}

func isObjected(answer *belpoortv1.CheckCallResponse) bool {
	return answer.GetVerdict() == belpoortv1.Verdict_VERDICT_DENY && slices.Contains(answer.GetReasons(), belpoortv1.Reason_REASON_OBJECTED)
}

// watch looks at the nodes while an objection takes effect. Times count from its sending.
type watch struct {
	began  time.Time
	within time.Duration

	mu     sync.Mutex
	ack    time.Duration // when it was answered "in force"; 0: not yet
	failed error
}

func (w *watch) answered(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ack, w.failed = time.Since(w.began), err
}

func (w *watch) acknowledged() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ack
}

// over tells that the objection did not succeed.
func (w *watch) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed != nil
}

// node asks a node again and again until it refuses because of the objection. An ALLOW to a question that was sent after
// the objection was in force is one too many.
func (w *watch) node(ctx context.Context, d *drill, n *drilledNode, p *drilledPath) {
	for ; ; time.Sleep(askAgain) {
		sent := time.Since(w.began)
		answer, err := n.ask(ctx, d)
		ack := w.acknowledged()
		switch {
		case w.over():
			return
		case err == nil && isObjected(answer):
			p.Refused = time.Since(w.began)
			return
		case answer.GetVerdict() == belpoortv1.Verdict_VERDICT_ALLOW && ack > 0 && sent > ack:
			p.Broken = "ALLOW after the objection was answered in force"
			return
		case time.Since(w.began) > w.within || ctx.Err() != nil:
			p.Broken = fmt.Sprintf("no refusal within %v: %s", w.within, told(answer, err))
			return
		}
	}
}
