package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/eligibility/law"
)

// lawName is the file that --law looks for in its folder.
const lawName = "nl.yaml"

// lookAtLaw is how often the file is looked at.
const lookAtLaw = time.Second

// maxLawBytes bounds a law file.
const maxLawBytes = 1 << 20

// lawFile is where the law comes from: the folder named by --law, else this binary.
type lawFile struct{ path string }

func lawIn(folder string) lawFile {
	if folder == "" {
		return lawFile{}
	}
	return lawFile{filepath.Join(folder, lawName)}
}

// read reads and validates the law, whole.
func (f lawFile) read() (*eligibility.Law, error) {
	if f.path == "" {
		return law.NL()
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, fmt.Errorf("--law: %w", err)
	}
	if info.Size() > maxLawBytes {
		return nil, fmt.Errorf("--law: %s is larger than %d bytes", f.path, maxLawBytes)
	}
	data, err := os.ReadFile(f.path)
	if err != nil {
		return nil, fmt.Errorf("--law: %w", err)
	}
	return law.Parse(f.path, data)
}

// follow reads the law again when asked to, or when its file changes, until ctx ends. use puts a law in force or says why
// it cannot; then, as when the file is wrong, the last good law stays in force. report is told of every reading. seen is
// the file's stamp from before it was read first.
func (f lawFile) follow(ctx context.Context, seen string, again <-chan os.Signal, use func(*eligibility.Law) error, report func(error)) {
	tick := time.NewTicker(lookAtLaw)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-tick.C:
			if f.stamp() == seen {
				continue
			}
		}
		seen = f.stamp()
		l, err := f.read()
		if err == nil {
			err = use(l)
		}
		report(err)
	}
}

// loadLaw reads the law that a command's --law names.
func loadLaw(cmd *cobra.Command) (*eligibility.Law, error) {
	return lawIn(flags{cmd.Flags()}.text("law")).read()
}

// lawFlag lets a command judge by another law than this binary's.
func lawFlag(cmd *cobra.Command) {
	cmd.Flags().String("law", "", "folder with another law, in a file nl.yaml (default: the law of this binary)")
}

// stamp tells whether the file was changed or replaced.
func (f lawFile) stamp() string {
	info, err := os.Stat(f.path)
	if err != nil {
		return "absent"
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size())
}
