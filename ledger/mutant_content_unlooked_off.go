//go:build !mutant_content_unlooked

package ledger

const mutantContentUnlooked = false
