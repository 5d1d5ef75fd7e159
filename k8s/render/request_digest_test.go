package render

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
)

// digestedLRPs are LRPs with the digests that stand on their StatefulSets: keyed with
// pinnedKey and, from releases that had no key, bare. Never change one of these values: every
// running app counts as one with other settings once its digest changes.
var digestedLRPs = map[string]struct {
	lrp         func(*testing.T) opi.LRP
	keyed, bare string
}{
	"buildpack app": {requested("requests/01-desire-lrp-buildpack-r1.json"),
		"21ecd90f1bd4bf408373688a6e8c972805cae84debd48313d34db3dfa65a25a1", "39d50e4eb885332ce51785ef6cc23701a67a6076f2acd7db0823e7c796f1b441"},
	"app in production": {requested("golden/test-app-desire.json"),
		"833e76886cba14308a9f94e0edaeaba50768be500b667bf425a35362de6bba35", "30ec2b483607a449b7da8c5a2b923e10725881770739f4423ddf896661171a1b"},
	"app with user annotations": {requested("testdata/buildpack.json"),
		"25535907610a643e43e6d682648037c4281a7d0b62002e0fc1285850df47c722", "0ab8008eb76037e37c2a394a1ddf2ba2f2b9fde31772034b5d70f622f979b026"},
	"private docker image": {requested("testdata/docker-private.json"),
		"e3443b051938d761d26ed968cef7820fcdc59a4aeaa4d91d9d172b90f7dc608c", "2346fe873ab293b0d1c95dd9bdc6e95bd51d30191e10d8c8a57bb0a2e312847b"},
	"isolation segment and volume": {requested("testdata/placed-with-volume.json"),
		"06777128f5471c7c656c598039a6a7e2f60b19ec1b97634d9b3d6da36677d89f", "4002b16745a602d7751eafd524329534cd675ca36cb9492f7ce366cbf82410db"},
	"worker": {requested("testdata/worker.json"),
		"a8d34125b7147a6efaf5e5d58eb773dc90b5f8e1f101e60f59aad0ee0e71319a", "7cfa82ed25439620f28d2d3c9bffd7959408451a23fc2924e8bf5a85cfb15715"},
	"every field, sidecar": {everyField,
		"ab7d2ae28428aec2bea6e66a002a4fe154686f7882813f0ffcc41ddafbd87d60", "f415a409227eda535132771c60c579d7ad52239a85e298301bf5df86a05286fc"},
	"process of a task": {taskProcess,
		"b8b6c4a5f75bbaf743d4b8f01090832e4919cbf664bcef73e522b150047662a3", "099f7fbf76cac8f21b30c9a189077c9f5862ee38b55c02c9544a85cf0e654a3e"},
	"nothing but identity": {identityOnly,
		"dfa738d4aec0db514dd1f5613f239c0bdd83114c734099dff7c395882429af50", "8734888204ac6af70cd16be27f0a50b8c3c6c6527217a564a0b875853df155aa"},
}

var pinnedKey = DigestKey("0123456789abcdef0123456789abcdef")

func TestStoredRequestDigestsKeepTheirValues(t *testing.T) {
	for name, stored := range digestedLRPs {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			lrp := stored.lrp(t)
			digest, err := pinnedKey.request(lrp)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(digest).To(Equal("hmac-sha256:" + stored.keyed))
			g.Expect(pinnedKey.SameRequest(digest, lrp)).To(BeTrue())
			content, err := requestContent(lrp)
			g.Expect(err).NotTo(HaveOccurred())
			bare := sha256.Sum256(content)
			g.Expect(hex.EncodeToString(bare[:])).To(Equal(stored.bare))
			g.Expect(pinnedKey.SameRequest(stored.bare, lrp)).To(BeTrue())
		})
	}
}

// notDigested are the fields of an LRP that its digest does not cover, with the reason.
var notDigested = map[string]string{
	"Instances":       "an update changes them",
	"Routes":          "an update changes them",
	"Annotation":      "an update changes it",
	"MetricTags":      "an update changes them",
	"SSHRoute":        "callers make new keys for every request",
	"Door":            "an annotation of its own names it",
	"OriginalRequest": "people read it; the other fields come from it",
}

// A field that is new in package opi fails this test until someone decides: either the
// digest covers it, by a new member of the digested types that is omitted when it is empty,
// or notDigested has it.
func TestTheDigestCoversEveryFieldOfAnLRP(t *testing.T) {
	digest := func(changed string) string {
		var lrp opi.LRP
		fill(t, "", reflect.ValueOf(&lrp).Elem(), func(path string) bool { return path == changed })
		text, err := pinnedKey.request(lrp)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		return text
	}
	var fields []string
	var lrp opi.LRP
	fill(t, "", reflect.ValueOf(&lrp).Elem(), func(path string) bool {
		fields = append(fields, path)
		return false
	})
	unchanged, omitted := digest(""), map[string]bool{}
	for _, field := range fields {
		top, _, _ := strings.Cut(strings.TrimSuffix(field, "[]"), ".")
		if _, listed := notDigested[top]; listed {
			omitted[top] = true
			if digest(field) != unchanged {
				t.Errorf("notDigested lists %s, but the digest covers it", field)
			}
		} else if digest(field) == unchanged {
			t.Errorf("the digest does not cover %s", field)
		}
	}
	NewWithT(t).Expect(omitted).To(HaveLen(len(notDigested)), "notDigested lists a field that LRPs don't have")
}

// fill gives every field of v a value, and another one to those that differs selects. It
// goes through structs, pointers and the one element of each list.
func fill(t *testing.T, path string, v reflect.Value, differs func(path string) bool) {
	t.Helper()
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			within := path
			if !field.Anonymous {
				within = strings.TrimPrefix(path+"."+field.Name, ".")
			}
			fill(t, within, v.Field(i), differs)
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, path, v.Elem(), differs)
	case v.Type() == reflect.TypeFor[[]byte](), v.Type() == reflect.TypeFor[json.RawMessage]():
		v.SetBytes([]byte(valueOf(differs(path), "1", "2")))
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, path+"[]", v.Index(0), differs)
	case v.Type() == reflect.TypeFor[map[string]string]():
		v.Set(reflect.ValueOf(map[string]string{"key": valueOf(differs(path), "one", "two")}))
	case v.Type() == reflect.TypeFor[map[string]json.RawMessage]():
		v.Set(reflect.ValueOf(map[string]json.RawMessage{"key": json.RawMessage(valueOf(differs(path), "1", "2"))}))
	case v.Type() == reflect.TypeFor[map[string]opi.MetricTag]():
		v.Set(reflect.ValueOf(map[string]opi.MetricTag{"key": {Text: valueOf(differs(path), "one", "two")}}))
	case v.Kind() == reflect.String:
		v.SetString(valueOf(differs(path), "one", "two"))
	case v.CanInt():
		v.SetInt(valueOf(differs(path), int64(1), 2))
	case v.Kind() == reflect.Bool:
		v.SetBool(valueOf(differs(path), true, false))
	default:
		t.Fatalf("%s has type %s, which this test does not know", path, v.Type())
	}
}

func valueOf[T any](differs bool, usual, other T) T {
	if differs {
		return other
	}
	return usual
}

// requested returns the LRP that the front door makes of a desire request.
func requested(file string) func(*testing.T) opi.LRP {
	return func(t *testing.T) opi.LRP {
		t.Helper()
		g := NewWithT(t)
		read := os.ReadFile
		switch folder, _, _ := strings.Cut(file, "/"); folder {
		case "requests":
			read = fixtures.Requests.ReadFile
		case "golden":
			read = fixtures.Golden.ReadFile
		}
		body, err := read(file)
		g.Expect(err).NotTo(HaveOccurred())
		var id opi.LRPIdentifier
		g.Expect(json.Unmarshal(body, &id)).To(Succeed())
		behind := &desiredLRP{}
		answer := httptest.NewRecorder()
		api.NewHandler(api.Options{LRPs: behind, Refusals: opi.NewRefusals(), Logger: lager.NewLogger("test")}).
			ServeHTTP(answer, httptest.NewRequest(http.MethodPut, "/apps/"+id.ProcessGUID(), strings.NewReader(string(body))))
		g.Expect(answer.Code).To(Equal(http.StatusAccepted), answer.Body.String())
		return behind.lrp
	}
}

// desiredLRP keeps what was desired.
type desiredLRP struct {
	api.LRPs
	lrp opi.LRP
}

// Desire implements api.LRPs.
func (d *desiredLRP) Desire(_ context.Context, lrp opi.LRP) error {
	d.lrp = lrp
	return nil
}

// everyField has what no front door fills yet, too.
func everyField(*testing.T) opi.LRP {
	lrp := fullLRP()
	lrp.Environment = map[string]string{"SECRET": "hunter2", "HTML": "<&>"}
	lrp.Processes = append(lrp.Processes, opi.Process{Name: "sidecar", Command: []string{"proxy", "--listen"}, MemoryMiB: 32})
	lrp.RootFS.Image.Credentials = &opi.RegistryCredentials{Username: "u", Password: "p"}
	lrp.EgressRules = append(lrp.EgressRules, opi.EgressRule{Protocol: "tcp", Destinations: []string{"10.0.0.1", "10.0.0.3-10.0.0.9"}, Ports: []int32{80, 443}})
	lrp.Instances, lrp.Annotation = 4, "1.5"
	lrp.Routes = opi.Routes{HTTP: []opi.HTTPRoute{{Hostname: "a.example.com", Port: 8080}}}
	return lrp
}

func taskProcess(*testing.T) opi.LRP {
	return TaskLRP(opi.Task{
		GUID: "t", App: opi.Owner{GUID: "a", Name: "app"}, Droplet: &opi.Droplet{GUID: "d", Checksum: opi.Checksum{Algorithm: "sha1", Value: "abc"}},
		Process: opi.Process{Command: []string{"rake", "db:migrate"}}, Environment: map[string]string{"A": "b"}, Limits: opi.Limits{MemoryMiB: 64},
	})
}

func identityOnly(*testing.T) opi.LRP {
	return opi.LRP{LRPIdentifier: opi.LRPIdentifier{GUID: "g", Version: "v"}}
}
