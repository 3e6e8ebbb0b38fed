package door

import (
	_ "example.test/anything"
	_ "house.test/law"
	_ "house.test/store"
)
