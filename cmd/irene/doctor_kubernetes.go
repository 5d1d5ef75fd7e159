package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilversion "k8s.io/apimachinery/pkg/util/version"
)

// testedKubernetes are the minor versions that irene is tested with.
var testedKubernetes = []string{"1.37"}

// examineKubernetes asks the API server who it is.
func examineKubernetes(ctx context.Context, e examination) []finding {
	const check = "kubernetes API server"
	var version string
	err := within(ctx, func() error {
		info, err := e.clients.Typed.Discovery().ServerVersion()
		if err == nil {
			version = info.GitVersion
		}
		return err
	})
	switch {
	case apierrors.IsUnauthorized(err):
		return []finding{failed(check, err, "renew the credentials in kubernetes.kubeconfig_file, or the pod's service account")}
	case err != nil:
		return []finding{failed(check, err, "check that the API server is up and can be reached from here, and kubernetes.kubeconfig_file")}
	}
	minor := strings.Join(strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)[:2], ".")
	if !slices.Contains(testedKubernetes, minor) {
		return []finding{{Check: check, Verdict: verdictWarning, Found: version + " is not among the versions that irene is tested with: " + strings.Join(testedKubernetes, ", "),
			Mend: "see docs/upgrade.md"}}
	}
	return []finding{fine(check, "%s", version)}
}

// within is for calls that take no context; what comes later is dropped.
func within(ctx context.Context, call func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- call() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return lateAnswer(ctx, ctx.Err())
	}
}

// examinePermissions asks the API server what it would allow, verb by verb.
func examinePermissions(ctx context.Context, e examination) []finding {
	needed := e.config.permissions()
	missing := make([][]string, len(needed))
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(10)
	for i, one := range needed {
		missing[i] = make([]string, len(one.verbs))
		for v, verb := range one.verbs {
			asking.Go(func() error {
				allowed, err := e.allowed(ctx, one, verb)
				if err == nil && !allowed {
					missing[i][v] = verb
				}
				return err
			})
		}
	}
	const check = "kubernetes permissions"
	if err := asking.Wait(); err != nil {
		return []finding{{Check: check, Verdict: verdictUnknown, Found: "the API server does not tell: " + lateAnswer(ctx, err).Error()}}
	}
	var found []finding
	asked := 0
	for i, one := range needed {
		asked += len(one.verbs)
		lacks := slices.DeleteFunc(missing[i], func(verb string) bool { return verb == "" })
		if len(lacks) == 0 {
			continue
		}
		where, kind := "in namespace "+one.namespace, "Role"
		if one.cluster {
			where, kind = "in the cluster", "ClusterRole"
		}
		f := failed(fmt.Sprintf("%s: %s", check, one), fmt.Errorf("irene may not %s %s %s", strings.Join(lacks, ", "), one, where),
			fmt.Sprintf("grant it with a %s that is bound to irene's service account, as the chart does", kind))
		if one.without != "" {
			f.Verdict, f.Found = verdictWarning, f.Found+": "+one.without
		}
		found = append(found, f)
	}
	if len(found) == 0 {
		return []finding{fine(check, "all %d that irene needs", asked)}
	}
	return found
}

func (e examination) allowed(ctx context.Context, one permission, verb string) (bool, error) {
	review, err := e.clients.Typed.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: one.namespace, Verb: verb, Group: one.group, Resource: one.resource, Name: one.name,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask whether irene may %s %s: %w", verb, one, err)
	}
	return review.Status.Allowed, nil
}

// examineNamespace looks at the apps' namespace.
func examineNamespace(ctx context.Context, e examination) []finding {
	const check = "kubernetes.namespace"
	name := e.config.Kubernetes.Namespace
	namespace, err := e.clients.Typed.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return []finding{failed(check, fmt.Errorf("there is no namespace %s", name), "kubectl create namespace "+name)}
	case apierrors.IsForbidden(err):
		return []finding{{Check: check, Verdict: verdictUnknown, Found: "irene may not get namespace " + name,
			Mend: "look yourself: kubectl get namespace " + name + " --show-labels; it should have " + podSecurityLabel + "=restricted"}}
	case err != nil:
		return []finding{{Check: check, Verdict: verdictUnknown, Found: lateAnswer(ctx, err).Error()}}
	case namespace.DeletionTimestamp != nil:
		return []finding{failed(check, fmt.Errorf("namespace %s is being deleted, with all apps", name), "make it anew once it is gone; Cloud Controller's sync brings the apps back")}
	}
	switch level := namespace.Labels[podSecurityLabel]; level {
	case "restricted":
		return []finding{fine(check, "%s, Pod Security %s", name, level)}
	case "":
		level = "no level"
		fallthrough
	default:
		return []finding{{Check: check, Verdict: verdictWarning, Found: fmt.Sprintf("%s enforces %s of Pod Security: pods that others make there may be privileged", name, level),
			Mend: "kubectl label namespace " + name + " --overwrite " + podSecurityLabel + "=restricted; irene's own pods comply"}}
	}
}

// podSecurityLabel is the label of namespaces that enforce a Pod Security level.
const podSecurityLabel = "pod-security.kubernetes.io/enforce"

// examineLeader looks at who runs the controllers.
func examineLeader(ctx context.Context, e examination) []finding {
	const check = "leader_election"
	settings := e.config.LeaderElection
	if !settings.Enabled {
		return []finding{fine(check, "off: this must be the only replica")}
	}
	lease, err := e.clients.Typed.CoordinationV1().Leases(e.config.LeaseNamespace()).Get(ctx, settings.LeaseName, metav1.GetOptions{})
	none := finding{Check: check, Verdict: verdictWarning, Mend: "nobody reports builds, registers routes and replaces instances of lost nodes: see that irene runs (kubectl get pods), and its log"}
	switch {
	case apierrors.IsNotFound(err):
		none.Found = fmt.Sprintf("there is no Lease %s in namespace %s: irene has not run here yet", settings.LeaseName, e.config.LeaseNamespace())
		return []finding{none}
	case err != nil:
		return []finding{{Check: check, Verdict: verdictUnknown, Found: lateAnswer(ctx, err).Error()}}
	case lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" || lease.Spec.RenewTime == nil:
		none.Found = "nobody leads"
		return []finding{none}
	}
	if silent := e.now.Sub(lease.Spec.RenewTime.Time); silent > settings.LeaseDuration.Duration {
		none.Found = fmt.Sprintf("nobody leads: %s has not renewed the Lease for %s", *lease.Spec.HolderIdentity, since(lease.Spec.RenewTime.Time, e.now))
		return []finding{none}
	}
	return []finding{fine(check, "%s leads", *lease.Spec.HolderIdentity)}
}

// examineNodes looks at whether the nodes can run what is configured.
func examineNodes(ctx context.Context, e examination) []finding {
	const check = "nodes"
	list, err := e.clients.Typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return []finding{{Check: check, Verdict: verdictUnknown, Found: lateAnswer(ctx, err).Error()}}
	}
	var away []string
	for _, node := range list.Items {
		if !slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		}) {
			away = append(away, node.Name)
		}
	}
	var found []finding
	switch {
	case len(list.Items) == 0:
		found = append(found, failed(check, errors.New("the cluster has none"), "add one"))
	case len(away) == len(list.Items):
		found = append(found, failed(check, errors.New("none is ready: "+shortened(away)), "kubectl describe node says why"))
	case len(away) > 0:
		found = append(found, finding{Check: check, Verdict: verdictWarning, Found: fmt.Sprintf("%d of %d are not ready: %s", len(away), len(list.Items), shortened(away)),
			Mend: "kubectl describe node says why"})
	default:
		found = append(found, fine(check, "%d, all ready", len(list.Items)))
	}
	found = append(found, supported(list.Items, "apps.user_namespaces", e.config.Apps.UserNamespaces, hasUserNamespaces,
		"docker apps don't start there: bring kernel and container runtime up to date, or set apps.user_namespaces: off")...)
	return append(found, supported(list.Items, "stager.image_volumes", e.config.Staging.ImageVolumes, mountsImages,
		"builds fail there: they need Kubernetes 1.35, and containerd 2.1 or CRI-O 1.31; or set stager.image_volumes: off")...)
}

// supported tells whether all nodes have what is switched on.
func supported(nodes []corev1.Node, check string, setting Switch, has func(corev1.Node) bool, mend string) []finding {
	if setting != On {
		return nil
	}
	var without []string
	for _, node := range nodes {
		if !has(node) {
			without = append(without, node.Name)
		}
	}
	if len(without) == 0 {
		return []finding{fine(check, "on, and all nodes support them")}
	}
	return []finding{{Check: check, Verdict: verdictWarning, Mend: mend,
		Found: fmt.Sprintf("on, but %d of %d nodes don't say that they support them: %s", len(without), len(nodes), shortened(without))}}
}

// runtimesThatMountImages are the first versions that do.
var runtimesThatMountImages = map[string]string{"containerd": "2.1.0", "cri-o": "1.31.0"}

// mountsImages goes by versions: nodes don't tell it otherwise.
func mountsImages(node corev1.Node) bool {
	kind, runtime, _ := strings.Cut(node.Status.NodeInfo.ContainerRuntimeVersion, "://")
	return notBefore(node.Status.NodeInfo.KubeletVersion, "1.35.0") && notBefore(runtime, runtimesThatMountImages[kind])
}

func notBefore(version, least string) bool {
	parsed, err := utilversion.ParseGeneric(version)
	if err != nil {
		return false
	}
	wanted, err := utilversion.ParseGeneric(least)
	return err == nil && parsed.AtLeast(wanted)
}

// hasUserNamespaces is whether the node's usual container runtime says so.
func hasUserNamespaces(node corev1.Node) bool {
	return slices.ContainsFunc(node.Status.RuntimeHandlers, func(handler corev1.NodeRuntimeHandler) bool {
		return handler.Name == "" && handler.Features != nil && handler.Features.UserNamespaces != nil && *handler.Features.UserNamespaces
	})
}
