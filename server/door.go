package server

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/belpoort/belpoort/ops"
)

type doorKey struct{}

// doorHeader is where a door within the process tells its name; over the network it is not looked at.
const doorHeader = "belpoort-door"

// throughDoor notes the door of a request from within the process.
func throughDoor(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if door := metadata.ValueFromIncomingContext(ctx, doorHeader); len(door) == 1 {
		ctx = context.WithValue(ctx, doorKey{}, door[0])
	}
	return handler(ctx, req)
}

// doorOf names the door through which a request came.
func doorOf(ctx context.Context) string {
	if door, ok := ctx.Value(doorKey{}).(string); ok {
		return door
	}
	return ops.DoorGRPC
}
