//go:build mutant_young_unread

package ledger

// mutantYoungUnread reads only the facts that are in the file's index by callee.
const mutantYoungUnread = true
