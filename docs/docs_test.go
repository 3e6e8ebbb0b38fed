// Package docs_test holds the pages to the code: what they name must exist, what they list must be complete, and what they
// tell people to type must do what they say. It knows pages, the rooms' public words and a built binary; it must not know
// how anything inside works.
package docs_test

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/belpoort/belpoort/loader"
)

var update = flag.Bool("update", false, "write the generated tables anew")

// house is the module's root, seen from here.
const house = ".."

// pages are the README, the changelog and everything beside this file.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("*.md")
	if err != nil || len(found) < 6 {
		t.Fatalf("pages: %v, %v", found, err)
	}
	integrations, err := filepath.Glob("integrations/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found = append(found, integrations...)
	return append([]string{filepath.Join(house, "README.md"), filepath.Join(house, "CHANGELOG.md")}, found...)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// source is every file of the house with one of the endings, by path from the root.
func source(t *testing.T, endings ...string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(house, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != house && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "bin" || entry.Name() == "testdata"):
			return fs.SkipDir
		case !entry.IsDir() && slices.Contains(endings, filepath.Ext(path)):
			name, _ := filepath.Rel(house, path)
			files[filepath.ToSlash(name)] = read(t, path)
		}
		return nil
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	return files
}

// generated puts a table between its marks, or complains that the one there is another.
func generated(t *testing.T, page, mark, table string) {
	t.Helper()
	text := read(t, page)
	begin := "<!-- " + mark + ": go test ./docs -update -->\n"
	before, rest, found := strings.Cut(text, begin)
	_, after, ended := strings.Cut(rest, "<!-- end -->")
	if !found || !ended {
		t.Fatalf("%s lacks the marks of %q", page, mark)
	}
	fresh := before + begin + table + "<!-- end -->" + after
	if fresh == text {
		return
	}
	if !*update {
		t.Fatalf("%s: the table %q is out of date; go test ./docs -update", page, mark)
	}
	if err := os.WriteFile(page, []byte(fresh), 0o644); err != nil {
		t.Fatal(err)
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	links := 0
	for _, page := range pages(t) {
		for _, found := range link.FindAllStringSubmatch(read(t, page), -1) {
			target, anchor, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			links++
			file := filepath.Join(filepath.Dir(page), target)
			if target == "" {
				file = page
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s: %v", page, found[1], err)
			} else if anchor != "" && !slices.Contains(anchors(read(t, file)), anchor) {
				t.Errorf("%s links to %s: there is no such heading", page, found[1])
			}
		}
	}
	if links < 10 {
		t.Errorf("%d links found", links)
	}
}

var (
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	noAnchor = regexp.MustCompile(`[^\p{L}\p{N} -]`)
)

func anchors(page string) []string {
	var all []string
	for _, found := range heading.FindAllStringSubmatch(page, -1) {
		all = append(all, strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(found[1]), ""), " ", "-"))
	}
	return all
}

var (
	fileName = regexp.MustCompile("`([a-z][a-z0-9_./-]*/[a-z0-9_-]+\\.(?:go|sh|yaml|proto|sql))(?:#([A-Za-z]+))?`")
	testName = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)`")
	mutant   = regexp.MustCompile("`(mutant_[a-z0-9_]+)`")
)

// ours are files that belong to a data folder, not to the house.
var ours = []string{"keys/api-keys.yaml"}

func TestFilesTestsAndMutantsThatPagesNameExist(t *testing.T) {
	code := source(t, ".go", ".sh", ".yaml", ".proto", ".sql")
	everything := strings.Join(slices.Collect(maps.Values(code)), "\n")
	seen := map[string]int{}
	for _, page := range pages(t) {
		text := read(t, page)
		for _, found := range fileName.FindAllStringSubmatch(text, -1) {
			file, function := found[1], found[2]
			content, exists := code[file]
			if !exists {
				_, err := os.Stat(filepath.Join(house, file))
				exists = err == nil
			}
			switch {
			case slices.Contains(ours, file):
			case !exists:
				t.Errorf("%s names %s, which does not exist", page, file)
			case function != "" && !regexp.MustCompile(`(?m)^func (\([^)]*\) )?`+function+`[(\[]`).MatchString(content):
				t.Errorf("%s names %s in %s, which has no such function", page, function, file)
			}
			seen["file"]++
		}
		for _, found := range testName.FindAllStringSubmatch(text, -1) {
			seen["test"]++
			if !strings.Contains(everything, "\nfunc "+found[1]+"(") {
				t.Errorf("%s names %s, which does not exist", page, found[1])
			}
		}
		for _, found := range mutant.FindAllStringSubmatch(text, -1) {
			seen["mutant"]++
			if !strings.Contains(everything, "//go:build "+found[1]+"\n") {
				t.Errorf("%s names %s, which does not exist", page, found[1])
			}
		}
	}
	if seen["file"] < 50 || seen["test"] < 40 || seen["mutant"] < 20 {
		t.Errorf("too little was found: %v", seen)
	}
}

// promise is a line of guarantees.md: what holds, the room, its tests, its mutants.
var promise = regexp.MustCompile("(?m)^\\| .+ \\| `([a-z/]+)` \\| (`Test[^|]+`) \\|(.*)\\|$")

// What is promised is shown by tests of the room that is named; its mutants stand in mutants.txt, which `make mutants` proves.
func TestGuaranteesRestOnTestsAndMutantsOfTheirRoom(t *testing.T) {
	code, proven := source(t, ".go"), read(t, filepath.Join(house, "mutants.txt"))
	promises := promise.FindAllStringSubmatch(read(t, "guarantees.md"), -1)
	for _, found := range promises {
		room := found[1]
		var tests strings.Builder
		for file, text := range code {
			if strings.HasPrefix(file, room+"/") && strings.HasSuffix(file, "_test.go") {
				tests.WriteString(text)
			}
		}
		for _, test := range testName.FindAllStringSubmatch(found[2], -1) {
			if !strings.Contains(tests.String(), "\nfunc "+test[1]+"(") {
				t.Errorf("guarantees.md names %s, which %s does not have", test[1], room)
			}
		}
		for _, named := range mutant.FindAllStringSubmatch(found[3], -1) {
			if !regexp.MustCompile(`(?m)^` + named[1] + ` +\./` + room + ` `).MatchString(proven) {
				t.Errorf("guarantees.md names %s, which mutants.txt does not have for %s", named[1], room)
			}
		}
	}
	if len(promises) < 50 {
		t.Errorf("%d promises found", len(promises))
	}
}

func TestReadmeNamesEveryRoom(t *testing.T) {
	_, table, _ := strings.Cut(read(t, filepath.Join(house, "README.md")), "\n## Rooms\n")
	table, _, _ = strings.Cut(table, "\n## ")
	named := map[string]bool{}
	for _, found := range regexp.MustCompile("(?m)^\\| `([a-z0-9/]+)` \\| .+ \\|$").FindAllStringSubmatch(table, -1) {
		named[found[1]] = true
	}
	rooms := map[string]bool{}
	for file := range source(t, ".go") {
		if room := filepath.ToSlash(filepath.Dir(file)); room != "." {
			rooms[room] = true
		}
	}
	for room := range rooms {
		if !named[room] {
			t.Errorf("the README does not say what %s does", room)
		}
	}
	for room := range named {
		if !rooms[room] {
			t.Errorf("the README tells of %s, which does not exist", room)
		}
	}
}

func TestTheExitCodesAreTheProgramsOwn(t *testing.T) {
	readme := read(t, filepath.Join(house, "README.md"))
	help := read(t, filepath.Join(house, "cmd", "belpoort", "main.go"))
	codes := regexp.MustCompile(`(?m)^  (\d)  (.+?)`+"`?$").FindAllStringSubmatch(help, -1)
	if len(codes) != 6 {
		t.Fatalf("%d exit codes in the help", len(codes))
	}
	for _, code := range codes {
		if line := fmt.Sprintf("| %s | %s |", code[1], code[2]); !strings.Contains(readme, line) {
			t.Errorf("the README lacks %q", line)
		}
	}
}

// quoted lists every Go string of a form in some files.
func quoted(files map[string]string, prefix string, form *regexp.Regexp) []string {
	var all []string
	for file, text := range files {
		if !strings.HasPrefix(file, prefix) || strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, found := range form.FindAllStringSubmatch(text, -1) {
			all = append(all, found[1])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestOperationsNamesEveryMetricAndError(t *testing.T) {
	page, code := read(t, "operations.md"), source(t, ".go")
	metric := regexp.MustCompile(`"(belpoort_[a-z_]+)"`)
	made := append(quoted(code, "ops/", metric), quoted(code, "cmd/belpoort/", metric)...)
	told := quoted(map[string]string{"operations.md": page}, "", regexp.MustCompile("`(belpoort_[a-z_]+)`"))
	for _, name := range made {
		if !slices.Contains(told, name) {
			t.Errorf("operations.md does not explain %s", name)
		}
	}
	for _, name := range told {
		if !slices.Contains(made, name) {
			t.Errorf("operations.md explains %s, which nothing makes", name)
		}
	}
	reasons := quoted(code, "server/errors.go", regexp.MustCompile(`(?m)^\tReason[A-Za-z]+ += "([A-Z_]+)"`))
	for _, reason := range reasons {
		if !regexp.MustCompile(`\b` + reason + `\b`).MatchString(page) {
			t.Errorf("operations.md does not explain %s", reason)
		}
	}
	if len(made) < 14 || len(reasons) < 20 {
		t.Errorf("%d metrics, %d reasons found", len(made), len(reasons))
	}
}

func TestImportListsEveryColumn(t *testing.T) {
	var table strings.Builder
	for _, kind := range loader.Kinds() {
		fmt.Fprintf(&table, "### %s\n\n| column | also called |\n|---|---|\n", kind)
		for _, column := range loader.Columns(kind) {
			name := "`" + column.Name + "`"
			if column.Required {
				name = "**" + name + "**"
			}
			fmt.Fprintf(&table, "| %s | %s |\n", name, strings.Join(column.Headers, ", "))
		}
		table.WriteString("\n")
	}
	generated(t, "import.md", "columns", table.String())
	page := read(t, "import.md")
	reasons := quoted(source(t, ".go"), "loader/rejects.go", regexp.MustCompile(`(?m)^\t[A-Za-z]+ +Reason = "([a-z_]+)"`))
	for _, reason := range reasons {
		if !strings.Contains(page, "| `"+reason+"` |") {
			t.Errorf("import.md does not explain the reason %s", reason)
		}
	}
	if len(reasons) < 10 {
		t.Errorf("%d reasons found", len(reasons))
	}
}

// No page may send people to a place that only one machine has.
func TestNoPageNamesAMachine(t *testing.T) {
	private := regexp.MustCompile(`/(?:tmp|work|home|root|Users)/`)
	for _, page := range pages(t) {
		if found := private.FindString(read(t, page)); found != "" {
			t.Errorf("%s names %s", page, found)
		}
	}
}
