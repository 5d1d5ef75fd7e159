package nats

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/irene-cf/irene/route"
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
	table map[route.Key]registeredEndpoint
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
	return &routerModel{threshold: 120 * time.Second, table: map[route.Key]registeredEndpoint{}}
}

func (r *routerModel) handle(subject string, data []byte, now time.Time) {
	var p payload
	if json.Unmarshal(data, &p) != nil || now.Before(r.deafUntil) || !r.serves(p.IsolationSegment) {
		return
	}
	kind, port := route.HTTP, p.Port
	if p.TLSPort != 0 {
		port = p.TLSPort
	}
	if strings.HasPrefix(subject, "service-discovery.") {
		kind = route.Internal
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	verb := subject[strings.LastIndex(subject, ".")+1:]
	if verb != "register" && verb != "unregister" || p.RouteServiceURL != "" && !strings.HasPrefix(p.RouteServiceURL, "https") {
		return
	}
	for _, uri := range p.URIs {
		key := route.Key{Kind: kind, Host: p.Host, Port: port, URI: strings.ToLower(uri)}
		r.log = append(r.log, verb+" "+key.Host+" "+uri)
		if verb == "unregister" {
			delete(r.table, key)
			continue
		}
		r.table[key] = registeredEndpoint{app: p.App, instance: p.InstanceID, tls: p.TLSPort != 0, at: now, times: r.table[key].times + 1}
	}
}

func (r *routerModel) serves(segment string) bool {
	return r.segments == nil || slices.Contains(r.segments, segment)
}

func (r *routerModel) prune(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.table, func(_ route.Key, e registeredEndpoint) bool { return !e.tls && now.Sub(e.at) > r.threshold })
}

// endpoints is which instance gets the requests for each key.
func (r *routerModel) endpoints() map[route.Key]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	result := map[route.Key]string{}
	for key, e := range r.table {
		result[key] = e.instance
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
