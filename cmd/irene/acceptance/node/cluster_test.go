//go:build node

package node_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/irene-cf/irene/fixtures/devcluster"
	"github.com/irene-cf/irene/fixtures/natsserver"
	"github.com/irene-cf/irene/fixtures/router"
)

// containerdSocket is the only one of the machine's node part.
const containerdSocket = "/run/irene-cluster/node/containerd.sock"

// cluster is the embedded Kubernetes with its real node, and a router before it.
type cluster struct {
	*devcluster.Cluster
	// bus is NATS, by which router hears of every irene's routes.
	bus    *natsserver.Server
	router *router.Router
	// folder takes what the suite itself writes.
	folder string
	client kubernetes.Interface
}

// startCluster runs the cluster until the suite ends.
func startCluster(ctx context.Context, folder string) *cluster {
	started, err := devcluster.Start(ctx, devcluster.Options{
		Bin: binaries, Node: true, NodeWait: nodeWait,
		// A volume beyond its limit is noticed within seconds rather than a minute.
		KubeletArgs: []string{"volume-stats-agg-period=2s"},
	}, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(started.Stop)
	config, err := started.RESTConfig()
	Expect(err).NotTo(HaveOccurred())
	client, err := kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	bus, err := natsserver.Start(natsserver.Options{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(bus.Stop)
	edge, err := router.Start(router.Options{NATS: bus.URL(), Attempts: 1})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(edge.Stop)
	return &cluster{Cluster: started, bus: bus, router: edge, folder: folder, client: client}
}

// namespace makes a namespace for apps that enforces the restricted Pod Security
// standard, and proves that it does.
func (c *cluster) namespace(ctx context.Context, name string) {
	_, err := c.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:   name,
		Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest"},
	}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	Eventually(func(ctx context.Context) error {
		_, err := c.client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err
	}).WithContext(ctx).Should(Succeed())

	careless := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "careless"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "any"}}},
	}
	_, err = c.client.CoreV1().Pods(name).Create(ctx, careless, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	Expect(err).To(MatchError(ContainSubstring(`violates PodSecurity "restricted`)))
}

// memoryMiB is how much the node has for pods.
func (c *cluster) memoryMiB(ctx context.Context) int64 {
	GinkgoHelper()
	found, err := c.client.CoreV1().Nodes().Get(ctx, c.Node, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	return found.Status.Allocatable.Memory().Value() >> 20
}

// reaches tells containerd of a plain-HTTP registry, which it then asks under the
// registry's own address.
func (c *cluster) reaches(address string) {
	settings := filepath.Join(c.CertsD, address, "hosts.toml")
	Expect(os.MkdirAll(filepath.Dir(settings), 0o755)).To(Succeed())
	Expect(os.WriteFile(settings, fmt.Appendf(nil,
		"server = \"http://%s\"\n\n[host.\"http://%s\"]\n  capabilities = [\"pull\", \"resolve\"]\n", address, address), 0o644)).To(Succeed())
}

// ctr runs containerd's own client on what kubelet has there, and returns what it
// printed.
func (c *cluster) ctr(ctx context.Context, arguments ...string) (string, error) {
	printed, err := exec.CommandContext(ctx, filepath.Join(binaries, "ctr"),
		append([]string{"--address", containerdSocket, "--namespace", "k8s.io"}, arguments...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ctr %s: %w: %s", strings.Join(arguments, " "), err, printed)
	}
	return string(printed), nil
}

// kubectl runs the cluster's own kubectl and returns what it printed.
func (c *cluster) kubectl(ctx context.Context, arguments ...string) (string, error) {
	var printed, complaints strings.Builder
	command := exec.CommandContext(ctx, filepath.Join(binaries, "irene-cluster"),
		append([]string{"kubectl", "--kubeconfig", c.Kubeconfig}, arguments...)...)
	command.Stdout, command.Stderr = &printed, &complaints
	if err := command.Run(); err != nil {
		return printed.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(arguments, " "), err, complaints.String())
	}
	return printed.String(), nil
}

// tail is the end of a file, for messages.
func tail(file string, lines int) string {
	content, err := os.Open(file)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = content.Close() }() // only read
	text, err := io.ReadAll(content)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
