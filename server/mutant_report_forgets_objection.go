//go:build mutant_report_forgets_objection

package server

const mutantReportForgetsObjection = true
