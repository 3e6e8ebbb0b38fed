package server

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// notYet answers a method that is part of the API but not of this version; what says what is missing.
func notYet(what string) error {
	return fail(codes.Unimplemented, ReasonNotYet, "not yet available: %s", what)
}

// CheckCalls is not yet available.
func (g *gatekeeper) CheckCalls(grpc.BidiStreamingServer[belpoortv1.CheckCallsRequest, belpoortv1.CheckCallsResponse]) error {
	return notYet("checks in a pipeline; use CheckCall, which any number of callers may ask at the same time")
}

// ScreenNumbers is not yet available.
func (g *gatekeeper) ScreenNumbers(grpc.BidiStreamingServer[belpoortv1.ScreenNumbersRequest, belpoortv1.ScreenNumbersResponse]) error {
	return notYet("screening lists of numbers; use CheckCall with dry_run")
}
