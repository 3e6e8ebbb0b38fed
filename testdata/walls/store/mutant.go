//go:build mutant_store

package store

import _ "house.test/door"
