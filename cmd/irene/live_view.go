package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/view"
)

// viewPatience is how long the API server may take to list everything.
const viewPatience = 2 * time.Minute

// liveView is the view that the service would have if it started now: complete, and
// not fed any more.
func liveView(ctx context.Context, config Configuration) (*view.View, error) {
	clients, err := k8s.NewClients(config.Kubernetes.KubeconfigFile, config.Kubernetes.MaxParallelCalls, prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, viewPatience)
	defer cancel()
	// The view tries again and again. What can't work at all should be said at once.
	if _, err := clients.Typed.AppsV1().StatefulSets(config.Kubernetes.Namespace).List(ctx, metav1.ListOptions{Limit: 1}); err != nil {
		return nil, fmt.Errorf("list the apps in namespace %s: %w", config.Kubernetes.Namespace, err)
	}
	last := &lastError{}
	logger := lager.NewLogger("irene")
	logger.RegisterSink(last)
	appsView := newView(config, clients, logger, nil)

	feeding, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- appsView.Run(feeding) }()
	complete := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(context.Context) (bool, error) {
		return appsView.Synced(), nil
	}) == nil
	stop()
	if err := <-ended; err != nil {
		return nil, err
	}
	if !complete {
		return nil, fmt.Errorf("read namespace %s: %w", config.Kubernetes.Namespace, errors.Join(appsView.Fresh(), last.get()))
	}
	return appsView, nil
}

// lastError is a sink that keeps what was logged last as an error.
type lastError struct {
	mutex sync.Mutex
	err   error
}

// Log implements lager.Sink.
func (l *lastError) Log(line lager.LogFormat) {
	if line.LogLevel < lager.ERROR {
		return
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.err = line.Error; l.err == nil {
		l.err = errors.New(line.Message)
	}
}

func (l *lastError) get() error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.err
}

// whichApp chooses LRPs by what a person calls them: an app's name in any case, its
// guid, or the guid of a process with or without version. Empty is all of them.
type whichApp string

func (w whichApp) is(lrp view.LRP) bool {
	text := string(w)
	return text == "" || strings.EqualFold(text, lrp.AppName) || text == lrp.AppGUID || text == lrp.GUID || text == lrp.ProcessGUID()
}

// lookAtApps reads the command line of a command that shows apps, and the apps that it
// names, sorted for people.
func lookAtApps(ctx context.Context, config Configuration, which whichApp) (*view.View, []view.LRP, error) {
	appsView, err := liveView(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	var chosen []view.LRP
	for _, id := range appsView.Identities() {
		if lrp, found := appsView.LRP(id); found && which.is(lrp) {
			chosen = append(chosen, lrp)
		}
	}
	sortForPeople(chosen)
	return appsView, chosen, nil
}

// since is a span as people read it, in one or two units.
func since(at, now time.Time) string {
	span := now.Sub(at)
	switch {
	case at.IsZero():
		return "-"
	case span < time.Minute:
		return fmt.Sprintf("%ds", int(max(span, 0).Seconds()))
	case span < time.Hour:
		return fmt.Sprintf("%dm", int(span.Minutes()))
	case span < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(span.Hours()), int(span.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(span.Hours())/24, int(span.Hours())%24)
}

// row writes cells, "-" for empty ones, divided by tabs.
func row(table io.Writer, cells ...any) {
	for i, cell := range cells {
		if i > 0 {
			fmt.Fprint(table, "\t")
		}
		text := fmt.Sprint(cell)
		if text == "" {
			text = "-"
		}
		fmt.Fprint(table, strings.NewReplacer("\t", " ", "\n", " ").Replace(text))
	}
	fmt.Fprintln(table)
}
