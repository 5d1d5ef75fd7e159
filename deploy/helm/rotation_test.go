//go:build chart

package helm_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	"github.com/irene-cf/irene/bits"
	"github.com/irene-cf/irene/bits/registry"
	"github.com/irene-cf/irene/credential"
	"github.com/irene-cf/irene/k8s/builds"
	"github.com/irene-cf/irene/k8s/control"
	"github.com/irene-cf/irene/opi"
)

// installation is what the chart renders with irene's own registry and its own values:
// the files of both programs, as kubelet would mount them.
type installation struct {
	t *testing.T
	// objects are the rendered ones, by kind and name.
	objects map[string]string
	// secret is the content of the Secret with the passwords.
	secret map[string]string
	root   string
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	g := NewWithT(t)
	printed, complaints, err := template("--values", values("minimal"), "--set", "config.registry.pull_address=,embeddedRegistry.enabled=true,networkPolicy.irene.enabled=false")
	g.Expect(err).NotTo(HaveOccurred(), complaints)
	i := &installation{t: t, objects: map[string]string{}, secret: map[string]string{}, root: t.TempDir()}
	for document := range strings.SplitSeq(printed, "\n---\n") {
		var object metav1.PartialObjectMetadata
		g.Expect(yaml.Unmarshal([]byte(document), &object)).To(Succeed())
		i.objects[object.Kind+"/"+object.Name] = document
	}
	return i
}

func (i *installation) read(name string, into any) {
	i.t.Helper()
	g := NewWithT(i.t)
	g.Expect(i.objects).To(HaveKey(name))
	g.Expect(yaml.Unmarshal([]byte(i.objects[name]), into)).To(Succeed())
}

// mount writes what the containers of a Deployment see of the Secret and of the
// ConfigMaps, as it is now.
func (i *installation) mount(deployment string) {
	i.t.Helper()
	g := NewWithT(i.t)
	var rendered appsv1.Deployment
	i.read("Deployment/"+deployment, &rendered)
	pod := rendered.Spec.Template.Spec
	g.Expect(pod.Containers).To(HaveLen(1))
	for _, mount := range pod.Containers[0].VolumeMounts {
		for _, volume := range pod.Volumes {
			if volume.Name != mount.Name {
				continue
			}
			folder := i.path(deployment, mount.MountPath)
			switch source := volume.VolumeSource; {
			case source.Secret != nil:
				i.write(folder, i.secretData(source.Secret.SecretName), source.Secret.Items)
			case source.ConfigMap != nil:
				i.write(folder, i.configMapData(source.ConfigMap.Name), source.ConfigMap.Items)
			case source.Projected != nil:
				for _, part := range source.Projected.Sources {
					if part.Secret != nil {
						i.write(folder, i.secretData(part.Secret.Name), part.Secret.Items)
					} else {
						i.write(folder, i.configMapData(part.ConfigMap.Name), part.ConfigMap.Items)
					}
				}
			}
		}
	}
}

// secretData is empty for Secrets that are not about passwords.
func (i *installation) secretData(name string) map[string]string {
	if name != "irene-registry" {
		return nil
	}
	return i.secret
}

func (i *installation) configMapData(name string) map[string]string {
	var rendered corev1.ConfigMap
	i.read("ConfigMap/"+name, &rendered)
	return rendered.Data
}

func (i *installation) write(folder string, data map[string]string, items []corev1.KeyToPath) {
	i.t.Helper()
	g := NewWithT(i.t)
	g.Expect(os.MkdirAll(folder, 0o755)).To(Succeed())
	if len(items) == 0 {
		for key := range data {
			items = append(items, corev1.KeyToPath{Key: key, Path: key})
		}
	}
	for _, item := range items {
		if data != nil {
			g.Expect(data).To(HaveKey(item.Key))
			g.Expect(os.WriteFile(filepath.Join(folder, item.Path), []byte(data[item.Key]), 0o600)).To(Succeed())
		}
	}
}

// path is where a file of a pod is in the test.
func (i *installation) path(deployment, file string) string {
	return filepath.Join(i.root, deployment, file)
}

// configuration reads a program's configuration file.
func (i *installation) configuration(deployment, file string, into any) {
	i.t.Helper()
	g := NewWithT(i.t)
	content, err := os.ReadFile(i.path(deployment, file))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(yaml.Unmarshal(content, into)).To(Succeed())
}

// documentedSteps are the values that docs/registry.md gives a password, in order.
func documentedSteps(t *testing.T) []string {
	t.Helper()
	g := NewWithT(t)
	text, err := os.ReadFile(module + "/docs/registry.md")
	g.Expect(err).NotTo(HaveOccurred())
	steps := []string{}
	for _, patch := range regexp.MustCompile(`(?m)^kubectl .* patch secret irene-registry -p "(.*)"$`).FindAllStringSubmatch(string(text), -1) {
		// As the shell reads what is in double quotes.
		body := strings.NewReplacer(`\\`, `\`, `\"`, `"`, "$old", "old-hunter2", "$new", "new-hunter2").Replace(patch[1])
		var merged struct{ StringData map[string]string }
		g.Expect(json.Unmarshal([]byte(body), &merged)).To(Succeed(), body)
		g.Expect(merged.StringData).To(HaveLen(1))
		steps = append(steps, merged.StringData["writer"])
	}
	g.Expect(steps).To(HaveLen(3))
	g.Expect(steps[2]).To(Equal("new-hunter2"))
	return steps
}

// clients are all who log in to the registry with the files of irene's pod.
type clients struct {
	i       *installation
	address string
	options bits.RegistryOptions
	pull    control.PullSecretOptions
	staging builds.CredentialFiles
	// running has logged in before the rotation.
	running *bits.Registry
	nodes   *fake.Clientset
	// previous is what nodes pulled with at the last check.
	previous *opi.RegistryCredentials
	// build has the credential of the build that began at the last check.
	build *opi.RegistryCredentials
}

func (i *installation) newClients(ctx context.Context, address string) *clients {
	i.t.Helper()
	g := NewWithT(i.t)
	var config struct {
		Registry struct {
			UsernameFile     string `json:"username_file"`
			PasswordFile     string `json:"password_file"`
			PullUsernameFile string `json:"pull_username_file"`
			PullPasswordFile string `json:"pull_password_file"`
			PullSecret       string `json:"pull_secret"`
		}
	}
	i.configuration("irene", "/etc/irene/config/irene.yml", &config)
	file := func(name string) string { return i.path("irene", name) }
	c := &clients{i: i, address: address, nodes: fake.NewClientset()}
	c.options = bits.RegistryOptions{Address: address, UsernameFile: file(config.Registry.UsernameFile), PasswordFile: file(config.Registry.PasswordFile)}
	c.staging = builds.CredentialFiles{RegistryUsername: c.options.UsernameFile, RegistryPassword: c.options.PasswordFile}
	c.pull = control.PullSecretOptions{
		Secrets: c.nodes.CoreV1(), Namespace: "cf-apps", Name: config.Registry.PullSecret, PullAddress: address,
		UsernameFile: file(config.Registry.PullUsernameFile), PasswordFile: file(config.Registry.PullPasswordFile),
		Interval: 20 * time.Millisecond, Logger: lager.NewLogger("test"),
	}
	var err error
	c.running, err = bits.NewRegistry(c.options)
	g.Expect(err).NotTo(HaveOccurred())
	kept, err := control.NewPullSecret(c.pull)
	g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- kept.Run(ctx) }()
	i.t.Cleanup(func() {
		cancel()
		g.Expect(<-ended).To(Succeed())
	})
	return c
}

// expectAdmitted tries everything that logs in.
func (c *clients) expectAdmitted(ctx context.Context, when string) {
	c.i.t.Helper()
	g := NewWithT(c.i.t)
	_, err := c.running.Check(ctx)
	g.Expect(err).NotTo(HaveOccurred(), "%s: an irene that runs", when)
	restarted, err := bits.NewRegistry(c.options)
	g.Expect(err).NotTo(HaveOccurred())
	image, err := restarted.Check(ctx)
	g.Expect(err).NotTo(HaveOccurred(), "%s: an irene that was restarted", when)
	staging, err := c.staging.Read()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.status(ctx, string(staging.RegistryUsername), string(staging.RegistryPassword))).To(Equal(http.StatusOK), "%s: a build with irene's own account", when)
	if c.build != nil {
		g.Expect(c.status(ctx, c.build.Username, c.build.Password)).To(Equal(http.StatusOK), "%s: a build that began before", when)
	}
	build, err := credential.Build{GUID: "build", Repository: "cloudfoundry/droplets", Expires: time.Now().Add(time.Hour)}.Username()
	g.Expect(err).NotTo(HaveOccurred())
	key, err := credential.NewBuildKey(string(staging.RegistryUsername), string(staging.RegistryPassword))
	g.Expect(err).NotTo(HaveOccurred())
	c.build = &opi.RegistryCredentials{Username: build, Password: key.Password(build)}
	g.Expect(c.status(ctx, c.build.Username, c.build.Password)).To(Equal(http.StatusOK), "%s: a build", when)

	password, err := credential.Read(c.pull.PasswordFile)
	g.Expect(err).NotTo(HaveOccurred())
	pull := func(g Gomega) *opi.RegistryCredentials {
		secret, err := c.nodes.CoreV1().Secrets(c.pull.Namespace).Get(ctx, c.pull.Name, metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		var held struct {
			Auths map[string]*opi.RegistryCredentials
		}
		g.Expect(json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &held)).To(Succeed())
		return held.Auths[c.address]
	}
	var held *opi.RegistryCredentials
	g.Eventually(func(g Gomega) {
		held = pull(g)
		g.Expect(held).To(HaveValue(HaveField("Password", password)))
	}, time.Minute).Should(Succeed(), "%s: the pull secret", when)
	// What a node read a moment ago has to be good as well.
	for _, credentials := range []*opi.RegistryCredentials{c.previous, held} {
		if credentials != nil {
			err := bits.CheckPull(ctx, bits.PullOptions{Address: c.address, Credentials: credentials}, image)
			g.Expect(err).NotTo(HaveOccurred(), "%s: a node", when)
		}
	}
	c.previous = held
}

func (c *clients) status(ctx context.Context, username, password string) int {
	c.i.t.Helper()
	g := NewWithT(c.i.t)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.address+"/v2/", nil)
	g.Expect(err).NotTo(HaveOccurred())
	request.SetBasicAuth(username, password)
	response, err := http.DefaultClient.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	return response.StatusCode
}

// The rotation that docs/registry.md describes, with the chart's own values: nobody is
// refused at any moment, whichever pod sees the changed Secret first.
func TestPasswordsAreRotatedAsDocumented(t *testing.T) {
	const irenePod, registryPod = "irene", "irene-registry"
	steps := documentedSteps(t)
	// Without it, the library logs every request to standard error.
	registry.AdoptLibraryLogs(lager.NewLogger("test"))
	for name, order := range map[string][]string{"the registry sees it first": {registryPod, irenePod}, "irene sees it first": {irenePod, registryPod}} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			i := newInstallation(t)
			i.secret = map[string]string{"writer": "old-hunter2", "reader": "old-hunter2"}
			i.mount(irenePod)
			i.mount(registryPod)

			var config struct {
				Users []struct {
					Name         string
					PasswordFile string `json:"password_file"`
					ReadOnly     bool   `json:"read_only"`
				}
			}
			i.configuration(registryPod, "/etc/irene/config/registry.yml", &config)
			clock := clocktesting.NewFakeClock(time.Now())
			options := registry.Options{
				Directory: t.TempDir(), MinAge: registry.DefaultMinAge, UploadIdle: registry.DefaultUploadIdle, Clock: clock, Logger: lager.NewLogger("test"),
			}
			for _, user := range config.Users {
				options.Users = append(options.Users, registry.User{Name: user.Name, PasswordFile: i.path(registryPod, user.PasswordFile), ReadOnly: user.ReadOnly})
			}
			own, err := registry.New(options)
			g.Expect(err).NotTo(HaveOccurred())
			defer own.Close()
			server := httptest.NewServer(own.Handler())
			defer server.Close()
			c := i.newClients(ctx, strings.TrimPrefix(server.URL, "http://"))
			c.expectAdmitted(ctx, "before")

			for number, value := range steps {
				i.secret = map[string]string{"writer": value, "reader": value}
				for _, pod := range order {
					i.mount(pod)
					clock.Step(2 * time.Second)
					c.expectAdmitted(ctx, []string{"step 1", "step 2", "step 3"}[number]+", after "+pod)
				}
			}
			g.Expect(c.status(ctx, config.Users[0].Name, "old-hunter2")).To(Equal(http.StatusUnauthorized), "the old password is good no more")
			g.Expect(c.status(ctx, config.Users[0].Name, "new-hunter2")).To(Equal(http.StatusOK))
		})
	}
}
