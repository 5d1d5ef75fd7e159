package reload

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
)

// CheckInterval is how often, at most, the files are looked at.
const CheckInterval = time.Second

// Source describes the files and what is made of them.
type Source[T any] struct {
	// Read returns the content of all files, always in the same order.
	Read func() ([][]byte, error)
	// Make makes the value of the content.
	Make func(content [][]byte) (T, error)
	// Retire, where set, is called with the old value after it was replaced.
	Retire func(old T)
	// Details, where set, returns what is logged of a new value.
	Details func(T) lager.Data
	// Kind names the values in the log ("certificates").
	Kind   string
	Logger lager.Logger
	// Now is time.Now outside tests.
	Now func() time.Time
}

// Value holds what was made of some files. It is safe for concurrent use.
type Value[T any] struct {
	source Source[T]

	mutex   sync.Mutex
	checked time.Time
	content [][]byte
	value   T
	// fault is the last thing that was wrong, kept so that it is logged once.
	fault string
}

// Load reads the files for the first time. It returns an error if they can't be used.
func Load[T any](source Source[T]) (*Value[T], error) {
	content, err := source.Read()
	if err != nil {
		return nil, err
	}
	value, err := source.Make(content)
	if err != nil {
		return nil, err
	}
	return &Value[T]{source: source, checked: source.Now(), content: content, value: value}, nil
}

// Current returns what was made of the files as they are, or as they were when they could
// last be used.
func (v *Value[T]) Current() T {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if now := v.source.Now(); now.Sub(v.checked) >= CheckInterval {
		v.checked = now
		v.refresh()
	}
	return v.value
}

// refresh takes changed files into use, or keeps what is there and says why.
func (v *Value[T]) refresh() {
	content, err := v.source.Read()
	if err == nil && slices.EqualFunc(content, v.content, bytes.Equal) {
		v.fault = ""
		return
	}
	var value T
	if err == nil {
		value, err = v.source.Make(content)
	}
	if err != nil {
		if v.fault != err.Error() {
			v.fault = err.Error()
			v.source.Logger.Error("reload-failed", err, lager.Data{"consequence": "the " + v.source.Kind + " read before stay in use"})
		}
		return
	}
	old := v.value
	v.content, v.value, v.fault = content, value, ""
	if v.source.Retire != nil {
		v.source.Retire(old)
	}
	var details lager.Data
	if v.source.Details != nil {
		details = v.source.Details(value)
	}
	v.source.Logger.Info("reloaded", details)
}
