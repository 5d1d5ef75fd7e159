package nats

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/fixtures/routing"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/route"
)

// world is what is true, and everybody who knows it more or less.
type world struct {
	t        *testing.T
	random   *rand.Rand
	now      time.Time
	revision uint64
	names    int
	apps     []*modelApp
	replicas []*modelReplica
	routers  []*routerModel
	natsAway bool
	// forgot is set when a process ended that had unregisters pending, or had not
	// handled every change: then routers may need their prune threshold.
	forgot  bool
	history []string
}

type modelApp struct {
	name string
	// hosts have the isolation segment of each route.
	hosts     map[string]string
	internal  bool
	instances []*route.Instance
	revision  route.Revision
}

const sharded = "sharded"

var errAway = errors.New("away")

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_000_000, 0)}
	for _, segments := range [][]string{nil, nil, {""}, {sharded}} {
		router := newRouterModel()
		router.segments = segments
		w.routers = append(w.routers, router)
	}
	for _, name := range []string{"red", "green", "blue"} {
		// All have one route in common, as in a rolling deployment.
		w.apps = append(w.apps, &modelApp{name: name, hosts: map[string]string{"common.example.com": "", name + ".example.com": ""}})
	}
	for range 3 {
		w.replicas = append(w.replicas, &modelReplica{world: w})
	}
	for i := range w.replicas {
		w.restart(i)
	}
	return w
}

func (w *world) restart(i int) {
	r := w.replicas[i]
	if r.schedule != nil && (r.frozen || r.schedule.pending.len() > 0 || r.unread || w.behind(r)) {
		w.forgot = true
	}
	w.names++
	r.id = fmt.Sprintf("replica-%d-%d", i, w.names)
	r.schedule, r.mail, r.seen = newSchedule(r.id, announcementSubject("x"), 1000, r.send), mail{}, map[int]route.State{}
	r.view = routing.NewView()
	r.feed = route.NewFeed(r.view, clock.RealClock{})
	r.frozen, r.routesStalled, r.instancesStalled = false, false, false
	r.progress = route.Progress{}
	var states []route.State
	for n, app := range w.apps {
		r.seen[n] = w.state(n)
		states = append(states, r.seen[n])
		// A list does not show deletions.
		if app.revision.LRP > 0 && w.random.IntN(4) > 0 {
			r.progress.Changed = r.progress.Changed.Union(app.revision)
		}
	}
	r.view.Sync(r.progress, states...)
	r.unread = true
	r.follow()
	if !r.away && !w.natsAway {
		r.connected(true)
	}
}

// behind is whether a replica has not seen everything.
func (w *world) behind(r *modelReplica) bool {
	for n, app := range w.apps {
		if r.seen[n].Revision != app.revision {
			return true
		}
	}
	return false
}

// routesChanged and instancesChanged show an app's change to all replicas whose
// watches go on.
func (w *world) routesChanged(n int) {
	w.revision++
	w.apps[n].revision.LRP = w.revision
	w.show(n)
}

func (w *world) instancesChanged(n int) {
	w.revision++
	w.apps[n].revision.Instances = w.revision
	w.show(n)
}

func (w *world) show(n int) {
	for _, r := range w.replicas {
		r.see(n)
	}
}

func (w *world) state(n int) route.State {
	app := w.apps[n]
	s := routing.LRP(app.name, slices.Sorted(maps.Keys(app.hosts))...)
	for i := range s.LRP.HTTP {
		s.LRP.HTTP[i].IsolationSegment = app.hosts[s.LRP.HTTP[i].Hostname]
	}
	if app.internal {
		s.LRP.Internal = []opi.InternalRoute{{Hostname: app.name + ".apps.internal"}}
	}
	for _, instance := range app.instances {
		s.Instances = append(s.Instances, *instance)
	}
	s.Revision = app.revision
	return s
}

// truth returns what a router should know. It is computed without the table.
func (w *world) truth(router *routerModel) map[route.Key]string {
	result := map[route.Key]string{}
	for _, app := range w.apps {
		for _, i := range app.instances {
			if !i.Ready || i.Terminating {
				continue
			}
			for host, segment := range app.hosts {
				if !router.serves(segment) {
					continue
				}
				result[route.Key{Kind: route.HTTP, Host: i.Address, Port: 8080, URI: host}] = i.GUID
			}
			if app.internal && router.serves("") {
				result[route.Key{Kind: route.Internal, Host: i.Address, Port: 0, URI: app.name + ".apps.internal"}] = i.GUID
				result[route.Key{Kind: route.Internal, Host: i.Address, Port: 0, URI: fmt.Sprintf("%d.%s.apps.internal", i.Index, app.name)}] = i.GUID
			}
		}
	}
	return result
}

func (w *world) freeAddress() string {
	used := map[string]bool{}
	for _, app := range w.apps {
		for _, i := range app.instances {
			used[i.Address] = true
		}
	}
	for {
		if address := fmt.Sprintf("10.0.0.%d", w.random.IntN(12)); !used[address] {
			return address
		}
	}
}

// event makes one thing happen.
func (w *world) event() {
	n := w.random.IntN(len(w.apps))
	app := w.apps[n]
	var instance *route.Instance
	if len(app.instances) > 0 {
		instance = app.instances[w.random.IntN(len(app.instances))]
	}
	replica := w.random.IntN(len(w.replicas))
	what := w.random.IntN(20)
	w.history = append(w.history, fmt.Sprintf("%s event %d app %s replica %d", w.now.Format("04:05.000"), what, app.name, replica))
	switch what {
	case 0, 1: // create
		if len(app.instances) < 3 {
			w.names++
			app.instances = append(app.instances, &route.Instance{GUID: fmt.Sprintf("%s-%d", app.name, w.names), Index: len(app.instances),
				Address: w.freeAddress(), Ready: w.random.IntN(2) == 0, UpdatedAt: w.now.Truncate(time.Second)})
			w.instancesChanged(n)
		}
	case 2, 3, 4: // ready, unready
		if instance != nil {
			instance.Ready, instance.UpdatedAt = !instance.Ready, w.now.Truncate(time.Second)
			w.instancesChanged(n)
		}
	case 5: // terminating
		if instance != nil {
			instance.Terminating = true
			w.instancesChanged(n)
		}
	case 6, 7: // deleted, by force where it was not terminating; the address is free
		if instance != nil {
			app.instances = slices.DeleteFunc(app.instances, func(i *route.Instance) bool { return i == instance })
			w.instancesChanged(n)
		}
	case 8: // another address under the same name
		if instance != nil {
			instance.Address, instance.UpdatedAt = w.freeAddress(), w.now.Truncate(time.Second)
			w.instancesChanged(n)
		}
	case 9, 10: // routes
		host := fmt.Sprintf("%d.example.com", w.random.IntN(3))
		if _, there := app.hosts[host]; there {
			delete(app.hosts, host)
		} else {
			app.hosts[host] = w.segment()
		}
		app.internal = w.random.IntN(2) == 0
		w.routesChanged(n)
	case 11:
		w.restart(replica)
	case 12: // a route moves to another isolation segment
		for host := range app.hosts {
			app.hosts[host] = w.segment()
		}
		w.routesChanged(n)
	case 13: // a replica's connection
		r := w.replicas[replica]
		r.away = !r.away
		r.connected(!r.away && !w.natsAway)
	case 14: // NATS itself
		w.natsAway = !w.natsAway
		for _, r := range w.replicas {
			r.connected(!r.away && !w.natsAway)
		}
	case 15: // a router starts; its table is empty
		w.routerStarts(w.random.IntN(len(w.routers)))
	case 16, 17: // a replica's watch stalls, or goes on
		r := w.replicas[replica]
		if what == 16 {
			r.routesStalled = !r.routesStalled
		} else {
			r.instancesStalled = !r.instancesStalled
		}
		r.seeAll()
	case 18, 19: // a process hangs, or goes on
		if r := w.replicas[replica]; r.frozen {
			r.thaw()
		} else {
			r.frozen = true
		}
	}
}

func (w *world) segment() string {
	if w.random.IntN(2) == 0 {
		return sharded
	}
	return ""
}

func (w *world) routerStarts(i int) {
	w.routers[i].table = map[route.Key]registeredEndpoint{}
	w.routers[i].deafUntil = w.now.Add(50 * time.Millisecond)
	for _, r := range w.replicas {
		// A router whose NATS is away says so when it is back.
		r.mail.started(routerStart{ID: "r", Interval: 20, PruneThreshold: 120})
	}
}

// run lets time pass, with the replicas in any order.
func (w *world) run(d, step time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(step) {
		for _, i := range w.random.Perm(len(w.replicas)) {
			if r := w.replicas[i]; !r.frozen {
				r.step()
			}
		}
		for _, router := range w.routers {
			router.prune(w.now)
		}
	}
}

// settle connects all replicas, of which one at least has watches that go on, lets
// them agree, and compares.
func (w *world) settle() bool {
	w.natsAway = false
	cutOff := false
	sees := w.random.IntN(len(w.replicas))
	for i, r := range w.replicas {
		r.away = false
		if r.frozen {
			r.thaw()
		}
		// The others may be cut off from the API server for long.
		if i == sees || w.random.IntN(3) > 0 {
			r.routesStalled, r.instancesStalled = false, false
			r.seeAll()
		}
		cutOff = cutOff || w.behind(r)
		if !r.schedule.connected || r.mail.connection != nil {
			r.connected(true)
		}
	}
	w.run(3*time.Second, 100*time.Millisecond)
	if cutOff {
		// Two replicas that took turns may wait longer for each other.
		w.run(lagAllowedAgain, 100*time.Millisecond)
		// What a registrar without API server registered until another took over, and
		// that one never saw ready, goes when routers prune it.
		w.run(160*time.Second, time.Second)
	}
	var registrar *modelReplica
	for _, r := range w.replicas {
		if r.schedule.registrar {
			if registrar != nil {
				w.fail("%s and %s both register", registrar.id, r.id)
				return false
			}
			registrar = r
		}
	}
	if registrar == nil || w.behind(registrar) {
		w.fail("nobody who knows everything registers")
		return false
	}
	// The last word shall be the registrar's answer, not the repeat of another.
	registrar.deliver()
	for i, router := range w.routers {
		found := router.endpoints()
		for key, instance := range w.truth(router) {
			if found[key] != instance {
				w.fail("router %d lacks %v of %s, has %q", i, key, instance, found[key])
				return false
			}
		}
	}
	if w.forgot {
		w.run(130*time.Second, time.Second)
		w.forgot = false
	}
	for i, router := range w.routers {
		if diff := cmp.Diff(w.truth(router), router.endpoints()); diff != "" {
			w.fail("router %d: %s", i, diff)
			return false
		}
	}
	return true
}

func (w *world) fail(format string, arguments ...any) {
	w.t.Helper()
	last := w.history[max(0, len(w.history)-25):]
	w.t.Errorf(format+"\nat %s, last events:\n%q", append(arguments, w.now.Format("04:05.000"), last)...)
}

func runModel(t *testing.T, seed uint64, rounds int) {
	w := newWorld(t, seed)
	for range rounds {
		for range 1 + w.random.IntN(8) {
			w.event()
			switch w.random.IntN(5) {
			case 0:
				w.run(time.Duration(w.random.IntN(3000))*time.Millisecond, 100*time.Millisecond)
			case 1:
				w.run(time.Duration(w.random.IntN(100))*time.Second, time.Second)
			case 2, 3:
				w.run(20*time.Millisecond, 20*time.Millisecond)
			}
		}
		if !w.settle() {
			t.Logf("seed %d", seed)
			return
		}
	}
}

// TestModel: after any order of events the routers have exactly the true
// endpoints as soon as everybody knows them.
func TestModel(t *testing.T) {
	for seed := range uint64(40) {
		if runModel(t, seed, 20); t.Failed() {
			return
		}
	}
}

// FuzzModel runs the same for as long as one likes.
func FuzzModel(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { runModel(t, seed, 20) })
}
