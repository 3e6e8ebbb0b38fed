// Package eligibility is the law: given the facts about a callee, the call to be made, the catalogue, the law's dated data
// and an instant, it says whether the call may be made, on which basis, under which duties and until when.
//
// It knows nothing else and touches nothing: no file, no network, no clock, no log. The same arguments give the same
// answer for ever, so that a decision can be replayed years later. Each rule is cited at the line that obeys it; articles
// are those of the Telecommunicatiewet (Tw) in the numbering in force since 2026-07-01 unless a date says otherwise.
package eligibility
