//go:build mutant_foreign_permit

package server

const mutantForeignPermit = true
