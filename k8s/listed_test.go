package k8s_test

import (
	"context"
	"errors"
	"testing"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// storedLRP returns the StatefulSet of an LRP, with what lists read of it.
func storedLRP(guid string, door opi.Door) *appsv1.StatefulSet {
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: guid, Namespace: "apps", UID: types.UID("uid-" + guid), ResourceVersion: "7",
			Labels: map[string]string{keys.SourceType: keys.SourceTypeApp, keys.GUID: guid, keys.Version: "1", keys.AppGUID: "app", keys.Domain: "cf-apps"},
			Annotations: map[string]string{
				keys.LastUpdated: "1.5", keys.Stack: "cflinuxfs4", keys.Routes: `[{"hostname":"a.example.com","port":8080}]`,
				keys.OtherRoutes: `{"some-router":[1]}`, keys.Secret: guid + "-secret",
			},
		},
		Spec: appsv1.StatefulSetSpec{Replicas: ptr.To(int32(2))},
	}
	if door != opi.DoorOPI {
		set.Annotations[keys.Door] = string(door)
	}
	return set
}

func TestListsFromTheView(t *testing.T) {
	g := NewWithT(t)
	secret := func(guid string) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Name: guid + "-secret", Namespace: "apps", UID: types.UID("secret-" + guid), ResourceVersion: "7",
				Labels: map[string]string{keys.SourceType: keys.SourceTypeApp, keys.GUID: guid, keys.Version: "1"},
			},
			Data: map[string][]byte{"ssh-route": []byte(`{"container_port":2222}`)},
		}
	}
	client := fake.NewClientset(storedLRP("ours", opi.DoorBBS), storedLRP("theirs", opi.DoorOPI), secret("ours"), secret("theirs"))
	scheme := runtime.NewScheme()
	g.Expect(metav1.AddMetaToScheme(scheme)).To(Succeed())
	partial := func(guid string) runtime.Object {
		return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: secret(guid).ObjectMeta}
	}
	appsView := view.New(view.Options{
		Client: client, Metadata: metadatafake.NewSimpleMetadataClient(scheme, partial("ours"), partial("theirs")),
		Namespace: "apps", Logger: lager.NewLogger("test"),
	})
	lrps := k8s.New(k8s.Options{
		Client: client, View: appsView, StatefulSets: live.New(live.Options{Client: client.AppsV1(), View: appsView, Namespace: "apps"}),
		Settings: render.Settings{Namespace: "apps"}, Logger: lager.NewLogger("test"),
	})
	none := func(*opi.ListedLRP) error { return nil }
	g.Expect(lrps.EachListed(t.Context(), []opi.Door{opi.DoorBBS}, none)).To(MatchError(opi.ErrUnavailable), "a partial list would do harm")
	_, err := lrps.Present(t.Context(), nil)
	g.Expect(err).To(MatchError(opi.ErrUnavailable))

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- appsView.Run(ctx) }()
	defer func() {
		cancel()
		g.Eventually(ended, "20s").Should(Receive(BeNil()))
	}()
	g.Eventually(appsView.Fresh, "20s").Should(Succeed())
	list := func(doors ...opi.Door) (listed []opi.ListedLRP) {
		g.Expect(lrps.EachListed(t.Context(), doors, func(lrp *opi.ListedLRP) error {
			listed = append(listed, *lrp)
			return nil
		})).To(Succeed())
		return listed
	}
	ours := opi.LRPIdentifier{GUID: "ours", Version: "1"}
	g.Expect(list(opi.DoorBBS)).To(ConsistOf(opi.ListedLRP{
		LRPIdentifier: ours, Door: opi.DoorBBS, Domain: "cf-apps", Instances: 2, Annotation: "1.5", AppGUID: "app", Stack: "cflinuxfs4",
		Routes:       opi.RouteTexts{HTTP: `[{"hostname":"a.example.com","port":8080}]`, Other: `{"some-router":[1]}`},
		Modification: opi.ModificationTag{Epoch: "uid-ours", Index: 7}, Encoding: &opi.Encoding{},
	}))
	list(opi.DoorBBS)[0].Encoding.Store([]byte("encoded"))
	g.Expect(list(opi.DoorBBS)[0].Encoding.Load()).To(Equal("encoded"), "it is kept with the version")
	g.Expect(list(opi.DoorBBS, opi.DoorOPI)).To(HaveLen(2))
	stop := errors.New("enough")
	g.Expect(lrps.EachListed(t.Context(), []opi.Door{opi.DoorBBS}, func(*opi.ListedLRP) error { return stop })).To(MatchError(stop))

	calls := len(client.Actions())
	present, err := lrps.Present(t.Context(), []opi.LRPIdentifier{ours, {GUID: "unknown"}})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(present).To(HaveLen(1))
	g.Expect(present[0].LRPIdentifier).To(Equal(ours))
	g.Expect(present[0].Routes.HTTP).To(HaveLen(1))
	g.Expect(present[0].States).To(HaveLen(2))
	g.Expect(client.Actions()).To(HaveLen(calls), "no call to the API server")

	g.Expect(lrps.SSHRoute(t.Context(), ours)).To(BeEquivalentTo(`{"container_port":2222}`))
}
