//go:build mutant_report_unwritten

package server

const mutantReportUnwritten = true
