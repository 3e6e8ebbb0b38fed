//go:build !mutant_repeat_any_content

package ledger

const mutantRepeatAnyContent = false
