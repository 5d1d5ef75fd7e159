package bits

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/irene-cf/irene/opi"
)

// DefaultStackInterval is how often the registry is asked for the stacks' digests.
const DefaultStackInterval = 30 * time.Second

// Stack is a stack as app images are built on it.
type Stack struct {
	Name string
	// Digest is that of the stack's image.
	Digest v1.Hash
	// Revision stands for Digest and the lifecycle layer in the tags of app images
	// and in labels: 12 hex digits.
	Revision string
}

// StacksOptions are the stacks that apps can be built on.
type StacksOptions struct {
	Registry *Registry
	// Lifecycle is the layer that all app images get.
	Lifecycle *Lifecycle
	// Names are all stacks; the first is for droplets that don't say theirs.
	Names []string
	// Interval is DefaultStackInterval when 0.
	Interval time.Duration
	Logger   lager.Logger
}

// Stacks knows the current digests of stacks. Run asks the registry for them again
// and again; when it can't tell, the last known ones go on to be used.
//
// All methods may be called at the same time. Run owns no goroutine.
type Stacks struct {
	options StacksOptions

	mu    sync.Mutex
	known map[string]StackState
}

// StackState is what is known of a stack.
type StackState struct {
	// Stack has no digest as long as the registry has not told one.
	Stack
	// Default says that droplets which don't name a stack run on this one.
	Default bool
	// Confirmed is when the registry last told the digest; zero for never.
	Confirmed time.Time
	// Failure is why it could not tell since; nil when it could.
	Failure error
}

// NewStacks checks the options and asks for nothing.
func NewStacks(o StacksOptions) (*Stacks, error) {
	if len(o.Names) == 0 {
		return nil, errors.New("stacks: at least one is needed")
	}
	s := &Stacks{options: o, known: map[string]StackState{}}
	for i, name := range o.Names {
		if err := ValidateStackName(name); err != nil {
			return nil, fmt.Errorf("stacks: %w", err)
		}
		if _, twice := s.known[name]; twice {
			return nil, fmt.Errorf("stacks: %s is listed twice", name)
		}
		s.known[name] = StackState{Stack: Stack{Name: name}, Default: i == 0}
	}
	if s.options.Interval == 0 {
		s.options.Interval = DefaultStackInterval
	}
	return s, nil
}

// Run keeps the digests fresh until ctx ends. Failures are logged when they begin and
// counted each time.
func (s *Stacks) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.options.Interval)
	defer ticker.Stop()
	for {
		for _, name := range s.options.Names {
			before := s.state(name)
			_, err := s.Refresh(ctx, name)
			if err != nil && ctx.Err() == nil && before.Failure == nil {
				s.options.Logger.Error("check-stack", err, lager.Data{"stack": name})
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Default is the name of the stack for droplets that don't name one.
func (s *Stacks) Default() string { return s.options.Names[0] }

// Current is what a stack is at present, "" being the default one. It asks the
// registry only when that never told. The error wraps opi.ErrRefused for a stack that
// isn't configured, opi.ErrUnavailable for one that is not known.
func (s *Stacks) Current(ctx context.Context, name string) (Stack, error) {
	if name == "" {
		name = s.Default()
	}
	if !slices.Contains(s.options.Names, name) {
		message := fmt.Sprintf("there is no stack %q on this platform, only %s", name, strings.Join(s.options.Names, ", "))
		return Stack{}, opi.WithMessage(fmt.Errorf("%w: %s", opi.ErrRefused, message), "%s", message)
	}
	if state := s.state(name); state.Revision != "" {
		return state.Stack, nil
	}
	return s.Refresh(ctx, name)
}

// Refresh asks the registry for a stack's digest.
func (s *Stacks) Refresh(ctx context.Context, name string) (Stack, error) {
	digest, err := s.options.Registry.StackDigest(ctx, name)
	metrics := s.options.Registry.metrics
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.known[name]
	if err != nil {
		if ctx.Err() == nil {
			metrics.stackFailures.WithLabelValues(name).Inc()
			state.Failure = err
			s.known[name] = state
		}
		return Stack{}, err
	}
	if state.Digest != digest {
		if state.Revision != "" {
			metrics.stackInfo.DeleteLabelValues(name, state.Digest.String(), state.Revision)
		}
		state.Digest, state.Revision = digest, revisionOf(digest, s.options.Lifecycle.Digest())
		metrics.stackInfo.WithLabelValues(name, digest.String(), state.Revision).Set(1)
		s.options.Logger.Info("stack", lager.Data{"stack": name, "digest": digest.String(), "revision": state.Revision})
	}
	state.Confirmed, state.Failure = time.Now(), nil
	metrics.stackConfirmed.WithLabelValues(name).SetToCurrentTime()
	s.known[name] = state
	return state.Stack, nil
}

// States is what is known of every stack, in the configured order.
func (s *Stacks) States() []StackState {
	states := make([]StackState, 0, len(s.options.Names))
	for _, name := range s.options.Names {
		states = append(states, s.state(name))
	}
	return states
}

func (s *Stacks) state(name string) StackState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[name]
}
