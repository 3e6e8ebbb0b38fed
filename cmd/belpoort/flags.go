package main

import (
	"time"

	"github.com/spf13/pflag"
)

// flags reads flags that the command has defined.
type flags struct{ set *pflag.FlagSet }

func (f flags) text(name string) string {
	v, _ := f.set.GetString(name)
	return v
}

func (f flags) texts(name string) []string {
	v, _ := f.set.GetStringSlice(name)
	return v
}

func (f flags) flag(name string) bool {
	v, _ := f.set.GetBool(name)
	return v
}

func (f flags) number(name string) int {
	v, _ := f.set.GetInt(name)
	return v
}

func (f flags) position(name string) uint64 {
	v, _ := f.set.GetUint64(name)
	return v
}

func (f flags) duration(name string) time.Duration {
	v, _ := f.set.GetDuration(name)
	return v
}
