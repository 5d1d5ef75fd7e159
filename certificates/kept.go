package certificates

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
)

// CheckInterval is how often, at most, the files are looked at.
const CheckInterval = time.Second

// Source says what is kept and what of.
type Source[T any] struct {
	// Read returns what all files hold, always in the same order.
	Read func() ([][]byte, error)
	// Make makes what is used of it.
	Make func(content [][]byte) (T, error)
	// Retire, where set, is given what is no longer used, after something else is.
	Retire func(old T)
	// Details, where set, are logged of what is used from now on.
	Details func(T) lager.Data
	Logger  lager.Logger
	// Now is time.Now outside tests.
	Now func() time.Time
}

// Kept is what was made of some files. Its methods may be called by any goroutine.
type Kept[T any] struct {
	source Source[T]

	mutex   sync.Mutex
	checked time.Time
	content [][]byte
	value   T
	// fault is the last thing that was wrong, kept so that it is logged once.
	fault string
}

// Load reads the files for the first time; what can't be used is an error here.
func Load[T any](source Source[T]) (*Kept[T], error) {
	content, err := source.Read()
	if err != nil {
		return nil, err
	}
	value, err := source.Make(content)
	if err != nil {
		return nil, err
	}
	return &Kept[T]{source: source, checked: source.Now(), content: content, value: value}, nil
}

// Current is what was made of the files as they are.
func (k *Kept[T]) Current() T {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if now := k.source.Now(); now.Sub(k.checked) >= CheckInterval {
		k.checked = now
		k.refresh()
	}
	return k.value
}

// refresh takes changed files into use, or keeps what is there and says why.
func (k *Kept[T]) refresh() {
	content, err := k.source.Read()
	if err == nil && slices.EqualFunc(content, k.content, bytes.Equal) {
		k.fault = ""
		return
	}
	var value T
	if err == nil {
		value, err = k.source.Make(content)
	}
	if err != nil {
		if k.fault != err.Error() {
			k.fault = err.Error()
			k.source.Logger.Error("reload-failed", err, lager.Data{"consequence": "the certificates read before stay in use"})
		}
		return
	}
	old := k.value
	k.content, k.value, k.fault = content, value, ""
	if k.source.Retire != nil {
		k.source.Retire(old)
	}
	var details lager.Data
	if k.source.Details != nil {
		details = k.source.Details(value)
	}
	k.source.Logger.Info("reloaded", details)
}
