package route

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/irene-cf/irene/opi"
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
	leader   int
	routers  []*routerModel
	natsAway bool
	// forgot is set when a process ended that had unregisters pending, or had not
	// handled every change: then routers may need their prune threshold.
	forgot  bool
	history []string
}

type modelApp struct {
	name      string
	hosts     map[string]bool
	internal  bool
	instances []*Instance
	revision  Revision
}

// modelReplica is an emitter without goroutine and connection.
type modelReplica struct {
	world    *world
	id       string
	schedule *schedule
	mail     mail
	away     bool // from NATS
	// seen is what it knows of each app. Routes and instances come by different
	// ways, of which one may lag.
	seen map[int]State
}

var errAway = errors.New("away")

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_000_000, 0)}
	w.routers = []*routerModel{newRouterModel(), newRouterModel()}
	for _, name := range []string{"red", "green", "blue"} {
		// All have one route in common, as in a rolling deployment.
		w.apps = append(w.apps, &modelApp{name: name, hosts: map[string]bool{"common.example.com": true, name + ".example.com": true}})
	}
	for range 3 {
		w.replicas = append(w.replicas, &modelReplica{world: w})
	}
	for i := range w.replicas {
		w.restart(i)
	}
	w.lead(0)
	return w
}

func (r *modelReplica) send(subject string, data []byte) error {
	if r.away || r.world.natsAway {
		return errAway
	}
	for _, router := range r.world.routers {
		router.handle(subject, data, r.world.now)
	}
	for _, other := range r.world.replicas {
		if other == r || other.away {
			continue
		}
		for _, audience := range []Audience{Router, ServiceDiscovery} {
			if subject == audience.unregisterSubject() {
				if u, err := parseUnregister(audience, data, other.id); err == nil && u != nil {
					other.mail.hear(u)
				}
			}
		}
		if subject == announcementSubject("x") {
			other.mail.announced = true
		}
	}
	return nil
}

func (w *world) restart(i int) {
	r := w.replicas[i]
	if r.schedule != nil && (r.schedule.pending.len() > 0 || len(r.mail.noted) > 0 || w.behind(r)) {
		w.forgot = true
	}
	w.names++
	r.id = fmt.Sprintf("replica-%d-%d", i, w.names)
	r.schedule, r.mail, r.seen = newSchedule(r.id, announcementSubject("x"), 1000, r.send), newMail(), map[int]State{}
	var states []State
	for n := range w.apps {
		r.seen[n] = w.state(n)
		states = append(states, r.seen[n])
	}
	r.mail.set(states, w.now)
	if !r.away && !w.natsAway {
		r.connected(true)
	}
	if i == w.leader {
		w.lead((i + 1) % len(w.replicas))
	}
}

func (r *modelReplica) connected(up bool) { r.mail.connection = &up }

func (w *world) lead(i int) {
	yes, no := true, false
	for n, r := range w.replicas {
		if n == i {
			w.catchUp(r)
			r.mail.lead = &yes
		} else {
			r.mail.lead = &no
		}
	}
	w.leader = i
}

func (w *world) catchUp(r *modelReplica) {
	for n, app := range w.apps {
		if r.seen[n].Revision != app.revision {
			r.seen[n] = w.state(n)
			r.mail.update([]State{r.seen[n]}, w.now)
		}
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

// routesChanged and instancesChanged tell an app's change to some replicas; the
// others lag behind.
func (w *world) routesChanged(n int) {
	w.revision++
	w.apps[n].revision.LRP = w.revision
	w.tell(n, func(seen *State, is State) { seen.LRP, seen.Revision.LRP = is.LRP, is.Revision.LRP })
}

func (w *world) instancesChanged(n int) {
	w.revision++
	w.apps[n].revision.Instances = w.revision
	w.tell(n, func(seen *State, is State) {
		seen.Instances, seen.Revision.Instances = is.Instances, is.Revision.Instances
	})
}

func (w *world) tell(n int, see func(seen *State, is State)) {
	for _, r := range w.replicas {
		if w.random.IntN(4) > 0 {
			seen := r.seen[n]
			see(&seen, w.state(n))
			r.seen[n] = seen
			r.mail.update([]State{seen}, w.now)
		}
	}
}

func (w *world) state(n int) State {
	app := w.apps[n]
	s := demo(app.name, slices.Sorted(maps.Keys(app.hosts))...)
	if app.internal {
		s.LRP.Internal = []opi.InternalRoute{{Hostname: app.name + ".apps.internal"}}
	}
	for _, instance := range app.instances {
		s.Instances = append(s.Instances, *instance)
	}
	s.Revision = app.revision
	return s
}

// truth is computed without the table.
func (w *world) truth() map[Triple]string {
	result := map[Triple]string{}
	for _, app := range w.apps {
		for _, i := range app.instances {
			if !i.Ready || i.Terminating {
				continue
			}
			for host := range app.hosts {
				result[Triple{Router, i.Address, 8080, host}] = i.GUID
			}
			if app.internal {
				result[Triple{ServiceDiscovery, i.Address, 0, app.name + ".apps.internal"}] = i.GUID
				result[Triple{ServiceDiscovery, i.Address, 0, fmt.Sprintf("%d.%s.apps.internal", i.Index, app.name)}] = i.GUID
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
	var instance *Instance
	if len(app.instances) > 0 {
		instance = app.instances[w.random.IntN(len(app.instances))]
	}
	replica := w.random.IntN(len(w.replicas))
	what := w.random.IntN(16)
	w.history = append(w.history, fmt.Sprintf("%s event %d app %s replica %d", w.now.Format("04:05.000"), what, app.name, replica))
	switch what {
	case 0, 1: // create
		if len(app.instances) < 3 {
			w.names++
			app.instances = append(app.instances, &Instance{GUID: fmt.Sprintf("%s-%d", app.name, w.names), Index: len(app.instances),
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
			app.instances = slices.DeleteFunc(app.instances, func(i *Instance) bool { return i == instance })
			w.instancesChanged(n)
		}
	case 8: // another address under the same name
		if instance != nil {
			instance.Address, instance.UpdatedAt = w.freeAddress(), w.now.Truncate(time.Second)
			w.instancesChanged(n)
		}
	case 9, 10: // routes
		host := fmt.Sprintf("%d.example.com", w.random.IntN(3))
		if app.hosts[host] = !app.hosts[host]; !app.hosts[host] {
			delete(app.hosts, host)
		}
		app.internal = w.random.IntN(2) == 0
		w.routesChanged(n)
	case 11:
		w.restart(replica)
	case 12:
		w.lead(replica)
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
	}
}

func (w *world) routerStarts(i int) {
	w.routers[i].table = map[Triple]registeredEndpoint{}
	for _, r := range w.replicas {
		// A router whose NATS is away says so when it is back.
		r.mail.started(routerStart{ID: "r", Interval: 20, PruneThreshold: 120})
	}
}

// run lets time pass, with the replicas in any order.
func (w *world) run(d, step time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(step) {
		for _, i := range w.random.Perm(len(w.replicas)) {
			r := w.replicas[i]
			mail := r.mail
			r.mail = newMail()
			mail.deliver(r.schedule, w.now)
			r.schedule.due(w.now)
		}
		for _, router := range w.routers {
			router.prune(w.now)
		}
	}
}

// settle connects everybody, brings the leader up to date and the others for the
// most part, and compares.
func (w *world) settle() bool {
	w.natsAway = false
	cutOff := false
	for i, r := range w.replicas {
		r.away = false
		// Who does not lead may be cut off from the API server for long.
		if i == w.leader || w.random.IntN(3) > 0 {
			w.catchUp(r)
		}
		cutOff = cutOff || w.behind(r)
		if !r.schedule.connected || r.mail.connection != nil {
			r.connected(true)
		}
	}
	w.run(3*time.Second, 100*time.Millisecond)
	if cutOff {
		// What one who had led registered until it heard of the leader, and the
		// leader never saw ready, goes when routers prune it.
		w.run(160*time.Second, 500*time.Millisecond)
		// The last word shall be the leader's answer, not the repeat of another.
		leader := w.replicas[w.leader]
		leader.mail.deliver(leader.schedule, w.now)
		leader.mail = newMail()
	}
	truth := w.truth()
	for i, router := range w.routers {
		found := router.endpoints()
		for triple, instance := range truth {
			if found[triple] != instance {
				w.fail("router %d lacks %v of %s, has %q", i, triple, instance, found[triple])
				return false
			}
		}
	}
	if w.forgot {
		w.run(130*time.Second, time.Second)
		w.forgot = false
	}
	for i, router := range w.routers {
		if diff := cmp.Diff(truth, router.endpoints()); diff != "" {
			w.fail("router %d: %s", i, diff)
			return false
		}
	}
	return true
}

func (w *world) fail(format string, arguments ...any) {
	w.t.Helper()
	last := w.history[max(0, len(w.history)-25):]
	w.t.Errorf(format+"\nat %s, leader %d, last events:\n%q", append(arguments, w.now.Format("04:05.000"), w.leader, last)...)
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
	for seed := range uint64(60) {
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
