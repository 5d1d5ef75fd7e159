package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// member is one member of a JSON object: its name, and its value as JSON text.
type member struct {
	name  string
	value string
}

// instanceMembers returns what an instance knows about itself and an app expects
// to find in VCAP_APPLICATION. A value that the environment lacks (a worker has
// no PORT, a task no index) is left out; one that is there but makes no sense is
// left out and reported.
func instanceMembers(env environment) ([]member, []error) {
	var members []member
	var problems []error
	if id := env.firstOf("CF_INSTANCE_GUID", "INSTANCE_GUID"); id != "" {
		// A string always marshals.
		text, _ := json.Marshal(id)
		members = append(members, member{"instance_id", string(text)})
	}
	if index := env.firstOf("CF_INSTANCE_INDEX", "INSTANCE_INDEX"); index != "" {
		if n, err := strconv.ParseUint(index, 10, 32); err == nil {
			members = append(members, member{"instance_index", strconv.FormatUint(n, 10)})
		} else {
			problems = append(problems, fmt.Errorf("VCAP_APPLICATION gets no instance_index: the index %q of the instance is not a whole number", index))
		}
	}
	members = append(members, member{"host", `"0.0.0.0"`})
	if port := env.get("PORT"); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			members = append(members, member{"port", strconv.FormatUint(n, 10)})
		} else {
			problems = append(problems, fmt.Errorf("VCAP_APPLICATION gets no port: PORT %q is not a port number", port))
		}
	}
	return members, problems
}

// mergeMembers puts members into a JSON object at its end, in place of members
// of the same names. All others keep their order and their exact text, since
// reading and writing them again would round large numbers and rewrite strings.
func mergeMembers(object string, members []member) (string, error) {
	old, err := splitObject(object)
	if err != nil {
		return "", fmt.Errorf("VCAP_APPLICATION stays as it was: %w", err)
	}
	texts := make([]string, 0, len(old)+len(members))
	for _, m := range old {
		if !slices.ContainsFunc(members, func(n member) bool { return n.name == m.name }) {
			texts = append(texts, m.text)
		}
	}
	for _, m := range members {
		texts = append(texts, `"`+m.name+`":`+m.value)
	}
	return "{" + strings.Join(texts, ",") + "}", nil
}

// memberText is a member of a JSON object as it was written: its decoded name,
// and the text from the name's opening quote to the value's last character.
type memberText struct {
	name string
	text string
}

// splitObject takes a JSON object apart. Its errors never quote the object,
// which may hold what doesn't belong into logs.
func splitObject(object string) ([]memberText, error) {
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
