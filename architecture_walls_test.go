package belpoort_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// badNames say what kind of code a folder holds and not which duty.
var badNames = []string{"internal", "pkg", "utils", "util", "common", "helpers", "misc"}

// goFile is what the walls need to know of one file.
type goFile struct {
	room      string
	name      string
	test      bool
	imports   []string
	timeNames []string // selectors on package time
}

func readHouse(house fs.FS) ([]goFile, error) {
	var files []goFile
	err := fs.WalkDir(house, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && skipped(entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		file, err := readFile(house, name)
		files = append(files, file)
		return err
	})
	return files, err
}

// skipped folders are those the go command skips too.
func skipped(folder string) bool {
	return folder == "testdata" || folder == "vendor" || strings.HasPrefix(folder, ".") || strings.HasPrefix(folder, "_")
}

func readFile(house fs.FS, name string) (goFile, error) {
	text, err := fs.ReadFile(house, name)
	if err != nil {
		return goFile{}, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
	if err != nil {
		return goFile{}, err
	}
	file := goFile{room: path.Dir(name), name: name, test: strings.HasSuffix(name, "_test.go")}
	timeAs := ""
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return goFile{}, fmt.Errorf("%s: %w", name, err)
		}
		file.imports = append(file.imports, imported)
		if imported == "time" {
			timeAs = localName(spec)
		}
	}
	file.timeNames = selectorsOn(parsed, timeAs)
	return file, nil
}

func localName(spec *ast.ImportSpec) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	return "time"
}

// selectorsOn lists what a file uses of the package it knows as name; a dot import yields ".".
func selectorsOn(parsed *ast.File, name string) []string {
	if name == "." {
		return []string{"."}
	}
	var used []string
	ast.Inspect(parsed, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if on, ok := selector.X.(*ast.Ident); ok && on.Name == name && !slices.Contains(used, selector.Sel.Name) {
				used = append(used, selector.Sel.Name)
			}
		}
		return true
	})
	return used
}

// complaints compares the house with the table, both ways.
func complaints(module string, table []room, files []goFile) []string {
	var found []string
	listed := map[string]room{}
	for _, r := range table {
		if _, twice := listed[r.path]; twice {
			found = append(found, fmt.Sprintf("the table lists %s twice", r.path))
		}
		if r.because == "" {
			found = append(found, fmt.Sprintf("the table gives no reason for %s", r.path))
		}
		listed[r.path] = r
	}
	exists := map[string]bool{}
	for _, file := range files {
		r, known := listed[file.room]
		if !known && !exists[file.room] {
			found = append(found, fmt.Sprintf("%s is a room that the table does not list", file.room))
		}
		exists[file.room] = true
		if known {
			found = append(found, fileComplaints(module, r, file)...)
		}
	}
	return append(found, roomComplaints(table, exists)...)
}

func roomComplaints(table []room, exists map[string]bool) []string {
	var found []string
	for _, r := range table {
		if !exists[r.path] {
			found = append(found, fmt.Sprintf("the table lists %s, which does not exist", r.path))
		}
		for _, part := range strings.Split(r.path, "/") {
			if slices.Contains(badNames, part) {
				found = append(found, fmt.Sprintf("%s is named after a kind of code, not after a duty", r.path))
			}
		}
	}
	return found
}

func fileComplaints(module string, r room, file goFile) []string {
	var found []string
	complain := func(what, why string) {
		found = append(found, fmt.Sprintf("%s %s (%s)", file.name, what, why))
	}
	for _, imported := range file.imports {
		if !mayImport(module, r, file.test, imported) {
			complain("must not import "+imported, r.because)
		}
		if why, impure := impureImport(imported); r.pure && !file.test && impure {
			complain("must not import "+imported, why)
		}
	}
	for _, name := range file.timeNames {
		if r.pure && !file.test && (impureTime[name] || name == ".") {
			complain("must not use time."+name, "an instant is an input of the law, never the machine's clock or zone")
		}
	}
	return found
}

func mayImport(module string, r room, test bool, imported string) bool {
	if other, ours := roomOf(module, imported); ours {
		return slices.Contains(r.imports, other) || test && (other == r.path || slices.Contains(r.inTests, other))
	}
	first, _, _ := strings.Cut(imported, "/")
	standard := !strings.Contains(first, ".")
	return standard || test || slices.ContainsFunc(r.libraries, func(library string) bool {
		return within(imported, library)
	})
}

func roomOf(module, imported string) (string, bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

func impureImport(imported string) (why string, impure bool) {
	for root, why := range impureImports {
		if within(imported, root) {
			return why, true
		}
	}
	return "", false
}

func within(imported, root string) bool {
	return imported == root || strings.HasPrefix(imported, root+"/")
}

// TestWallsFindEveryBreach shows the table a house in which each rule is broken once.
func TestWallsFindEveryBreach(t *testing.T) {
	files, err := readHouse(os.DirFS("testdata/walls"))
	if err != nil {
		t.Fatal(err)
	}
	table := []room{
		{path: "law", inTests: []string{"store"}, pure: true, because: "pure"},
		{path: "store", imports: []string{"law"}, libraries: []string{"example.test/sql"}, because: "durable"},
		{path: "door", imports: []string{"law"}, libraries: []string{"example.test/anything"}, because: "outermost"},
		{path: "ghost", because: "gone"},
		{path: "utils", because: ""},
		{path: "ghost", because: "again"},
	}
	want := []string{
		"the table gives no reason for utils",
		"the table lists ghost twice",
		"door/door.go must not import house.test/store (outermost)",
		"law/law.go must not import example.test/yaml (pure)",
		"law/law.go must not import house.test/store (pure)",
		"law/law.go must not import log/slog (a decision tells its reasons in its result)",
		"law/law.go must not use time.Now (an instant is an input of the law, never the machine's clock or zone)",
		"law/law_test.go must not import house.test/door (pure)",
		"store/mutant.go must not import house.test/door (durable)",
		"stray is a room that the table does not list",
		"the table lists ghost, which does not exist",
		"utils is named after a kind of code, not after a duty",
		"the table lists ghost, which does not exist",
	}
	got := complaints("house.test", table, files)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
