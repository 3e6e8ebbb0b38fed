//go:build !linux

package journal

import (
	"errors"
	"syscall"
)

func ownMounts() *syscall.SysProcAttr { return nil }

func childFillsDisk() error { return errors.New("needs mount namespaces") }
