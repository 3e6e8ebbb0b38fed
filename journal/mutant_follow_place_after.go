//go:build mutant_follow_place_after

package journal

const mutantFollowPlaceAfter = true
