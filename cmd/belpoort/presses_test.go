package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// Who presses 9 in an allowed call is called from no node any more, though the one that took it dies at once, and comes back.
func TestWhoPresses9IsNotCalledAgain(t *testing.T) {
	c := startCluster(t, 2)
	one, two := c.nodes[0], c.nodes[1]
	menu := strings.Replace(testCatalogue(), "  product_families", `  ivr_menus:
  - {id: objection, organisation: voltwerk, digits: {"9": OBJECT, "1": NOT_OBJECTED}}
  product_families`, 1)
	one.must("apply", write(t, t.TempDir(), "catalogue.yaml", menu))
	one.consents(0, 4)
	ivr := one.ivr()

	ivr.presses(one.allowed(subject(0)), "9")
	two.wantObjected(subject(0))
	ivr.presses(two.allowed(subject(1)), "1")
	c.wantAllowed(subject(1), 5*time.Second)

	ivr.presses(two.allowed(subject(2)), "9")
	one.kill()
	two.wantObjected(subject(2))
	one.begin()
	one.awaitReady()
	one.wantObjected(subject(2))
	c.wantAllowed(subject(3), 5*time.Second)
}

// allowed is the permit of a call.
func (n *clusterNode) allowed(callee string) string {
	n.t.Helper()
	answer, err := n.within(5*time.Second, callee)
	if err != nil || !isAllowed(answer) {
		n.t.Fatalf("%v, %v", answer, err)
	}
	return answer.GetPermit()
}

func (n *clusterNode) wantObjected(callee string) {
	n.t.Helper()
	if answer, err := n.within(5*time.Second, callee); err != nil || !isObjected(answer) {
		n.t.Errorf("want a refusal for an objection, got %v, %v", answer, err)
	}
}

// simulatedIVR tells a node what people press, with a key that may do what IVRs may.
type simulatedIVR struct {
	t    testing.TB
	conn *grpc.ClientConn
	key  string
}

func (n *clusterNode) ivr() *simulatedIVR {
	n.t.Helper()
	code, key := cli(n.t, "keys", "new", "--id", "ivr", "--role", "ivr", "--organisation", "voltwerk", "--data", n.data)
	if code != exitOK {
		n.t.Fatal(key)
	}
	conn, err := grpc.NewClient(n.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { conn.Close() })
	i := &simulatedIVR{n.t, conn, strings.TrimSpace(key)}
	comesTrue(n.t, 10*time.Second, "the new key is taken up", func() bool {
		ctx, cancel := i.context()
		defer cancel()
		_, err := belpoortv1.NewObjectionServiceClient(conn).GetObjection(ctx, &belpoortv1.GetObjectionRequest{Receipt: "none"})
		return !strings.Contains(err.Error(), "key")
	})
	return i
}

func (i *simulatedIVR) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(metadata.AppendToOutgoingContext(i.t.Context(), "authorization", "Bearer "+i.key), 10*time.Second)
}

// presses returns when what was pressed in a call was taken; an objection then is in force.
func (i *simulatedIVR) presses(permit, digit string) {
	i.t.Helper()
	ctx, cancel := i.context()
	defer cancel()
	answer, err := belpoortv1.NewObjectionServiceClient(i.conn).RecordObjectionOffer(ctx, &belpoortv1.RecordObjectionOfferRequest{
		Permit: permit, How: belpoortv1.OfferHow_OFFER_HOW_IVR, Menu: "objection", Digit: digit,
	})
	if err != nil || (answer.GetObjectionState() == belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE) != (digit == "9") {
		i.t.Fatalf("%q pressed: %v, %v", digit, answer, err)
	}
}
