//go:build mutant_screen_any_organisation

package server

const mutantScreenAnyOrganisation = true
