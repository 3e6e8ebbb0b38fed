package ledger

// The queries whose plans matter most.
const (
	PostgresFacts      = postgresFacts
	PostgresLatest     = postgresLatest
	PostgresChanges    = postgresChanges
	PostgresPositionAt = postgresPositionAt
)

// OfGenerations has so many facts in a generation.
func OfGenerations(facts int) Options { return Options{generation: facts} }

// FileStep is what happens in quiet times.
func (s *SQLite) FileStep() error { return s.fileStep() }
