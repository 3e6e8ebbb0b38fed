package server

import (
	"context"

	"github.com/belpoort/belpoort/ops"
)

type doorKey struct{}

// doorOf names the door through which a request came.
func doorOf(ctx context.Context) string {
	if door, ok := ctx.Value(doorKey{}).(string); ok {
		return door
	}
	return ops.DoorGRPC
}
