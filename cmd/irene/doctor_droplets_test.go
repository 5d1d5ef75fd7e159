package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// recordedApp is a StatefulSet as far as its droplet is written on it.
func recordedApp(name, droplet, sha1 string) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: "apps", Name: name, Labels: map[string]string{keys.SourceType: keys.SourceTypeApp},
		Annotations: map[string]string{keys.LRP: fmt.Sprintf(
			`{"version":1,"lrp":{"guid":"process","droplet":{"guid":%q,"checksum":{"algorithm":"sha1","value":%q}}}}`, droplet, sha1)},
	}}
}

func TestDoctorFetchesADroplet(t *testing.T) {
	g := NewWithT(t)
	cc, err := standin.Start(standin.Options{User: "admin", Password: "secret"})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(cc.Close()).To(Succeed()) })
	content := bytes.Repeat([]byte("droplet"), 1000)
	sum := sha1.Sum(content)
	hash := hex.EncodeToString(sum[:])
	droplet, err := cc.AddDroplet("process", bytes.NewReader(content))
	g.Expect(err).NotTo(HaveOccurred())
	urlFile := filepath.Join(t.TempDir(), "url")
	g.Expect(os.WriteFile(urlFile, []byte(strings.Replace(cc.URL(), "http://", "http://admin:secret@", 1)+
		"/admin/cc-droplets/{partition}/{droplet_guid}/{hash}\n"), 0o600)).To(Succeed())

	ours := recordedApp("ours", droplet.GUID, hash)
	gone := recordedApp("gone", "gone", strings.Repeat("a", 40))
	docker := ours.DeepCopy()
	docker.Name, docker.Annotations[keys.LRP] = "docker", `{"version":1,"lrp":{"guid":"process","rootFS":{"image":{"reference":"image"}}}}`
	found := func(verdict, text string) types.GomegaMatcher {
		return ContainElement(And(HaveField("Check", fetchedDropletCheck), HaveField("Verdict", verdict), HaveField("Found", ContainSubstring(text)),
			HaveField("Found", Not(ContainSubstring("secret")))))
	}
	fetched := fmt.Sprintf("fetched %s/%s, 7000 bytes; its checksum is right", droplet.GUID, hash)
	for name, example := range map[string]struct {
		source DropletSource
		apps   []runtime.Object
		named  opi.Droplet
		want   types.GomegaMatcher
	}{
		"of an app":                       {DropletSource{URLFile: urlFile}, []runtime.Object{docker, gone, ours}, opi.Droplet{}, found(verdictOK, fetched)},
		"that was named":                  {DropletSource{URLFile: urlFile}, nil, opi.Droplet{GUID: droplet.GUID, Checksum: opi.Checksum{Value: hash}}, found(verdictOK, fetched)},
		"without any app":                 {DropletSource{URLFile: urlFile}, []runtime.Object{docker}, opi.Droplet{}, found(verdictUnknown, "no app here runs a droplet")},
		"that is not there":               {DropletSource{URLFile: urlFile}, []runtime.Object{gone}, opi.Droplet{}, found(verdictFailed, "no such droplet there")},
		"without a password":              {DropletSource{URL: cc.URL() + "/admin/cc-droplets/{partition}/{droplet_guid}/{hash}"}, []runtime.Object{ours}, opi.Droplet{}, found(verdictFailed, "answers 401")},
		"by Cloud Controller's SHA-256":   {DropletSource{CloudController: cc.URL()}, []runtime.Object{ours}, opi.Droplet{}, found(verdictFailed, "by their SHA-256 only")},
		"by a key that can't work: noted": {DropletSource{CloudController: cc.URL()}, []runtime.Object{ours}, opi.Droplet{}, ContainElement(And(HaveField("Check", "droplets.source.cloud_controller"), HaveField("Verdict", verdictWarning), HaveField("Mend", ContainSubstring("droplets.source.url"))))},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			e := examination{droplet: example.named}
			e.clients.Typed = fake.NewClientset(example.apps...)
			e.config = DefaultConfiguration()
			e.config.Kubernetes.Namespace = "apps"
			e.config.Registry.Address = "127.0.0.1:1"
			example.source.PlainHTTP, example.source.Timeout = true, e.config.Droplets.Source.Timeout
			e.config.Droplets.Source = example.source
			g.Expect(examineDropletSource(t.Context(), e)).To(example.want)
		})
	}
}

func TestDoctorLeavesADropletAloneWhereTheSourceIsAway(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(nil)
	server.Close()
	e := examination{config: DefaultConfiguration()}
	e.config.Registry.Address = "127.0.0.1:1"
	e.config.Droplets.Source.URL, e.config.Droplets.Source.PlainHTTP = server.URL+"/{hash}", true
	found := examineDropletSource(t.Context(), e)
	g.Expect(found).To(HaveLen(1))
	g.Expect(found[0]).To(And(HaveField("Verdict", verdictFailed), HaveField("Found", ContainSubstring("connection refused"))))
}

func TestKeysOfBlobstores(t *testing.T) {
	g := NewWithT(t)
	sha1 := strings.Repeat("0a", 20)
	for _, key := range []string{"guid/" + sha1, "gu/id/guid/" + sha1, "/admin/cc-droplets/gu/id/guid/" + strings.ToUpper(sha1)} {
		g.Expect(dropletOfKey(key)).To(Equal(opi.Droplet{GUID: "guid", Checksum: opi.Checksum{Algorithm: "sha1", Value: sha1}}), key)
	}
	for _, key := range []string{"", "guid", sha1, "/" + sha1, "guid/" + sha1 + sha1[:24], "guid/" + sha1 + "/"} {
		_, err := dropletOfKey(key)
		g.Expect(err).To(MatchError(ContainSubstring("does not end with the guid of a droplet")), key)
	}
}
