package loader

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"strings"
)

//go:embed presets/*.yaml
var presetFiles embed.FS

// Preset is a mapping of a layout that many have. It is an ordinary mapping file.
type Preset struct {
	Name    string
	Text    []byte // YAML
	Mapping *Mapping
}

// Presets lists the presets by name. It panics where one of them is no mapping, which a test keeps from happening.
func Presets() []Preset {
	files, err := presetFiles.ReadDir("presets")
	if err != nil {
		panic(err)
	}
	all := make([]Preset, len(files))
	for i, file := range files {
		name := strings.TrimSuffix(file.Name(), ".yaml")
		text, err := presetFiles.ReadFile(path.Join("presets", file.Name()))
		if err != nil {
			panic(err)
		}
		m, err := ReadMapping("preset "+name, bytes.NewReader(text))
		if err != nil {
			panic(fmt.Sprintf("loader: %v", err))
		}
		all[i] = Preset{name, text, m}
	}
	return all
}
