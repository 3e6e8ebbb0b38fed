//go:build !mutant_callerid_other_organisation

package callerid

const mutantOtherOrganisation = false
