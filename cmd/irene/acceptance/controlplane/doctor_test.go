//go:build controlplane

package controlplane_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/appimage"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/fixtures/natsserver"
)

var _ = Describe("irene doctor", func() {
	var (
		o     *operated
		works *imageworks.Works
		bus   *natsserver.Server
		ours  *signer
		// caller and address belong to Cloud Controller.
		caller, address string
		year            = time.Now().AddDate(1, 0, 0)
	)
	BeforeEach(func(ctx context.Context) {
		var err error
		works, err = imageworks.Start(GinkgoT().TempDir(), GinkgoWriter)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(works.Stop)
		bus, err = natsserver.Start(natsserver.Options{User: "irene", Password: "bus-hunter2"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(bus.Stop)
		o = &operated{Platform: newPlatform(ctx, direct(), works.Settings())}
		password := filepath.Join(o.Dir, "nats-password")
		Expect(os.WriteFile(password, []byte("bus-hunter2"), 0o600)).To(Succeed())

		ours = newSigner(o.Dir, "authority")
		irenes, irenesKey := ours.signs("irene", ecKey(), year)
		caller, _ = ours.signs("cloud_controller", rsaKey(), year)
		servers, serversKey := ours.signs("cloud-controller-port", rsaKey(), year)
		address = securePort(servers, serversKey, ours)
		o.Settings["nats"] = map[string]any{"servers": []string{bus.URL()}, "user": "irene", "password_file": password}
		o.settle(map[string]any{
			"listen": map[string]any{"tls": map[string]any{"certificate_file": irenes, "key_file": irenesKey,
				"client_ca_file": ours.file, "client_names": []string{"cloud_controller"}}},
			"stager":           map[string]any{"certificate_file": irenes, "key_file": irenesKey, "ca_file": ours.file},
			"cloud_controller": map[string]any{"url": address, "certificate_file": irenes, "key_file": irenesKey, "ca_file": ours.file},
		})
		rootfs, err := appimage.Layer(appimage.File{Path: "etc/passwd", Mode: 0o644, Content: []byte("vcap:x:2000:2000::/home/vcap:/bin/sh\n")})
		Expect(err).NotTo(HaveOccurred())
		file, err := works.RootFSFile(rootfs)
		Expect(err).NotTo(HaveOccurred())
		_, err = works.Run(ctx, filepath.Join(binaries, "irene"), imageworks.Cluster{Kubeconfig: o.Kubeconfig, Namespace: o.Namespace}, "import", imageworks.StackName, file)
		Expect(err).NotTo(HaveOccurred())
	})
	all := func() []string { return []string{"--caller-certificate", caller} }
	set := func(section, key string, value any) {
		changed := maps.Clone(o.config[section].(map[string]any))
		changed[key] = value
		o.config[section] = changed
	}
	withLeader := func(ctx context.Context) { o.Start(ctx) }

	It("says that all is well, or what is not and how to mend it", func(ctx context.Context) {
		withLeader(ctx)
		Eventually(func() error {
			_, err := api.CoreV1().Secrets(o.Namespace).Get(ctx, imageworks.PullSecret, metav1.GetOptions{})
			return err
		}).Should(Succeed())
		stdout, _ := o.ends(ctx, 0, "doctor", all()...)
		AddReportEntry("irene doctor, all well", stdout, ReportEntryVisibilityAlways)
		Expect(stdout).To(And(
			MatchRegexp(`ok +kubernetes permissions +all \d+ that irene needs`),
			MatchRegexp(`ok +kubernetes.namespace +%s, Pod Security restricted`, o.Namespace),
			MatchRegexp(`ok +leader_election +\S+ leads`),
			MatchRegexp(`ok +nats nats://\S+ +connected`),
			MatchRegexp(`ok +registry.address +pushed and pulled`),
			MatchRegexp(`ok +registry.pull_address +pulled the same image`),
			MatchRegexp(`ok +stacks %s +revision`, imageworks.StackName),
			MatchRegexp(`ok +cloud_controller https://\S+ +answers 404`),
			MatchRegexp(`ok +Cloud Controller's certificate for irene +"cloud_controller", RSA 2048`),
			HaveSuffix("nothing is wrong\n"),
		))
		Expect(stdout).NotTo(ContainSubstring("hunter2"))

		By("NATS being down")
		bus.Stop()
		stdout, _ = o.ends(ctx, 1, "doctor", all()...)
		AddReportEntry("irene doctor, NATS down", stdout, ReportEntryVisibilityAlways)
		Expect(o.finding(ctx, 1, "nats", all()...)).To(And(HaveField("Verdict", "failed"), HaveField("Mend", ContainSubstring("see that the server runs"))))
		Expect(bus.Start()).To(Succeed())

		By("another password for NATS")
		password := filepath.Join(o.Dir, "nats-password")
		Expect(os.WriteFile(password, []byte("wrong"), 0o600)).To(Succeed())
		Expect(o.finding(ctx, 1, "nats", all()...)).To(And(HaveField("Verdict", "failed"), HaveField("Mend", ContainSubstring("nats.password_file"))))
		Expect(os.WriteFile(password, []byte("bus-hunter2"), 0o600)).To(Succeed())

		By("a stack that was not imported")
		set("stacks", "names", []string{imageworks.StackName, "other"})
		Expect(o.finding(ctx, 1, "stacks other", all()...)).To(And(HaveField("Verdict", "failed"), HaveField("Mend", ContainSubstring("irene stack import"))))
		set("stacks", "names", []string{imageworks.StackName})

		By("Cloud Controller's certificate having expired")
		expired, key := ours.signs("expired", rsaKey(), time.Now().Add(-time.Hour))
		set("cloud_controller", "url", securePort(expired, key, ours))
		Expect(o.finding(ctx, 1, "cloud_controller https://", all()...)).To(And(
			HaveField("Verdict", "failed"), HaveField("Found", ContainSubstring("expired")), HaveField("Mend", ContainSubstring("renew the server's certificate"))))

		By("Cloud Controller not taking irene's certificate")
		servers, key := ours.signs("strict", rsaKey(), year)
		set("cloud_controller", "url", securePort(servers, key, newSigner(o.Dir, "another")))
		Expect(o.finding(ctx, 1, "cloud_controller https://", all()...)).To(And(
			HaveField("Verdict", "failed"), HaveField("Mend", ContainSubstring("cloud_controller.certificate_file"))))
		set("cloud_controller", "url", "")
		Expect(o.finding(ctx, 0, "cloud_controller.url", all()...)).To(HaveField("Verdict", "warning"))
		set("cloud_controller", "url", address)

		By("Cloud Controller having a key that it can't load")
		caller, _ = ours.signs("cloud_controller", ecKey(), year)
		Expect(o.finding(ctx, 1, "Cloud Controller's certificate", all()...)).To(And(
			HaveField("Verdict", "failed"), HaveField("Found", ContainSubstring("EC P-256")), HaveField("Mend", ContainSubstring("RSA key"))))
		caller, _ = ours.signs("cloud_controller", rsaKey(), time.Now().AddDate(0, 0, 7))
		Expect(o.finding(ctx, 0, "Cloud Controller's certificate", all()...)).To(And(
			HaveField("Verdict", "warning"), HaveField("Found", ContainSubstring("ends on"))))
		caller, _ = ours.signs("somebody", rsaKey(), year)
		Expect(o.finding(ctx, 1, "Cloud Controller's certificate", all()...)).To(HaveField("Found", ContainSubstring(`"somebody" is not among listen.tls.client_names`)))
		caller, _ = ours.signs("cloud_controller", rsaKey(), year)

		By("another password for the registry")
		Expect(works.Writer.Tell("wrong")).To(Succeed())
		var found []shownFinding
		o.shows(ctx, 1, &found, "doctor", all()...)
		Expect(found).To(ContainElement(And(HaveField("Check", "registry.address"), HaveField("Verdict", "failed"), HaveField("Mend", ContainSubstring("registry.password_file")))))
		Expect(works.Writer.Tell(works.Writer.Password)).To(Succeed())

		By("an account that may only read")
		set("registry", "username_file", works.Reader.UsernameFile)
		set("registry", "password_file", works.Reader.PasswordFile)
		Expect(o.finding(ctx, 1, "registry.address", all()...)).To(HaveField("Mend", ContainSubstring("an account that may push")))
	}, SpecTimeout(4*time.Minute))

	It("names what irene may not do, and granting just that is enough for irene", func(ctx context.Context) {
		user := "operator-of-" + o.Namespace
		o.Kubeconfig = actingAs(user, o.Dir)
		set("kubernetes", "kubeconfig_file", o.Kubeconfig)
		var found []shownFinding
		o.shows(ctx, 1, &found, "doctor", all()...)
		rules, clusterRules := missingPermissions(found, o.Namespace)
		Expect(rules).NotTo(BeEmpty())
		grant(ctx, user, o.Namespace, rules, clusterRules)

		found = nil
		Eventually(func() []shownFinding {
			found = nil
			o.shows(ctx, 0, &found, "doctor", all()...)
			return found
		}).Should(ContainElement(And(HaveField("Check", "kubernetes permissions"), HaveField("Verdict", "ok"))))

		process := o.Start(ctx)
		droplet := (&assembling{Platform: o.Platform, Works: works}).newDroplet()
		d := (&assembling{}).app("modest", droplet).With("instances", 2)
		controlplane.RunApp(ctx, process, d)
		Eventually(func() any { return o.Budgets(ctx, d.GUID()) }).Should(HaveLen(1))
		Expect(process.Client.Stop(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
		Eventually(o.NothingLeftOf(ctx, d.GUID())).Should(Succeed())
		Expect(o.Log.String()).NotTo(ContainSubstring("forbidden"))

		By("one verb being taken away")
		rules[0].Verbs = rules[0].Verbs[1:]
		_, err := api.RbacV1().Roles(o.Namespace).Update(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: rules}, metav1.UpdateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(func() []shownFinding {
			found = nil
			stdout, _ := o.ends(ctx, 1, "doctor", all()...)
			AddReportEntry("irene doctor, a verb missing", stdout)
			o.shows(ctx, 1, &found, "doctor", all()...)
			return found
		}).Should(ContainElement(And(HaveField("Verdict", "failed"), HaveField("Found", HavePrefix("irene may not get ")))))
	}, SpecTimeout(4*time.Minute))
})

var mayNot = regexp.MustCompile(`^irene may not (.+) (\S+) in (namespace [^:\s]+|the cluster)`)

// missingPermissions are the rules that the doctor misses.
func missingPermissions(found []shownFinding, namespace string) (inNamespace, inCluster []rbacv1.PolicyRule) {
	GinkgoHelper()
	for _, one := range found {
		parts := mayNot.FindStringSubmatch(one.Found)
		if parts == nil {
			continue
		}
		resource, group, _ := strings.Cut(parts[2], ".")
		rule := rbacv1.PolicyRule{Verbs: strings.Split(parts[1], ", "), APIGroups: []string{group}, Resources: []string{resource}}
		if parts[3] == "the cluster" {
			inCluster = append(inCluster, rule)
			continue
		}
		Expect(parts[3]).To(Equal("namespace " + namespace))
		inNamespace = append(inNamespace, rule)
	}
	return inNamespace, inCluster
}

func grant(ctx context.Context, user, namespace string, rules, clusterRules []rbacv1.PolicyRule) {
	GinkgoHelper()
	meta := metav1.ObjectMeta{Name: user}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
	_, err := api.RbacV1().Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	_, err = api.RbacV1().RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	_, err = api.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: clusterRules}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx context.Context) error {
		return api.RbacV1().ClusterRoles().Delete(ctx, user, metav1.DeleteOptions{})
	})
	_, err = api.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx context.Context) error {
		return api.RbacV1().ClusterRoleBindings().Delete(ctx, user, metav1.DeleteOptions{})
	})
}
