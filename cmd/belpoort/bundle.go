package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// maxBundlePart bounds each page that goes into a bundle, in bytes.
const maxBundlePart = 64 << 20

func supportBundleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "support-bundle [FILE]", Short: "Gather what helps to find a fault, without personal data", Args: cobra.MaximumNArgs(1),
		Long: `Gather into one .tar.gz what helps to find a fault: version, settings with their passwords left out, the machine, the names
and sizes of the files in the data folder, and from the running service its health, metrics and Go profiles. No number, no
callee token, no fact, no decision, no key, no file's content is in it. What cannot be had is named in it.`,
		Example: `  belpoort support-bundle --data /var/lib/belpoort --ops 127.0.0.1:2359`,
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "belpoort-support-" + time.Now().UTC().Format("20060102T150405Z") + ".tar.gz"
			if len(args) == 1 {
				path = args[0]
			}
			return supportBundle(cmd, path)
		},
	}
	lawFlag(cmd)
	cmd.Flags().String("ops", "127.0.0.1:2359", "the running service's address for operators")
	return cmd
}

// bundle is the archive while it is written.
type bundle struct {
	tar     *tar.Writer
	missing []string
}

func supportBundle(cmd *cobra.Command, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return usage(err)
	}
	packed := gzip.NewWriter(file)
	b := &bundle{tar: tar.NewWriter(packed)}
	err = b.gather(cmd)
	if err = errors.Join(err, b.tar.Close(), packed.Close(), file.Close()); err != nil {
		return exit(exitFailed, errors.Join(err, os.Remove(path)))
	}
	fmt.Fprintln(cmd.OutOrStdout(), path)
	for _, what := range b.missing {
		fmt.Fprintln(cmd.OutOrStdout(), "without", what)
	}
	return nil
}

func (b *bundle) gather(cmd *cobra.Command) error {
	f := flags{cmd.Flags()}
	nl, err := loadLaw(cmd)
	law := "unreadable"
	if err == nil {
		law = nl.Version
	}
	about := fmt.Sprintf("belpoort %s\nlaw %s\n%s %s/%s, %d cores\n%s\n", version, law, runtime.Version(), runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), time.Now().UTC().Format(time.RFC3339))
	if err := b.add("about.txt", about); err != nil {
		return err
	}
	if err := b.add("settings.txt", settings(cmd.Flags(), os.Environ())); err != nil {
		return err
	}
	if err := b.add("files.txt", filesOf(f.text("data"))); err != nil {
		return err
	}
	if mutantBundleWithData {
		key, err := os.ReadFile(folder(f.text("data")).operatorKey())
		if err := b.addOr("operator.key", string(key), err); err != nil {
			return err
		}
	}
	for _, name := range []string{"/proc/meminfo", "/proc/loadavg", "/proc/sys/kernel/osrelease"} {
		text, err := os.ReadFile(name)
		if err := b.addOr("machine/"+filepath.Base(name), string(text), err); err != nil {
			return err
		}
	}
	for _, page := range []string{"readyz?verbose", "livez", "metrics", "debug/pprof/goroutine", "debug/pprof/heap", "debug/pprof/mutex"} {
		text, err := fetch(cmd.Context(), "http://"+f.text("ops")+"/"+page)
		if err := b.addOr("service/"+strings.NewReplacer("/", "-", "?", "-").Replace(page), text, err); err != nil {
			return err
		}
	}
	return b.add("missing.txt", strings.Join(b.missing, "\n"))
}

// addOr adds what could be had, and names what could not.
func (b *bundle) addOr(name, text string, err error) error {
	if err != nil {
		b.missing = append(b.missing, name+": "+err.Error())
		return nil
	}
	return b.add(name, text)
}

func (b *bundle) add(name, text string) error {
	err := b.tar.WriteHeader(&tar.Header{Name: "belpoort-support/" + name, Mode: 0o600, Size: int64(len(text)), ModTime: time.Now()})
	if err != nil {
		return err
	}
	_, err = b.tar.Write([]byte(text))
	return err
}

// settings lists flags and our environment, without passwords.
func settings(flags *pflag.FlagSet, environment []string) string {
	var text strings.Builder
	flags.VisitAll(func(f *pflag.Flag) { fmt.Fprintf(&text, "%s=%s\n", f.Name, withoutPassword(f.Value.String())) })
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, envPrefix) {
			fmt.Fprintf(&text, "%s=%s\n", name, withoutPassword(value))
		}
	}
	return text.String()
}

// withoutPassword keeps of a URL its kind and host only, and nothing of a key.
func withoutPassword(value string) string {
	if strings.Contains(value, "bpk_") {
		return "(a key)"
	}
	if strings.Contains(value, "://") {
		u, err := url.Parse(value)
		if err != nil {
			return "(a URL)"
		}
		return u.Scheme + "://" + u.Host
	}
	if strings.Contains(strings.ToLower(value), "password=") {
		return "(a connection string)"
	}
	return value
}

func filesOf(data string) string {
	var text strings.Builder
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return nil // it went away meanwhile
		}
		name, _ := filepath.Rel(data, path)
		fmt.Fprintf(&text, "%s %12d %s %s\n", info.Mode(), info.Size(), info.ModTime().UTC().Format(time.RFC3339), name)
		return nil
	})
	if err != nil {
		fmt.Fprintln(&text, err)
	}
	return text.String()
}

func fetch(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxBundlePart))
	return string(text), err
}
