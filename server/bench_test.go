package server

import (
	"context"
	"fmt"
	"io"
	"testing"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ops"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// benchmarkCheck measures what Belpoort adds to a request once gRPC has it: the interceptors and the check.
func benchmarkCheck(b *testing.B, number string, want eligibility.Verdict, change func(*Config)) {
	n := startNode(b, change)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.level.SetLevel(zap.InfoLevel)
	info := &grpc.UnaryServerInfo{FullMethod: belpoortv1.GatekeeperService_CheckCall_FullMethodName}
	handler := func(ctx context.Context, req any) (any, error) {
		return (&gatekeeper{s: n.Server}).CheckCall(ctx, req.(*belpoortv1.CheckCallRequest))
	}
	ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs("authorization", "Bearer "+n.keys["dialer-acme"]))
	req := checkOf(number)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			answer, err := n.unary(ctx, req, info, handler)
			if err != nil || answer.(*belpoortv1.CheckCallResponse).GetVerdict() != belpoortv1.Verdict(want) {
				b.Errorf("%v, %v", answer, err)
				return
			}
		}
	})
}

func BenchmarkCheckAllow(b *testing.B) { benchmarkCheck(b, callee, eligibility.Allow, nil) }

func BenchmarkCheckDeny(b *testing.B) { benchmarkCheck(b, "06-87654321", eligibility.Deny, nil) }

// BenchmarkCheckObserved measures what traces, to a receiver that is not there, and the decision log add to a refusal.
func BenchmarkCheckObserved(b *testing.B) {
	for _, ratio := range []float64{0, 0.01, 1} {
		b.Run(fmt.Sprint("traces=", ratio), func(b *testing.B) {
			traces, err := ops.OpenTraces(b.Context(), ops.TraceOptions{URL: "http://127.0.0.1:1", Ratio: ratio, Words: testWords()})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = traces.Close() })
			benchmarkCheck(b, "06-87654321", eligibility.Deny, func(c *Config) { c.Traces = traces })
		})
	}
	b.Run("decision-log", func(b *testing.B) {
		written := ops.NewDecisionLog(io.Discard, testWords(), func() {})
		b.Cleanup(written.Close)
		benchmarkCheck(b, "06-87654321", eligibility.Deny, func(c *Config) { c.DecisionLog = written })
	})
}

// BenchmarkScreen measures lists of 1,000 numbers from the in-process cache, once gRPC has them.
func BenchmarkScreen(b *testing.B) {
	n := startNode(b, nil)
	n.level.SetLevel(zap.InfoLevel)
	list := listOf()
	for i := range maxScreenedNumbers {
		number := fmt.Sprintf("06%08d", 20_000_000+i)
		if i%2 == 0 {
			n.record(number, consentOf(fmt.Sprintf("c-%d", i), "acme"), fmt.Sprintf("r-%d", i))
		}
		list.Callees = append(list.Callees, number)
	}
	list.Warm = true
	everybody := &client{id: "b", everybody: true}
	if _, err := n.screenInTurn(b.Context(), everybody, list); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			answer, err := n.screenInTurn(b.Context(), everybody, list)
			if err == nil {
				_, err = proto.Marshal(answer)
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)*maxScreenedNumbers/b.Elapsed().Seconds(), "numbers/s")
}

// BenchmarkAuthenticate is finding out who asks, which every request pays for.
func BenchmarkAuthenticate(b *testing.B) {
	n := startNode(b, nil)
	ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs("authorization", "Bearer "+n.keys["dialer-acme"], "user-agent", "grpc-go"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.Server.keys.authenticate(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
