//go:build mutant_fence_floors_lost

package fence

// mutantFloorsLost gives up floors without refusing the records from before them.
const mutantFloorsLost = true
