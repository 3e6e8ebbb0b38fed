package law_test

import (
	_ "os"
	"time"

	_ "example.test/rapid"
	_ "house.test/door"
	_ "house.test/law"
	_ "house.test/store"
)

var started = time.Now()
