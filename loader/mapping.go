package loader

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"
)

// maxMapping bounds a mapping file, in bytes.
const maxMapping = 64 << 10

// passedOver is what a column is mapped to that means nothing here.
const passedOver = "-"

// Mapping says what the columns of one source mean, where their names do not say it.
type Mapping struct {
	// Columns leads from a header of the file to a column of the kind, or to "-" for one that is passed over.
	Columns map[string]string `yaml:"columns"`
	// Defaults are cells, by column of the kind, for rows that have none.
	Defaults map[string]string `yaml:"defaults"`
	// Words leads, by column of the kind, from the source's own words to ours.
	Words map[string]map[string]string `yaml:"words"`
}

// ReadMapping reads a mapping in YAML. A key that it does not know is an error.
func ReadMapping(r io.Reader) (*Mapping, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxMapping+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxMapping {
		return nil, fmt.Errorf("the mapping is larger than %d bytes", maxMapping)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	var m Mapping
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("the mapping: %w", err)
	}
	if err := d.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("the mapping has more than one document")
	}
	return m.plain()
}

// plain spells headers and words as they are compared.
func (m *Mapping) plain() (*Mapping, error) {
	columns := map[string]string{}
	for header, column := range m.Columns {
		if columns[plainWord(header)] != "" {
			return nil, fmt.Errorf("the mapping: columns: %q stands there twice", shown(header))
		}
		columns[plainWord(header)] = column
	}
	words := map[string]map[string]string{}
	for column, list := range m.Words {
		words[column] = map[string]string{}
		for from, to := range list {
			words[column][plainWord(from)] = to
		}
	}
	return &Mapping{Columns: columns, Defaults: m.Defaults, Words: words}, nil
}

// check refuses what the kind does not have.
func (m *Mapping) check(name Kind) error {
	if m == nil {
		return nil
	}
	k := kinds[name]
	known := append(k.names(), passedOver)
	seen := map[string]string{}
	for header, column := range m.Columns {
		if !slices.Contains(known, column) {
			return fmt.Errorf("the mapping: columns: %s is mapped to %q, which is no column of %s", shown(header), shown(column), name)
		}
		if other := seen[column]; other != "" && column != passedOver {
			return fmt.Errorf("the mapping: columns: %s and %s are both mapped to %s", shown(min(header, other)), shown(max(header, other)), column)
		}
		seen[column] = header
	}
	for column := range m.Defaults {
		if !slices.Contains(k.names(), column) || column == calleeColumn.name || column == recordIDColumn.name {
			return fmt.Errorf("the mapping: defaults: %q is no column of %s that can have one", shown(column), name)
		}
	}
	for column := range m.Words {
		if !slices.Contains(k.names(), column) {
			return fmt.Errorf("the mapping: words: %q is no column of %s", shown(column), name)
		}
	}
	return nil
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
