package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	appsNamespace = "cf-apps"
	fieldManager  = "irene-dev"
	// clusterPatience is more than irene-cluster gives itself.
	clusterPatience = 4 * time.Minute
)

// clusterReady is the line by which irene-cluster says that it is ready.
type clusterReady struct {
	Kubeconfig string `json:"kubeconfig"`
	// NodeAddress is this machine's address that nodes and pods reach.
	NodeAddress string `json:"nodeAddress"`
	// Registry is the cluster's own, which has nothing but the pause image.
	Registry string `json:"registry"`
	// CertsD is containerd's folder of settings per registry.
	CertsD string `json:"certsd"`
}

// startKubernetes starts the cluster if it doesn't run, and waits until it is
// ready.
func (c *cloud) startKubernetes(ctx context.Context) (string, error) {
	note := "runs already"
	err := errEnded
	if c.state.Cluster.alive() {
		if err = c.awaitCluster(ctx); !c.state.Cluster.runs(c.program(clusterProgram)) {
			note += ", with an older " + clusterProgram + "; to use the new one, run down first"
		}
	}
	if errors.Is(err, errEnded) {
		note = "started"
		if err := c.launchCluster(); err != nil {
			return "", err
		}
		err = c.awaitCluster(ctx)
	}
	if err != nil {
		return "", err
	}
	if err := c.linkKubectl(); err != nil {
		return "", err
	}
	return note, c.makeClient()
}

// makeClient makes a client of the cluster.
func (c *cloud) makeClient() error {
	config, err := clientcmd.BuildConfigFromFlags("", c.cluster.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	config.QPS = -1 // what is polled is this machine's own
	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("make a Kubernetes client: %w", err)
	}
	return nil
}

// awaitCluster waits for the ready line and for an answer of the registry, which
// runs in irene-cluster's own process: the line alone may be of one that is just
// ending. It returns errEnded when it does.
func (c *cloud) awaitCluster(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, clusterPatience)
	defer cancel()
	err := poll(limit, func() (done bool, err error) {
		if c.cluster, done, err = readReady(c.at(readyName)); err != nil {
			return false, err
		}
		if done {
			if _, _, err := call(limit, http.MethodGet, "http://"+c.cluster.Registry+"/v2/", nil); err == nil {
				return true, nil
			}
		}
		if !c.state.Cluster.alive() {
			return false, fmt.Errorf("%s %w; %s", clusterProgram, errEnded, logTail(c.log(clusterName), 30))
		}
		return false, nil
	})
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("not ready after %s; %s", clusterPatience, logTail(c.log(clusterName), 30))
	}
	return err
}

// launchCluster starts irene-cluster. Its words from an earlier life go first, so
// that they aren't taken for new ones.
func (c *cloud) launchCluster() error {
	if err := os.RemoveAll(c.at(readyName)); err != nil {
		return err
	}
	var err error
	c.state.Cluster, err = startProcess(c.at(readyName), c.log(clusterName),
		c.program(clusterProgram), "up", "--dir", c.at(clusterName), "--bin", c.bin, "--node")
	return errors.Join(err, c.saveState(c.state))
}

// readReady reads the ready line, which may be missing or incomplete yet.
func readReady(path string) (ready clusterReady, done bool, err error) {
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ready, false, err
	}
	line, _, complete := bytes.Cut(content, []byte("\n"))
	if !complete {
		return ready, false, nil
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		return ready, false, fmt.Errorf("%s said %q, which isn't its ready line: %w", clusterProgram, line, err)
	}
	var missing []string
	for _, field := range [][2]string{
		{"kubeconfig", ready.Kubeconfig}, {"nodeAddress", ready.NodeAddress}, {"registry", ready.Registry}, {"certsd", ready.CertsD},
	} {
		if field[1] == "" {
			missing = append(missing, field[0])
		}
	}
	if len(missing) > 0 {
		return ready, false, fmt.Errorf("%s said %q, which lacks %s", clusterProgram, line, strings.Join(missing, ", "))
	}
	return ready, true, nil
}

// linkKubectl makes the cluster's own kubectl callable by that name.
func (c *cloud) linkKubectl() error {
	if err := os.MkdirAll(c.at(programsName), 0o755); err != nil {
		return err
	}
	link := c.at(programsName, "kubectl")
	if err := os.RemoveAll(link); err != nil {
		return err
	}
	return os.Symlink(c.program(clusterProgram), link)
}

// makeNamespace makes the namespace for apps, where Kubernetes itself refuses
// pods that aren't restricted.
func (c *cloud) makeNamespace(ctx context.Context) (string, error) {
	namespace := corev1apply.Namespace(appsNamespace).WithLabels(map[string]string{
		"pod-security.kubernetes.io/enforce":         "restricted",
		"pod-security.kubernetes.io/enforce-version": "latest",
	})
	_, err := c.client.CoreV1().Namespaces().Apply(ctx, namespace, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil {
		return "", fmt.Errorf("apply namespace %s: %w", appsNamespace, err)
	}
	return appsNamespace + ", enforces restricted Pod Security", nil
}
