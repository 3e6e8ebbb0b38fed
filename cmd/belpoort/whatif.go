package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/eligibility/law"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// maxSupposedLaw bounds a law file of --what-if-law: the API takes no larger one.
const maxSupposedLaw = 200 << 10

// readHypothesis reads the change that the flags suppose.
func readHypothesis(f flags) (*belpoortv1.Hypothesis, error) {
	given, err := f.set.GetStringArray("what-if")
	if err != nil {
		return nil, err
	}
	at, err := parseTime("at", f.text("at"))
	if err != nil {
		return nil, err
	}
	h := &belpoortv1.Hypothesis{DialTime: at}
	lawPath := f.text("what-if-law")
	switch {
	case len(given) > 0 && lawPath != "":
		return nil, errors.New("--what-if and --what-if-law are two changes: suppose one at a time")
	case lawPath != "":
		return h, readSupposedLaw(h, lawPath)
	case len(given) == 0:
		return nil, errors.New("--what-if is empty: name a change to compare with")
	}
	values, err := readSupposedPolicy(given)
	if err != nil {
		return nil, err
	}
	policy, err := structpb.NewStruct(values)
	h.Change = &belpoortv1.Hypothesis_Policy{Policy: policy}
	return h, err
}

// readSupposedLaw leaves it to the service to judge the file, by which the answer will be given.
func readSupposedLaw(h *belpoortv1.Hypothesis, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("--what-if-law: %w", err)
	}
	if info.IsDir() {
		path = filepath.Join(path, lawName)
		if info, err = os.Stat(path); err != nil {
			return fmt.Errorf("--what-if-law: %w", err)
		}
	}
	if !info.Mode().IsRegular() || info.Size() > maxSupposedLaw {
		return fmt.Errorf("--what-if-law: %s is no file of at most %d bytes", path, maxSupposedLaw)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("--what-if-law: %w", err)
	}
	h.Change, h.LawName = &belpoortv1.Hypothesis_Law{Law: data}, filepath.Base(path)
	return nil
}

// readSupposedPolicy reads what every --what-if gives, settings or a file with them.
func readSupposedPolicy(given []string) (map[string]any, error) {
	nl, err := law.NL()
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	for _, text := range given {
		read := readPolicyFile
		if strings.Contains(text, "=") {
			read = readSettings
		}
		values, err := read(text, &nl.Defaults)
		if err != nil {
			return nil, fmt.Errorf("--what-if: %w", err)
		}
		for name, value := range values {
			if _, twice := all[name]; twice {
				return nil, fmt.Errorf("--what-if: %s stands twice", name)
			}
			all[name] = value
		}
	}
	return all, nil
}

// nextSetting is what follows a comma that ends a value. Other commas belong to the value: "Mon-Fri 9:00-20:00, Sat 10:00-16:00".
var nextSetting = regexp.MustCompile(`^\s*[a-z][a-z0-9_]*\s*=`)

// readSettings reads SETTING=VALUE[,SETTING=VALUE...]. Values are YAML.
func readSettings(text string, defaults *eligibility.Policy) (map[string]any, error) {
	values := map[string]any{}
	for _, one := range splitSettings(text) {
		name, value, found := strings.Cut(one, "=")
		name = strings.TrimSpace(name)
		if !found || strings.TrimSpace(value) == "" {
			return nil, fmt.Errorf("%q: want SETTING=VALUE", one)
		}
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("%s stands twice", name)
		}
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(value), &doc); err != nil || len(doc.Content) != 1 {
			return nil, fmt.Errorf("%s: %q is no value as YAML writes it", name, value)
		}
		v, err := plainYAML(doc.Content[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		values[name] = v
	}
	return values, judged(defaults, values)
}

// splitSettings splits at commas outside brackets and quotes that a next setting follows.
func splitSettings(text string) []string {
	var parts []string
	depth, begin := 0, 0
	var quote byte
	for i := range len(text) {
		b := text[i]
		switch {
		case quote != 0 && b == quote:
			quote = 0
		case quote != 0:
		case b == '"' || b == '\'':
			quote = b
		case b == '[' || b == '{':
			depth++
		case b == ']' || b == '}':
			depth--
		case b == ',' && depth == 0 && nextSetting.MatchString(text[i+1:]):
			parts = append(parts, text[begin:i])
			begin = i + 1
		}
	}
	return append(parts, text[begin:])
}

// judged says which setting is wrong.
func judged(defaults *eligibility.Policy, values map[string]any) error {
	_, err := defaults.Override(values)
	wrong, ok := errors.AsType[*eligibility.SettingError](err)
	switch {
	case !ok:
		return err
	case wrong.Problem == "unknown setting":
		return &eligibility.SettingError{Setting: wrong.Setting, Problem: "unknown setting; known are " + strings.Join(eligibility.Settings(), ", ")}
	}
	return wrong
}

// readPolicyFile reads the settings under "policy" of a file in the form of scenario files. Whatever else such a file may
// hold is passed over.
func readPolicyFile(path string, defaults *eligibility.Policy) (map[string]any, error) {
	top, err := readYAMLMap(path)
	if err != nil {
		return nil, err
	}
	var policy *yaml.Node
	for i := 0; i+1 < len(top.Content); i += 2 {
		switch key := top.Content[i]; key.Value {
		case "policy":
			policy = top.Content[i+1]
		case "catalogue", "facts", "scenarios":
		case "include":
			return nil, fmt.Errorf("%s:%d: include: is not followed here; write the settings under policy", path, key.Line)
		default:
			return nil, fmt.Errorf("%s:%d: %s: unknown key; want policy", path, key.Line, key.Value)
		}
	}
	if policy == nil || policy.Kind != yaml.MappingNode || len(policy.Content) == 0 {
		return nil, fmt.Errorf("%s: policy: want a map of settings", path)
	}
	read, err := plainYAML(policy)
	if err != nil {
		return nil, fmt.Errorf("%s: policy: %w", path, err)
	}
	values := read.(map[string]any) // a mapping node gives nothing else
	err = judged(defaults, values)
	if wrong, ok := errors.AsType[*eligibility.SettingError](err); ok {
		return nil, fmt.Errorf("%s:%d: policy.%s: %s", path, lineOf(policy, wrong.Setting), wrong.Setting, wrong.Problem)
	}
	return values, err
}

func readYAMLMap(path string) (*yaml.Node, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("want SETTING=VALUE or a file: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxConfig {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, maxConfig)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:1: want a map with the key policy", path)
	}
	return doc.Content[0], nil
}

// lineOf is the line of the innermost key of a path that is written.
func lineOf(m *yaml.Node, path string) int {
	line := m.Line
	for i := 0; i+1 < len(m.Content) && m.Kind == yaml.MappingNode; i += 2 {
		key := m.Content[i]
		rest, ok := strings.CutPrefix(path, key.Value)
		if ok && rest == "" {
			return key.Line
		}
		if ok && rest[0] == '.' {
			return max(key.Line, lineOf(m.Content[i+1], rest[1:]))
		}
	}
	return line
}

var wholeNumber = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,15})$`)

// plainYAML is a node as settings are given. Of single values only truth values and whole numbers are more than their text:
// dates, times and prefixes stay as they are written.
func plainYAML(n *yaml.Node) (any, error) {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0:
		return nil, fmt.Errorf("line %d: anchors, aliases and tags are not supported", n.Line)
	case n.Kind == yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			v, err := plainYAML(item)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case n.Kind == yaml.MappingNode:
		return plainMap(n)
	case n.ShortTag() == "!!null":
		return nil, nil
	case n.ShortTag() == "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case n.ShortTag() == "!!int" && wholeNumber.MatchString(n.Value):
		return strconv.Atoi(n.Value)
	}
	return n.Value, nil
}

func plainMap(n *yaml.Node) (any, error) {
	m := make(map[string]any, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if _, twice := m[key.Value]; twice || key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
			return nil, fmt.Errorf("line %d: the key %q stands twice, or is no plain text", key.Line, key.Value)
		}
		v, err := plainYAML(n.Content[i+1])
		if err != nil {
			return nil, err
		}
		m[key.Value] = v
	}
	return m, nil
}
