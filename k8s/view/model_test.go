package view

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
)

// history is a model API server: the log of what happened to StatefulSets, with
// one resource version per entry.
type history struct {
	log []historyEvent
	// now is the state after the whole log: the last version by name.
	now map[string]*appsv1.StatefulSet
}

type historyEvent struct {
	deleted bool
	set     *appsv1.StatefulSet
}

func (h *history) version() int { return len(h.log) }

func (h *history) write(name string, uid types.UID) *appsv1.StatefulSet {
	set := statefulSet(name, string(uid), h.version()+1)
	h.log = append(h.log, historyEvent{set: set})
	h.now[name] = set
	return set
}

func (h *history) delete(name string) types.UID {
	gone := h.now[name].DeepCopy()
	gone.ResourceVersion = strconv.Itoa(h.version() + 1)
	h.log = append(h.log, historyEvent{deleted: true, set: gone})
	delete(h.now, name)
	return gone.UID
}

// at is the state after the first n entries.
func (h *history) at(n int) map[types.UID]*appsv1.StatefulSet {
	state := map[types.UID]*appsv1.StatefulSet{}
	for _, event := range h.log[:n] {
		if event.deleted {
			delete(state, event.set.UID)
		} else {
			state[event.set.UID] = event.set
		}
	}
	return state
}

func versionOf(set *appsv1.StatefulSet) int {
	n, _ := strconv.Atoi(set.ResourceVersion)
	return n
}

// expectation is the view by definition rather than by mechanism: what the API
// server had at the version up to which the watch has told, then our noted writes
// after that version, the last one per name, then our noted deletes.
func expectation(h *history, told int, writes []*appsv1.StatefulSet, deletes map[types.UID]bool) map[string]string {
	last := map[string]*appsv1.StatefulSet{}
	for _, set := range h.at(told) {
		last[set.Name] = set
	}
	for _, set := range writes {
		if known, ok := last[set.Name]; versionOf(set) > told && (!ok || versionOf(set) > versionOf(known)) {
			last[set.Name] = set
		}
	}
	expected := map[string]string{}
	for _, set := range last {
		if !deletes[set.UID] {
			expected[string(set.UID)] = set.ResourceVersion
		}
	}
	return expected
}

// TestViewAgainstModel lets us and others write at random while the watch lags,
// answers are noted late, bookmarks come and lists interrupt.
func TestViewAgainstModel(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			runModel(t, rand.New(rand.NewPCG(seed, 1)), 250)
		})
	}
}

func runModel(t *testing.T, random *rand.Rand, steps int) {
	g := NewWithT(t)
	v, _ := idleView(t)
	h := &history{now: map[string]*appsv1.StatefulSet{}}
	told, uids := 0, 0
	var noted []*appsv1.StatefulSet
	deletes := map[types.UID]bool{}
	// What we did and have not noted yet.
	var unnoted []func()
	var trace []string
	did := func(format string, args ...any) { trace = append(trace, fmt.Sprintf(format, args...)) }

	tell := func() {
		event := h.log[told]
		told++
		switch {
		case event.deleted:
			g.Expect(v.lrps.Delete(event.set)).To(Succeed())
		default:
			g.Expect(v.lrps.Add(event.set)).To(Succeed())
		}
		did("tell %d", told)
	}
	relist := func(to int) {
		var items []any
		for _, set := range h.at(to) {
			items = append(items, set)
		}
		told = to
		g.Expect(v.lrps.Replace(items, strconv.Itoa(to))).To(Succeed())
		did("list at %d", to)
	}
	note := func(i int) {
		unnoted[i]()
		unnoted = append(unnoted[:i], unnoted[i+1:]...)
	}

	// API servers begin at 1.
	h.write("first", "uid-0")
	relist(1)
	for range steps {
		name := string(rune('a' + random.IntN(4)))
		existing, exists := h.now[name]
		ours := random.IntN(2) == 0
		switch action := random.IntN(10); {
		case action < 3:
			uid := types.UID("")
			if exists {
				uid = existing.UID
			} else {
				uids++
				uid = types.UID(fmt.Sprintf("uid-%d", uids))
			}
			set := h.write(name, uid)
			did("write %s %s at %s, ours: %v", name, uid, set.ResourceVersion, ours)
			if ours {
				unnoted = append(unnoted, func() {
					did("note %s at %s", set.UID, set.ResourceVersion)
					noted = append(noted, set)
					v.NoteStatefulSet(set)
				})
			}
		case action < 4 && exists:
			uid := h.delete(name)
			did("delete %s %s at %d, ours: %v", name, uid, h.version(), ours)
			if ours {
				unnoted = append(unnoted, func() {
					did("note deleted %s", uid)
					deletes[uid] = true
					v.NoteDeletedStatefulSet(uid)
				})
			}
		case action < 6 && len(unnoted) > 0:
			note(random.IntN(len(unnoted)))
		case action < 9 && told < h.version():
			tell()
		case random.IntN(2) == 0:
			g.Expect(v.lrps.Bookmark(strconv.Itoa(told))).To(Succeed())
			did("bookmark %d", told)
		default:
			relist(told + random.IntN(h.version()-told+1))
		}
		if expected, actual := expectation(h, told, noted, deletes), versions(v); !equal(expected, actual) {
			t.Fatalf("expected %v, got %v after\n%s", expected, actual, trace)
		}
	}

	for len(unnoted) > 0 {
		note(0)
	}
	for told < h.version() {
		tell()
	}
	final := map[string]string{}
	for uid, set := range h.at(told) {
		final[string(uid)] = set.ResourceVersion
	}
	g.Expect(versions(v)).To(Equal(final))
	g.Expect(v.lrps.own).To(BeEmpty())
	g.Expect(v.lrps.byName).To(HaveLen(len(final)))
	g.Expect(v.lrps.byUID).To(HaveLen(len(final)))
	g.Expect(v.Twins(appID)).To(HaveLen(len(final)))
}

func equal(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for key, value := range a {
		if b[key] != value {
			return false
		}
	}
	return true
}
