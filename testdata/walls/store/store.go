package store

import (
	_ "example.test/sql/driver"
	_ "house.test/law"
)
