//go:build !mutant_replay_verdict_alone

package proof

const mutantReplayVerdictAlone = false
