package eligibility

import "encoding/hex"

// CalleeToken names a callee without its number: the first 128 bits of HMAC-SHA-256 over the canonical number under
// the deployment's key. It is the only form of a callee in caches, journals, logs, metrics and traces.
// The zero token names no callee; facts about the catalogue carry it.
type CalleeToken [16]byte

// String is the token in lower-case hexadecimal, 32 characters.
func (t CalleeToken) String() string { return hex.EncodeToString(t[:]) }

// IsZero reports whether the token names no callee.
func (t CalleeToken) IsZero() bool { return t == CalleeToken{} }
