package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
)

// references are the digests that occur anywhere in a manifest, whatever its kind.
// Too many (an annotation may hold one) cost space, too few an image. A manifest
// that is missing or can't be read to its end is broken for whoever pulls it, too,
// and says what it says.
func (s *Store) references(manifest digest.Digest) ([]digest.Digest, error) {
	content, err := os.ReadFile(filepath.Join(s.blobFolder(manifest), dataFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return digestsIn(content), nil
}

// digestsIn reads JSON up to its end or first fault.
func digestsIn(content []byte) []digest.Digest {
	var all []digest.Digest
	decoder := json.NewDecoder(bytes.NewReader(content))
	for {
		token, err := decoder.Token()
		if err != nil {
			return all
		}
		if text, ok := token.(string); ok {
			if found, err := digest.Parse(text); err == nil {
				all = append(all, found)
			}
		}
	}
}
