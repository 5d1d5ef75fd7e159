//go:build node

package helm_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/irene-cf/irene/fixtures/appimage"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/devcluster"
	"github.com/irene-cf/irene/fixtures/droplet"
	"github.com/irene-cf/irene/fixtures/natsserver"
	"github.com/irene-cf/irene/fixtures/router"
	"github.com/irene-cf/irene/stager/steps/steptest"
)

const (
	releaseName      = "irene"
	releaseNamespace = "irene"
	appNamespace     = "cf-apps"
	stackName        = "teststack"
	// registryPort is the node port of irene's registry, registryService its address in
	// the cluster, which has no DNS.
	registryPort    = "32123"
	registryService = "10.214.0.50"
	// ireneUser is the user of irene's image.
	ireneUser = 65532
)

// platform is the embedded cluster with what irene works with.
type platform struct {
	*devcluster.Cluster
	t            *testing.T
	client       kubernetes.Interface
	bus          *natsserver.Server
	edge         *router.Router
	droplets     *droplet.Store
	certificates *steptest.Platform
	dropletURL   string
	began        time.Time
}

func startPlatform(ctx context.Context, t *testing.T) *platform {
	t.Helper()
	g := NewWithT(t)
	g.Expect(os.Geteuid()).To(BeZero(), "containers, bridges and cgroups need root")
	cluster, err := devcluster.Start(ctx, devcluster.Options{Node: true, NodeWait: 5 * time.Minute}, t.Output())
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(cluster.Stop()).To(Succeed()) })
	config, err := cluster.RESTConfig()
	g.Expect(err).NotTo(HaveOccurred())
	client, err := kubernetes.NewForConfig(config)
	g.Expect(err).NotTo(HaveOccurred())
	bus, err := natsserver.Start(natsserver.Options{Address: net.JoinHostPort(cluster.NodeAddress, "0")})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(bus.Stop)
	edge, err := router.Start(router.Options{NATS: bus.URL()})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(edge.Stop)
	p := &platform{Cluster: cluster, t: t, client: client, bus: bus, edge: edge,
		droplets: droplet.NewStore(), certificates: steptest.NewPlatform(t), began: time.Now()}
	t.Cleanup(p.droplets.Close)
	path := p.droplets.URL()[strings.Index(p.droplets.URL(), "/{"):]
	p.dropletURL = "http://" + p.listen(p.droplets) + path
	t.Cleanup(func() {
		if t.Failed() {
			p.explain()
		}
	})
	return p
}

// did logs how long a step took.
func (p *platform) did(what string) {
	p.t.Logf("%5.1f s: %s", time.Since(p.began).Seconds(), what)
	p.began = time.Now()
}

// explain shows how everything is when the test has failed.
func (p *platform) explain() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, args := range [][]string{
		{"get", "pods,jobs,events", "--all-namespaces"},
		{"--namespace", releaseNamespace, "logs", "deployment/irene", "--tail", "30"},
		{"--namespace", releaseNamespace, "logs", "deployment/irene-registry", "--tail", "30"},
	} {
		output, err := p.command(ctx, "irene-cluster", append([]string{"kubectl", "--kubeconfig", p.Kubeconfig}, args...)...)
		p.t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

func (p *platform) command(ctx context.Context, program string, args ...string) (string, error) {
	path, err := filepath.Abs(filepath.Join(binaries, program))
	if err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, path, args...)
	command.Env = append(os.Environ(), "HELM_CONFIG_HOME=/nonexistent", "HELM_DATA_HOME=/nonexistent")
	var printed bytes.Buffer
	command.Stdout, command.Stderr = &printed, &printed
	err = command.Run()
	return printed.String(), err
}

// helm and kubectl fail the test with what the program says.
func (p *platform) helm(ctx context.Context, args ...string) {
	p.t.Helper()
	printed, err := p.command(ctx, "helm", append(args, "--kubeconfig", p.Kubeconfig)...)
	p.t.Logf("$ helm %s\n%s", strings.Join(args, " "), printed)
	NewWithT(p.t).Expect(err).NotTo(HaveOccurred())
}

func (p *platform) kubectl(ctx context.Context, args ...string) string {
	p.t.Helper()
	printed, err := p.command(ctx, "irene-cluster", append([]string{"kubectl", "--kubeconfig", p.Kubeconfig}, args...)...)
	NewWithT(p.t).Expect(err).NotTo(HaveOccurred(), "kubectl %s: %s", strings.Join(args, " "), printed)
	return printed
}

func (p *platform) read(path string) []byte {
	p.t.Helper()
	content, err := os.ReadFile(path)
	NewWithT(p.t).Expect(err).NotTo(HaveOccurred())
	return content
}

// pushImage builds and pushes irene's image twice, from folders of different names, and
// returns repository@digest, which has to be the same.
func (p *platform) pushImage(ctx context.Context) (digest string) {
	p.t.Helper()
	g := NewWithT(p.t)
	elsewhere := p.t.TempDir()
	g.Expect(copySource(module, elsewhere)).To(Succeed())
	var digests []string
	for repository, source := range map[string]string{"one/irene": module, "other/irene": elsewhere} {
		command := exec.CommandContext(ctx, "go", "run", "./deploy/images", "--repository", p.Registry+"/"+repository,
			"--version", "v0.0.0-test", "--revision", "0123456789abcdef0123456789abcdef01234567", "--plain-http")
		command.Dir = source
		var complaints bytes.Buffer
		command.Stderr = &complaints
		printed, err := command.Output()
		g.Expect(err).NotTo(HaveOccurred(), complaints.String())
		p.t.Logf("$ make images\n%s", printed)
		var found []string
		for word := range strings.FieldsSeq(string(printed)) {
			if _, digest, is := strings.Cut(word, "@"); is {
				found = append(found, digest)
			}
		}
		g.Expect(found).To(HaveLen(2), "image and list of modules")
		digests = append(digests, strings.Join(found, " "))
	}
	g.Expect(digests[0]).To(Equal(digests[1]), "the same source makes the same image, wherever it lies")
	return strings.Fields(digests[0])[0]
}

// copySource copies a module's source, without what is built and remembered beside it.
func copySource(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, inside)
		switch {
		case entry.IsDir() && slices.Contains([]string{".git", ".irene", "bin"}, inside):
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644)
	})
}

// prepare makes what docs/install.md has operators make first: the namespace, Secrets,
// and the volume of the registry.
func (p *platform) prepare(ctx context.Context) {
	p.t.Helper()
	g := NewWithT(p.t)
	_, err := p.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: releaseNamespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	for name, data := range map[string]map[string][]byte{
		"irene-tls": {
			"tls.crt": p.read(p.certificates.File("server.pem")), "tls.key": p.read(p.certificates.File("server.key")),
		},
		"cloud-controller-ca": {"ca.crt": p.read(p.certificates.File("ca.pem"))},
		"irene-registry":      {"writer": []byte("writer-hunter2"), "reader": []byte("reader-hunter2")},
	} {
		_, err := p.client.CoreV1().Secrets(releaseNamespace).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
	}
	folder := filepath.Join(p.t.TempDir(), "volume")
	g.Expect(os.Mkdir(folder, 0o750)).To(Succeed())
	g.Expect(os.Chown(folder, ireneUser, ireneUser)).To(Succeed())
	for parent := filepath.Dir(folder); parent != os.TempDir() && parent != "/"; parent = filepath.Dir(parent) {
		g.Expect(os.Chmod(parent, 0o755)).To(Succeed())
	}
	_, err = p.client.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "registry"},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: folder}},
		},
	}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	pull := net.JoinHostPort(p.NodeAddress, registryPort)
	hosts := filepath.Join(p.CertsD, pull, "hosts.toml")
	g.Expect(os.MkdirAll(filepath.Dir(hosts), 0o755)).To(Succeed())
	g.Expect(os.WriteFile(hosts, fmt.Appendf(nil,
		"server = \"http://%s\"\n\n[host.\"http://%s\"]\n  capabilities = [\"pull\", \"resolve\"]\n", pull, pull), 0o644)).To(Succeed())
}

// writeValues is an operator's values file.
func (p *platform) writeValues(digest string) string {
	p.t.Helper()
	g := NewWithT(p.t)
	node := []any{map[string]any{"ipBlock": map[string]any{"cidr": p.NodeAddress + "/32"}}}
	content, err := yaml.Marshal(map[string]any{
		"tls":   map[string]any{"clientCA": map[string]any{"secret": "cloud-controller-ca", "key": "ca.crt"}},
		"image": map[string]any{"repository": p.Registry + "/one/irene", "digest": digest},
		"config": map[string]any{
			"listen": map[string]any{"tls": map[string]any{"client_names": []string{"client"}}},
			"nats":   map[string]any{"servers": []string{p.bus.URL()}},
			"registry": map[string]any{
				"address": registryService + ":5000", "pull_address": net.JoinHostPort(p.NodeAddress, registryPort),
			},
			"stacks":   map[string]any{"names": []string{stackName}, "check_interval": "1s"},
			"droplets": map[string]any{"source": map[string]any{"url": p.dropletURL, "plain_http": true}},
		},
		"service": map[string]any{"type": "NodePort"},
		"embeddedRegistry": map[string]any{
			"enabled":     true,
			"service":     map[string]any{"clusterIP": registryService},
			"persistence": map[string]any{"storageClassName": "-", "size": "1Gi"},
			"config":      map[string]any{"storage": map[string]any{"min_free_bytes": 0}, "shutdown": map[string]any{"delay": "0s"}},
		},
		"networkPolicy": map[string]any{"from": node, "irene": map[string]any{"api": node, "observe": node, "registry": node}},
	})
	g.Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(p.t.TempDir(), "values.yaml")
	g.Expect(os.WriteFile(path, content, 0o600)).To(Succeed())
	return path
}

// stackImage pushes a root file system and returns its reference.
func (p *platform) stackImage(ctx context.Context) string {
	p.t.Helper()
	g := NewWithT(p.t)
	rootfs, err := appimage.Busybox(ctx, appimage.DebianBusybox)
	g.Expect(err).NotTo(HaveOccurred())
	image, err := appimage.Docker(appimage.DockerImage{RootFS: rootfs})
	g.Expect(err).NotTo(HaveOccurred())
	reference := p.Registry + "/rootfs/" + stackName + ":1"
	_, err = appimage.Push(ctx, image, reference)
	g.Expect(err).NotTo(HaveOccurred())
	return reference
}

// irene is its API behind the Service, as Cloud Controller calls it.
func (p *platform) irene(ctx context.Context) cloudcontroller.Client {
	p.t.Helper()
	g := NewWithT(p.t)
	service, err := p.client.CoreV1().Services(releaseNamespace).Get(ctx, "irene", metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	own, err := tls.LoadX509KeyPair(p.certificates.File("client.pem"), p.certificates.File("client.key"))
	g.Expect(err).NotTo(HaveOccurred())
	return cloudcontroller.Client{
		// This machine is not in the cluster's network of Services.
		URL: "https://" + net.JoinHostPort(p.NodeAddress, fmt.Sprint(service.Spec.Ports[0].NodePort)),
		HTTP: &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			// The server's certificate is for this address.
			ServerName: "127.0.0.1", RootCAs: p.certificates.Pool, Certificates: []tls.Certificate{own},
		}}},
	}
}

// answers asks an app through the router.
func (p *platform) answers(ctx context.Context, host string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.edge.URL()+"/", nil)
	if err != nil {
		return false
	}
	request.Host = host
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = answer.Body.Close() // not read
	return answer.StatusCode == http.StatusOK
}

func (p *platform) readyReplicas(ctx context.Context) int32 {
	p.t.Helper()
	deployment, err := p.client.AppsV1().Deployments(releaseNamespace).Get(ctx, "irene", metav1.GetOptions{})
	NewWithT(p.t).Expect(err).NotTo(HaveOccurred())
	return deployment.Status.ReadyReplicas
}

// ireneUIDs are those of irene's pods.
func (p *platform) ireneUIDs(ctx context.Context) ([]types.UID, error) {
	pods, err := p.client.CoreV1().Pods(releaseNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=irene"})
	if err != nil {
		return nil, err
	}
	var uids []types.UID
	for _, pod := range pods.Items {
		uids = append(uids, pod.UID)
	}
	return uids, nil
}

func describe(value any, err error) string {
	text, _ := json.Marshal(value)
	return fmt.Sprintf("%s %v", text, err)
}
