//go:build !mutant_fence_heartbeat

package fence

const mutantHeartbeat = false
