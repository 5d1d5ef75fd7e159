package bits

import "errors"

const (
	// maxManifestValues and maxConfigValues bound the values in JSON that is decoded. A
	// value costs two bytes in JSON and more than a hundred in memory.
	maxManifestValues = 20_000
	maxConfigValues   = 100_000
)

var errTooManyValues = errors.New("has too many entries")

// checkJSON returns an error if text has more values (members of objects, entries of lists)
// than limit. It allocates nothing, and is no check of the syntax: text that is not JSON may
// pass, which decoders refuse without keeping any of it.
func checkJSON(text []byte, limit int) error {
	values, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[', c == ',':
			if values++; values > limit {
				return errTooManyValues
			}
		}
	}
	return nil
}
