//go:build mutant_repeat_any_content

package ledger

// mutantRepeatAnyContent takes any content under a known request key for a repeat.
const mutantRepeatAnyContent = true
