package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// files writes files into a folder of their own and makes it the current one.
func files(t *testing.T, contents map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range contents {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func wantProblem(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

// TestIncludesAddUp: paths are relative to the including file, and a file that two others include is read once.
func TestIncludesAddUp(t *testing.T) {
	files(t, map[string]string{
		"main.yaml":          "include: [parts/one.yaml, parts/two.yaml]\n" + strings.ReplaceAll(head[strings.Index(head, "scenarios:"):], "one", "main") + goodCall + "\n  facts: [{like: asked}]" + goodExpect,
		"parts/one.yaml":     "include: [../shared/common.yaml]\ncatalogue: {organisations: [{id: globex, class: COMMERCIAL}]}\n",
		"parts/two.yaml":     "include: [../shared/common.yaml]\n",
		"shared/common.yaml": head + goodCall + goodExpect,
	})
	file, err := Load("main.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Catalogue.Organisations) != 2 || len(file.Scenarios) != 2 || file.Scenarios[1].Facts[0].CallRequest == nil {
		t.Errorf("got %d organisations, %d scenarios", len(file.Catalogue.Organisations), len(file.Scenarios))
	}
}

func TestDuplicatesAcrossFiles(t *testing.T) {
	files(t, map[string]string{
		"main.yaml":  "include: [other.yaml]\nfacts: {a: {subscriber: {}}}\ncatalogue: {organisations: [" + acme + "], product_families: {energy: [gas]}}\n",
		"other.yaml": "facts: {a: {subscriber: {}}}\ncatalogue:\n  organisations: [" + acme + "]\n  product_families: {energy: [power]}\n",
	})
	_, err := Load("main.yaml")
	wantProblem(t, err, `main.yaml:3:34: catalogue.organisations[0].id: duplicate organisation "acme", first in other.yaml:3
main.yaml:3:88: catalogue.product_families.energy: duplicate product family "energy", first in other.yaml:4
main.yaml:2:12: facts.a: duplicate fact "a", first in other.yaml:1`)
}

func TestIncludeProblems(t *testing.T) {
	deep := make(map[string]string)
	for i := range maxIncludeDepth {
		deep[fmt.Sprintf("%d.yaml", i)] = fmt.Sprintf("include: [%d.yaml]\n", i+1)
	}
	deep["8.yaml"] = "facts: {}\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"cycle": {
			map[string]string{"0.yaml": "include: [b.yaml]", "b.yaml": "include: [c.yaml]", "c.yaml": "facts: {}\ninclude: [b.yaml]"},
			"c.yaml:2:11: include[0]: include cycle: b.yaml -> c.yaml -> b.yaml"},
		"itself":   {map[string]string{"0.yaml": "include: [./0.yaml]"}, "0.yaml:1:11: include[0]: include cycle: 0.yaml -> 0.yaml"},
		"too deep": {deep, "7.yaml:1:11: include[0]: includes are nested deeper than 8 files"},
		"absolute": {map[string]string{"0.yaml": "include: [/etc/passwd]"}, "0.yaml:1:11: include[0]: must be relative to the including file"},
		"no list":  {map[string]string{"0.yaml": "include: b.yaml"}, "0.yaml:1:10: include: want a list, got a single value"},
		"no name":  {map[string]string{"0.yaml": "include: [{}]"}, "0.yaml:1:11: include[0]: want the name of a file"},
		"missing":  {map[string]string{"0.yaml": "include: [b.yaml]"}, "0.yaml:1:11: include[0]: cannot be read: open b.yaml: no such file or directory"},
		"wrong":    {map[string]string{"0.yaml": "include: [b.yaml]", "b.yaml": "a: b: c"}, "b.yaml:1:1: is not YAML: mapping values are not allowed in this context"},
	} {
		t.Run(name, func(t *testing.T) {
			files(t, c.files)
			_, err := Load("0.yaml")
			wantProblem(t, err, c.want)
		})
	}
}

func TestTooManyFiles(t *testing.T) {
	contents := make(map[string]string)
	var names []string
	for i := range maxFiles {
		name := fmt.Sprintf("f%d.yaml", i)
		contents[name], names = "facts: {}", append(names, name)
	}
	contents["main.yaml"] = "include: [" + strings.Join(names, ", ") + "]"
	files(t, contents)
	if _, err := Load("main.yaml"); err == nil || !strings.HasSuffix(err.Error(), "include[63]: more than 64 files") {
		t.Errorf("got %v", err)
	}
}
