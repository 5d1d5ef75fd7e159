package view

import (
	"sync"

	"github.com/irene-cf/irene/opi"
)

// Every object that is decoded brings its own copies of strings that are in
// memory already: a pod has its LRP's guid, a new version has the old one's
// name. Keeping one copy saves about a quarter of the view.

// same returns known when it equals s, so that s can be collected.
func same[S ~string](s, known S) S {
	if s == known {
		return known
	}
	return s
}

func sameIdentifier(id, known opi.LRPIdentifier) opi.LRPIdentifier {
	return opi.LRPIdentifier{GUID: same(id.GUID, known.GUID), Version: same(id.Version, known.Version)}
}

// vocabulary keeps one copy of strings that come from small sets: node names,
// reasons, the kubelet's standing messages. It is bounded by being emptied, so
// what is not from a small set after all costs a little memory and nothing else.
type vocabulary struct {
	mu    sync.Mutex
	words map[string]string
}

const (
	maxWords     = 32768
	maxWordBytes = 128
)

func (v *vocabulary) word(s string) string {
	if s == "" || len(s) > maxWordBytes {
		return s
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if known, ok := v.words[s]; ok {
		return known
	}
	if v.words == nil || len(v.words) >= maxWords {
		v.words = make(map[string]string)
	}
	v.words[s] = s
	return s
}
