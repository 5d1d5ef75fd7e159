package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// keyPath leads to a value in a configuration: strings are keys of mappings, ints
// number the elements of lists from 0.
type keyPath []any

// String is the path as faults tell it, such as users[1].name.
func (p keyPath) String() string {
	var text strings.Builder
	for i, step := range p {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&text, "[%d]", step)
		default:
			if i > 0 {
				text.WriteString(".")
			}
			fmt.Fprint(&text, step)
		}
	}
	return text.String()
}

// pathAt is the path of the value whose first token ends offset bytes into a JSON
// text; ok is false if there is none. Type errors of decoders name their place this
// way and leave out the numbers of list elements in the way that is for people.
func pathAt(text []byte, offset int64) (path keyPath, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	// Some numbers would not fit into Go's own.
	decoder.UseNumber()
	return seek(decoder, nil, offset)
}

// seek reads the next value, which is at path, to its end or to the one looked for.
func seek(text *json.Decoder, path keyPath, offset int64) (keyPath, bool) {
	opening, err := text.Token()
	if err != nil {
		return nil, false
	}
	if text.InputOffset() == offset {
		return path, true
	}
	if delimiter, ok := opening.(json.Delim); !ok || delimiter != '{' && delimiter != '[' {
		return nil, false
	}
	for i := 0; text.More(); i++ {
		step := any(i)
		if opening == json.Delim('{') {
			if step, err = text.Token(); err != nil {
				return nil, false
			}
		}
		if found, ok := seek(text, append(path, step), offset); ok {
			return found, true
		}
	}
	// What comes next is the delimiter that closes; a text that lacks it has no more
	// values either.
	_, _ = text.Token()
	return nil, false
}

// remove takes the value at the path out of tree. Elements of lists become null, so
// that the others keep their numbers.
func (p keyPath) remove(tree any) {
	switch last := len(p) == 1; inner := tree.(type) {
	case map[string]any:
		key := p[0].(string)
		if last {
			delete(inner, key)
		} else {
			p[1:].remove(inner[key])
		}
	case []any:
		i := p[0].(int)
		if last {
			inner[i] = nil
		} else {
			p[1:].remove(inner[i])
		}
	}
}
