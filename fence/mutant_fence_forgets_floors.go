//go:build mutant_fence_forgets_floors

package fence

// mutantForgetsFloors starts at a position without refusing the records from before it.
const mutantForgetsFloors = true
