package loader

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

// maxMapping bounds a mapping file, in bytes.
const maxMapping = 64 << 10

// passedOver is what a column is mapped to that means nothing here.
const passedOver = "-"

// Mapping says what the columns of one source mean, where their names do not say it.
type Mapping struct {
	// About says in a line what it is for; Kind, which kind of file alone it is for. Both may be empty.
	About string
	Kind  Kind
	// Columns leads from a header of the file to a column of the kind, or to "-" for one that is passed over.
	Columns map[string]string
	// Defaults are cells, by column of the kind, for rows that have none.
	Defaults map[string]string
	// Words leads, by column of the kind, from the source's own words to ours.
	Words map[string]map[string]string

	places places
}

// ReadMapping reads a mapping in YAML; file is its name in errors. What it does not know, or what stands there twice, is an
// error that names file, line and key.
func ReadMapping(file string, r io.Reader) (*Mapping, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxMapping+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	m := &Mapping{places: places{file: file, lines: map[string]int{}}}
	if len(data) > maxMapping {
		return nil, fmt.Errorf("%s: the mapping is larger than %d bytes", file, maxMapping)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	if err := d.Decode(&document); err != nil {
		return nil, fmt.Errorf("%s: the mapping is no YAML: %s", file, maskDigits(printable(err.Error()), phoneDigits))
	}
	if err := m.read(&document); err != nil {
		return nil, err
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: the mapping has more than one document", file)
	}
	return m, nil
}

// Check refuses what the kind does not have.
func (m *Mapping) Check(name Kind) error {
	if m == nil {
		return nil
	}
	if m.Kind != "" && m.Kind != name {
		return m.places.wrong("kind", string(m.Kind), "is what this mapping is for, and the file is one of %s", name)
	}
	k := kinds[name]
	known := append(k.names(), passedOver)
	seen := map[string]string{}
	for _, header := range slices.Sorted(maps.Keys(m.Columns)) {
		column := m.Columns[header]
		if !slices.Contains(known, column) {
			return m.places.wrong("columns", header, "is mapped to %q, which is no column of %s", shown(column), name)
		}
		if other := seen[column]; other != "" && column != passedOver {
			return m.places.wrong("columns", header, "and %s are both mapped to %s", shown(other), shown(column))
		}
		seen[column] = header
	}
	for _, column := range slices.Sorted(maps.Keys(m.Defaults)) {
		if !slices.Contains(k.names(), column) || column == calleeColumn.name || column == recordIDColumn.name {
			return m.places.wrong("defaults", column, "is no column of %s that can have one", name)
		}
		if !k.columnCalled(column).hasWord(m.Defaults[column]) {
			return m.places.wrong("defaults", column, "is %q, which is no word of this column", shown(m.Defaults[column]))
		}
	}
	for _, column := range slices.Sorted(maps.Keys(m.Words)) {
		if !slices.Contains(k.names(), column) {
			return m.places.wrong("words", column, "is no column of %s", name)
		}
		for _, from := range slices.Sorted(maps.Keys(m.Words[column])) {
			if to := m.Words[column][from]; !k.columnCalled(column).hasWord(to) {
				return m.places.wrong("words: "+column, from, "becomes %q, which is no word of this column", shown(to))
			}
		}
	}
	return nil
}

// hasWord reports whether a text may stand in a column: in one with words of its own, only those.
func (c *column) hasWord(s string) bool {
	if c.as != word {
		return true
	}
	_, ok := c.words.read(s)
	return ok
}

func (m *Mapping) column(header string) (to string, mapped bool) {
	if m == nil {
		return "", false
	}
	to, mapped = m.Columns[plainWord(header)]
	return to, mapped
}

func (m *Mapping) fallback(c *column) string {
	if m == nil || c == nil {
		return ""
	}
	return m.Defaults[c.name]
}

// apply gives a row's cells in our words.
func (m *Mapping) apply(cells []string, columns []*column) []string {
	mapped := make([]string, len(columns))
	copy(mapped, cells)
	for i, c := range columns {
		if c == nil {
			continue
		}
		if word, known := m.Words[c.name][plainWord(trim(mapped[i]))]; known {
			mapped[i] = word
		}
		if trim(mapped[i]) == "" {
			mapped[i] = m.fallback(c)
		}
	}
	return mapped
}
