package loader

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// places are where in a mapping file its keys stand.
type places struct {
	file  string
	lines map[string]int // by section, a slash and the key as it is compared
}

func (p places) wrong(section, key, format string, args ...any) error {
	place := "the mapping"
	if line := p.lines[section+"/"+key]; p.file != "" && line > 0 {
		place = fmt.Sprintf("%s:%d", p.file, line)
	}
	return fmt.Errorf("%s: %s: %s %s", place, section, shown(key), fmt.Sprintf(format, args...))
}

func (p places) at(node *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", p.file, node.Line, fmt.Sprintf(format, args...))
}

// read takes the document apart, and spells headers and words as they are compared.
func (m *Mapping) read(document *yaml.Node) error {
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return fmt.Errorf("%s: the mapping must have some of the keys %s", m.places.file, mappingKeys)
	}
	seen := map[string]bool{}
	top := document.Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		if seen[key.Value] {
			return m.places.at(key, "%s: stands there twice", shown(key.Value))
		}
		seen[key.Value] = true
		if err := m.section(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mapping) section(key, value *yaml.Node) (err error) {
	same := func(s string) string { return s }
	switch key.Value {
	case "about", "kind":
		return m.one(key, value)
	case "columns":
		m.Columns, err = m.places.texts(value, "columns", plainWord)
	case "defaults":
		m.Defaults, err = m.places.texts(value, "defaults", same)
	case "words":
		m.Words, err = m.places.wordLists(value)
	default:
		return m.places.at(key, "%s: unknown key; known are %s", shown(key.Value), mappingKeys)
	}
	return err
}

const mappingKeys = "about, kind, columns, defaults and words"

// one reads a key with one text.
func (m *Mapping) one(key, value *yaml.Node) error {
	if value.Kind != yaml.ScalarNode {
		return m.places.at(value, "%s: want one text", key.Value)
	}
	if key.Value == "about" {
		m.About = value.Value
		return nil
	}
	m.Kind = Kind(value.Value)
	m.places.lines["kind/"+value.Value] = value.Line
	if _, known := kinds[m.Kind]; !known {
		return m.places.at(value, "kind: %q is no kind of file; want one of %v", shown(value.Value), Kinds())
	}
	return nil
}

func (p places) wordLists(node *yaml.Node) (map[string]map[string]string, error) {
	lists := map[string]map[string]string{}
	return lists, p.each(node, "words", func(s string) string { return s }, func(column string, value *yaml.Node) (err error) {
		lists[column], err = p.texts(value, "words: "+column, plainWord)
		return err
	})
}

// texts are a map of texts to texts. A key in the form plain gives may stand there once.
func (p places) texts(node *yaml.Node, section string, plain func(string) string) (map[string]string, error) {
	texts := map[string]string{}
	return texts, p.each(node, section, plain, func(key string, value *yaml.Node) error {
		if value.Kind != yaml.ScalarNode {
			return p.at(value, "%s: %s: want one text", section, shown(key))
		}
		texts[key] = value.Value
		return nil
	})
}

func (p places) each(node *yaml.Node, section string, plain func(string) string, take func(string, *yaml.Node) error) error {
	if node.Kind != yaml.MappingNode {
		return p.at(node, "%s: want keys with values", section)
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := plain(node.Content[i].Value)
		if node.Content[i].Kind != yaml.ScalarNode {
			return p.at(node.Content[i], "%s: want a text as key", section)
		}
		if p.lines[section+"/"+key] > 0 {
			return p.at(node.Content[i], "%s: %s stands there twice", section, shown(node.Content[i].Value))
		}
		p.lines[section+"/"+key] = node.Content[i].Line
		if err := take(key, node.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}
