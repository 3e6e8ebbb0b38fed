package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
)

// serveFlags are the names of the flags of `belpoort serve`, as its help lists them.
var serveFlags = sync.OnceValues(func() ([]string, error) {
	output, err := exec.Command("go", "run", "../cmd/belpoort", "serve", "--help").CombinedOutput()
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)`).FindAllStringSubmatch(string(output), -1) {
		names = append(names, match[1])
	}
	return names, err
})

func isFlag(t *testing.T, where, name string) {
	t.Helper()
	flags, err := serveFlags()
	if err != nil || len(flags) < 10 {
		t.Fatalf("belpoort serve --help: %v, flags %v", err, flags)
	}
	if !slices.Contains(flags, name) {
		t.Errorf("%s sets %q, which is no flag of serve: %v", where, name, flags)
	}
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatal(err)
	}
}

// TestComposeFitsTheService reads compose.yaml as compose would: anchors and merges followed. What runs it is not at hand.
func TestComposeFitsTheService(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Image, Restart string
			Environment    map[string]string
			Volumes        []string
			Ports          []string
			Build          struct{ Context, Dockerfile string }
			Command        []string
		}
		Volumes map[string]any
	}
	readYAML(t, "compose.yaml", &file)
	for _, name := range []string{"node1", "node2", "node3"} {
		node := file.Services[name]
		if _, err := os.Stat(filepath.Join(node.Build.Context, node.Build.Dockerfile)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Contains(node.Volumes, name+":"+dataFolder) || !slices.Contains(node.Volumes, "keys:"+dataFolder+"/keys") {
			t.Errorf("%s keeps neither its journals nor the shared keys: %v", name, node.Volumes)
		}
		if node.Environment["BELPOORT_NODE_NAME"] != name || node.Environment["BELPOORT_LEDGER"] == "" || node.Environment["BELPOORT_REDIS"] == "" {
			t.Errorf("%s: %v", name, node.Environment)
		}
		for variable := range node.Environment {
			flag, is := strings.CutPrefix(variable, "BELPOORT_")
			if !is {
				t.Errorf("%s sets %s", name, variable)
			}
			isFlag(t, name, strings.ToLower(strings.ReplaceAll(flag, "_", "-")))
		}
		for _, port := range node.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s offers plain text beyond loopback: %s", name, port)
			}
		}
	}
	for name, service := range file.Services {
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if _, is := file.Volumes[source]; !is {
				t.Errorf("%s mounts %s, which is not declared", name, source)
			}
		}
	}
}

func TestUnitSettingsAreFlags(t *testing.T) {
	var settings map[string]any
	readYAML(t, "systemd/belpoort.yaml", &settings)
	for name := range settings {
		isFlag(t, "belpoort.yaml", name)
	}
}

// TestUnitsAreHardened lets systemd itself judge the units; 10 is its worst exposure, and OK ends at 5.
func TestUnitsAreHardened(t *testing.T) {
	for _, service := range []string{"belpoort.service", "belpoort-drill.service"} {
		output, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=15", "systemd/"+service).CombinedOutput()
		if err != nil {
			t.Errorf("systemd-analyze security: %v\n%s", err, output)
		}
	}
	root := t.TempDir()
	unit := func(name string) string { return filepath.Join(root, "etc/systemd/system", name) }
	for path, from := range map[string]struct {
		file string
		mode os.FileMode
	}{
		unit("belpoort.service"):                {"systemd/belpoort.service", 0o644},
		unit("belpoort-drill.service"):          {"systemd/belpoort-drill.service", 0o644},
		unit("belpoort-drill.timer"):            {"systemd/belpoort-drill.timer", 0o644},
		filepath.Join(root, "usr/bin/belpoort"): {"/bin/true", 0o755}, filepath.Join(root, "bin/kill"): {"/bin/kill", 0o755},
	} {
		content, err := os.ReadFile(from.file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, from.mode); err != nil {
			t.Fatal(err)
		}
	}
	output, err := exec.Command("systemd-analyze", "verify", "--root="+root, "--man=no", "--recursive-errors=no",
		"belpoort.service", "belpoort-drill.service", "belpoort-drill.timer").CombinedOutput()
	if err != nil || len(output) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, output)
	}
}
