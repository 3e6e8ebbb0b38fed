//go:build !mutant_young_unread

package ledger

const mutantYoungUnread = false
