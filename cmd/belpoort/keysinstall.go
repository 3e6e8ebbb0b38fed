package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/keyring"
	"github.com/belpoort/belpoort/permit"
	"github.com/belpoort/belpoort/server"
)

func installKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "install", Short: "Copy a deployment's keys into a data folder", Args: cobra.NoArgs,
		Long: `Copy deployment.key, and of api-keys.yaml, permit-keys.json and operator.key what is there, from a folder into the keys of
a data folder, for their owner only. It is for a node that gets its keys from a place whose modes or links the service
refuses, such as a mounted Kubernetes Secret: run it before the service starts, each time.

Each file is judged first; where one is wrong, or the data folder has another deployment's key, nothing is changed.`,
		Example: "  belpoort keys install --from /run/secrets/belpoort --data /var/lib/belpoort",
		RunE:    func(cmd *cobra.Command, _ []string) error { return installKeys(cmd) },
	}
	cmd.Flags().String("from", "", "folder with the keys (required)")
	return cmd
}

// maxInstalledKey bounds a key file, in bytes.
const maxInstalledKey = 1 << 20

// keyFiles is what a deployment's keys are, by the names that they have in a data folder.
var keyFiles = []string{"deployment.key", "permit-keys.json", "api-keys.yaml", "operator.key"}

func installKeys(cmd *cobra.Command) error {
	f := flags{cmd.Flags()}
	from, data := f.text("from"), folder(f.text("data"))
	if from == "" {
		return usage(errors.New("--from is missing, want a folder with deployment.key"))
	}
	if err := data.create(); err != nil {
		return exit(exitFailed, err)
	}
	// Beside the keys' place, so that a rename brings each there whole.
	draft, err := os.MkdirTemp(string(data), ".keys-*")
	if err != nil {
		return exit(exitFailed, err)
	}
	defer os.RemoveAll(draft)
	found, err := draftKeys(from, folder(draft))
	if err != nil {
		return usage(err)
	}
	if err := sameDeployment(folder(draft), data); err != nil {
		return exit(exitFailed, err)
	}
	if err := placeKeys(folder(draft), data, found); err != nil {
		return exit(exitFailed, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "installed %s\n", join(found))
	return nil
}

// draftKeys copies the files into a data folder of their own, where the service's own readers judge them.
func draftKeys(from string, draft folder) (found []string, err error) {
	if err := os.Mkdir(filepath.Join(string(draft), "keys"), 0o700); err != nil {
		return nil, err
	}
	for _, name := range keyFiles {
		content, err := readAtMost(filepath.Join(from, name), maxInstalledKey)
		if errors.Is(err, os.ErrNotExist) && name != keyFiles[0] {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("--from: %w", err)
		}
		if err := writeNew(filepath.Join(string(draft), "keys", name), string(content)); err != nil {
			return nil, err
		}
		found = append(found, name)
	}
	return found, judgeKeys(from, draft, found)
}

func judgeKeys(from string, draft folder, found []string) error {
	_, _, err := keyring.Open(string(draft))
	if err == nil && slices.Contains(found, filepath.Base(draft.permitKeys())) {
		_, err = permit.ReadKeys(draft.permitKeys())
	}
	if err == nil && slices.Contains(found, filepath.Base(draft.keyFile())) {
		_, err = server.OpenKeys(draft.keyFile(), nil)
	}
	if err != nil { // which names the draft, that is gone when it is read
		return fmt.Errorf("--from: %s", strings.ReplaceAll(err.Error(), filepath.Join(string(draft), "keys"), from))
	}
	return nil
}

// sameDeployment refuses to put one deployment's key in the place of another's: the ledger beside it would be lost.
func sameDeployment(draft, data folder) error {
	old, err := readAtMost(data.deploymentKey(), maxInstalledKey)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	fresh, err := os.ReadFile(draft.deploymentKey())
	if err != nil {
		return err
	}
	if !bytes.Equal(old, fresh) && !mutantKeyInstalledOver {
		return fmt.Errorf("%s is another deployment's key; nothing was changed", data.deploymentKey())
	}
	return nil
}

func placeKeys(draft, data folder, found []string) error {
	keys := filepath.Join(string(data), "keys")
	err := os.MkdirAll(keys, 0o700)
	if err == nil {
		err = os.Chmod(keys, 0o700) // a volume that is mounted for a group may have opened it
	}
	for _, name := range found {
		if err == nil {
			err = os.Rename(filepath.Join(string(draft), "keys", name), filepath.Join(keys, name))
		}
	}
	return err
}

func readAtMost(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(content)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return content, err
}
