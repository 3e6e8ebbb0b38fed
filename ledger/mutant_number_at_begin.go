//go:build mutant_number_at_begin

package ledger

// mutantNumberAtBegin numbers ALLOWs before the transaction that makes them visible, so that numbers become visible out of
// their order.
const mutantNumberAtBegin = true
