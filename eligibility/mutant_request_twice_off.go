//go:build !mutant_request_twice

package eligibility

const mutantRequestTwice = false
