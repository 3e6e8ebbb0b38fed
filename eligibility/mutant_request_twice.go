//go:build mutant_request_twice

package eligibility

// mutantRequestTwice: a call at the very moment of a request leaves the request unused.
const mutantRequestTwice = true
