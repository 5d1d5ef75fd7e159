package route

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// routerModel applies gorouter's rules to messages: a table keyed by URI and
// dialled address, pruning of plain endpoints by age, isolation segments. It keeps no
// order of messages and answers nothing.
type routerModel struct {
	threshold time.Duration
	// segments are the isolation segments that it serves; nil means all.
	segments []string
	// deafUntil is when it has subscribed.
	deafUntil time.Time

	mu    sync.Mutex
	table map[Triple]registeredEndpoint
	// log is what was told since it was last looked at.
	log []string
}

type registeredEndpoint struct {
	app, instance string
	tls           bool
	at            time.Time
	times         int
}

func newRouterModel() *routerModel {
	return &routerModel{threshold: 120 * time.Second, table: map[Triple]registeredEndpoint{}}
}

func (r *routerModel) handle(subject string, data []byte, now time.Time) {
	var p payload
	if json.Unmarshal(data, &p) != nil || now.Before(r.deafUntil) || !r.serves(p.IsolationSegment) {
		return
	}
	audience := Router
	if strings.HasPrefix(subject, "service-discovery.") {
		audience = ServiceDiscovery
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	verb := subject[strings.LastIndex(subject, ".")+1:]
	if verb != "register" && verb != "unregister" || p.RouteServiceURL != "" && !strings.HasPrefix(p.RouteServiceURL, "https") {
		return
	}
	for _, uri := range p.URIs {
		triple := Triple{audience, p.Host, p.dialled(), strings.ToLower(uri)}
		r.log = append(r.log, verb+" "+triple.Host+" "+uri)
		if verb == "unregister" {
			delete(r.table, triple)
			continue
		}
		r.table[triple] = registeredEndpoint{app: p.App, instance: p.InstanceID, tls: p.TLSPort != 0, at: now, times: r.table[triple].times + 1}
	}
}

func (r *routerModel) serves(segment string) bool {
	return r.segments == nil || slices.Contains(r.segments, segment)
}

func (r *routerModel) prune(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.table, func(_ Triple, e registeredEndpoint) bool { return !e.tls && now.Sub(e.at) > r.threshold })
}

// endpoints is which instance gets the requests for each triple.
func (r *routerModel) endpoints() map[Triple]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	result := map[Triple]string{}
	for triple, e := range r.table {
		result[triple] = e.instance
	}
	return result
}

func (r *routerModel) takeLog() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	log := slices.Clone(r.log)
	r.log = nil
	return log
}

func (r *routerModel) age(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	var oldest time.Duration
	for _, e := range r.table {
		oldest = max(oldest, now.Sub(e.at))
	}
	return oldest
}
