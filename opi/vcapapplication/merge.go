package vcapapplication

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Member is one member of a JSON object: its name, and its value as JSON text.
type Member struct {
	Name  string
	Value string
}

// InstanceMembers returns what apps expect to find of an instance: instance_id,
// instance_index, host and port. The arguments are JSON texts. An empty one is left out:
// a worker has no port, and a task no index.
func InstanceMembers(id, index, port string) []Member {
	var members []Member
	add := func(name, value string) {
		if value != "" {
			members = append(members, Member{name, value})
		}
	}
	add("instance_id", id)
	add("instance_index", index)
	add("host", `"0.0.0.0"`)
	add("port", port)
	return members
}

// Merge puts members at the end of a JSON object, and removes its own members of the same
// names. All others keep their order and their exact text, since decoding and encoding
// them would round large numbers and rewrite strings. Errors never quote the object,
// which may hold what doesn't belong into logs.
func Merge(object string, members []Member) (string, error) {
	old, err := split(object)
	if err != nil {
		return "", err
	}
	texts := make([]string, 0, len(old)+len(members))
	for _, m := range old {
		if !slices.ContainsFunc(members, func(n Member) bool { return n.Name == m.name }) {
			texts = append(texts, m.text)
		}
	}
	for _, m := range members {
		texts = append(texts, `"`+m.Name+`":`+m.Value)
	}
	return "{" + strings.Join(texts, ",") + "}", nil
}

// memberText is a member of a JSON object as it was written: its decoded name, and the
// text from the name's opening quote to the value's last character.
type memberText struct {
	name string
	text string
}

// split takes a JSON object apart.
func split(object string) ([]memberText, error) {
	var whole json.RawMessage
	if err := json.Unmarshal([]byte(object), &whole); err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	decoder := json.NewDecoder(strings.NewReader(object))
	open, err := decoder.Token()
	if err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	if open != json.Delim('{') {
		return nil, errors.New("it is JSON but not an object")
	}
	var members []memberText
	for decoder.More() {
		start := decoder.InputOffset()
		name, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("it is not JSON: %w", err)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, fmt.Errorf("it is not JSON: %w", err)
		}
		text := strings.TrimLeft(object[start:decoder.InputOffset()], ", \t\r\n")
		// Inside an object every name is a string.
		members = append(members, memberText{name: name.(string), text: text})
	}
	return members, nil
}
