package law

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/belpoort/belpoort/eligibility"
)

type node = yaml.Node

// bySetting stands where a policy setting decides.
const bySetting = "BY_SETTING"

// maxFile bounds a law file, in bytes.
const maxFile = 1 << 20

// Error says what is wrong with a law file, and where.
type Error struct {
	File    string
	Line    int
	Key     string
	Problem string
}

func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Problem)
	}
	return fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, e.Key, e.Problem)
}

// reader walks a file and keeps the first mistake.
type reader struct {
	file string
	err  error
}

func (r *reader) fail(n *node, key, problem string) {
	if r.err == nil {
		r.err = &Error{r.file, n.Line, key, problem}
	}
}

// failSetting places an error of a policy setting at the setting's line.
func (r *reader) failSetting(all *mapping, err error) {
	var wrong *eligibility.SettingError
	if !errors.As(err, &wrong) {
		r.fail(all.node, "settings", err.Error())
		return
	}
	name, _, _ := strings.Cut(wrong.Setting, ".")
	r.fail(all.need(name), "settings."+wrong.Setting, wrong.Problem)
}

func (r *reader) root(data []byte) (*node, error) {
	if len(data) > maxFile {
		return nil, &Error{r.file, 1, "", fmt.Sprintf("larger than %d bytes", maxFile)}
	}
	var doc node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", r.file, err)
	}
	if len(doc.Content) != 1 {
		return nil, &Error{r.file, 1, "", "the file is empty"}
	}
	return doc.Content[0], nil
}

// mapping is a map of the file whose keys are known.
type mapping struct {
	r      *reader
	node   *node
	path   string
	values map[string]*node
}

func (r *reader) mapping(n *node, path string, keys ...string) *mapping {
	m := &mapping{r: r, node: n, path: path, values: map[string]*node{}}
	if n.Kind != yaml.MappingNode {
		r.fail(n, path, "want a map")
		return m
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case !slices.Contains(keys, key.Value):
			r.fail(key, m.at(key.Value), "unknown key")
		case m.values[key.Value] != nil:
			r.fail(key, m.at(key.Value), "stands twice")
		default:
			m.values[key.Value] = n.Content[i+1]
		}
	}
	return m
}

func (m *mapping) at(key string) string {
	if m.path == "" {
		return key
	}
	return m.path + "." + key
}

// has reports whether a key has a value other than null.
func (m *mapping) has(key string) bool { return m.values[key] != nil && m.values[key].Tag != "!!null" }

// need is the value of a key that must be there.
func (m *mapping) need(key string) *node {
	if n := m.values[key]; n != nil {
		return n
	}
	m.r.fail(m.node, m.at(key), "is missing")
	return m.node
}

func (m *mapping) text(key string) string {
	n := m.need(key)
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		m.r.fail(n, m.at(key), "want a text")
	}
	return n.Value
}

// sourced asks for the source of an entry and how sure it is.
func (m *mapping) sourced() {
	m.text("source")
	if c := m.text("confidence"); c != "sure" && c != "likely" && c != "unclear" {
		m.r.fail(m.need("confidence"), m.at("confidence"), fmt.Sprintf("want sure, likely or unclear, got %q", c))
	}
}

func (m *mapping) list(key string) []*node {
	if !m.has(key) {
		return nil
	}
	n := m.values[key]
	if n.Kind != yaml.SequenceNode {
		m.r.fail(n, m.at(key), "want a list")
		return nil
	}
	return n.Content
}

func (m *mapping) flag(key string) bool {
	if !m.has(key) {
		return false
	}
	if n := m.values[key]; n.Tag != "!!bool" {
		m.r.fail(n, m.at(key), "want true or false")
	}
	return m.values[key].Value == "true"
}

func (m *mapping) whole(key string) int {
	if !m.has(key) {
		return 0
	}
	return m.r.wholeOf(m.values[key], m.at(key))
}

func (r *reader) wholeOf(n *node, key string) int {
	i, err := strconv.Atoi(n.Value)
	if err != nil || i < 0 {
		r.fail(n, key, fmt.Sprintf("want a whole number, got %q", n.Value))
	}
	return i
}

// bySetting reports whether a policy setting decides.
func (m *mapping) bySetting(key string) bool {
	if !m.has(key) {
		return false
	}
	if n := m.values[key]; n.Value != bySetting {
		m.r.fail(n, m.at(key), "want "+bySetting+" or nothing")
	}
	return true
}

func (m *mapping) use(key string) eligibility.RangeUse {
	switch m.text(key) {
	case "ALLOW":
		return eligibility.RangeAllowed
	case "DENY":
		return eligibility.RangeDenied
	case "INVALID":
		return eligibility.RangeInvalid
	}
	m.r.fail(m.need(key), m.at(key), "want ALLOW, DENY or INVALID")
	return eligibility.RangeInvalid
}

func word[W eligibility.Word](m *mapping, key string) W {
	w, err := eligibility.ParseWord[W](m.text(key))
	if err != nil {
		m.r.fail(m.need(key), m.at(key), err.Error())
	}
	return w
}

func words[W eligibility.Word](m *mapping, key string) []W {
	var all []W
	for _, n := range m.list(key) {
		w, err := eligibility.ParseWord[W](n.Value)
		if err != nil {
			m.r.fail(n, m.at(key), err.Error())
		}
		all = append(all, w)
	}
	return all
}

// plain is a node as policy settings are given: bool, int, string, list or map; everything else is its text.
func (r *reader) plain(n *node) any {
	switch n.Kind {
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			list = append(list, r.plain(c))
		}
		return list
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if _, twice := m[key.Value]; twice {
				r.fail(key, key.Value, "stands twice")
			}
			m[key.Value] = r.plain(n.Content[i+1])
		}
		return m
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return n.Value == "true"
	case "!!int":
		if i, err := strconv.Atoi(n.Value); err == nil {
			return i
		}
	}
	return n.Value
}
