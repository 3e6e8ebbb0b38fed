package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

const envPrefix = "BELPOORT_"

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

// applyConfig fills the flags that the command line left alone: from the environment, else from the file. A key of the
// file must be a flag of some command, so that one file serves all of them and a misspelt key is an error.
func applyConfig(cmd *cobra.Command, env func(string) (string, bool)) error {
	if path, ok := env(envPrefix + "CONFIG"); ok && !cmd.Flags().Changed("config") {
		if err := cmd.Flags().Set("config", path); err != nil {
			return err
		}
	}
	path, _ := cmd.Flags().GetString("config")
	file, err := readConfig(path, cmd.Root())
	if err != nil {
		return err
	}
	var wrong error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if wrong == nil && !f.Changed && f.Name != "config" {
			wrong = fill(cmd.Flags(), f, path, file, env)
		}
	})
	return wrong
}

func fill(flags *pflag.FlagSet, f *pflag.Flag, path string, file map[string]*yaml.Node, env func(string) (string, bool)) error {
	name := envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
	if value, ok := env(name); ok {
		if err := flags.Set(f.Name, value); err != nil {
			return fmt.Errorf("environment %s: %w", name, err)
		}
		return nil
	}
	node := file[f.Name]
	if node == nil {
		return nil
	}
	values := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode {
		values = node.Content
	}
	for _, v := range values {
		if v.Kind != yaml.ScalarNode {
			return fmt.Errorf("%s:%d: %s: want a single value or a list of them", path, v.Line, f.Name)
		}
		if err := flags.Set(f.Name, v.Value); err != nil {
			return fmt.Errorf("%s:%d: %s: %w", path, v.Line, f.Name, err)
		}
	}
	return nil
}

func readConfig(path string, root *cobra.Command) (map[string]*yaml.Node, error) {
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxConfig {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxConfig)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: want a map of flags", path, top.Line)
	}
	return configKeys(path, top, flagNames(root))
}

func configKeys(path string, top *yaml.Node, known map[string]bool) (map[string]*yaml.Node, error) {
	values := map[string]*yaml.Node{}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key := top.Content[i]
		switch {
		case !known[key.Value] || key.Value == "config" || key.Value == "help":
			return nil, fmt.Errorf("%s:%d: %s: unknown key", path, key.Line, key.Value)
		case values[key.Value] != nil:
			return nil, fmt.Errorf("%s:%d: %s: stands twice", path, key.Line, key.Value)
		}
		values[key.Value] = top.Content[i+1]
	}
	return values, nil
}

func flagNames(cmd *cobra.Command) map[string]bool {
	names := map[string]bool{}
	add := func(f *pflag.Flag) { names[f.Name] = true }
	cmd.Flags().VisitAll(add)
	cmd.PersistentFlags().VisitAll(add)
	for _, child := range cmd.Commands() {
		for name := range flagNames(child) {
			names[name] = true
		}
	}
	return names
}
