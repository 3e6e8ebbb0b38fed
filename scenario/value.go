package scenario

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kind is the form of a value.
type kind uint8

const (
	null kind = iota
	scalar
	list
	object
)

func (k kind) String() string { return [...]string{"null", "a single value", "a list", "a map"}[k] }

// value is a node of a file that remembers where it stands.
type value struct {
	file         string
	line, column int
	parent       *value
	name         string // its last step from the parent: ".key" or "[3]"
	kind         kind
	text         string // a scalar as written
	tag          string // a scalar's YAML type, such as "!!bool"
	items        []*value
	entries      []entry
}

// entry is one key of a map.
type entry struct {
	key          string
	line, column int // of the key
	value        *value
}

// path is the value's key, such as "scenarios[3].call".
func (v *value) path() string {
	if v.parent == nil {
		return strings.TrimPrefix(v.name, ".")
	}
	return strings.TrimPrefix(v.parent.path()+v.name, ".")
}

// field is the path of a key in v, whether it is written or not.
func (v *value) field(key string) string { return strings.TrimPrefix(v.path()+"."+key, ".") }

// find is the entry of a key, nil when it is not written.
func (v *value) find(key string) *entry {
	for i := range v.entries {
		if v.entries[i].key == key {
			return &v.entries[i]
		}
	}
	return nil
}

const (
	// maxBytes is how long a file may be.
	maxBytes = 16 << 20
	// maxDepth is how deep its maps and lists may nest.
	maxDepth = 32
)

// parse reads one YAML document; nil when it is none.
func parse(file string, data []byte, problems *Problems) *value {
	fail := func(line int, text string) *value {
		problems.add(Problem{File: file, Line: line, Column: min(line, 1), Text: text})
		return nil
	}
	if len(data) > maxBytes {
		return fail(0, fmt.Sprintf("is larger than %d MiB", maxBytes>>20))
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	var document, second yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return fail(1, "the file is empty")
	} else if err != nil {
		return fail(syntaxError(err))
	}
	if err := decoder.Decode(&second); err == nil {
		return fail(second.Line, "holds a second document; one file is one document")
	} else if !errors.Is(err, io.EOF) {
		return fail(syntaxError(err))
	}
	t := tree{file: file, problems: problems, before: len(problems.List)}
	root := t.value(document.Content[0], nil, "", 0)
	if len(problems.List) > t.before {
		return nil
	}
	return root
}

var yamlLine = regexp.MustCompile(`^line (\d+): `)

// syntaxError takes the line out of an error of the YAML library.
func syntaxError(err error) (line int, text string) {
	text = strings.TrimPrefix(strings.SplitN(err.Error(), "\n", 2)[0], "yaml: ")
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = strings.TrimPrefix(text, m[0])
	}
	return max(line, 1), "is not YAML: " + text
}

// tree turns YAML nodes into values. It refuses what makes a file mean something else than it seems to say.
type tree struct {
	file     string
	problems *Problems
	before   int
}

func (t *tree) value(n *yaml.Node, parent *value, name string, depth int) *value {
	v := &value{file: t.file, line: n.Line, column: n.Column, parent: parent, name: name}
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		t.add(v, n, "anchors and aliases are not supported; name a fact and use \"like\"")
	case n.Style&yaml.TaggedStyle != 0:
		t.add(v, n, fmt.Sprintf("the tag %s is not supported", n.Tag))
	case depth > maxDepth:
		t.add(v, n, fmt.Sprintf("is nested deeper than %d levels", maxDepth))
	case n.Kind == yaml.SequenceNode:
		v.kind = list
		for i, item := range n.Content {
			v.items = append(v.items, t.value(item, v, "["+strconv.Itoa(i)+"]", depth+1))
		}
	case n.Kind == yaml.MappingNode:
		v.kind = object
		t.entries(v, n, depth)
	case n.ShortTag() != "!!null":
		v.kind, v.text, v.tag = scalar, n.Value, n.ShortTag()
	}
	return v
}

func (t *tree) entries(v *value, n *yaml.Node, depth int) {
	first := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		line, duplicate := first[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || key.Style&yaml.TaggedStyle != 0 || key.Anchor != "":
			t.add(v, key, "a key must be plain text")
		case key.ShortTag() == "!!merge":
			t.add(v, key, "merge keys (<<) are not supported; name a fact and use \"like\"")
		case duplicate:
			t.add(v, key, fmt.Sprintf("duplicate key %q, first on line %d", key.Value, line))
		default:
			first[key.Value] = key.Line
			child := t.value(n.Content[i+1], v, "."+key.Value, depth+1)
			v.entries = append(v.entries, entry{key.Value, key.Line, key.Column, child})
		}
	}
}

func (t *tree) add(v *value, n *yaml.Node, text string) {
	t.problems.add(Problem{t.file, n.Line, n.Column, v.path(), text})
}

// plain is the value as policy settings are given: bool, int, float64, string, nil, []any, map[string]any.
func (v *value) plain() any {
	switch v.kind {
	case list:
		items := make([]any, 0, len(v.items))
		for _, item := range v.items {
			items = append(items, item.plain())
		}
		return items
	case object:
		m := make(map[string]any, len(v.entries))
		for _, e := range v.entries {
			m[e.key] = e.value.plain()
		}
		return m
	case scalar:
		return v.scalar()
	default:
		return nil
	}
}

var plainFloat = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// scalar keeps everything but plain truth values and plain numbers as the text that was written: dates, times, phone prefixes.
func (v *value) scalar() any {
	switch v.tag {
	case "!!bool":
		return strings.EqualFold(v.text, "true")
	case "!!int":
		if n, err := strconv.Atoi(v.text); err == nil && strconv.Itoa(n) == v.text {
			return n
		}
	case "!!float":
		if f, err := strconv.ParseFloat(v.text, 64); err == nil && plainFloat.MatchString(v.text) {
			return f
		}
	}
	return v.text
}
