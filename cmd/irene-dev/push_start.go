package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/k8s/keys"
)

// webProcess is the type of the process that gets the route.
const webProcess = "web"

// start desires the processes in a new version and waits until the web process gets
// requests. Processes have as many instances as before; new ones other than web get none until
// they are scaled, as in Cloud Foundry. A version that doesn't come up is taken back.
func (p *pushing) start(ctx context.Context) (string, error) {
	p.app = pushedApp{
		Name: p.name, GUID: appGUID(p.name), Version: cloudcontroller.NewGUID(), Droplet: p.build.Droplet.GUID, Source: p.digest, Door: p.door,
	}
	earlier, err := p.pushedApp(p.name)
	if err != nil {
		return "", err
	}
	err = p.desireProcesses(ctx, earlier)
	if err == nil {
		err = p.awaitPushed(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		return "", errors.Join(err, p.takeBack(context.WithoutCancel(ctx)))
	}
	return "it runs and gets requests", nil
}

func (p *pushing) desireProcesses(ctx context.Context, earlier pushedApp) error {
	if p.build.ProcessTypes[webProcess] == "" {
		return fmt.Errorf("staging found no command for a %s process, only for %q; a line \"%s: COMMAND\" in a Procfile says it", webProcess, slices.Sorted(maps.Keys(p.build.ProcessTypes)), webProcess)
	}
	door, err := p.frontDoor(p.app.Door)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.build.ProcessTypes)) {
		process := p.process(name, earlier)
		p.app.Processes = append(p.app.Processes, process)
		if err := p.addProcess(ctx, process.GUID, p.app.droplet(process)); err != nil {
			return err
		}
		if err := door.Desire(ctx, process); err != nil {
			return p.seeLog(err)
		}
	}
	return nil
}

// takeBack stops the new version. The one before, if there is one, goes on with its droplet.
func (p *pushing) takeBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cancelPatience)
	defer cancel()
	_, err := p.stopVersions(ctx, func(guid, version string) bool { return p.app.has(guid) && version == p.app.Version })
	if err != nil {
		return fmt.Errorf("take it back: %w", err)
	}
	earlier, err := p.pushedApp(p.name)
	if err != nil {
		return fmt.Errorf("take it back: %w", err)
	}
	for _, process := range earlier.Processes {
		if err := p.addProcess(ctx, process.GUID, earlier.droplet(process)); err != nil {
			return fmt.Errorf("take it back: %w", err)
		}
	}
	return os.RemoveAll(p.dropletFile(p.app.Droplet))
}

func (p *pushing) process(name string, earlier pushedApp) cloudcontroller.Process {
	process := cloudcontroller.Process{
		App: cloudcontroller.Owner{GUID: p.app.GUID, Name: p.name}, Space: space, Organization: organization,
		Type: name, GUID: processGUID(p.name, name), Version: p.app.Version,
		Command: p.build.ProcessTypes[name], Stack: stackName,
		Droplet:  cloudcontroller.ProcessDroplet{GUID: p.build.Droplet.GUID, SHA1: p.build.Droplet.Blob.SHA1, SHA256: p.build.Droplet.Blob.SHA256},
		MemoryMB: p.memoryMB, DiskMB: p.diskMB, HealthCheck: "process", Environment: p.environment, UpdatedAt: time.Now(),
	}
	for _, sidecar := range p.build.Sidecars {
		if slices.Contains(sidecar.ProcessTypes, name) {
			process.Sidecars = append(process.Sidecars, cloudcontroller.Sidecar{Name: sidecar.Name, Command: sidecar.Command, MemoryMB: sidecar.Memory})
		}
	}
	if at := slices.IndexFunc(earlier.Processes, func(before cloudcontroller.Process) bool { return before.Type == name }); at >= 0 {
		process.Instances = earlier.Processes[at].Instances
	}
	if name == webProcess {
		// Without an instance it could not be seen whether the version works.
		process.Hostnames, process.Instances, process.HealthCheck = []string{p.route()}, max(process.Instances, 1), "port"
	}
	return process
}

// awaitPushed waits until the new version's instance is in the router's table and
// answers. An earlier version may answer for it until then.
func (p *pushing) awaitPushed(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, appPatience)
	defer cancel()
	last := "nothing is known of it"
	err := poll(limit, func() (bool, error) {
		state, seen, err := p.instanceState(limit, p.app.Door, p.app.GUID+"-"+p.app.Version)
		if err != nil || state != stateRunning {
			last = seen
			if state == stateCrashed {
				err = fmt.Errorf("%s; %s", seen, p.lastWords(limit))
			}
			return false, ignoreEnd(limit, err)
		}
		last = "it is RUNNING, but the router doesn't know it"
		routed, err := p.routed(limit)
		if err != nil || !routed {
			return false, ignoreEnd(limit, err)
		}
		status, answer, err := callHost(limit, http.MethodGet, "http://"+p.state.Router+"/", p.route(), nil)
		last = fmt.Sprintf("it is RUNNING, but %s says: %d %s %v", p.url(p.route()), status, answer, err)
		return err == nil && status != http.StatusBadGateway && status != http.StatusServiceUnavailable, nil
	})
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("it doesn't answer after %s: %s; %s", appPatience, last, p.lastWords(ctx))
	}
	return err
}

// lastWords is the end of the new version's log.
func (p *pushing) lastWords(ctx context.Context) string {
	pods, err := p.pods(ctx)
	if err != nil || len(pods) == 0 {
		return "it has no pod"
	}
	text, err := p.client.CoreV1().Pods(appsNamespace).GetLogs(pods[0].Name, &corev1.PodLogOptions{TailLines: ptr.To[int64](20)}).DoRaw(ctx)
	if err != nil {
		return fmt.Sprintf("it has no log: %v", err)
	}
	return "the end of its log:\n" + strings.TrimRight(string(text), "\n")
}

// pods are those of the new version's web process.
func (p *pushing) pods(ctx context.Context) ([]corev1.Pod, error) {
	pods, err := p.client.CoreV1().Pods(appsNamespace).List(ctx, metav1.ListOptions{
		LabelSelector: keys.GUID + "=" + p.app.GUID + "," + keys.Version + "=" + p.app.Version,
	})
	if err != nil {
		return nil, fmt.Errorf("look for the app's pod: %w", err)
	}
	return pods.Items, nil
}

// routed says whether the router has the new version's instance.
func (p *pushing) routed(ctx context.Context) (bool, error) {
	pods, err := p.pods(ctx)
	if err != nil {
		return false, err
	}
	table, err := p.routes(ctx)
	if err != nil {
		return false, err
	}
	for _, pod := range pods {
		for _, endpoint := range table[p.route()] {
			if pod.Status.PodIP != "" && endpoint.Host == pod.Status.PodIP {
				return true, nil
			}
		}
	}
	return false, nil
}

// stopEarlier writes down what runs now, and takes away the versions before.
func (p *pushing) stopEarlier(ctx context.Context) (string, error) {
	earlier, err := p.pushedApp(p.name)
	if err != nil {
		return "", err
	}
	if err := p.remember(p.app); err != nil {
		return "", err
	}
	stopped, err := p.stopVersions(ctx, func(guid, version string) bool {
		return version != p.app.Version && p.app.has(guid) || earlier.has(guid) && version == earlier.Version
	})
	if err != nil {
		return "", err
	}
	if earlier.Droplet != "" {
		if err := os.RemoveAll(p.dropletFile(earlier.Droplet)); err != nil {
			return "", err
		}
	}
	switch {
	case stopped == 0:
		return "there was none", nil
	case earlier.Name != "" && earlier.Door != p.app.Door:
		return fmt.Sprintf("stopped; it had come by the %s door, and now the app is the %s door's", strings.ToUpper(earlier.Door), strings.ToUpper(p.app.Door)), nil
	}
	return "stopped", nil
}
