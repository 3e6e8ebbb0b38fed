package main

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/belpoort/belpoort/loader"
	"github.com/belpoort/belpoort/record"
)

// mappingChosen is what says what columns mean. Its zero value: their names.
type mappingChosen struct {
	mapping *loader.Mapping
	name    string // of the preset or file, for reports
	sum     string // the same for the same meaning
}

func (i *importing) chooseMapping() (mappingChosen, error) {
	chosen := mappingChosen{}
	switch path, preset := i.f.text("mapping"), i.f.text("preset"); {
	case preset != "":
		p, err := presetNamed(preset)
		if err != nil {
			return chosen, err
		}
		chosen.mapping, chosen.name = p.Mapping, "preset "+preset
	case path != "":
		file, err := os.Open(path)
		if err != nil {
			return chosen, err
		}
		defer file.Close()
		if chosen.mapping, err = loader.ReadMapping(plainLine(path), file); err != nil {
			return chosen, err
		}
		chosen.name = plainName(path)
	}
	defaults, err := i.cmd.Flags().GetStringArray("default")
	if err != nil {
		return chosen, err
	}
	return chosen.with(defaults, i.kind)
}

// with adds the defaults of the command, which beat those of the mapping, and proves all of it.
func (c mappingChosen) with(defaults []string, kind loader.Kind) (mappingChosen, error) {
	if len(defaults) > 0 {
		m := loader.Mapping{Defaults: map[string]string{}}
		if c.mapping != nil {
			m = *c.mapping
		}
		merged := map[string]string{}
		for column, text := range m.Defaults {
			merged[column] = text
		}
		for _, d := range defaults {
			column, text, ok := strings.Cut(d, "=")
			if !ok || column == "" {
				return c, errors.New("--default: want COLUMN=TEXT, such as organisation=voltwerk")
			}
			merged[column] = text
		}
		m.Defaults = merged
		c.mapping = &m
	}
	if c.mapping == nil {
		return c, nil
	}
	if err := c.mapping.Check(kind); err != nil {
		return c, err
	}
	meaning, err := json.Marshal(c.mapping)
	sum := sha256.Sum256(meaning)
	c.sum = hex.EncodeToString(sum[:])
	return c, err
}

func presetNamed(name string) (loader.Preset, error) {
	for _, p := range loader.Presets() {
		if p.Name == name {
			return p, nil
		}
	}
	return loader.Preset{}, fmt.Errorf("--preset: %q is none; there are %s", name, join(presetNames()))
}

func (i *importing) printMapping() error {
	p, err := presetNamed(i.f.text("preset"))
	if err != nil {
		return err
	}
	_, err = i.out.Write(p.Text)
	return err
}

// derivedID names an import by what it imports. Its letters and few digits can be no telephone number.
func derivedID(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return "imp-" + strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)[:10]))
}

// plainName is a file's name without its folder, its numbers masked, as it may stand in reports.
func plainName(path string) string {
	name := record.WithoutNumbers(plainLine(filepath.Base(path)))
	if len(name) > record.MaxText {
		name = strings.ToValidUTF8(name[:record.MaxText], "")
	}
	return name
}

// plainLine shows what cannot be printed as a question mark: a terminal must not obey the name of a file.
func plainLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
