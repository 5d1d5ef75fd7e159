package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"code.cloudfoundry.org/lager/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/bits"
	"github.com/irene-cf/irene/opi"
)

// examineRegistry pushes and pulls as irene does, and pulls as nodes do.
func examineRegistry(ctx context.Context, e examination) []finding {
	settings := e.config.Registry
	if settings.Address == "" {
		found := []finding{{Check: "registry.address", Verdict: verdictWarning, Found: "empty: somebody else must put images of buildpack apps into " + settings.PullAddress + ", and nothing is staged"}}
		if secret, _ := e.pullSecret(ctx); secret != nil {
			found = append(found, *secret)
		}
		return found
	}
	var found []finding
	if settings.CAFile != "" {
		found = append(found, e.authorities("registry.ca_file", settings.CAFile))
	}
	secret, credentials := e.pullSecret(ctx)
	if secret != nil {
		found = append(found, *secret)
	}
	const check = "registry.address"
	registry, err := newRegistry(e.config, nil, lager.NewLogger("doctor"))
	if err != nil {
		return append(found, failed(check, err, "correct the key, or the file that it names"))
	}
	image, err := registry.Check(ctx)
	switch {
	case errors.Is(err, bits.ErrCredentials):
		return append(found, failed(check, err, "registry.username_file and registry.password_file must hold an account that may push below "+settings.Address+"/"+settings.Prefix))
	case err != nil:
		return append(found, failed(check, lateAnswer(ctx, err), "see that the registry runs, and that registry.address, registry.ca_file and registry.plain_http are right"))
	}
	found = append(found, fine(check, "pushed and pulled %s", image.Reference), e.nodesPull(ctx, image, credentials))
	return append(found, e.buildsAccount(ctx, registry)...)
}

// buildsAccount warns if builds get the account that may replace everything.
func (e examination) buildsAccount(ctx context.Context, registry *bits.Registry) []finding {
	settings := e.config.Registry
	if !e.config.Staging.Enabled || settings.UsernameFile == "" || settings.BuildUsernameFile != "" {
		return nil
	}
	if repository, err := registry.BuildRepository(ctx); err != nil || repository != "" {
		return nil // the registry was reached a moment ago
	}
	return []finding{{Check: "registry.build_username_file", Verdict: verdictWarning,
		Found: "empty: each build's Secret has the password of registry.username_file, who may replace stacks and all apps' images",
		Mend:  "make a user who can write " + settings.Prefix + "/droplets alone, and name it there"}}
}

// nodesPull tries what nodes do, from here.
func (e examination) nodesPull(ctx context.Context, image bits.CheckedImage, credentials *opi.RegistryCredentials) finding {
	const check = "registry.pull_address"
	settings := e.config.Registry
	options := bits.PullOptions{Address: settings.PullAddress, Prefix: settings.Prefix, CAFile: settings.CAFile, Credentials: credentials}
	err := bits.CheckPull(ctx, options, image)
	switch {
	case err == nil:
		return fine(check, "pulled the same image from %s", settings.PullAddress)
	case errors.Is(err, bits.ErrCredentials):
		return failed(check, err, "registry.pull_username_file and registry.pull_password_file, or the Secret registry.pull_secret, must hold an account that may pull")
	case errors.Is(err, bits.ErrOtherRegistry):
		return failed(check, err, "registry.pull_address must lead to the registry of registry.address")
	}
	// Nodes may have names, routes and authorities that this place lacks.
	return finding{Check: check, Verdict: verdictUnknown, Found: "can't be reached from here, which need not be so for nodes: " + lateAnswer(ctx, err).Error(),
		Mend: fmt.Sprintf("try on a node: crictl pull --creds USER:PASSWORD %s/%s/doctor:latest", settings.PullAddress, settings.Prefix)}
}

// pullSecret looks at the Secret with which nodes pull. Without one there is no finding,
// and credentials are nil where none are known.
func (e examination) pullSecret(ctx context.Context) (*finding, *opi.RegistryCredentials) {
	const check = "registry.pull_secret"
	settings := e.config.Registry
	if settings.PullSecret == "" {
		return nil, nil
	}
	found := func(f finding) *finding { return &f }
	var own *opi.RegistryCredentials
	if settings.PullUsernameFile != "" {
		var err error
		if own, err = readCredentials(settings.PullUsernameFile, settings.PullPasswordFile); err != nil {
			return found(failed(check, err, "put the user and the password with which nodes pull there")), nil
		}
	}
	secret, err := e.clients.Typed.CoreV1().Secrets(e.config.Kubernetes.Namespace).Get(ctx, settings.PullSecret, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && own != nil:
		return found(finding{Check: check, Verdict: verdictWarning, Found: "there is no Secret " + settings.PullSecret + " yet: the irene that leads makes it", Mend: "see that irene runs"}), own
	case apierrors.IsNotFound(err):
		return found(failed(check, fmt.Errorf("there is no Secret %s in namespace %s: nodes can't pull", settings.PullSecret, e.config.Kubernetes.Namespace),
			"kubectl create secret docker-registry, or set registry.pull_username_file and registry.pull_password_file")), nil
	case err != nil:
		return found(finding{Check: check, Verdict: verdictUnknown, Found: lateAnswer(ctx, err).Error()}), own
	}
	held, err := credentialsIn(secret, settings.PullAddress)
	switch {
	case err != nil:
		return found(failed(check, fmt.Errorf("%s: %w", settings.PullSecret, err), "delete it when irene makes it (registry.pull_username_file); else make it anew for registry.pull_address")), own
	case own != nil && *held != *own:
		return found(finding{Check: check, Verdict: verdictWarning, Found: "Secret " + settings.PullSecret + " does not have what the files have: the irene that leads changes it within 10 s, unless the Secret is somebody else's",
			Mend: "see that irene runs, and its log for pull-secret"}), own
	}
	return found(fine(check, "%s is for %s", settings.PullSecret, settings.PullAddress)), held
}

// credentialsIn are those that kubelet finds for an address.
func credentialsIn(secret *corev1.Secret, address string) (*opi.RegistryCredentials, error) {
	var content struct {
		Auths map[string]struct {
			Username string `json:"username"`
			Password string `json:"password"`
			Auth     []byte `json:"auth"`
		} `json:"auths"`
	}
	if secret.Type != corev1.SecretTypeDockerConfigJson {
		return nil, fmt.Errorf("its type is %s, not %s", secret.Type, corev1.SecretTypeDockerConfigJson)
	}
	if err := json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &content); err != nil {
		// The value may be in the error's text.
		return nil, fmt.Errorf("its key %s can't be read", corev1.DockerConfigJsonKey)
	}
	for _, key := range []string{address, "https://" + address, "http://" + address} {
		entry, ok := content.Auths[key]
		if !ok {
			continue
		}
		if entry.Username == "" {
			entry.Username, entry.Password, _ = strings.Cut(string(entry.Auth), ":")
		}
		return &opi.RegistryCredentials{Username: entry.Username, Password: entry.Password}, nil
	}
	return nil, fmt.Errorf("it has no credentials for %s", address)
}

// examineStacks looks for every configured stack.
func examineStacks(ctx context.Context, e examination) []finding {
	if e.config.Registry.Address == "" {
		return nil
	}
	const check = "stacks"
	registry, err := newRegistry(e.config, nil, lager.NewLogger("doctor"))
	if err != nil {
		return nil // told with the registry
	}
	stacks, err := newStacks(e.config, registry, lager.NewLogger("doctor"))
	if err != nil {
		return []finding{failed(check, err, "stacks.launch_file must name the program launch of this release")}
	}
	var found []finding
	for _, name := range e.config.Stacks.Names {
		stack, err := stacks.Current(ctx, name)
		if err != nil {
			found = append(found, failed(check+" "+name, lateAnswer(ctx, err), "irene stack import --config FILE "+name+" SOURCE, unless the registry is what is wrong"))
			continue
		}
		found = append(found, fine(check+" "+name, "revision %s, %s", stack.Revision, stack.Digest))
	}
	return found
}
