//go:build node

package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

// app is a desired LRP as it can be seen from outside.
type app struct {
	cloudcontroller.Desire
	home *installation
}

// browser asks apps. A kept connection would be one more thing for a stopping app
// to wait for.
var browser = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}

// instances is what irene says.
func (a *app) instances(ctx context.Context) ([]cloudcontroller.Instance, error) {
	return a.home.Instances(ctx, a.GUID(), a.Version())
}

// instance is what irene says about one index.
func (a *app) instance(index int) func(context.Context) (cloudcontroller.Instance, error) {
	return func(ctx context.Context) (cloudcontroller.Instance, error) {
		all, err := a.instances(ctx)
		if err != nil {
			return cloudcontroller.Instance{}, err
		}
		if index >= len(all) {
			return cloudcontroller.Instance{}, fmt.Errorf("there are %d instances, none at index %d", len(all), index)
		}
		return all[index], nil
	}
}

// states are those of all instances in order.
func (a *app) states(ctx context.Context) ([]string, error) {
	return a.home.States(ctx, a.GUID(), a.Version())
}

func (a *app) awaitRunning(ctx context.Context) {
	GinkgoHelper()
	instances := int(a.Desire["instances"].(float64)) // as JSON has it
	Eventually(a.states).WithContext(ctx).Should(And(HaveLen(instances), HaveEach("RUNNING")))
}

// scale changes the number of instances as Cloud Controller does.
func (a *app) scale(ctx context.Context, instances int) {
	GinkgoHelper()
	answer, err := a.home.Update(ctx, a.GUID(), a.Version(), map[string]any{"instances": instances, "annotation": "scaled"})
	Expect(err).NotTo(HaveOccurred())
	Expect(answer.Status).To(Equal(http.StatusOK), answer.Message())
	a.Desire["instances"] = float64(instances)
}

// selector finds everything of the LRP by the labels that people know.
func (a *app) selector() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: labels.Set{
		"cloudfoundry.org/guid": a.GUID(), "cloudfoundry.org/version": a.Version(),
	}.String()}
}

// pods are all of the LRP's, in the order of their names.
func (a *app) pods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := node.client.CoreV1().Pods(a.home.namespace).List(ctx, a.selector())
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list.Items, func(x, y corev1.Pod) int { return strings.Compare(x.Name, y.Name) })
	return list.Items, nil
}

// pod is the one at an index.
func (a *app) pod(ctx context.Context, index int) corev1.Pod {
	GinkgoHelper()
	pods, err := a.pods(ctx)
	Expect(err).NotTo(HaveOccurred())
	for _, pod := range pods {
		if strings.HasSuffix(pod.Name, fmt.Sprintf("-%d", index)) {
			return pod
		}
	}
	Fail(fmt.Sprintf("no pod has the index %d", index))
	return corev1.Pod{}
}

// uids are the pods' by name: another uid is another instance.
func (a *app) uids(ctx context.Context) (map[string]types.UID, error) {
	pods, err := a.pods(ctx)
	uids := map[string]types.UID{}
	for _, pod := range pods {
		uids[pod.Name] = pod.UID
	}
	return uids, err
}

// restarts says how often the container at an index was started again.
func (a *app) restarts(index int) func(context.Context) int32 {
	return func(ctx context.Context) int32 {
		statuses := a.pod(ctx, index).Status.ContainerStatuses
		if len(statuses) == 0 {
			return 0
		}
		return statuses[0].RestartCount
	}
}

// get asks the instance at an index, at its pod's own address, and returns the
// answer's text, which must come with status 200.
func (a *app) get(ctx context.Context, index int, path string) string {
	GinkgoHelper()
	text, err := ask(ctx, a.pod(ctx, index).Status.PodIP, path)
	Expect(err).NotTo(HaveOccurred())
	return text
}

// variable is the value of an environment variable inside instance 0.
func (a *app) variable(ctx context.Context, name string) string {
	GinkgoHelper()
	return a.get(ctx, 0, "/env/"+name)
}

// arguments is the command line that instance 0 got.
func (a *app) arguments(ctx context.Context) []string {
	GinkgoHelper()
	var arguments []string
	Expect(json.Unmarshal([]byte(a.get(ctx, 0, "/args")), &arguments)).To(Succeed())
	return arguments
}

// ask sends GET to port 8080 of an address.
func ask(ctx context.Context, address, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(address, "8080")+path, nil)
	if err != nil {
		return "", err
	}
	answer, err := browser.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }() // only read
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d: %s", path, answer.StatusCode, text)
	}
	return string(text), err
}

// exec runs a command in the container at an index, as the container's user, and
// returns what it printed.
func (a *app) exec(ctx context.Context, index int, command ...string) string {
	GinkgoHelper()
	printed, err := node.kubectl(ctx, append([]string{
		"exec", "--namespace", a.home.namespace, a.pod(ctx, index).Name, "--container", "opi", "--",
	}, command...)...)
	Expect(err).NotTo(HaveOccurred())
	return printed
}

// objects counts what there is of the LRP in the cluster, by kind.
func (a *app) objects(ctx context.Context) (map[string]int, error) {
	namespace, options := a.home.namespace, a.selector()
	counts := map[string]int{}
	statefulSets, err := node.client.AppsV1().StatefulSets(namespace).List(ctx, options)
	if err != nil {
		return nil, err
	}
	secrets, err := node.client.CoreV1().Secrets(namespace).List(ctx, options)
	if err != nil {
		return nil, err
	}
	budgets, err := node.client.PolicyV1().PodDisruptionBudgets(namespace).List(ctx, options)
	if err != nil {
		return nil, err
	}
	pods, err := a.pods(ctx)
	if err != nil {
		return nil, err
	}
	for kind, count := range map[string]int{
		"StatefulSet": len(statefulSets.Items), "Secret": len(secrets.Items),
		"PodDisruptionBudget": len(budgets.Items), "Pod": len(pods),
	} {
		if count > 0 {
			counts[kind] = count
		}
	}
	return counts, nil
}

// explain shows what a person would look at when the LRP is not as it should be.
func (a *app) explain(ctx context.Context) {
	if instances, err := a.instances(ctx); err == nil {
		AddReportEntry(fmt.Sprintf("instances of %s", a.Desire["app_name"]), fmt.Sprintf("%+v", instances))
	}
	selector := a.selector().LabelSelector
	for _, arguments := range [][]string{
		{"describe", "pods", "--namespace", a.home.namespace, "--selector", selector},
		{"logs", "--namespace", a.home.namespace, "--selector", selector, "--prefix", "--tail", "20"},
		{"get", "events", "--namespace", a.home.namespace},
	} {
		printed, err := node.kubectl(ctx, arguments...)
		if err != nil {
			printed += err.Error()
		}
		AddReportEntry("kubectl "+strings.Join(arguments, " "), printed)
	}
	AddReportEntry("irene's log", tail(a.home.log.Name(), 30))
}
