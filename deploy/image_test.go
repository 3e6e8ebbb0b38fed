// Package deploy_test packs the product as the Dockerfile does and tries what comes out. It must not import any room.
package deploy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	imageUser    = 65532
	imageVersion = "v0.0.0-image"
	dataFolder   = "/var/lib/belpoort"
)

// TestImageRunsTheStaticBinary goes the Dockerfile's way without a container engine: the build context less what
// .dockerignore holds back, the same script, and then the entry point as the image's user in the image's root.
func TestImageRunsTheStaticBinary(t *testing.T) {
	scratch := t.TempDir()
	buildContext, rootfs := filepath.Join(scratch, "context"), filepath.Join(scratch, "rootfs")
	copyBuildContext(t, buildContext)
	script := exec.Command(filepath.Join(buildContext, "deploy/image-rootfs.sh"), rootfs)
	script.Env = append(os.Environ(), "VERSION="+imageVersion, "CGO_ENABLED=1")
	if output, err := script.CombinedOutput(); err != nil {
		t.Fatalf("image-rootfs.sh: %v\n%s", err, output)
	}

	t.Run("again", func(t *testing.T) { checkReproducible(t, scratch, buildContext, rootfs) })
	t.Run("layout", func(t *testing.T) { checkLayout(t, rootfs) })
	t.Run("static", func(t *testing.T) { checkStatic(t, filepath.Join(rootfs, "belpoort")) })
	t.Run("version", func(t *testing.T) {
		output, err := inImage(t, rootfs, "version").CombinedOutput()
		if err != nil || !strings.Contains(string(output), imageVersion) {
			t.Errorf("belpoort version: %v, %q lacks %s", err, output, imageVersion)
		}
	})
	t.Run("refuses plain text unasked", func(t *testing.T) {
		output, err := inImage(t, rootfs, "serve").CombinedOutput()
		if err == nil || !strings.Contains(string(output), "needs TLS") {
			t.Errorf("belpoort serve: %v, %q", err, output)
		}
	})
	t.Run("serves", func(t *testing.T) { checkServes(t, rootfs) })
}

// checkReproducible lays the image out again from another folder, with another umask, time zone and age of the sources, and wants
// every file to be the same, byte for byte, with the same mode.
func checkReproducible(t *testing.T, scratch, buildContext, rootfs string) {
	elsewhere, again := filepath.Join(scratch, "some", "other", "place"), filepath.Join(scratch, "again")
	if err := os.MkdirAll(filepath.Dir(elsewhere), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(buildContext, elsewhere); err != nil {
		t.Fatal(err)
	}
	script := exec.Command("bash", "-c", `umask 027; find . -name '*.go' -exec touch -d '2001-01-01' {} +; exec deploy/image-rootfs.sh "$1"`, "bash", again)
	script.Dir = elsewhere
	script.Env = append(os.Environ(), "VERSION="+imageVersion, "TZ=Pacific/Auckland", "LC_ALL=C", "GOFLAGS=", "HOSTNAME=elsewhere")
	if output, err := script.CombinedOutput(); err != nil {
		t.Fatalf("image-rootfs.sh: %v\n%s", err, output)
	}
	first, second := sumsOf(t, rootfs), sumsOf(t, again)
	if !maps.Equal(first, second) || len(first) < 4 {
		t.Errorf("two builds of the same differ:\n%v\n%v", first, second)
	}
}

// sumsOf gives each file of a folder with its mode and content.
func sumsOf(t *testing.T, folder string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := fs.WalkDir(os.DirFS(folder), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil || entry.IsDir() {
			sums[name] = info.Mode().String()
			return err
		}
		content, err := os.ReadFile(filepath.Join(folder, name))
		sums[name] = fmt.Sprintf("%v %x", info.Mode(), sha256.Sum256(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

func checkLayout(t *testing.T, rootfs string) {
	var got []string
	err := fs.WalkDir(os.DirFS(rootfs), ".", func(name string, _ fs.DirEntry, err error) error {
		got = append(got, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".", "belpoort", "etc", "etc/group", "etc/passwd", "var", "var/lib", "var/lib/belpoort", "var/lib/belpoort/keys"}
	if !slices.Equal(got, want) {
		t.Errorf("the image holds %v, want %v", got, want)
	}
	for _, folder := range []string{dataFolder, dataFolder + "/keys"} {
		info, err := os.Stat(filepath.Join(rootfs, folder))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v, want 0700", folder, info.Mode().Perm())
		}
		if owner := info.Sys().(*syscall.Stat_t).Uid; os.Getuid() == 0 && owner != imageUser {
			t.Errorf("%s belongs to %d, want %d", folder, owner, imageUser)
		}
	}
}

func checkStatic(t *testing.T, binary string) {
	file, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			t.Error("the binary asks for a dynamic loader, which the image does not have")
		}
	}
	if libraries, err := file.ImportedLibraries(); len(libraries) > 0 {
		t.Errorf("the binary needs %v (%v)", libraries, err)
	}
}

// checkServes starts the service on an empty data folder, asks whether it is ready, and stops it as an engine would.
func checkServes(t *testing.T, rootfs string) {
	command := inImage(t, rootfs, "serve")
	command.Env = append(command.Env, "BELPOORT_PLAINTEXT=true")
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	logged := bufio.NewReader(stderr)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	address, lines := untilServing(logged)
	if address == "" {
		t.Fatalf("ended without serving: %v\n%s", command.Wait(), lines)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
	} else {
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("/readyz answers %s", answer.Status)
		}
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	rest, _ := io.ReadAll(logged)
	if err := command.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s%s", err, lines, rest)
	}
	if _, err := os.Stat(filepath.Join(rootfs, dataFolder, "keys")); err != nil {
		t.Errorf("the service kept its data elsewhere: %v", err)
	}
}

// untilServing reads the log up to the line that says where health is served; without one the address is empty.
func untilServing(logged *bufio.Reader) (address string, lines []byte) {
	for {
		line, err := logged.ReadBytes('\n')
		lines = append(lines, line...)
		var entry struct{ Msg, Ops string }
		if json.Unmarshal(bytes.TrimSpace(line), &entry) == nil && entry.Msg == "serving" {
			_, port, _ := net.SplitHostPort(entry.Ops)
			return net.JoinHostPort("127.0.0.1", port), lines
		}
		if err != nil {
			return "", lines
		}
	}
}

// inImage runs the entry point inside the root file system as its user, with the Dockerfile's environment but for the
// ports, which are free ones. Without root it runs beside the root file system, as the caller.
func inImage(t *testing.T, rootfs string, arguments ...string) *exec.Cmd {
	t.Helper()
	limited, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	environment := imageEnvironment(t)
	if os.Getuid() != 0 {
		command := exec.CommandContext(limited, filepath.Join(rootfs, "belpoort"), arguments...)
		command.Env = append(environment, "BELPOORT_DATA="+filepath.Join(rootfs, dataFolder))
		return command
	}
	command := exec.CommandContext(limited, "/belpoort", arguments...)
	command.Err = nil // the path is looked up inside the new root
	command.Dir = dataFolder
	command.Env = environment
	command.SysProcAttr = &syscall.SysProcAttr{
		Chroot:     rootfs,
		Credential: &syscall.Credential{Uid: imageUser, Gid: imageUser},
	}
	return command
}

func imageEnvironment(t *testing.T) []string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^ENV (.*)$`).FindStringSubmatch(read(t, "../Dockerfile"))
	if found == nil {
		t.Fatal("the Dockerfile sets no environment")
	}
	return strings.Fields(regexp.MustCompile(`:235[789]\b`).ReplaceAllString(found[1], ":0"))
}

func copyBuildContext(t *testing.T, to string) {
	t.Helper()
	ignored := strings.Fields(read(t, "../.dockerignore"))
	house := os.DirFS("..")
	err := fs.WalkDir(house, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case isIgnored(ignored, name) && entry.IsDir():
			return fs.SkipDir
		case isIgnored(ignored, name):
			return nil
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		}
		return copyFile(house, name, filepath.Join(to, name))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// isIgnored knows the two forms that .dockerignore uses: a path from the root, and **/ before a file's name.
func isIgnored(ignored []string, name string) bool {
	return slices.ContainsFunc(ignored, func(pattern string) bool {
		last, anywhere := strings.CutPrefix(pattern, "**/")
		if anywhere {
			matched, _ := path.Match(last, path.Base(name))
			return matched
		}
		return name == pattern
	})
}

func copyFile(house fs.FS, name, to string) error {
	content, err := fs.ReadFile(house, name)
	if err != nil {
		return err
	}
	info, err := fs.Stat(house, name)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}

// TestDockerfileUsesTheScript holds the Dockerfile to what the test above tries.
func TestDockerfileUsesTheScript(t *testing.T) {
	lines := strings.Split(read(t, "../Dockerfile"), "\n")
	for _, want := range []string{
		`FROM golang:1.26 AS build`,
		`RUN VERSION="$VERSION" deploy/image-rootfs.sh /rootfs`,
		`FROM scratch`,
		`COPY --from=build /rootfs/belpoort /belpoort`,
		`COPY --from=build /rootfs/etc /etc`,
		`COPY --from=build --chown=65532:65532 /rootfs/var/lib/belpoort /var/lib/belpoort`,
		`USER 65532:65532`,
		`WORKDIR /var/lib/belpoort`,
		`VOLUME /var/lib/belpoort`,
		`EXPOSE 2357 2358 2359`,
		`ENTRYPOINT ["/belpoort"]`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("the Dockerfile lacks the line %q", want)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
