package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	yamlstream "k8s.io/apimachinery/pkg/util/yaml"
	strictjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// faults are what is wrong with a configuration, one line for each key.
type faults struct {
	keys  []string
	lines []string
}

// add notes that the value of key is wrong; the rest says why. One fault of a key
// is enough, and so is one of the mapping around it: what follows from it would
// only hide it.
func (f *faults) add(key, format string, args ...any) {
	for _, known := range f.keys {
		if key == known || strings.HasPrefix(key, known+".") {
			return
		}
	}
	f.keys = append(f.keys, key)
	f.lines = append(f.lines, "  "+key+": "+fmt.Sprintf(format, args...))
}

// err lists the faults by key, nil when there are none.
func (f *faults) err() error {
	if len(f.lines) == 0 {
		return nil
	}
	slices.Sort(f.lines)
	return errors.New(strings.Join(f.lines, "\n"))
}

// parseConfiguration reads YAML over the defaults. Unknown and repeated keys,
// values of the wrong kind and values out of range are all reported together.
func parseConfiguration(content []byte) (Configuration, error) {
	if err := oneDocument(content); err != nil {
		return Configuration{}, err
	}
	asJSON, err := yaml.YAMLToJSONStrict(content)
	if err != nil {
		// Several mistakes come as lines under a heading of their own.
		reason := strings.TrimPrefix(err.Error(), "yaml: unmarshal errors:\n")
		return Configuration{}, errors.New("  not valid YAML: " + strings.TrimSpace(reason))
	}
	tree, err := mapping(asJSON)
	if err != nil {
		return Configuration{}, err
	}

	var wrong faults
	var configuration Configuration
	for {
		next := DefaultConfiguration()
		unknown, err := strictjson.UnmarshalStrict(asJSON, &next)
		var mistyped *json.UnmarshalTypeError
		if errors.As(err, &mistyped) && remove(tree, strings.Split(mistyped.Field, ".")) {
			// Decoding reports the first value of a wrong kind only. Without that
			// value the next turn finds the next one.
			wrong.add(mistyped.Field, "is %s, must be %s", valueInWords(mistyped.Value), kindInWords(mistyped.Type.String()))
			if asJSON, err = json.Marshal(tree); err != nil {
				return Configuration{}, fmt.Errorf("  %w", err)
			}
			continue
		}
		if err != nil {
			return Configuration{}, fmt.Errorf("  %w", err)
		}
		for _, fault := range unknown {
			wrong.add(unknownKey(fault), "unknown key")
		}
		configuration = next
		break
	}
	configuration.validate(&wrong)
	if err := wrong.err(); err != nil {
		return Configuration{}, err
	}
	return configuration, nil
}

// oneDocument refuses a second YAML document, which the parser would ignore.
func oneDocument(content []byte) error {
	documents := yamlstream.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	filled := 0
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("  not valid YAML: %w", err)
		}
		if len(bytes.TrimSpace(document)) > 0 {
			filled++
		}
		if filled > 1 {
			return errors.New("  holds more than one YAML document; write all keys into one")
		}
	}
}

// mapping reads the outermost level as a map; an empty file is an empty map.
func mapping(asJSON []byte) (map[string]any, error) {
	var tree any
	if err := json.Unmarshal(asJSON, &tree); err != nil {
		return nil, fmt.Errorf("  %w", err)
	}
	switch tree := tree.(type) {
	case nil:
		return map[string]any{}, nil
	case map[string]any:
		return tree, nil
	default:
		return nil, errors.New("  is not a mapping of keys to values")
	}
}

// remove deletes the value at path and says whether there was one.
func remove(tree map[string]any, path []string) bool {
	value, found := tree[path[0]]
	if !found {
		return false
	}
	if inner, ok := value.(map[string]any); ok && len(path) > 1 {
		return remove(inner, path[1:])
	}
	delete(tree, path[0])
	return true
}

// unknownKey is the key that a strict decoding error is about.
func unknownKey(err error) string {
	if at, ok := err.(interface{ FieldPath() string }); ok {
		return at.FieldPath()
	}
	return err.Error()
}

// valueInWords says what stands in the file, by JSON's name for it.
func valueInWords(value string) string {
	switch value {
	case "array":
		return "a list"
	case "object":
		return "a mapping"
	case "bool":
		return "true or false"
	default:
		return "a " + value
	}
}

// kindInWords says what to write for a Go type of Configuration.
func kindInWords(goType string) string {
	switch {
	case goType == "bool":
		return "true or false"
	case strings.HasPrefix(goType, "int"):
		return "a whole number"
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case goType == "main.SharedNodes":
		return "a string"
	case strings.HasPrefix(goType, "main."):
		return "a mapping of keys to values"
	default:
		return "a string (in quotes if it looks like something else)"
	}
}
