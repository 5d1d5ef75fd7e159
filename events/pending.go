package events

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// pending are the Jobs whose outcome has not been answered for good, by name.
type pending struct {
	mutex sync.Mutex
	jobs  map[string]*delivery
}

// delivery is one outcome on its way.
type delivery struct {
	uid  types.UID
	kind string
	// since is when the work had ended, as far as that is known.
	since time.Time
	// mark is what is to be written on the Job: nothing is sent any more. Only the
	// worker on the Job uses it.
	mark string
}

// begin says whether the outcome is new here.
func (p *pending) begin(name string, d delivery) bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if known := p.jobs[name]; known != nil && known.uid == d.uid {
		return false
	}
	p.jobs[name] = &d
	return true
}

// get returns nil for what is not pending.
func (p *pending) get(name string) *delivery {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.jobs[name]
}

func (p *pending) done(name string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	delete(p.jobs, name)
}

func (p *pending) clear() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.jobs = map[string]*delivery{}
}

// count is how many are pending of each kind, and since when the oldest is; zero if
// there is none.
func (p *pending) count() (kinds map[string]int, oldest time.Time) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	kinds = map[string]int{}
	for _, d := range p.jobs {
		kinds[d.kind]++
		if oldest.IsZero() || d.since.Before(oldest) {
			oldest = d.since
		}
	}
	return kinds, oldest
}
