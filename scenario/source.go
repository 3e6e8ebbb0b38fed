package scenario

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// maxIncludeDepth is how many files may include each other in a chain.
	maxIncludeDepth = 8
	// maxFiles is how many files one file and its includes may be.
	maxFiles = 64
)

// gatherer reads a file and its includes, each once.
type gatherer struct {
	problems *Problems
	seen     map[string]bool // by absolute path
	roots    []*value        // included files before those that include them
}

// gather reads a file and everything it includes.
func gather(path string, problems *Problems) []*value {
	g := &gatherer{problems: problems, seen: make(map[string]bool)}
	g.file(filepath.Clean(path), nil, nil)
	return g.roots
}

// gatherBytes reads a file that is already in memory; it may include nothing.
func gatherBytes(name string, data []byte, problems *Problems) []*value {
	root := parse(name, data, problems)
	if root == nil {
		return nil
	}
	if e := root.find("include"); e != nil {
		r := &reader{problems: problems}
		r.fail(e.value, "nothing can be included here, since this is no file on disk")
	}
	return []*value{root}
}

// file reads one file; from is the entry that includes it, chain the files that are being read.
func (g *gatherer) file(path string, from *value, chain []string) {
	fail := func(text string) {
		if from == nil {
			g.problems.add(Problem{File: path, Text: text})
			return
		}
		g.problems.add(Problem{from.file, from.line, from.column, from.path(), text})
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		fail("cannot be found: " + err.Error())
		return
	}
	if slices.Contains(chain, absolute) {
		fail("include cycle: " + cycle(chain, absolute))
		return
	}
	if len(chain) == maxIncludeDepth {
		fail(fmt.Sprintf("includes are nested deeper than %d files", maxIncludeDepth))
		return
	}
	if g.seen[absolute] {
		return
	}
	if len(g.seen) == maxFiles {
		fail(fmt.Sprintf("more than %d files", maxFiles))
		return
	}
	g.seen[absolute] = true
	data, err := readFile(path)
	if err != nil {
		fail("cannot be read: " + err.Error())
		return
	}
	root := parse(path, data, g.problems)
	if root == nil {
		return
	}
	g.includes(root, append(chain, absolute))
	g.roots = append(g.roots, root)
}

func (g *gatherer) includes(root *value, chain []string) {
	r := &reader{problems: g.problems}
	if root.kind != object {
		return
	}
	for _, item := range r.fields(root).items("include") {
		switch {
		case item.kind != scalar || item.text == "":
			r.fail(item, "want the name of a file")
		case filepath.IsAbs(item.text):
			r.fail(item, "must be relative to the including file")
		default:
			g.file(filepath.Join(filepath.Dir(root.file), item.text), item, slices.Clip(chain))
		}
	}
}

// cycle names the files from the first one that comes back.
func cycle(chain []string, again string) string {
	var names []string
	for _, path := range append(chain[slices.Index(chain, again):], again) {
		names = append(names, filepath.Base(path))
	}
	return strings.Join(names, " -> ")
}

// readFile reads one byte more than a file may have, so that parse can tell.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxBytes+1))
}
