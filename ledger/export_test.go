package ledger

// The queries whose plans matter most.
const (
	PostgresFacts      = postgresFacts
	PostgresLatest     = postgresLatest
	PostgresChanges    = postgresChanges
	PostgresPositionAt = postgresPositionAt
)
