//go:build mutant_loads_first

package server

// mutantLoadsFirst reads facts of an import at full speed, however many checks wait.
const mutantLoadsFirst = true
