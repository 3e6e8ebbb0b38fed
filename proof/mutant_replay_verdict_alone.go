//go:build mutant_replay_verdict_alone

package proof

// mutantReplayVerdictAlone does not ask on what a replayed call rests.
const mutantReplayVerdictAlone = true
