//go:build mutant_fence_heartbeat

package fence

// mutantHeartbeat does not wait for nodes that seem dead.
const mutantHeartbeat = true
