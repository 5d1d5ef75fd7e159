package view

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"

	"github.com/irene-cf/irene/opi"
)

// object is one of *LRP, *Pod, *Secret, *Budget and *Node, none of which changes
// once it is in a store.
type object[P any] interface {
	uid() types.UID
	name() string
	version() string
	// reuse shares strings with the version that is replaced.
	reuse(old P)
}

// store holds the objects of one resource. A reflector fills it, in the order of
// the API server's history, and our own writes are merged into it:
//
//   - progress is the resource version up to which the reflector has told
//     everything. A write of ours up to there is known already, or was undone
//     since; noting it changes nothing.
//   - A write beyond progress is put into the store and remembered as own. Events
//     older than it pass by. When progress reaches it without the watch having
//     delivered the object, the object is not ours to see (another client deleted
//     it, or took its label away) and goes.
//   - A delete of ours leaves a tombstone, laid over at reading: see tombstones.
//
// Resource versions are compared within one resource only, as Kubernetes allows.
// The group function makes the index: K is an LRP's identity or an owner's uid.
//
// The view's lock guards all fields except resource, view and the functions.
type store[K comparable, P object[P]] struct {
	view     *View
	resource Resource
	slim     func(any) (P, error)
	group    func(P) K
	// changed adds whom it concerns that an object changed from one version to
	// another: the first is nil for one that is new, the second for one that is
	// gone, and they are the same where it only reads differently.
	changed func(was, is P, c *changes)
	// settled, where set, is called after all changes of one event.
	settled func(*changes)
	// admit, where set, shares strings with objects of other resources before
	// the object can be read.
	admit func(P)
	// identifier, where set, says whose deletions passed remembers.
	identifier func(P) opi.LRPIdentifier
	passed     passed

	byUID  map[types.UID]P
	byName map[string]P
	groups map[K][]P

	own        map[types.UID]string
	ownByAge   versionHeap
	tombstones tombstones

	synced     bool
	progress   string
	progressAt time.Time
	// listed, where set, is told that a complete list has arrived.
	listed func()
	// seen and changed are what Progress returns. The reflector's goroutine sets them
	// after subscribers were notified.
	seen, changedAt atomic.Uint64
}

var (
	_ cache.TransformingStore      = (*store[opi.LRPIdentifier, *LRP])(nil)
	_ cache.ReflectorBookmarkStore = (*store[opi.LRPIdentifier, *LRP])(nil)
)

func newStore[K comparable, P object[P]](view *View, resource Resource, slim func(any) (P, error), group func(P) K, changed func(was, is P, c *changes)) *store[K, P] {
	return &store[K, P]{
		view:     view,
		resource: resource,
		slim:     slim,
		group:    group,
		changed:  changed,
		byUID:    map[types.UID]P{},
		byName:   map[string]P{},
		groups:   map[K][]P{},
		own:      map[types.UID]string{},
	}
}

// newer is whether resource version a is later than b. Where one of them is not a
// number, which no API server sends, neither is and the caller believes the watch.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

// Transformer slims objects while a streamed list is still being collected, so
// that the full objects of a namespace are never in memory at once.
func (s *store[K, P]) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) { return s.slim(obj) }
}

// Add takes an ADDED event.
func (s *store[K, P]) Add(obj any) error { return s.deliver(obj) }

// Update takes a MODIFIED event.
func (s *store[K, P]) Update(obj any) error { return s.deliver(obj) }

func (s *store[K, P]) deliver(obj any) error {
	object, err := s.slim(obj)
	if err != nil {
		return fmt.Errorf("take %s event: %w", s.resource, err)
	}
	s.change(func(c *changes) {
		s.observe(object, c)
		s.advance(object.version(), c)
	})
	s.told(number(object.version()))
	return nil
}

// told records that subscribers were notified of everything up to progress.
func (s *store[K, P]) told(changed uint64) {
	s.changedAt.Store(max(s.changedAt.Load(), changed))
	s.seen.Store(number(s.progress)) // which nobody else writes
}

// observe merges what the API server told. A write of ours that is no later than
// that is confirmed, or overtaken.
func (s *store[K, P]) observe(object P, c *changes) {
	if !newer(s.own[object.uid()], object.version()) {
		delete(s.own, object.uid())
	}
	s.merge(object, c)
}

// Delete takes a DELETED event: the object is gone, or no longer selected.
func (s *store[K, P]) Delete(obj any) error {
	object, err := s.slim(obj)
	if err != nil {
		return fmt.Errorf("take %s deletion: %w", s.resource, err)
	}
	s.change(func(c *changes) {
		// A later write of ours may have brought the object back into the selection.
		if held, ok := s.byUID[object.uid()]; ok && !newer(held.version(), object.version()) {
			s.remove(held, object.version(), c)
		}
		s.tombstones.drop(object.uid())
		s.advance(object.version(), c)
	})
	s.told(number(object.version()))
	return nil
}

// Replace takes a complete list as of resourceVersion.
func (s *store[K, P]) Replace(objects []any, resourceVersion string) error {
	list := make(map[types.UID]P, len(objects))
	for _, obj := range objects {
		object, err := s.slim(obj)
		if err != nil {
			return fmt.Errorf("take list of %s: %w", s.resource, err)
		}
		list[object.uid()] = object
	}
	if s.listed != nil {
		s.listed()
	}
	var changed uint64
	s.change(func(c *changes) {
		// A reflector never lists the past. When it does, etcd was restored from a
		// backup and what we knew, tombstones included, was in another history.
		if newer(s.progress, resourceVersion) {
			s.forget(c)
			s.changedAt.Store(0)
		}
		for uid, held := range s.byUID {
			if _, present := list[uid]; !present && !newer(s.own[uid], resourceVersion) {
				s.remove(held, resourceVersion, c)
				changed = number(resourceVersion)
			}
		}
		for _, object := range list {
			s.observe(object, c)
			changed = max(changed, number(object.version()))
		}
		s.synced = true
		s.advance(resourceVersion, c)
	})
	s.told(changed)
	return nil
}

// Bookmark takes the API server's word that everything up to resourceVersion was
// delivered.
func (s *store[K, P]) Bookmark(resourceVersion string) error {
	s.change(func(c *changes) { s.advance(resourceVersion, c) })
	s.told(0)
	return nil
}

// Resync does nothing: there is no second consumer to bring up to date.
func (s *store[K, P]) Resync() error { return nil }

// note merges a write of our own, as the API server answered it.
func (s *store[K, P]) note(object P) {
	s.change(func(c *changes) {
		version := object.version()
		// An answer without a proper version can't be ordered: leave it to the watch.
		if _, err := resourceversion.CompareResourceVersion(version, version); err != nil {
			return
		}
		if s.progress != "" && !newer(version, s.progress) {
			return
		}
		if s.merge(object, c) {
			s.own[object.uid()] = version
			s.ownByAge.push(ownVersion{version: version, uid: object.uid()})
		}
	})
}

// noteDeleted lays a tombstone over the object.
func (s *store[K, P]) noteDeleted(uid types.UID) {
	s.change(func(c *changes) {
		s.tombstones.bury(uid, s.view.clock.Now())
		if held, ok := s.byUID[uid]; ok {
			s.pass(held, number(held.version())+1)
			s.changed(held, held, c)
		}
		s.exhume(c)
	})
}

// merge puts object into the store unless something later is there: the same
// object at a later version, or another one that took its name since. It says
// whether the store now holds this version because of this call.
func (s *store[K, P]) merge(object P, c *changes) bool {
	held, known := s.byUID[object.uid()]
	if known {
		if newer(held.version(), object.version()) {
			return false
		}
		if held.version() == object.version() {
			return false
		}
	}
	if other, taken := s.byName[object.name()]; taken && other.uid() != object.uid() {
		if newer(other.version(), object.version()) {
			return false
		}
		s.remove(other, object.version(), c)
	}
	if known {
		object.reuse(held)
		s.take(held)
		if s.identifier != nil && s.identifier(held) != s.identifier(object) {
			s.pass(held, number(object.version()))
		}
	}
	if s.admit != nil {
		s.admit(object)
	}
	s.byUID[object.uid()] = object
	s.byName[object.name()] = object
	s.groups[s.group(object)] = append(s.groups[s.group(object)], object)
	s.changed(held, object, c)
	return true
}

// remove drops an object that is gone as of a resource version.
func (s *store[K, P]) remove(held P, version string, c *changes) {
	s.take(held)
	delete(s.own, held.uid())
	s.pass(held, number(version))
	var none P
	s.changed(held, none, c)
}

// pass remembers that the object's LRP lost it.
func (s *store[K, P]) pass(held P, version uint64) {
	if s.identifier != nil {
		s.passed.note(s.identifier(held), version, s.view.clock.Now())
	}
}

// take takes an object out of the indexes. The name is the object's own: who took
// an object's name has removed it.
func (s *store[K, P]) take(held P) {
	delete(s.byUID, held.uid())
	delete(s.byName, held.name())
	key := s.group(held)
	rest := slices.DeleteFunc(s.groups[key], func(other P) bool { return other.uid() == held.uid() })
	if len(rest) == 0 {
		delete(s.groups, key)
		return
	}
	s.groups[key] = rest
}

// advance notes that the reflector has told everything up to version, and drops
// writes of ours that it should have told by now.
func (s *store[K, P]) advance(version string, c *changes) {
	if s.progress == "" || newer(version, s.progress) {
		s.progress = version
	}
	s.progressAt = s.view.clock.Now()
	for _, due := range s.ownByAge.popUntil(s.progress) {
		if s.own[due.uid] == due.version {
			s.remove(s.byUID[due.uid], s.progress, c)
		}
	}
	s.exhume(c)
}

// exhume lets tombstones go that are too old to be believed.
func (s *store[K, P]) exhume(c *changes) {
	for _, uid := range s.tombstones.expire(s.view.clock.Now()) {
		if held, ok := s.byUID[uid]; ok {
			s.changed(held, held, c)
		}
	}
}

// forget drops everything, and what was known of versions with it.
func (s *store[K, P]) forget(c *changes) {
	for _, held := range s.byUID {
		s.remove(held, "", c)
	}
	s.ownByAge = nil
	s.tombstones = tombstones{}
	s.passed = passed{}
	s.progress = ""
}

// change runs f under the lock and then tells subscribers what it changed.
func (s *store[K, P]) change(f func(*changes)) {
	var c changes
	s.view.mu.Lock()
	f(&c)
	if s.settled != nil {
		s.settled(&c)
	}
	s.view.mu.Unlock()
	s.view.publish(s.resource, c)
}
