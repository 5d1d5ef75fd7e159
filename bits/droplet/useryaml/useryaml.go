// Package useryaml reads YAML that users and buildpacks write: Procfile, launch.yml,
// what bin/release prints, staging_info.yml.
//
// # Usage
//
//	var types map[string]string
//	repeated, err := useryaml.Unmarshal(text, &types)
//
// A mapping may have a key more than once; the last one counts. YAML forbids that, but
// the parsers that Cloud Foundry staged apps with for ten years accepted it, so such
// files exist.
//
// The package does no I/O and imports nothing but the parser, so that programs inside
// containers can use it.
package useryaml

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Unmarshal decodes the first document of text into a value, as yaml.Unmarshal does.
// repeated names the keys that stand more than once in their mapping, with the lines of
// those that don't count.
func Unmarshal(text []byte, into any) (repeated []string, err error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	if document.IsZero() {
		return nil, nil // nothing but comments
	}
	repeated = dropRepeated(&document, nil)
	return repeated, document.Decode(into)
}

// key is what the parser takes for equal.
type key struct {
	kind  yaml.Kind
	value string
}

// dropRepeated removes the keys that come again from all mappings at and below a node,
// and appends what it removes to repeated. It doesn't follow aliases, which may be
// recursive: what they stand for is elsewhere in the document.
func dropRepeated(node *yaml.Node, repeated []string) []string {
	// Also below keys that go, since aliases may stand for what is there.
	for _, child := range node.Content {
		repeated = dropRepeated(child, repeated)
	}
	if node.Kind != yaml.MappingNode {
		return repeated
	}
	last := map[key]int{}
	for i := 0; i < len(node.Content); i += 2 {
		last[key{node.Content[i].Kind, node.Content[i].Value}] = i
	}
	var kept []*yaml.Node
	for i := 0; i < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		if last[key{name.Kind, name.Value}] == i {
			kept = append(kept, name, value)
		} else {
			repeated = append(repeated, fmt.Sprintf("%s (line %d)", name.Value, name.Line))
		}
	}
	node.Content = kept
	return repeated
}
