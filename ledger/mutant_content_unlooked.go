//go:build mutant_content_unlooked

package ledger

// mutantContentUnlooked takes every fact without a request key for a new one.
const mutantContentUnlooked = true
