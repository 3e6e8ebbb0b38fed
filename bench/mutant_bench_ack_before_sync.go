//go:build mutant_bench_ack_before_sync

package bench

const mutantBenchAckBeforeSync = true
