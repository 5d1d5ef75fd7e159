package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
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
// is enough, and so is one of the mapping or the list around it, or of a list's
// element: what follows from it would only hide it.
func (f *faults) add(key, format string, args ...any) {
	for _, known := range f.keys {
		if key == known || strings.HasPrefix(key, known+".") || strings.HasPrefix(key, known+"[") || strings.HasPrefix(known, key+"[") {
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

// loadFile reads the file at path by parse.
func loadFile[T any](path string, parse func([]byte) (T, error)) (T, error) {
	var none T
	content, err := os.ReadFile(path)
	if err != nil {
		return none, fmt.Errorf("read the configuration: %w", err)
	}
	configuration, err := parse(content)
	if err != nil {
		return none, fmt.Errorf("configuration %s:\n%w", path, err)
	}
	return configuration, nil
}

func parseConfiguration(content []byte) (Configuration, error) {
	return parse(content, DefaultConfiguration, Configuration.validate)
}

// parse reads YAML over the defaults. Unknown and repeated keys, values of the wrong
// kind and values out of range are all reported together.
func parse[T any](content []byte, defaults func() T, validate func(T, *faults)) (T, error) {
	var none T
	if err := oneDocument(content); err != nil {
		return none, err
	}
	asJSON, err := yaml.YAMLToJSONStrict(content)
	if err != nil {
		// Several mistakes come as lines under a heading of their own.
		reason := strings.TrimPrefix(err.Error(), "yaml: unmarshal errors:\n")
		return none, errors.New("  not valid YAML: " + strings.TrimSpace(reason))
	}
	tree, err := mapping(asJSON)
	if err != nil {
		return none, err
	}
	var wrong faults
	configuration, err := decode(asJSON, tree, defaults, &wrong)
	if err != nil {
		return none, fmt.Errorf("  %w", err)
	}
	validate(configuration, &wrong)
	if err := wrong.err(); err != nil {
		return none, err
	}
	return configuration, nil
}

// decode fills in what can be read and notes what can't. asJSON and tree are the same.
func decode[T any](asJSON []byte, tree map[string]any, defaults func() T, wrong *faults) (T, error) {
	for {
		next := defaults()
		unknown, err := strictjson.UnmarshalStrict(asJSON, &next)
		if err == nil {
			for _, fault := range unknown {
				wrong.add(unknownKey(fault), "unknown key")
			}
			return next, nil
		}
		// Decoding reports the first value of a wrong kind only. Without that value the
		// next turn finds the next one.
		mistyped, ok := errors.AsType[*json.UnmarshalTypeError](err)
		if !ok {
			return next, err
		}
		path, ok := pathAt(asJSON, mistyped.Offset)
		if !ok {
			return next, err
		}
		wrong.add(path.String(), "is %s, must be %s", valueInWords(mistyped.Value), kindInWords(mistyped.Type))
		path.remove(tree)
		if asJSON, err = json.Marshal(tree); err != nil {
			return next, err
		}
	}
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

// kindInWords says what to write for a Go type of a configuration.
func kindInWords(goType reflect.Type) string {
	switch goType.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "a mapping of keys to values"
	default:
		return "a string (in quotes if it looks like something else)"
	}
}
