package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/belpoort/belpoort/client"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// A service that is away, here because nobody listens on port 1, lets no call through.
func Example() {
	gate, err := client.Dial(client.Options{Nodes: []string{"127.0.0.1:1"}, Key: "the key of this dialer"})
	if err != nil {
		log.Fatal(err)
	}
	defer gate.Close()

	sentAt := time.Now()
	response, err := gate.CheckCall(context.Background(), &belpoortv1.CheckCallRequest{
		Callee: "010-1234501", Campaign: "voltwerk-demo", CallerId: "050-1234567",
	})
	if client.MayDial(response, err, sentAt) {
		fmt.Println("dial, showing", response.GetCallerId())
	} else {
		fmt.Println("do not dial")
	}
	// Output: do not dial
}

// An ALLOW that waited in a queue is no longer one.
func ExampleMayDial() {
	response := &belpoortv1.CheckCallResponse{Verdict: belpoortv1.Verdict_VERDICT_ALLOW}
	sentAt := time.Now().Add(-3 * time.Second)
	fmt.Println(client.MayDial(response, nil, sentAt))
	// Output: false
}

// After the call, the permit tells the service which call it was.
func ExampleClient_ReportCall() {
	gate, err := client.Dial(client.Options{Nodes: []string{"127.0.0.1:2357", "127.0.0.1:3357"}, Key: "the key of this dialer"})
	if err != nil {
		log.Fatal(err)
	}
	defer gate.Close()

	report := func(response *belpoortv1.CheckCallResponse, outcome belpoortv1.Outcome, offered bool) error {
		_, err := gate.ReportCall(context.Background(), &belpoortv1.ReportCallRequest{
			Permit: response.GetPermit(), Outcome: outcome, ObjectionOffered: offered,
		})
		return err
	}
	_ = report
}
