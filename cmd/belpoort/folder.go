package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/belpoort/belpoort/server"
)

// folder is a data folder and what lies where in it.
type folder string

func (f folder) ledger() string        { return filepath.Join(string(f), "ledger") }
func (f folder) journal() string       { return filepath.Join(string(f), "journal") }
func (f folder) pending() string       { return filepath.Join(string(f), "pending") }
func (f folder) deploymentKey() string { return filepath.Join(string(f), "keys", "deployment.key") }
func (f folder) operatorKey() string   { return filepath.Join(string(f), "keys", "operator.key") }
func (f folder) keyFile() string       { return filepath.Join(string(f), "keys", "api-keys.yaml") }

// create makes the folder, for its owner only.
func (f folder) create() error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return fmt.Errorf("the data folder cannot be used: %w", err)
	}
	return nil
}

// createKeys writes the first API key, which may do everything, and the file that lists its hash. Without an operator's
// key the command line could not speak to the service. Several nodes may do so at once in a folder that they share.
func (f folder) createKeys() error {
	if _, err := os.Stat(f.keyFile()); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	plain, _ := server.NewKey()
	if err := writeFirst(f.operatorKey(), plain+"\n"); err != nil {
		return err
	}
	operator, err := os.ReadFile(f.operatorKey()) // perhaps another node's
	if err != nil {
		return err
	}
	sum := server.KeySum(strings.TrimSpace(string(operator)))
	return writeFirst(f.keyFile(), `# API keys, by the SHA-256 of each. Changes take effect within a second.
# roles: dialer, ivr, register, compliance, ops. organisations: ids of the catalogue, or "*" for all.
# Add one with: belpoort keys new --id NAME --role ROLE --organisation ID
keys:
`+keyEntry("operator", sum, []string{"dialer", "ivr", "register", "compliance", "ops"}, []string{"*"}))
}

// writeFirst is writeNew where no file is; one that is there stays.
func writeFirst(path, content string) error {
	return place(path, content, func(temporary string) error {
		if err := os.Link(temporary, path); !errors.Is(err, os.ErrExist) {
			return err
		}
		return nil
	})
}

// writeNew writes a file for its owner only, whole or not at all.
func writeNew(path, content string) error {
	return place(path, content, func(temporary string) error { return os.Rename(temporary, path) })
}

func place(path, content string, put func(temporary string) error) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.WriteString(content)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	return put(temporary.Name())
}
